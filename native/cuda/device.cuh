// What every kernel includes: one vocabulary for nvcc and for the emulator of test/simt, which compiles
// the same sources with a C++ compiler (SIMT_EMU).
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <cstdint>

#ifdef SIMT_EMU
#define PAPO_SHARED_ARRAY(T, name, n) T(&name)[n] = simt::sharedArray<T, (n)>([] {})
#define PAPO_SHARED_DYNAMIC(T, name) T* name = static_cast<T*>(simt::dynamicShared())
#else
#define PAPO_SHARED_ARRAY(T, name, n) __shared__ T name[n]
#define PAPO_SHARED_DYNAMIC(T, name)                             \
  extern __shared__ __align__(128) unsigned char name##_bytes[]; \
  T* name = reinterpret_cast<T*>(name##_bytes)
#endif

// The emulator takes any code; what it refuses on an older device is decided when it runs.
#if defined(SIMT_EMU) || (defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900)
#define PAPO_HAS_CLUSTERS 1
#define PAPO_HAS_BULK_COPIES 1
#else
#define PAPO_HAS_CLUSTERS 0
#define PAPO_HAS_BULK_COPIES 0
#endif

namespace papo::cuda {

// ---- launch: the only place that knows <<<>>> ----------------------------------------------------
template <class... P, class... A>
cudaError_t launchCluster(void (*kernel)(P...), dim3 grid, dim3 block, unsigned cluster,
                          size_t smem, cudaStream_t stream, A&&... a) {
#ifdef SIMT_EMU
  return simt::launch(kernel, {grid, block, cluster, smem, stream}, static_cast<A&&>(a)...);
#elif defined(__CUDACC__)
  cudaLaunchConfig_t c = {};
  c.gridDim = grid;
  c.blockDim = block;
  c.dynamicSmemBytes = smem;
  c.stream = stream;
  cudaLaunchAttribute at[1] = {};
  at[0].id = cudaLaunchAttributeClusterDimension;
  at[0].val.clusterDim.x = cluster;
  at[0].val.clusterDim.y = 1;
  at[0].val.clusterDim.z = 1;
  c.attrs = at;
  c.numAttrs = cluster > 1 ? 1 : 0;
  return cudaLaunchKernelEx(&c, kernel, static_cast<P>(a)...);
#endif
}
template <class... P, class... A>
cudaError_t launch(void (*kernel)(P...), dim3 grid, dim3 block, size_t smem, cudaStream_t stream,
                   A&&... a) {
  return launchCluster(kernel, grid, block, 1, smem, stream, static_cast<A&&>(a)...);
}

// ---- clusters and bulk copies: inline PTX, or the function of the same name of the emulator --------
#ifdef SIMT_EMU
using simt::bulkCommit;
using simt::bulkLoad;
using simt::bulkStore;
using simt::bulkWait;
using simt::bulkWaitRead;
using simt::clusterPeer;
using simt::clusterRank;
using simt::clusterSize;
using simt::clusterSync;
using simt::fenceAsync;
using simt::mbarExpect;
using simt::mbarInit;
using simt::mbarWait;
#elif PAPO_HAS_CLUSTERS
__device__ __forceinline__ unsigned clusterRank() {
  unsigned r;
  asm("mov.u32 %0, %%cluster_ctarank;" : "=r"(r));
  return r;
}
__device__ __forceinline__ unsigned clusterSize() {
  unsigned r;
  asm("mov.u32 %0, %%cluster_nctarank;" : "=r"(r));
  return r;
}
// Of all threads of all blocks; orders what they wrote to shared memory. The last one of a kernel
// comes after the last use of a peer's memory, which goes when the peer returns.
__device__ __forceinline__ void clusterSync() {
  asm volatile("barrier.cluster.arrive.aligned;\nbarrier.cluster.wait.aligned;" ::: "memory");
}
// The same shared array in another block of the cluster, as a generic pointer.
template <class T>
__device__ __forceinline__ T* clusterPeer(T* p, unsigned rank) {
  T* q;
  asm volatile("mapa.u64 %0, %1, %2;" : "=l"(q) : "l"(p), "r"(rank));
  return q;
}

__device__ __forceinline__ unsigned sharedAddress(const void* p) {
  return static_cast<unsigned>(__cvta_generic_to_shared(p));
}
// A barrier in shared memory that completes a phase when `count` threads have arrived and the bytes
// they expected have come.
__device__ __forceinline__ void mbarInit(uint64_t* b, int count) {
  asm volatile("mbarrier.init.shared.b64 [%0], %1;\nfence.mbarrier_init.release.cluster;" ::"r"(
                   sharedAddress(b)),
               "r"(count)
               : "memory");
}
// Arrives, and expects so many bytes more.
__device__ __forceinline__ void mbarExpect(uint64_t* b, unsigned bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared.b64 _, [%0], %1;" ::"r"(sharedAddress(b)),
               "r"(bytes)
               : "memory");
}
// For the phase of this parity: 0, 1, 0, ...
__device__ __forceinline__ void mbarWait(uint64_t* b, int parity) {
  asm volatile(
      "{\n.reg .pred p;\nL: mbarrier.try_wait.parity.shared.b64 p, [%0], %1;\n@!p bra L;\n}" ::"r"(
          sharedAddress(b)),
      "r"(parity)
      : "memory");
}
// One thread's copy from global to shared memory; addresses and bytes are multiples of 16.
__device__ __forceinline__ void bulkLoad(void* dst, const void* src, unsigned bytes, uint64_t* b) {
  asm volatile(
      "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::
          "r"(sharedAddress(dst)),
      "l"(src), "r"(bytes), "r"(sharedAddress(b))
      : "memory");
}
// One thread's copy from shared to global memory, in the group that its next bulkCommit closes.
__device__ __forceinline__ void bulkStore(void* dst, const void* src, unsigned bytes) {
  asm volatile("cp.async.bulk.global.shared::cta.bulk_group [%0], [%1], %2;" ::"l"(dst),
               "r"(sharedAddress(src)), "r"(bytes)
               : "memory");
}
__device__ __forceinline__ void bulkCommit() {
  asm volatile("cp.async.bulk.commit_group;" ::: "memory");
}
// Until all but the `pending` newest groups of this thread have read their shared memory.
template <int pending>
__device__ __forceinline__ void bulkWaitRead() {
  asm volatile("cp.async.bulk.wait_group.read %0;" ::"n"(pending) : "memory");
}
// Until they are complete: what they wrote is visible to this thread.
template <int pending>
__device__ __forceinline__ void bulkWait() {
  asm volatile("cp.async.bulk.wait_group %0;" ::"n"(pending) : "memory");
}
// Between this thread's ordinary accesses of shared memory and bulk copies that come after them.
__device__ __forceinline__ void fenceAsync() {
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}
#endif

// ---- elements ------------------------------------------------------------------------------------
// dtype.h's element types are the bit patterns of CUDA's.
__device__ __forceinline__ float toFloat(float x) { return x; }
__device__ __forceinline__ float toFloat(__half x) { return __half2float(x); }
__device__ __forceinline__ float toFloat(__nv_bfloat16 x) { return __bfloat162float(x); }
template <class T>
__device__ __forceinline__ T fromFloat(float x);
template <>
__device__ __forceinline__ float fromFloat<float>(float x) {
  return x;
}
template <>
__device__ __forceinline__ __half fromFloat<__half>(float x) {
  return __float2half_rn(x);
}
template <>
__device__ __forceinline__ __nv_bfloat16 fromFloat<__nv_bfloat16>(float x) {
  return __float2bfloat16_rn(x);
}

}  // namespace papo::cuda
