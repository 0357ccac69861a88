// Sentences about GPUs: why an engine of 'cuda:N' would not open. The CPU computes in any case.
import { isOlder, say } from './advice'
import type { Advice } from './advice'
import type { CudaDriverFacts, Facts } from './facts'

/** Of the CUDA engine; native/cuda/context.cpp refuses older devices. */
const oldestCapability = '8.0'

/** Indexes of the devices on which an engine opens. */
export function usableDevices({ runtime, driver, devices }: Facts['cuda']): number[] {
  const opens =
    runtime !== null && driver?.state === 'ready' && !isOlderDriver(driver.version, runtime)
  return devices.flatMap(({ computeCapability }, index) =>
    opens && !isOlder(computeCapability, oldestCapability) ? [index] : [],
  )
}

export function cudaAdvice(facts: Facts): Advice[] {
  const { cuda, environment } = facts
  const { runtime, driver } = cuda
  if (driver === null) return []
  // Nothing is lost where there is no GPU to be seen.
  const without = driver.state === 'absent' && cuda.kernelModule === null
  const level = runtime === null || without ? 'note' : 'warning'
  const sentences = [
    driverSentence(driver, cuda),
    deviceSentence(driver, cuda, environment),
    ...(runtime === null ? [] : oldDeviceSentences(cuda)),
  ]
  return [
    ...(runtime === null ? [buildAdvice(facts)] : []),
    ...sentences
      .filter((sentence) => sentence !== undefined)
      .map((sentence) => say(level, 'cuda', sentence)),
  ]
}

function buildAdvice({ cuda: { deviceCount, toolkit }, package: { checkout } }: Facts): Advice {
  const only = 'this build computes on the CPU only: it has no CUDA engine'
  if (deviceCount === 0) return say('note', 'cuda', only)
  const first =
    toolkit === null ? 'install nvcc and its static runtime, or set CUDA_HOME, and ' : ''
  const command = checkout ? 'npm run build:gyp' : 'npm rebuild papo-kernels'
  return say('warning', 'cuda', `${only}, and there is a GPU: ${first}build it with CUDA`, [
    `PAPO_KERNELS_CUDA=1 ${command}`,
  ])
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

const majorOf = (version: string) => version.split('.')[0] ?? version

/** A runtime works with any driver of its major version or of a later one. */
function isOlderDriver(version: string | null, runtime: string): boolean {
  return version !== null && isOlder(version, majorOf(runtime))
}

function oldDriverSentence(
  { version }: CudaDriverFacts,
  { runtime }: Facts['cuda'],
): string | undefined {
  if (runtime === null || !isOlderDriver(version, runtime)) return undefined
  return (
    `the NVIDIA driver supports CUDA ${version} and this build uses the runtime ${runtime}: ` +
    `update the driver to one that supports CUDA ${majorOf(runtime)}`
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

function oldDeviceSentences({ devices }: Facts['cuda']): string[] {
  return devices.flatMap(({ name, computeCapability }, index) =>
    isOlder(computeCapability, oldestCapability)
      ? [
          `GPU ${index} (${name}) has compute capability ${computeCapability}, and the CUDA ` +
            `engine needs ${oldestCapability} or newer: use another, or the CPU`,
        ]
      : [],
  )
}
