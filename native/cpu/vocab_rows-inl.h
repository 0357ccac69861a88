// The row algorithm, compiled once per instruction set: a rows_*.cpp defines PAPO_SIMD as the
// namespace of its primitives and includes this between PAPO_TARGET_BEGIN and PAPO_TARGET_END.
// No include guards, no standard headers and no lambdas: those would not get the instruction set.
//
// Equations are those of docs/math.md. Sums run over lanes of float within a block and over blocks
// in double, in an order that depends on nothing but the row and the instruction set.

#include "cpu/simd_math-inl.h"

namespace papo {
namespace PAPO_SIMD {

// Elements of a row taken at a time: found their maximum of, then summed. Statistics of one float32
// row on a Zen 4 core with AVX-512 took 0.40, 0.33, 0.29 and 0.28 ns an element with 512, 1024,
// 2048 and 4096; of 4096, the blocks of a pair fill a 32 KiB L1 cache. The next block is prefetched
// meanwhile: without it 0.35 instead of 0.29.
constexpr int64_t kBlock = 2048;

// Stands for -inf where 0 times it must be 0.
constexpr float kVeryLow = -1e30f;

inline int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

// The first count elements at p; the other lanes -inf, so that they are no maximum and no mass.
template <class T>
inline Vec loadPartial(const T* p, int64_t count) {
  T elements[kLanes];
  for (int i = 0; i < kLanes; ++i) fromFloat(-INFINITY, elements + i);
  std::memcpy(elements, p, static_cast<size_t>(count) * sizeof(T));
  return load(elements);
}

// Hint that the elements at distance from p are needed soon; that may be outside the row.
template <class T>
inline void prefetchAt(const T* p, int64_t distance) {
  prefetch(reinterpret_cast<uintptr_t>(p) + static_cast<uintptr_t>(distance) * sizeof(T));
}

inline double shiftFactor(double shift) { return std::exp(shift); }

#define PAPO_ROW_FUNCTION inline
#include "loss/row_terms-inl.h"
#undef PAPO_ROW_FUNCTION

}  // namespace PAPO_SIMD
}  // namespace papo

#include "cpu/vocab_gradients-inl.h"
#include "cpu/vocab_statistics-inl.h"

namespace papo {
namespace PAPO_SIMD {

// By dtype: float32, float16, bfloat16.
constexpr RowKernels kKernels[] = {
    {statistics<float>, retarget<float>, gradient<float>},
    {statistics<Float16>, retarget<Float16>, gradient<Float16>},
    {statistics<BFloat16>, retarget<BFloat16>, gradient<BFloat16>},
};

}  // namespace PAPO_SIMD
}  // namespace papo
