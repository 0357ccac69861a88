// Test-only SIMT emulator: CUDA device vocabulary for g++. Device code is called only inside simt::launch.
#pragma once
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <vector_functions.h>
#include <vector_types.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <tuple>
#include <type_traits>
#include <utility>

#define SIMT_EMU 1
#define SIMT_HERE const char *file_ = __builtin_FILE(), int line_ = __builtin_LINE()

namespace simt {

// ---- options and results (host side) -----------------------------------------------------------
enum class Order { forward, reverse, random };
struct Options {
  Order order = Order::forward;
  uint64_t seed = 1;
  bool exit_counts_at_barrier = false;  // a thread that returned early is an error at a barrier
  bool same_call_site = true;           // threads must meet in the same source line
  bool lazy_async_copy = true;          // cp.async data arrives as late as the program allows
  int ulp_noise = 0;                    // fast intrinsics are off by up to this many ulp, at random
  long long first_block = 0, last_block = -1;  // run only a part of the grid
};
Options& options();
const char* last_error();  // "" when the last launch was clean
struct Stats {
  uint64_t blocks, switches, barriers, warp_ops;
};
Stats& stats();
int race_reports(bool reset = false);  // reports of ThreadSanitizer so far

// ---- one emulated thread -----------------------------------------------------------------------
struct Thread {
  uint3 tid, bid;
  dim3 bdim, gdim;
  int linear, lane;
  int crank, csize;  // rank in the cluster
};
extern Thread* cur;

enum Op : int {
  op_shfl,
  op_shfl_up,
  op_shfl_down,
  op_shfl_xor,
  op_ballot,
  op_any,
  op_all,
  op_match_any,
  op_add,
  op_min_s,
  op_min_u,
  op_max_s,
  op_max_u,
  op_and,
  op_or,
  op_xor,
  op_syncwarp
};
// Meets the other lanes of the mask; v in, r out, n <= 16 bytes.
void warp_op(Op op, uint32_t mask, const void* v, void* r, size_t n, int arg, int width,
             const char* f, int l);
int block_barrier(int kind, int pred, const char* f, int l);  // kind 0 plain, 1 count, 2 and, 3 or
void cluster_barrier(const char* f, int l);
void yield_spin(const char* f, int l);
float noisy(float y);
[[noreturn]] void fail(const char* f, int l, const char* fmt, ...);
void* shared_slot(const void* key, size_t bytes, size_t align);
void* dynamic_shared(size_t* bytes);
void* cluster_map(const void* p, int rank);
void async_copy(void* dst, const void* src, size_t n, size_t zfill, const char* f, int l);
void async_commit();
void async_wait(int pending);
void mbar_init(uint64_t* bar, int count, const char* f, int l);
void mbar_expect_arrive(uint64_t* bar, uint32_t bytes, const char* f, int l);
void mbar_wait(uint64_t* bar, int parity, const char* f, int l);
void bulk_copy(void* dst, const void* src, uint32_t bytes, uint64_t* bar, const char* f, int l);

template <class T, size_t N, class Tag>
T (&shared_array(Tag))
[N] {
  static char key;  // one per call site and instantiation
  return *reinterpret_cast<T(*)[N]>(shared_slot(&key, sizeof(T) * N, alignof(T)));
}

template <class R, class T>
R warp(Op op, uint32_t mask, T v, int arg, int width, const char* f, int l) {
  static_assert(std::is_trivially_copyable<T>::value && sizeof(T) <= 16, "warp operation payload");
  alignas(R) unsigned char b[16];
  warp_op(op, mask, &v, b, sizeof v, arg, width, f, l);
  R r;
  std::memcpy(&r, b, sizeof r);
  return r;
}
template <class T>
void check_aligned(const T* p, const char* f, int l) {
  if (reinterpret_cast<uintptr_t>(p) % sizeof(T))
    fail(f, l, "misaligned %zu-byte access at %p", sizeof(T), (const void*)p);
}

// ---- launch ------------------------------------------------------------------------------------
int run(void (*entry)(void*), void* ctx, dim3 grid, dim3 block, unsigned cluster, size_t smem);

template <class... P, class... A>
cudaError_t launch_cluster(void (*kernel)(P...), dim3 grid, dim3 block, unsigned cluster,
                           size_t smem, A&&... a) {
  struct Call {
    void (*k)(P...);
    std::tuple<P...> args;
  } call{kernel, std::tuple<P...>(static_cast<P>(a)...)};
  auto entry = [](void* c) {
    auto* q = static_cast<Call*>(c);
    std::apply(q->k, q->args);
  };
  return static_cast<cudaError_t>(run(entry, &call, grid, block, cluster, smem));
}
}  // namespace simt

