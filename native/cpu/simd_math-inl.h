// Exponential of the instruction set whose namespace is PAPO_SIMD; included by vocab_rows-inl.h.

namespace papo {
namespace PAPO_SIMD {

// Below this every exponential is exactly 0, and exponentials above it are normal numbers (at least
// 2^-126), so that no lane takes a slow denormal path. e^-86.99 = 1.7e-38 is nothing beside the
// largest exponential of a row, which is 1.
constexpr float kExpLowest = -87.3f;

// e^x for kExpLowest <= x <= 88 (callers clamp with atLeast, which also takes -inf to kExpLowest),
// float lanes, at most 2 ulp; 0 for x < -86.99, exactly 1 for x = 0, NaN for NaN.
//
// x = n ln 2 + r, |r| <= ln 2 / 2; ln 2 stands in two parts of which n times the first is exact.
// The polynomial is the minimax one of relative error 3.1e-9 with its first two terms fixed at
// 1 + r. It is evaluated times 2 and 2^n divided by 2: the exponent field then reaches 0, that is
// the number 0, at n = -126, one step before the product could be denormal.
inline Vec exp(Vec x) {
  // 1.5 * 2^23 rounds the sum to an integer in the low mantissa bits; + 126 biases the exponent.
  const Vec magic = broadcast(12582912.0f + 126.0f);
  const Vec shifted = fma(x, broadcast(1.44269504f), magic);
  const Vec n = sub(shifted, magic);
  const Vec high = fma(n, broadcast(-0.693359375f), x);
  const Vec r = fma(n, broadcast(2.12194440e-4f), high);
  Vec q = broadcast(2 * 0.0013814608613f);
  q = fma(q, r, broadcast(2 * 0.0083687168306f));
  q = fma(q, r, broadcast(2 * 0.0416683878883f));
  q = fma(q, r, broadcast(2 * 0.1666652063241f));
  q = fma(q, r, broadcast(2 * 0.4999999344826f));
  q = fma(q, r, broadcast(2));
  q = fma(q, r, broadcast(2));
  return mul(q, shiftIntoExponent(shifted));
}

}  // namespace PAPO_SIMD
}  // namespace papo
