// The SIMT emulator as kernels see it: CUDA's vocabulary for a C++ compiler. Every thread of a block
// is a fiber on one host thread; fibers change only where threads meet, in an order under test.
// Device code runs only inside simt::launch.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <vector_functions.h>
#include <vector_types.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <tuple>

#include "options.h"

#define SIMT_EMU 1
// Default arguments that say where a function was called.
#define SIMT_HERE const char *file_ = __builtin_FILE(), int line_ = __builtin_LINE()

namespace simt {

struct Thread {
  uint3 tid, bid;
  dim3 bdim, gdim;
  int linear, lane;
  int clusterRank, clusterSize;
};
extern Thread* cur;

// Ends the launch with this message and the place of the thread.
[[noreturn]] void fail(const char* file, int line, const char* format, ...)
    __attribute__((format(printf, 3, 4)));

// ---- shared memory -------------------------------------------------------------------------------

void* sharedSlot(const void* key, size_t bytes, size_t align);
void* dynamicShared();

// The tag, a lambda, makes every call site and instantiation an array of its own.
template <class T, size_t N, class Tag>
T (&sharedArray(Tag))
[N] {
  static char key;
  return *reinterpret_cast<T(*)[N]>(sharedSlot(&key, sizeof(T) * N, alignof(T)));
}

// ---- launch --------------------------------------------------------------------------------------

struct LaunchShape {
  dim3 grid, block;
  unsigned cluster;    // blocks, along x
  size_t sharedBytes;  // dynamic
  cudaStream_t stream;
};
cudaError_t submit(const void* kernel, const LaunchShape& shape, std::function<void()> thread);

template <class... P, class... A>
cudaError_t launch(void (*kernel)(P...), const LaunchShape& shape, A&&... arguments) {
  std::tuple<P...> bound(static_cast<P>(arguments)...);
  return submit(reinterpret_cast<const void*>(kernel), shape,
                [kernel, bound] { std::apply(kernel, bound); });
}

}  // namespace simt

#define threadIdx (simt::cur->tid)
#define blockIdx (simt::cur->bid)
#define blockDim (simt::cur->bdim)
#define gridDim (simt::cur->gdim)
constexpr int warpSize = 32;

#include "atomics.h"
#include "cluster.h"
#include "intrinsics.h"
#include "warp.h"
