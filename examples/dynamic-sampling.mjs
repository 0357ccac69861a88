// DAPO's dynamic sampling: rounds of prompts until there are four groups to learn from.
import { DynamicSampler } from 'papo-kernels'

// Four responses to each prompt, 1 = right. Easy prompts are always right, hard ones always wrong.
const solved = [4, 2, 0, 4, 1, 4, 0, 3, 4, 2, 4, 3]
const respond = (prompt) => Float32Array.from({ length: 4 }, (_, i) => (i < solved[prompt] ? 1 : 0))

const sampler = new DynamicSampler({ targetGroups: 4, fallback: 'unfiltered' })
let next = 0
while (!sampler.status.done) {
  const prompts = Array.from({ length: sampler.status.promptsToDraw }, () => next++)
  const accuracy = Float32Array.from(prompts.flatMap((prompt) => Array.from(respond(prompt))))
  const groupIds = Int32Array.from({ length: accuracy.length }, (_, i) => prompts[i >> 2])
  const { rounds, keptGroups, promptsToDraw } = sampler.add(accuracy, groupIds)
  console.log(
    `round ${rounds}: ${prompts.length} prompts, ${keptGroups} of ${next} groups kept ` +
      `(${(keptGroups / next).toFixed(2)}), ${promptsToDraw} more prompts to draw`,
  )
}
const { rows, keptGroupIds, droppedGroupIds, surplusGroupIds } = sampler.result()
console.log(`kept ${keptGroupIds.join(' ')}`)
console.log(`dropped ${droppedGroupIds.join(' ')}, surplus ${surplusGroupIds.join(' ')}`)
console.log(`rows ${rows.join(' ')}`)