// ---- CUDA vocabulary ---------------------------------------------------------------------------
#define threadIdx (simt::cur->tid)
#define blockIdx (simt::cur->bid)
#define blockDim (simt::cur->bdim)
#define gridDim (simt::cur->gdim)
constexpr int warpSize = 32;

inline void __syncthreads(SIMT_HERE) { simt::block_barrier(0, 0, file_, line_); }
inline int __syncthreads_count(int p, SIMT_HERE) { return simt::block_barrier(1, p, file_, line_); }
inline int __syncthreads_and(int p, SIMT_HERE) { return simt::block_barrier(2, p, file_, line_); }
inline int __syncthreads_or(int p, SIMT_HERE) { return simt::block_barrier(3, p, file_, line_); }
inline void __syncwarp(unsigned m = 0xffffffffu, SIMT_HERE) {
  simt::warp_op(simt::op_syncwarp, m, nullptr, nullptr, 0, 0, 32, file_, line_);
}
template <class T>
T __shfl_sync(unsigned m, T v, int j, int w = 32, SIMT_HERE) {
  return simt::warp<T>(simt::op_shfl, m, v, j, w, file_, line_);
}
template <class T>
T __shfl_up_sync(unsigned m, T v, unsigned d, int w = 32, SIMT_HERE) {
  return simt::warp<T>(simt::op_shfl_up, m, v, (int)d, w, file_, line_);
}
template <class T>
T __shfl_down_sync(unsigned m, T v, unsigned d, int w = 32, SIMT_HERE) {
  return simt::warp<T>(simt::op_shfl_down, m, v, (int)d, w, file_, line_);
}
template <class T>
T __shfl_xor_sync(unsigned m, T v, int x, int w = 32, SIMT_HERE) {
  return simt::warp<T>(simt::op_shfl_xor, m, v, x, w, file_, line_);
}
inline unsigned __ballot_sync(unsigned m, int p, SIMT_HERE) {
  return simt::warp<unsigned>(simt::op_ballot, m, p, 0, 32, file_, line_);
}
inline int __any_sync(unsigned m, int p, SIMT_HERE) {
  return simt::warp<int>(simt::op_any, m, p, 0, 32, file_, line_);
}
inline int __all_sync(unsigned m, int p, SIMT_HERE) {
  return simt::warp<int>(simt::op_all, m, p, 0, 32, file_, line_);
}
template <class T>
unsigned __match_any_sync(unsigned m, T v, SIMT_HERE) {
  return simt::warp<unsigned>(simt::op_match_any, m, v, 0, 32, file_, line_);
}
#define SIMT_RED(name, T, op)                                  \
  inline T name(unsigned m, T v, SIMT_HERE) {                  \
    return simt::warp<T>(simt::op, m, v, 0, 32, file_, line_); \
  }
SIMT_RED(__reduce_add_sync, unsigned, op_add)
SIMT_RED(__reduce_add_sync, int, op_add)
SIMT_RED(__reduce_min_sync, unsigned, op_min_u) SIMT_RED(__reduce_min_sync, int, op_min_s)
    SIMT_RED(__reduce_max_sync, unsigned, op_max_u) SIMT_RED(__reduce_max_sync, int, op_max_s)
        SIMT_RED(__reduce_and_sync, unsigned, op_and) SIMT_RED(__reduce_or_sync, unsigned, op_or)
            SIMT_RED(__reduce_xor_sync, unsigned, op_xor) inline void __threadfence() {
}  // one host thread: nothing to do (TSan knows no fences)
inline void __threadfence_block() {}
inline void __threadfence_system() {}
inline void __trap(SIMT_HERE) { simt::fail(file_, line_, "__trap"); }
inline void __nanosleep(unsigned, SIMT_HERE) { simt::yield_spin(file_, line_); }

#define SIMT_LD(name)                     \
  template <class T>                      \
  T name(const T* p, SIMT_HERE) {         \
    simt::check_aligned(p, file_, line_); \
    return *p;                            \
  }
