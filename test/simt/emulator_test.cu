#include <cuda_pipeline_primitives.h>

#include "cuda/device.cuh"
#include "emulator_cases.h"

using papo::cuda::launch;

namespace emulator_test {
namespace {

constexpr int kHalf = kInts / 2;

// ---- warps ---------------------------------------------------------------------------------------

__global__ void shuffles(int* out) {
  const int t = threadIdx.x, l = t & 31;
  out[t] = __shfl_up_sync(~0u, l, 3, 8) + __shfl_down_sync(~0u, l, 3, 8) * 100 +
           __shfl_xor_sync(~0u, l, 5, 16) * 10000 + __shfl_sync(~0u, l, 9, 8) * 1000000;
}
bool shufflesAreRight(const int* out) {
  return all(out, 128, [](int t) {
    const int l = t & 31, low = l & ~7, up = l - 3 < low ? l : l - 3;
    const int down = l + 3 > (low | 7) ? l : l + 3;
    return up + down * 100 + (l ^ 5) * 10000 + (low | 1) * 1000000;
  });
}

__global__ void votes(int* out) {
  const int t = threadIdx.x, l = t & 31;
  out[t] = static_cast<int>(__ballot_sync(~0u, l % 3 == 0)) ^
           static_cast<int>(__match_any_sync(~0u, l / 5));
  out[128 + t] = __reduce_add_sync(~0u, l) + 1000 * __reduce_max_sync(~0u, l - 40);
  out[256 + t] = __any_sync(~0u, l == 7) + 2 * __all_sync(~0u, l < 31);
  out[384 + t] = __syncthreads_count(t & 1) + 1000 * __syncthreads_or(t == 3) +
                 10000 * __syncthreads_and(t < 5);
}
bool votesAreRight(const int* out) {
  return all(out, 512, [](int i) {
    const int l = i & 31;
    unsigned thirds = 0, alike = 0;
    for (int j = 0; j < 32; j++) {
      if (j % 3 == 0) thirds |= 1u << j;
      if (j / 5 == l / 5) alike |= 1u << j;
    }
    const int expected[] = {static_cast<int>(thirds ^ alike), 496 + 1000 * -9, 1, 64 + 1000};
    return expected[i / 128];
  });
}

// Two groups of a warp in two places.
__global__ void groups(int* out) {
  const int l = threadIdx.x & 31;
  if (l < 12)
    out[threadIdx.x] = __shfl_xor_sync(0xfffu, l, 1);
  else
    out[threadIdx.x] = __shfl_xor_sync(0xfffff000u, l, 3);
}

// 48 threads: the second warp is half.
__global__ void halfWarp(int* out, int distance) {
  const int l = threadIdx.x & 31;
  const unsigned mask = threadIdx.x >= 32 ? 0xffffu : ~0u;
  out[threadIdx.x] = __shfl_xor_sync(mask, l, distance);
}

__global__ void exchange(int* out, bool synchronise) {
  PAPO_SHARED_ARRAY(int, s, 128);
  s[threadIdx.x] = threadIdx.x;
  if (synchronise) __syncwarp();
  out[threadIdx.x] = s[threadIdx.x ^ 1];
}

// A shuffle makes lanes wait, not memory visible.
__global__ void shuffleIsNoFence(int* out) {
  PAPO_SHARED_ARRAY(int, s, 128);
  s[threadIdx.x] = threadIdx.x;
  const int other = __shfl_xor_sync(~0u, static_cast<int>(threadIdx.x), 1);
  out[threadIdx.x] = s[threadIdx.x ^ 1] + 0 * other;
}

__global__ void fullMaskInBranch(int* out) {
  int v = threadIdx.x;
  if (threadIdx.x & 1)
    v = __shfl_xor_sync(~0u, v, 2);
  else
    __syncwarp();
  out[threadIdx.x] = v;
}

__global__ void foreignMask(int* out) {
  out[threadIdx.x] = __shfl_sync(0xffffu, static_cast<int>(threadIdx.x), 0);
}

// ---- blocks --------------------------------------------------------------------------------------

__global__ void turnAround(int* out, bool synchronise) {
  PAPO_SHARED_ARRAY(int, s, 128);
  s[threadIdx.x] = threadIdx.x;
  if (synchronise) __syncthreads();
  out[blockIdx.x * 128 + threadIdx.x] = s[127 - threadIdx.x];
}

// The array is used again: without the barrier at the end a fast warp overwrites it.
__global__ void turnTwice(int* out, bool synchronise) {
  PAPO_SHARED_ARRAY(int, s, 128);
  int sum = 0;
  for (int turn = 0; turn < 2; turn++) {
    s[threadIdx.x] = threadIdx.x + turn * 1000;
    __syncthreads();
    sum += s[127 - threadIdx.x];
    if (synchronise) __syncthreads();
  }
  out[threadIdx.x] = sum;
}

__global__ void barrierAfterReturn(int* out) {
  if (threadIdx.x >= 40) return;
  __syncthreads();
  out[threadIdx.x] = 1;
}

__global__ void twoBarriers(int* out) {
  if (threadIdx.x < 64)
    __syncthreads();
  else
    __syncthreads();
  out[threadIdx.x] = 1;
}

// Half of a warp waits for the block, the other half for the warp.
__global__ void stuck(int* out) {
  if (threadIdx.x < 16)
    __syncthreads();
  else
    __syncwarp();
  out[threadIdx.x] = 1;
}

// The last block to come sums up what all have added.
__global__ void lastBlock(int* out) {
  PAPO_SHARED_ARRAY(int, last, 1);
  if (threadIdx.x == 0) {
    atomicAdd(&out[0], static_cast<int>(blockIdx.x) + 1);
    __threadfence();
    last[0] = atomicAdd(&out[1], 1) == static_cast<int>(gridDim.x) - 1;
  }
  __syncthreads();
  if (last[0] && threadIdx.x == 0) out[2] = atomicAdd(&out[0], 0);
}

__global__ void blocksRace(int* out) {
  if (threadIdx.x == 0) out[0] += static_cast<int>(blockIdx.x) + 1;
}

__global__ void places(int* out) {
  const int thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
  const int block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
  out[block * blockDim.x * blockDim.y * blockDim.z + thread] = block * 100 + thread;
}

// ---- memory --------------------------------------------------------------------------------------

__global__ void sharedOverrun(int* out, int extra) {
  PAPO_SHARED_ARRAY(int, s, 64);
  const int t = threadIdx.x;
  if (t < 64) s[t + extra] = t;
  __syncthreads();
  if (t < 64) out[t] = s[t + extra];
}

__global__ void dynamicShared(int* out, int extra) {
  PAPO_SHARED_DYNAMIC(int, s);
  s[threadIdx.x + extra] = threadIdx.x;
  __syncthreads();
  out[threadIdx.x] = s[blockDim.x - 1 - threadIdx.x + extra];
}

__global__ void unwrittenShared(int* out) {
  PAPO_SHARED_ARRAY(int, s, 128);
  if (threadIdx.x < 127) s[threadIdx.x] = 0;
  __syncthreads();
  out[threadIdx.x] = s[threadIdx.x];
}

__global__ void unsetLocal(int* out) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
  int sum;
  for (int i = 0; i < 8; i++) sum += out[threadIdx.x + i];
  out[threadIdx.x + kHalf] = sum;
#pragma GCC diagnostic pop
}

__global__ void readPastEnd(int* out) { out[threadIdx.x] = out[kInts - 127 + threadIdx.x]; }

__global__ void misalignedVector(int* out, int offset) {
  const int4 v = __ldcs(reinterpret_cast<const int4*>(out + kHalf + offset));
  out[threadIdx.x] = v.x + v.w;
}

__global__ void asyncCopy(int* out, bool wait) {
  PAPO_SHARED_ARRAY(int, s, 1024);
  __pipeline_memcpy_async(&s[threadIdx.x], &out[kHalf + threadIdx.x], 4);
  __pipeline_commit();
  if (wait) __pipeline_wait_prior(0);
  __syncthreads();
  out[threadIdx.x] = s[threadIdx.x ^ 33];
  if (!wait) __pipeline_wait_prior(0);
}

// Two groups under way; the older one is waited for, the tail filled with zeros.
__global__ void asyncGroups(int* out) {
  PAPO_SHARED_ARRAY(int, s, 512);
  const int t = threadIdx.x;
  for (int group = 0; group < 2; group++) {
    __pipeline_memcpy_async(&s[group * 256 + 2 * t], &out[kHalf + 2 * t], 8, group ? 4 : 0);
    __pipeline_commit();
  }
  __pipeline_wait_prior(1);
  out[t] = s[2 * t + 1];
  __pipeline_wait_prior(0);
  out[128 + t] = s[256 + 2 * t] + s[256 + 2 * t + 1];
}

__global__ void asyncForgotten(int* out) {
  PAPO_SHARED_ARRAY(int, s, 128);
  __pipeline_memcpy_async(&s[threadIdx.x], &out[kHalf + threadIdx.x], 4);
  __pipeline_commit();
  out[threadIdx.x] = 1;
}

int index(int i) { return i; }
int other(int i) { return i ^ 1; }
int mirror(int i) { return 127 - i; }

}  // namespace

