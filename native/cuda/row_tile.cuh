// A tile of a row in the registers of a warp: how it is loaded, taken apart and stored.
//
// A row is cut into tiles of 1,024 elements, and a tile into vectors of 16 bytes: vector k belongs to
// lane k % 32. That is a matter of element numbers and not of addresses, so that neither alignment nor
// the number of warps changes what is summed with what.
#pragma once

#include <cfloat>
#include <cstring>

#include "cuda/device.cuh"

namespace papo::cuda {

constexpr int kWarpLanes = 32;
constexpr unsigned kAllLanes = 0xffffffffu;
constexpr int kTileElements = 1024;
template <class T>
constexpr int kVectorElements = 16 / static_cast<int>(sizeof(T));
template <class T>
constexpr int kLaneVectors = kTileElements / kWarpLanes / kVectorElements<T>;

__device__ __forceinline__ int laneIndex() { return static_cast<int>(threadIdx.x) % kWarpLanes; }
__device__ __forceinline__ int warpIndex() { return static_cast<int>(threadIdx.x) / kWarpLanes; }

// 2^x by the special function unit: relative error at most 2^-22, exactly 1 for 0, 0 below 2^-126, NaN
// for NaN.
__device__ __forceinline__ float expOf2(float x) {
#ifdef SIMT_EMU
  const float y = x == 0 ? 1 : simt::noisy(exp2f(x));
  return y < FLT_MIN ? 0 : y;
#else
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
#endif
}

// The larger one, or the positive NaN where either is NaN.
__device__ __forceinline__ float largerOrNan(float a, float b) {
#ifdef SIMT_EMU
  return a != a || b != b ? __int_as_float(0x7fffffff) : fmaxf(a, b);
#else
  float larger;
  asm("max.NaN.f32 %0, %1, %2;" : "=f"(larger) : "f"(a), "f"(b));
  return larger;
#endif
}

// ---- elements in 32-bit words --------------------------------------------------------------------

// What a 32-bit word of a row holds. larger and smaller act on each element; larger gives the
// positive NaN where either is NaN, smaller passes over it.
template <class T>
struct Word;

template <>
struct Word<float> {
  static constexpr int kElements = 1;
  static constexpr uint32_t kLowest = 0xff800000u;  // -inf
  __device__ static float element(uint32_t word, int) { return __uint_as_float(word); }
  __device__ static uint32_t larger(uint32_t a, uint32_t b) {
    return __float_as_uint(largerOrNan(__uint_as_float(a), __uint_as_float(b)));
  }
  __device__ static uint32_t smaller(uint32_t a, uint32_t b) {
    return __float_as_uint(fminf(__uint_as_float(a), __uint_as_float(b)));
  }
  __device__ static uint32_t pack(const float* values) { return __float_as_uint(values[0]); }
};

template <class Pair>
__device__ __forceinline__ Pair pairOf(uint32_t word) {
  Pair pair;
  memcpy(static_cast<void*>(&pair), &word, sizeof word);
  return pair;
}
template <class Pair>
__device__ __forceinline__ uint32_t wordOf(Pair pair) {
  uint32_t word;
  memcpy(&word, &pair, sizeof word);
  return word;
}

template <>
struct Word<__half> {
  static constexpr int kElements = 2;
  static constexpr uint32_t kLowest = 0xfc00fc00u;
  __device__ static float element(uint32_t word, int i) {
    const __half2 pair = pairOf<__half2>(word);
    return i == 0 ? __low2float(pair) : __high2float(pair);
  }
  __device__ static uint32_t larger(uint32_t a, uint32_t b) {
    return wordOf(__hmax2_nan(pairOf<__half2>(a), pairOf<__half2>(b)));
  }
  __device__ static uint32_t smaller(uint32_t a, uint32_t b) {
    return wordOf(__hmin2(pairOf<__half2>(a), pairOf<__half2>(b)));
  }
  __device__ static uint32_t pack(const float* values) {
    return wordOf(__floats2half2_rn(values[0], values[1]));
  }
};

template <>
struct Word<__nv_bfloat16> {
  static constexpr int kElements = 2;
  static constexpr uint32_t kLowest = 0xff80ff80u;
  __device__ static float element(uint32_t word, int i) {
    return __uint_as_float(i == 0 ? word << 16 : word & 0xffff0000u);
  }
  __device__ static uint32_t larger(uint32_t a, uint32_t b) {
    return wordOf(__hmax2_nan(pairOf<__nv_bfloat162>(a), pairOf<__nv_bfloat162>(b)));
  }
  __device__ static uint32_t smaller(uint32_t a, uint32_t b) {
    return wordOf(__hmin2(pairOf<__nv_bfloat162>(a), pairOf<__nv_bfloat162>(b)));
  }
  __device__ static uint32_t pack(const float* values) {
    return wordOf(__floats2bfloat162_rn(values[0], values[1]));
  }
};

// ---- tiles ---------------------------------------------------------------------------------------

// A lane's part of a tile: vectors lane, lane + 32, ...; elements behind the row's end are -inf.
template <class T>
struct Tile {
  static constexpr int kVectors = kLaneVectors<T>;
  static constexpr int kWords = 4 * kVectors;
  uint4 vectors[kVectors];

