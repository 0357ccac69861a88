// Barriers of a block and operations of a warp: the threads named must come to the same call.
#pragma once

#include <cstring>
#include <type_traits>

#include "simt.h"

namespace simt {

enum Operation : int {
  opShuffle,
  opShuffleUp,
  opShuffleDown,
  opShuffleXor,
  opBallot,
  opAny,
  opAll,
  opMatchAny,
  opAdd,
  opMinSigned,
  opMinUnsigned,
  opMaxSigned,
  opMaxUnsigned,
  opAnd,
  opOr,
  opXor,
  opSyncwarp
};

struct WarpCall {
  Operation operation;
  uint32_t mask;
  int argument, width;  // lane or distance, and segment, of a shuffle
  size_t bytes;         // of the value, at most 16
};
void warpOperation(const WarpCall& call, const void* value, void* result, const char* file,
                   int line);

enum BarrierKind : int { barrierPlain, barrierCount, barrierAnd, barrierOr };
int blockBarrier(BarrierKind kind, int predicate, const char* file, int line);

template <class R, class T>
R warp(Operation op, uint32_t mask, T value, int argument, int width, const char* file, int line) {
  static_assert(std::is_trivially_copyable<T>::value && sizeof(T) <= 16, "value of a warp");
  alignas(R) unsigned char bytes[16];
  warpOperation({op, mask, argument, width, sizeof value}, &value, bytes, file, line);
  R result;
  std::memcpy(&result, bytes, sizeof result);
  return result;
}

}  // namespace simt

inline void __syncthreads(SIMT_HERE) { simt::blockBarrier(simt::barrierPlain, 0, file_, line_); }
inline int __syncthreads_count(int p, SIMT_HERE) {
  return simt::blockBarrier(simt::barrierCount, p, file_, line_);
}
inline int __syncthreads_and(int p, SIMT_HERE) {
  return simt::blockBarrier(simt::barrierAnd, p, file_, line_);
}
inline int __syncthreads_or(int p, SIMT_HERE) {
  return simt::blockBarrier(simt::barrierOr, p, file_, line_);
}
inline void __syncwarp(unsigned mask = 0xffffffffu, SIMT_HERE) {
  simt::warpOperation({simt::opSyncwarp, mask, 0, 32, 0}, nullptr, nullptr, file_, line_);
}

template <class T>
T __shfl_sync(unsigned mask, T value, int lane, int width = 32, SIMT_HERE) {
  return simt::warp<T>(simt::opShuffle, mask, value, lane, width, file_, line_);
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned by, int width = 32, SIMT_HERE) {
  return simt::warp<T>(simt::opShuffleUp, mask, value, static_cast<int>(by), width, file_, line_);
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned by, int width = 32, SIMT_HERE) {
  return simt::warp<T>(simt::opShuffleDown, mask, value, static_cast<int>(by), width, file_, line_);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int by, int width = 32, SIMT_HERE) {
  return simt::warp<T>(simt::opShuffleXor, mask, value, by, width, file_, line_);
}

inline unsigned __ballot_sync(unsigned mask, int p, SIMT_HERE) {
  return simt::warp<unsigned>(simt::opBallot, mask, p, 0, 32, file_, line_);
}
inline int __any_sync(unsigned mask, int p, SIMT_HERE) {
  return simt::warp<int>(simt::opAny, mask, p, 0, 32, file_, line_);
}
inline int __all_sync(unsigned mask, int p, SIMT_HERE) {
  return simt::warp<int>(simt::opAll, mask, p, 0, 32, file_, line_);
}
template <class T>
unsigned __match_any_sync(unsigned mask, T value, SIMT_HERE) {
  return simt::warp<unsigned>(simt::opMatchAny, mask, value, 0, 32, file_, line_);
}
inline unsigned __activemask(SIMT_HERE) {
  simt::fail(file_, line_, "__activemask has no defined value");
}

#define SIMT_REDUCTION(name, T, op)                                   \
  inline T name(unsigned mask, T value, SIMT_HERE) {                  \
    return simt::warp<T>(simt::op, mask, value, 0, 32, file_, line_); \
  }
SIMT_REDUCTION(__reduce_add_sync, unsigned, opAdd)
SIMT_REDUCTION(__reduce_add_sync, int, opAdd)
SIMT_REDUCTION(__reduce_min_sync, unsigned, opMinUnsigned)
SIMT_REDUCTION(__reduce_min_sync, int, opMinSigned)
SIMT_REDUCTION(__reduce_max_sync, unsigned, opMaxUnsigned)
SIMT_REDUCTION(__reduce_max_sync, int, opMaxSigned)
SIMT_REDUCTION(__reduce_and_sync, unsigned, opAnd)
SIMT_REDUCTION(__reduce_or_sync, unsigned, opOr)
SIMT_REDUCTION(__reduce_xor_sync, unsigned, opXor)
#undef SIMT_REDUCTION