std::vector<Case> blockCases() {
  return {
      {"shuffles", nowhere, [](int* d) { return launch(shuffles, 1, 128, 0, nullptr, d); },
       shufflesAreRight},
      {"votes", nowhere, [](int* d) { return launch(votes, 1, 128, 0, nullptr, d); },
       votesAreRight},
      {"groups of a warp", nowhere, [](int* d) { return launch(groups, 1, 128, 0, nullptr, d); },
       [](const int* d) {
         return all(d, 128, [](int t) { return (t & 31) < 12 ? (t & 31) ^ 1 : (t & 31) ^ 3; });
       }},
      {"half a warp", nowhere, [](int* d) { return launch(halfWarp, 1, 48, 0, nullptr, d, 8); },
       [](const int* d) { return all(d, 48, [](int t) { return (t & 31) ^ 8; }); }},
      {"shuffle from outside the mask", everywhere,
       [](int* d) { return launch(halfWarp, 1, 48, 0, nullptr, d, 16); }, nullptr},
      {"lane outside its own mask", everywhere,
       [](int* d) { return launch(foreignMask, 1, 32, 0, nullptr, d); }, nullptr},
      {"full mask in a branch", everywhere,
       [](int* d) { return launch(fullMaskInBranch, 1, 32, 0, nullptr, d); }, nullptr},
      {"exchange in a warp", nowhere,
       [](int* d) { return launch(exchange, 1, 128, 0, nullptr, d, true); },
       [](const int* d) { return all(d, 128, other); }},
      {"missing __syncwarp", everywhere,
       [](int* d) { return launch(exchange, 1, 128, 0, nullptr, d, false); },
       [](const int* d) { return all(d, 128, other); }},
      {"shuffle as a fence", thread,
       [](int* d) { return launch(shuffleIsNoFence, 1, 128, 0, nullptr, d); },
       [](const int* d) { return all(d, 128, other); }},
      {"exchange in a block", nowhere,
       [](int* d) { return launch(turnAround, 4, 128, 0, nullptr, d, true); },
       [](const int* d) { return all(d, 512, [](int i) { return mirror(i % 128); }); }},
      {"missing __syncthreads", everywhere,
       [](int* d) { return launch(turnAround, 1, 128, 0, nullptr, d, false); },
       [](const int* d) { return all(d, 128, mirror); }},
      {"array used twice", nowhere,
       [](int* d) { return launch(turnTwice, 1, 128, 0, nullptr, d, true); },
       [](const int* d) { return all(d, 128, [](int t) { return 2 * mirror(t) + 1000; }); }},
      {"missing barrier before an array is used again", everywhere,
       [](int* d) { return launch(turnTwice, 1, 128, 0, nullptr, d, false); },
       [](const int* d) { return all(d, 128, [](int t) { return 2 * mirror(t) + 1000; }); }},
      {"barrier after threads returned", everywhere,
       [](int* d) { return launch(barrierAfterReturn, 1, 128, 0, nullptr, d); }, nullptr},
      {"two barriers in two branches", everywhere,
       [](int* d) { return launch(twoBarriers, 1, 128, 0, nullptr, d); }, nullptr},
      {"half of a warp at another barrier", everywhere,
       [](int* d) { return launch(stuck, 1, 128, 0, nullptr, d); }, nullptr},
      {"last block sums up", nowhere,
       [](int* d) { return launch(lastBlock, 5, 64, 0, nullptr, d); },
       [](const int* d) { return d[0] == 15 && d[2] == 15; }},
      {"race between blocks", thread,
       [](int* d) { return launch(blocksRace, 5, 64, 0, nullptr, d); },
       [](const int* d) { return d[0] == 15; }},
      {"three dimensions", nowhere,
       [](int* d) { return launch(places, dim3(3, 2, 2), dim3(4, 3, 2), 0, nullptr, d); },
       [](const int* d) { return all(d, 288, [](int i) { return i / 24 * 100 + i % 24; }); }},
      {"shared array", nowhere,
       [](int* d) { return launch(sharedOverrun, 1, 64, 0, nullptr, d, 0); },
       [](const int* d) { return all(d, 64, index); }},
      {"shared overrun", address,
       [](int* d) { return launch(sharedOverrun, 1, 64, 0, nullptr, d, 1); },
       [](const int* d) { return all(d, 64, index); }},
      {"dynamic shared memory", nowhere,
       [](int* d) { return launch(dynamicShared, 1, 128, 512, nullptr, d, 0); },
       [](const int* d) { return all(d, 128, mirror); }},
      {"overrun of dynamic shared memory", address,
       [](int* d) { return launch(dynamicShared, 1, 128, 512, nullptr, d, 1); },
       [](const int* d) { return all(d, 128, mirror); }},
      {"more shared memory than was asked for", everywhere,
       [](int* d) { return launch(dynamicShared, 1, 128, 49 << 10, nullptr, d, 0); }, nullptr},
      {"unwritten shared memory", everywhere,
       [](int* d) { return launch(unwrittenShared, 1, 128, 0, nullptr, d); },
       [](const int* d) { return all(d, 128, [](int) { return 0; }); }},
      {"unset local variable", everywhere,
       [](int* d) { return launch(unsetLocal, 1, 32, 0, nullptr, d); },
       [](const int* d) { return all(d + kHalf, 32, [](int) { return 0; }); }},
      {"read past the end of memory", address,
       [](int* d) { return launch(readPastEnd, 1, 128, 0, nullptr, d); }, nullptr},
      {"aligned vector", nowhere,
       [](int* d) { return launch(misalignedVector, 1, 32, 0, nullptr, d, 4); },
       [](const int* d) { return all(d, 32, [](int) { return 7 * (2 * kHalf + 4 + 7); }); }},
      {"misaligned vector", everywhere,
       [](int* d) { return launch(misalignedVector, 1, 32, 0, nullptr, d, 1); }, nullptr},
      {"cp.async", nowhere, [](int* d) { return launch(asyncCopy, 1, 1024, 0, nullptr, d, true); },
       [](const int* d) { return all(d, 1024, [](int t) { return 7 * (kHalf + (t ^ 33)); }); }},
      {"cp.async without a wait", everywhere,
       [](int* d) { return launch(asyncCopy, 1, 1024, 0, nullptr, d, false); },
       [](const int* d) { return all(d, 1024, [](int t) { return 7 * (kHalf + (t ^ 33)); }); }},
      {"groups of cp.async", nowhere,
       [](int* d) { return launch(asyncGroups, 1, 128, 0, nullptr, d); },
       [](const int* d) {
         return all(d, 256, [](int i) { return 7 * (kHalf + 2 * (i % 128) + (i < 128)); });
       }},
      {"cp.async that nobody waits for", everywhere,
       [](int* d) { return launch(asyncForgotten, 1, 128, 0, nullptr, d); }, nullptr},
  };
}

}  // namespace emulator_test