  // Compile-time indices only: a run-time one would put the tile into local memory.
  __device__ __forceinline__ uint32_t word(int i) const {
    const uint4& v = vectors[i / 4];
    return i % 4 == 0 ? v.x : i % 4 == 1 ? v.y : i % 4 == 2 ? v.z : v.w;
  }
  __device__ __forceinline__ void setWord(int i, uint32_t word) {
    uint4& v = vectors[i / 4];
    (i % 4 == 0 ? v.x : i % 4 == 1 ? v.y : i % 4 == 2 ? v.z : v.w) = word;
  }
};

// At word w of an unrolled loop over a tile: every eight elements the lanes meet. That costs an
// instruction and keeps nvcc from taking a whole tile apart at once, for which it spilled registers.
template <class T>
__device__ __forceinline__ void pace(int w) {
  if (w * Word<T>::kElements % 8 == 0) __syncwarp();
}

// Puts a value into the place of one element of the warp's tile.
template <class T>
__device__ __forceinline__ void putElement(Tile<T>* tile, int place, float value) {
  constexpr int kElements = Word<T>::kElements;
  const int vector = place / kVectorElements<T>;
  if (vector % kWarpLanes != laneIndex()) return;
  const int word = vector / kWarpLanes * 4 + place % kVectorElements<T> / kElements;
  const float values[2] = {value, value};
  const uint32_t inserted =
      kElements == 1 ? 0xffffffffu : 0xffffu << (place % kElements * 16);  // bits of the element
  const uint32_t bits = Word<T>::pack(values) & inserted;
#pragma unroll
  for (int w = 0; w < Tile<T>::kWords; ++w)
    if (w == word) tile->setWord(w, (tile->word(w) & ~inserted) | bits);
}

// How soon a row is read again: kLast reads leave the caches first.
enum class Reuse { kSoon, kLast };

template <class T>
__device__ __forceinline__ bool isVectorAligned(const T* row) {
  return reinterpret_cast<uintptr_t>(row) % 16 == 0;
}

// Elements [0, count) of a vector that is not whole or not aligned, the others -inf.
template <class T>
__device__ __forceinline__ uint4 loadElements(const T* vector, int count) {
  uint4 out;
  uint32_t words[4];
#pragma unroll
  for (int w = 0; w < 4; ++w) {
    words[w] = Word<T>::kLowest;
    T elements[Word<T>::kElements];
    memcpy(static_cast<void*>(elements), &words[w], 4);
#pragma unroll
    for (int i = 0; i < Word<T>::kElements; ++i)
      if (w * Word<T>::kElements + i < count) elements[i] = vector[w * Word<T>::kElements + i];
    memcpy(&words[w], elements, 4);
  }
  out.x = words[0];
  out.y = words[1];
  out.z = words[2];
  out.w = words[3];
  return out;
}

template <class T>
__device__ __forceinline__ void storeElements(T* vector, int count, uint4 value) {
  const uint32_t words[4] = {value.x, value.y, value.z, value.w};
#pragma unroll
  for (int w = 0; w < 4; ++w) {
    T elements[Word<T>::kElements];
    memcpy(static_cast<void*>(elements), &words[w], 4);
#pragma unroll
    for (int i = 0; i < Word<T>::kElements; ++i)
      if (w * Word<T>::kElements + i < count) vector[w * Word<T>::kElements + i] = elements[i];
  }
}

// count elements, at most 1,024, of a row from tile on; isAligned: of the row, to 16 bytes. Of a whole
// aligned tile all loads are on their way before the first is waited for.
template <class T>
__device__ __forceinline__ Tile<T> loadTile(const T* tile, int64_t count, bool isAligned,
                                            Reuse reuse) {
  Tile<T> out;
  constexpr int kElements = kVectorElements<T>;
  if (isAligned && count >= kTileElements) {
    const uint4* const vectors = reinterpret_cast<const uint4*>(tile) + laneIndex();
#pragma unroll
    for (int k = 0; k < Tile<T>::kVectors; ++k)
      out.vectors[k] =
          reuse == Reuse::kLast ? __ldcs(vectors + k * kWarpLanes) : vectors[k * kWarpLanes];
    return out;
  }
#pragma unroll
  for (int k = 0; k < Tile<T>::kVectors; ++k) {
    const int64_t at = (k * kWarpLanes + laneIndex()) * kElements;
    const int here = static_cast<int>(count - at < 0 ? 0 : count - at);
    out.vectors[k] = isAligned && here >= kElements ? *reinterpret_cast<const uint4*>(tile + at)
                                                    : loadElements(tile + at, here);
  }
  return out;
}

// Past the caches: nothing reads a gradient soon.
template <class T>
__device__ __forceinline__ void storeTile(T* tile, int64_t count, bool isAligned,
                                          const Tile<T>& in) {
  constexpr int kElements = kVectorElements<T>;
#pragma unroll
  for (int k = 0; k < Tile<T>::kVectors; ++k) {
    const int64_t at = (k * kWarpLanes + laneIndex()) * kElements;
    const int here = static_cast<int>(count - at < 0 ? 0 : count - at);
    if (isAligned && here >= kElements) {
      __stcs(reinterpret_cast<uint4*>(tile + at), in.vectors[k]);
    } else {
      storeElements(tile + at, here, in.vectors[k]);
    }
  }
}

}  // namespace papo::cuda