SIMT_LD(__ldg)
SIMT_LD(__ldcs)
SIMT_LD(__ldcg) SIMT_LD(__ldca) SIMT_LD(__ldlu) SIMT_LD(__ldcv)
#define SIMT_ST(name)                     \
  template <class T>                      \
  void name(T* p, T v, SIMT_HERE) {       \
    simt::check_aligned(p, file_, line_); \
    *p = v;                               \
  }
    SIMT_ST(__stcs) SIMT_ST(__stcg) SIMT_ST(__stwb) SIMT_ST(__stwt)

        namespace simt {
  template <class T>
  struct same {
    using type = T;
  };
  template <class T>
  using same_t = typename same<T>::type;
  template <size_t N>
  struct word;
  template <>
  struct word<2> {
    using t = uint16_t;
  };
  template <>
  struct word<4> {
    using t = uint32_t;
  };
  template <>
  struct word<8> {
    using t = uint64_t;
  };
  template <class T, class F>
  T atomic_update(T * p, F fn) {
    using W = typename word<sizeof(T)>::t;
    W* q = reinterpret_cast<W*>(p);
    W o = __atomic_load_n(q, __ATOMIC_RELAXED), n;
    T t, r;
    do {
      std::memcpy(&t, &o, sizeof t);
      r = fn(t);
      std::memcpy(&n, &r, sizeof n);
    } while (!__atomic_compare_exchange_n(q, &o, n, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
    return t;
  }
}  // namespace simt
template <class T>
T atomicAdd(T* p, simt::same_t<T> v) {
  return simt::atomic_update(p, [v](T o) { return T(o + v); });
}
template <class T>
T atomicSub(T* p, simt::same_t<T> v) {
  return simt::atomic_update(p, [v](T o) { return T(o - v); });
}
template <class T>
T atomicMax(T* p, simt::same_t<T> v) {
  return simt::atomic_update(p, [v](T o) { return o > v ? o : v; });
}
template <class T>
T atomicMin(T* p, simt::same_t<T> v) {
  return simt::atomic_update(p, [v](T o) { return o < v ? o : v; });
}
template <class T>
T atomicOr(T* p, simt::same_t<T> v) {
  return simt::atomic_update(p, [v](T o) { return T(o | v); });
}
template <class T>
T atomicExch(T* p, simt::same_t<T> v) {
  return simt::atomic_update(p, [v](T) { return v; });
}
template <class T>
T atomicCAS(T* p, simt::same_t<T> c, simt::same_t<T> v) {
  return simt::atomic_update(p, [c, v](T o) { return o == c ? v : o; });
}
inline unsigned atomicInc(unsigned* p, unsigned m) {
  return simt::atomic_update(p, [m](unsigned o) { return o >= m ? 0u : o + 1; });
}

// Fast intrinsics: exact to 1 ulp here; a GPU is allowed 2 + |1.173 x| ulp in __expf.
inline float __expf(float x) { return simt::noisy(::exp2f(x * 1.4426950408889634f)); }
inline float __logf(float x) { return simt::noisy(::log2f(x) * 0.6931471805599453f); }
inline float __exp2f(float x) { return ::exp2f(x); }
inline float __log2f(float x) { return ::log2f(x); }
inline float __fdividef(float a, float b) { return a / b; }
inline float __frcp_rn(float a) { return 1.0f / a; }
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fmaf_rn(float a, float b, float c) { return ::fmaf(a, b, c); }
inline float rsqrtf(float a) { return 1.0f / ::sqrtf(a); }
inline unsigned __float_as_uint(float f) {
  unsigned u;
  std::memcpy(&u, &f, 4);
  return u;
}
inline int __float_as_int(float f) {
  int u;
  std::memcpy(&u, &f, 4);
  return u;
}
inline float __uint_as_float(unsigned u) {
  float f;
  std::memcpy(&f, &u, 4);
  return f;
}
inline float __int_as_float(int u) {
  float f;
  std::memcpy(&f, &u, 4);
  return f;
}
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __clz(int x) { return x ? __builtin_clz((unsigned)x) : 32; }
inline unsigned __activemask(SIMT_HERE) {
  simt::fail(file_, line_, "__activemask has no defined value");
}
using std::max;
using std::min;

// cp.async primitives (the names of <cuda_pipeline_primitives.h>)
inline void __pipeline_memcpy_async(void* d, const void* s, size_t n, size_t z = 0, SIMT_HERE) {
  simt::async_copy(d, s, n, z, file_, line_);
}
inline void __pipeline_commit() { simt::async_commit(); }
inline void __pipeline_wait_prior(size_t n) { simt::async_wait((int)n); }
