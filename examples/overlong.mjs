// DAPO's two answers to responses that run into the limit: a growing penalty, or a mask.
import { overlongMask, overlongPenalties } from 'papo-kernels'

const lengths = Int32Array.of(900, 1536, 1664, 1792, 2048, 2048)
const penalties = overlongPenalties(lengths, { maxLength: 2048, cacheLength: 512 })
const finished = Uint8Array.of(1, 1, 1, 1, 1, 0) // the last one was cut off
const mask = overlongMask(lengths, { maxLength: 2048, finished })
console.log(`lengths   ${lengths.join(' ')}`)
console.log(`penalties ${penalties.data.join(' ')}`)
console.log(`mask      ${mask.data.join(' ')}`)
