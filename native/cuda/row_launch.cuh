// Threads, blocks and the choice of kernel for those that give each row a block.
#pragma once

#include <type_traits>

#include "cuda/row_sweeps.cuh"

namespace papo::cuda {

// Enough warps that each has about four tiles, at most 8: more would wait longer for each other
// between the sweeps, and a multiprocessor holds several blocks instead.
inline unsigned rowThreads(int64_t vocabSize) {
  return static_cast<unsigned>(smallerOf((tilesOf(vocabSize) + 3) / 4, 8)) * kWarpLanes;
}

// Blocks that a multiprocessor is to hold of kernels that write gradients: two, of 128 registers a
// thread. nvcc 13.0 spills some of those for 10.0, where one block is let have more.
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 1000
constexpr int kGradientBlocks = 1;
#else
constexpr int kGradientBlocks = 2;
#endif

// More rows than a grid takes are reached by the loop in the kernel.
inline unsigned rowBlocks(int64_t rows) {
  return static_cast<unsigned>(smallerOf(rows, int64_t{1} << 24));
}

// Launches kernelOf(an element, the kind as a type) of a call with a block a row.
template <RowKind kKind, class KernelOf>
cudaError_t launchRowsOfKind(const Context& context, const RowsCall& call,
                             const KernelOf& kernelOf) {
  const auto start = [&](auto element) {
    const std::integral_constant<RowKind, kKind> kind{};
    return launch(kernelOf(element, kind), dim3(rowBlocks(call.rows)),
                  dim3(rowThreads(call.vocabSize)), RowMemory::bytes(call.vocabSize),
                  context.stream(), call);
  };
  switch (call.dtype) {
    case PAPO_FLOAT32:
      return start(float{});
    case PAPO_FLOAT16:
      return start(__half{});
    default:
      return start(__nv_bfloat16{});
  }
}

template <class KernelOf>
cudaError_t launchRows(const Context& context, const RowsCall& call, const KernelOf& kernelOf) {
  if (call.rows == 0) return cudaSuccess;
  switch (call.kind()) {
    case RowKind::kOne:
      return launchRowsOfKind<RowKind::kOne>(context, call, kernelOf);
    case RowKind::kPair:
      return launchRowsOfKind<RowKind::kPair>(context, call, kernelOf);
    default:
      return launchRowsOfKind<RowKind::kExactPair>(context, call, kernelOf);
  }
}

}  // namespace papo::cuda
