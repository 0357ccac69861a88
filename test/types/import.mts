// The types that an ES module sees. Compiled only; a @ts-expect-error that expects nothing fails.
import { PapoError, instructionSets } from 'papo-kernels'

export const names: readonly string[] = instructionSets()
export const code: string = new PapoError('ERR_ADDON_NOT_FOUND', '').code

// @ts-expect-error takes no argument
instructionSets('avx2')
// @ts-expect-error not a code of this package
new PapoError('ERR_OTHER', '')
