// A run that collapses after step 100, as its loss calls would report it, and what the monitor says.
import { CollapseMonitor } from 'papo-kernels'

const scatter = (step, seed) => 1 + 0.1 * Math.sin(12.9898 * step + 78.233 * seed)

function runStep(step) {
  const depth = Math.max(0, step - 100) / 60
  const metrics = {
    perceptionKlMean: 0.04 * (1 + 4 * depth) * scatter(step, 1),
    perceptionKlVariance: 0.02 * (1 + 7.4 * depth) * scatter(step, 2),
    entropy: 0.3 * (1 + 3 * depth) * scatter(step, 3),
    maskedEntropy: 0.5 * (1 + 3 * depth) * scatter(step, 4),
    clipFractionHigh: 0.004 * (1 + 5 * depth) * scatter(step, 5),
  }
  return { step, metrics, reward: (0.5 - 0.4 * Math.max(0, depth - 0.5)) * scatter(step, 6) }
}

let monitor = new CollapseMonitor()
let last = 'healthy'
for (let step = 0; step < 180; step++) {
  if (step === 110) monitor = CollapseMonitor.fromJSON(JSON.parse(JSON.stringify(monitor)))
  const { status, signs, remedies } = monitor.observe(runStep(step))
  if (status === last) continue
  last = status
  console.log(`step ${step}: ${status}`)
  for (const { sentence } of signs) console.log(`  ${sentence}`)
  if (status === 'collapse') console.log(`  ${remedies[0]}`)
}
const { warning, reward } = monitor.toJSON().firstSteps
console.log(`warned ${reward - warning} steps before the reward fell`)
