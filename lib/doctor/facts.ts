// What `papo-kernels doctor --json` prints; docs/doctor.md is its description. null: there is none,
// or it could not be found out.

export interface Facts {
  readonly package: PackageFacts
  readonly binary: BinaryFacts
  readonly engine: EngineFacts
  /** Of the binary, fastest first. */
  readonly instructionSets: readonly InstructionSetFacts[] | null
  readonly platform: PlatformFacts
  readonly node: NodeFacts
  readonly processor: ProcessorFacts
  readonly memory: MemoryFacts
  readonly bandwidth: BandwidthFacts | null
  /** Variables that are set and that the package, its build or the CUDA driver reads. */
  readonly environment: Readonly<Record<string, string>>
  readonly cuda: CudaFacts
  readonly tools: ToolFacts
  /** The first python that has it, for `bench --peers`. */
  readonly torch: Tool | null
}

export interface PackageFacts {
  readonly version: string
  readonly root: string
  /** A clone, and no installed package. */
  readonly checkout: boolean
}

export interface BinaryFacts {
  readonly path: string | null
  readonly kind: 'build' | 'prebuild' | 'other' | null
  readonly version: string | null
  readonly abi: number | null
  readonly problem: BinaryProblem | null
}

export interface BinaryProblem {
  readonly kind: 'missing' | 'unloadable' | 'other version'
  readonly message: string
}

/** What calls use that name no engine. */
export interface EngineFacts {
  readonly instructionSet: string | null
  readonly threads: number | null
  readonly problem: string | null
}

export interface InstructionSetFacts {
  readonly name: string
  readonly usable: boolean
  /** Features that this processor lacks. */
  readonly missing: readonly string[]
}

export interface PlatformFacts {
  readonly os: string
  readonly arch: string
  readonly kernel: string
  readonly libc: 'glibc' | 'musl' | null
  readonly libcVersion: string | null
}

export interface NodeFacts {
  readonly version: string
  readonly minVersion: string
  readonly napi: number
  readonly minNapi: number
  readonly v8: string
}

export interface ProcessorFacts {
  readonly model: string
  readonly logicalCores: number
  /** Of them, those that this process may run on. */
  readonly available: number
  /** Processors' worth of time that the control group grants. */
  readonly quota: number | null
}

/** In bytes. */
export interface MemoryFacts {
  readonly total: number
  readonly available: number
  /** Of the control group, where it is below the total. */
  readonly limit: number | null
  readonly hugePages: 'always' | 'madvise' | 'never' | null
}

export interface BandwidthFacts {
  /** Bytes read plus bytes written, GB/s. */
  readonly copy: number
  /** GB/s. */
  readonly read: number
  readonly threads: number
  /** Of the last minute before: above 0 others were at work. */
  readonly loadAverage: number
}

export interface CudaFacts {
  /** CUDA runtime in the binary. */
  readonly runtime: string | null
  /** null: not asked, because the binary does not load. */
  readonly driver: CudaDriverFacts | null
  readonly deviceCount: number
  /** At most 16. */
  readonly devices: readonly CudaDeviceFacts[]
  /** Version of the kernel module, without which libcuda does nothing. */
  readonly kernelModule: string | null
  /** nvcc with the static runtime, path: the folder. */
  readonly toolkit: Tool | null
}

export interface CudaDriverFacts {
  readonly state: 'ready' | 'absent' | 'incomplete' | 'failed' | 'crashed'
  /** Newest CUDA that it supports. */
  readonly version: string | null
  /** The function that is missing or failed. */
  readonly function: string | null
  /** CUresult of that function. */
  readonly result: number
  readonly message: string | null
}

export interface CudaDeviceFacts {
  readonly name: string
  readonly computeCapability: string
  /** In bytes. */
  readonly memory: number
}

/** Of a build from source. */
export interface ToolFacts {
  readonly compiler: Tool | null
  readonly make: Tool | null
  readonly python: Tool | null
}

export interface Tool {
  readonly path: string
  readonly version: string | null
}
