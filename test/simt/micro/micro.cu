#include <cuda_pipeline_primitives.h>

#include "device.cuh"
#include "micro.h"
namespace {
// 0..9 right programs, 20.. wrong ones
__global__ void semantics(int* out) {  // 0: every warp operation
  const int t = threadIdx.x, l = t & 31;
  out[t] = __shfl_up_sync(~0u, l, 3, 8) * 1 + __shfl_down_sync(~0u, l, 3, 8) * 100 +
           __shfl_xor_sync(~0u, l, 5, 16) * 10000 + __shfl_sync(~0u, l, 9, 8) * 1000000;
  out[256 + t] = (int)__ballot_sync(~0u, l % 3 == 0);
  out[512 + t] = (int)__match_any_sync(~0u, l / 5);
  out[768 + t] = __reduce_add_sync(~0u, l) + 1000 * __reduce_max_sync(~0u, l - 40);
  out[1024 + t] = __any_sync(~0u, l == 7) + 2 * __all_sync(~0u, l < 31);
  if (l < 12)
    out[1280 + t] = __shfl_xor_sync(0xfffu, l, 1);
  else
    out[1280 + t] = __shfl_xor_sync(0xfffff000u, l, 3);
  out[1536 + t] = __syncthreads_count(t & 1) + 1000 * __syncthreads_or(t == 3) +
                  10000 * __syncthreads_and(t < 5);
  atomicAdd(&out[1792], t);
  atomicMax(&out[1793], t);
  atomicAdd(reinterpret_cast<float*>(&out[1794]), 0.5f);
}
__global__ void syncwarp_ok(int* out,
                            int fixed) {  // 1 and 20: exchange through shared memory inside a warp
  SHARED_ARRAY(int, s, 1024);
  s[threadIdx.x] = threadIdx.x;
  if (fixed) __syncwarp();
  out[threadIdx.x] = s[threadIdx.x ^ 1];
}
__global__ void shuffle_is_no_fence(int* out) {  // 21: a shuffle orders lanes, not memory
  SHARED_ARRAY(int, s, 1024);
  s[threadIdx.x] = threadIdx.x;
  const int k = __shfl_xor_sync(~0u, (int)threadIdx.x, 1);
  out[threadIdx.x] = s[threadIdx.x ^ 1] + 0 * k;
}
__global__ void last_block(
    int* out, int fixed) {  // 2: the last block adds up; 22: without atomics between blocks
  SHARED_ARRAY(int, last, 1);
  if (threadIdx.x == 0) {
    if (fixed) {
      atomicAdd(&out[0], blockIdx.x + 1);
      __threadfence();
      last[0] = atomicAdd(&out[1], 1) == (int)gridDim.x - 1;
    } else {
      out[0] += blockIdx.x + 1;
      last[0] = 0;
    }
  }
  __syncthreads();
  if (last[0] && threadIdx.x == 0) out[2] = atomicAdd(&out[0], 0);
}
__global__ void shared_over(int* out, int extra) {  // 3 and 23: write past a shared array
  SHARED_ARRAY(int, s, 64);
  const int t = threadIdx.x % 64;
  if (threadIdx.x < 64) s[t + extra] = t;
  __syncthreads();
  if (threadIdx.x < 64) out[t] = s[t];
}
__global__ void dynamic_over(int* out, int extra) {  // 4 and 24
  SHARED_DYNAMIC(int, s);
  s[threadIdx.x + extra] = threadIdx.x;
  __syncthreads();
  out[threadIdx.x] = s[blockDim.x - 1 - threadIdx.x + extra];
}
__global__ void early_return(int* out, int n) {  // 25: barrier after some threads left
  if ((int)threadIdx.x >= n) return;
  __syncthreads();
  out[threadIdx.x] = 1;
}
__global__ void divergent_shuffle(int* out) {  // 26: full mask in a branch
  int v = threadIdx.x;
  if (threadIdx.x & 1)
    v = __shfl_xor_sync(~0u, v, 2);
  else
    __syncwarp();
  out[threadIdx.x] = v;
}
__global__ void async_copy(int* out, const int* in,
                           int fixed) {  // 5 and 27: cp.async without waiting
  SHARED_ARRAY(int, s, 1024);
  __pipeline_memcpy_async(&s[threadIdx.x], &in[threadIdx.x], 4);
  __pipeline_commit();
  if (fixed) __pipeline_wait_prior(0);
  __syncthreads();
  out[threadIdx.x] = s[threadIdx.x ^ 33];
  if (!fixed) __pipeline_wait_prior(0);
}
__global__ void uninit_local(int* out) {  // 28
  int v;
  if (threadIdx.x < 1000000 && out[4095] == 0) v = 3;
  out[threadIdx.x] = v;
}
__global__ void odd_block(int* out) {  // 6 and 29: 48 threads, the second warp is half
  const int l = threadIdx.x & 31;
  const unsigned m = __ballot_sync(blockDim.x % 32 && threadIdx.x >= 32 ? 0xffffu : ~0u, 1);
  out[threadIdx.x] = __shfl_xor_sync(m, l, out[4094] ? 16 : 8);
}
__global__ void half_stuck(
    int* out) {  // 19: half of a warp at the block barrier, half at the warp barrier
  if (threadIdx.x < 16)
    __syncthreads();
  else
    __syncwarp();
  out[threadIdx.x] = 1;
}
}  // namespace
cudaError_t micro(int n, int* out, int threads, int blocks, cudaStream_t st) {
  switch (n) {
    case 0:
      return launch(semantics, blocks, threads, 0, st, out);
    case 1:
    case 20:
      return launch(syncwarp_ok, blocks, threads, 0, st, out, n == 1);
    case 21:
      return launch(shuffle_is_no_fence, blocks, threads, 0, st, out);
    case 2:
    case 22:
      return launch(last_block, blocks, threads, 0, st, out, n == 2);
    case 3:
    case 23:
      return launch(shared_over, blocks, threads, 0, st, out, n == 23);
    case 4:
    case 24:
      return launch(dynamic_over, blocks, threads, threads * sizeof(int), st, out, n == 24);
    case 25:
      return launch(early_return, blocks, threads, 0, st, out, 40);
    case 26:
      return launch(divergent_shuffle, blocks, threads, 0, st, out);
    case 5:
    case 27:
      return launch(async_copy, blocks, threads, 0, st, out, (const int*)out + 1024, n == 5);
    case 19:
      return launch(half_stuck, blocks, threads, 0, st, out);
    case 28:
      return launch(uninit_local, blocks, threads, 0, st, out);
    default:
      return launch(odd_block, blocks, threads, 0, st, out);
  }
}
