// Coefficients from step to step: γ annealed with both entropies, β led by the reference KL.
import { AdaptiveKlController, perceptionSchedule, resolveObjective } from 'papo-kernels'

const coefficients = perceptionSchedule({
  start: 0.02,
  end: 0.005,
  steps: 100,
  entropyCoef: 0.05,
  maskedEntropyCoef: 0.05,
})
const controller = new AdaptiveKlController({ start: 0.01, target: 0.05, horizon: 100 })
const refKls = [0.01, 0.03, 0.06, 0.12, 0.12] // as metrics.refKl of loss calls would tell

for (const [i, refKl] of refKls.entries()) {
  const step = 25 * i
  const { perceptionKlCoef, entropyCoef, refKlCoef } = resolveObjective({
    profile: 'papoG',
    ...coefficients(step),
    refKlCoef: controller.value,
  })
  console.log(
    `step ${step}: perceptionKlCoef ${perceptionKlCoef.toFixed(5)}, ` +
      `entropyCoef ${entropyCoef.toFixed(5)}, refKlCoef ${refKlCoef.toFixed(5)}`,
  )
  controller.update(refKl, 25)
}
