// What every kernel includes: one vocabulary for nvcc and for the emulator of test/simt, which compiles
// the same sources with a C++ compiler (SIMT_EMU).
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <cstdint>

#ifdef SIMT_EMU
#define PAPO_SHARED_ARRAY(T, name, n) T(&name)[n] = simt::shared_array<T, (n)>([] {})
#define PAPO_SHARED_DYNAMIC(T, name) T* name = static_cast<T*>(simt::dynamic_shared(nullptr))
#ifndef SIMT_ARCH
#define SIMT_ARCH 900
#endif
#define PAPO_HAS_CLUSTERS (SIMT_ARCH >= 900)
#define PAPO_HAS_BULK_COPIES (SIMT_ARCH >= 900)
#else
#define PAPO_SHARED_ARRAY(T, name, n) __shared__ T name[n]
#define PAPO_SHARED_DYNAMIC(T, name)                             \
  extern __shared__ __align__(128) unsigned char name##_bytes[]; \
  T* name = reinterpret_cast<T*>(name##_bytes)
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
#define PAPO_HAS_CLUSTERS 1
#define PAPO_HAS_BULK_COPIES 1
#else
#define PAPO_HAS_CLUSTERS 0
#define PAPO_HAS_BULK_COPIES 0
#endif
#endif

namespace papo::cuda {

// ---- launch: the only place that knows <<<>>> ----------------------------------------------------
template <class... P, class... A>
cudaError_t launchCluster(void (*kernel)(P...), dim3 grid, dim3 block, unsigned cluster,
                          size_t smem, cudaStream_t stream, A&&... a) {
#ifdef SIMT_EMU
  (void)stream;
  return simt::launch_cluster(kernel, grid, block, cluster, smem, static_cast<A&&>(a)...);
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

// ---- cluster and bulk copy: inline PTX on the device, a call into the emulator elsewhere ---------
#if PAPO_HAS_CLUSTERS
__device__ __forceinline__ unsigned clusterRank() {
#ifdef SIMT_EMU
  return (unsigned)simt::cur->crank;
#else
  unsigned r;
  asm("mov.u32 %0, %%cluster_ctarank;" : "=r"(r));
  return r;
#endif
}
__device__ __forceinline__ unsigned clusterSize() {
#ifdef SIMT_EMU
  return (unsigned)simt::cur->csize;
#else
  unsigned r;
  asm("mov.u32 %0, %%cluster_nctarank;" : "=r"(r));
  return r;
#endif
}
__device__ __forceinline__ void clusterSync() {
#ifdef SIMT_EMU
  simt::cluster_barrier(__FILE__, __LINE__);
#else
  asm volatile("barrier.cluster.arrive.aligned;\nbarrier.cluster.wait.aligned;" ::: "memory");
#endif
}
// The same shared array in another block of the cluster, as a generic pointer.
template <class T>
__device__ __forceinline__ T* clusterPeer(T* p, unsigned rank) {
#ifdef SIMT_EMU
  return static_cast<T*>(simt::cluster_map(p, (int)rank));
#else
  T* q;
  asm volatile("mapa.u64 %0, %1, %2;" : "=l"(q) : "l"(p), "r"(rank));
  return q;
#endif
}
#endif
#if PAPO_HAS_BULK_COPIES
__device__ __forceinline__ void mbarInit(uint64_t* b, int count) {
#ifdef SIMT_EMU
  simt::mbar_init(b, count, __FILE__, __LINE__);
#else
  asm volatile("mbarrier.init.shared.b64 [%0], %1;\nfence.mbarrier_init.release.cluster;" ::"r"(
                   (unsigned)__cvta_generic_to_shared(b)),
               "r"(count)
               : "memory");
#endif
}
__device__ __forceinline__ void mbarExpect(uint64_t* b, unsigned bytes) {
#ifdef SIMT_EMU
  simt::mbar_expect_arrive(b, bytes, __FILE__, __LINE__);
#else
  asm volatile("mbarrier.arrive.expect_tx.shared.b64 _, [%0], %1;" ::"r"(
                   (unsigned)__cvta_generic_to_shared(b)),
               "r"(bytes)
               : "memory");
#endif
}
__device__ __forceinline__ void mbarWait(uint64_t* b, int parity) {
#ifdef SIMT_EMU
  simt::mbar_wait(b, parity, __FILE__, __LINE__);
#else
  asm volatile(
      "{\n.reg .pred p;\nL: mbarrier.try_wait.parity.shared.b64 p, [%0], %1;\n@!p bra L;\n}" ::"r"(
          (unsigned)__cvta_generic_to_shared(b)),
      "r"(parity)
      : "memory");
#endif
}
__device__ __forceinline__ void bulkLoad(void* dst, const void* src, unsigned bytes, uint64_t* b) {
#ifdef SIMT_EMU
  simt::bulk_copy(dst, src, bytes, b, __FILE__, __LINE__);
#else
  asm volatile(
      "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::
          "r"((unsigned)__cvta_generic_to_shared(dst)),
      "l"(src), "r"(bytes), "r"((unsigned)__cvta_generic_to_shared(b))
      : "memory");
#endif
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
