// Sentences about GPUs; only notes for a binary without CUDA, which loses nothing by their absence.
import { isOlder, say } from './advice'
import type { Advice } from './advice'
import type { CudaDriverFacts, Facts } from './facts'

export function cudaAdvice({ cuda, environment }: Facts): Advice[] {
  const { runtime, driver } = cuda
  const level = runtime === null ? 'note' : 'warning'
  const sentences = [
    runtime === null ? 'this version computes on the CPU only: it has no CUDA kernels' : undefined,
    driver === null ? undefined : driverSentence(driver, cuda),
    driver === null ? undefined : deviceSentence(driver, cuda, environment),
    runtime === null ? undefined : toolkitSentence(cuda),
  ]
  return sentences
    .filter((sentence) => sentence !== undefined)
    .map((sentence) => say(level, 'cuda', sentence))
}

function driverSentence(driver: CudaDriverFacts, cuda: Facts['cuda']): string | undefined {
  switch (driver.state) {
    case 'absent':
      return absenceSentence(cuda)
    case 'incomplete':
      return (
        `libcuda.so.1 lacks ${driver.function}: it is too old or not the driver's; ` +
        "put the driver's own first in LD_LIBRARY_PATH, or update the driver"
      )
    case 'crashed':
      return `the NVIDIA driver does not survive cuInit (${driver.message}): reinstall it`
    case 'failed':
      return failureSentence(driver)
    case 'ready':
      return oldDriverSentence(driver, cuda)
  }
}

function absenceSentence({ kernelModule }: Facts['cuda']): string {
  if (kernelModule === null)
    return 'no NVIDIA driver: for an NVIDIA GPU, install the driver package of the system'
  return (
    `the NVIDIA kernel module ${kernelModule} is loaded, but there is no libcuda.so.1: start a ` +
    'container with its GPUs (docker run --gpus all), else reinstall the driver'
  )
}

/** By the CUresult of the CUDA Driver API Reference Manual. */
const remedies: Readonly<Record<number, string>> = {
  34: "it is the toolkit's stub, so take its folder out of LD_LIBRARY_PATH",
  100: 'there is no GPU, or CUDA_VISIBLE_DEVICES hides it',
  802: 'start the fabric manager (systemctl start nvidia-fabricmanager)',
  803: 'library and kernel module are of different releases, so restart the machine',
  804: 'the compatibility library in LD_LIBRARY_PATH does not fit this GPU, so take it out',
}

function failureSentence({ function: name, result, message }: CudaDriverFacts): string {
  const remedy = remedies[result] ?? 'see whether nvidia-smi works, else reinstall the driver'
  return `the NVIDIA driver refuses ${name} (${message ?? 'error'}, ${result}): ${remedy}`
}

/** A runtime works with any driver of its major version or of a later one. */
function oldDriverSentence(
  { version }: CudaDriverFacts,
  { runtime }: Facts['cuda'],
): string | undefined {
  const major = runtime?.split('.')[0]
  if (version === null || major === undefined || !isOlder(version, major)) return undefined
  return (
    `the NVIDIA driver supports CUDA ${version} and this build uses the runtime ${runtime}: ` +
    `update the driver to one that supports CUDA ${major}`
  )
}

function deviceSentence(
  { state }: CudaDriverFacts,
  { deviceCount }: Facts['cuda'],
  environment: Facts['environment'],
): string | undefined {
  if (state !== 'ready' || deviceCount > 0) return undefined
  const hidden = environment['CUDA_VISIBLE_DEVICES']
  return hidden === undefined
    ? 'the NVIDIA driver finds no GPU: see whether nvidia-smi lists one'
    : `CUDA_VISIBLE_DEVICES='${hidden}' leaves no GPU: unset it`
}

function toolkitSentence({ toolkit }: Facts['cuda']): string | undefined {
  if (toolkit !== null) return undefined
  return 'no CUDA toolkit to build with: install nvcc and its static runtime, or set CUDA_HOME'
}
