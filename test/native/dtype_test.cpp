// Conversion of float16 and bfloat16: every bit pattern, and rounding against the neighbours.
#include "engine/dtype.h"

#include <cfloat>
#include <cmath>

#include "check.h"

namespace {

using namespace papo;

// Value of a 16-bit pattern from its definition.
double valueOf(uint16_t bits, int exponentBits, int mantissaBits) {
  const int bias = (1 << (exponentBits - 1)) - 1;
  const int exponent = bits >> mantissaBits & ((1 << exponentBits) - 1);
  const int mantissa = bits & ((1 << mantissaBits) - 1);
  const double sign = bits >> 15 ? -1 : 1;
  if (exponent == (1 << exponentBits) - 1) return mantissa ? NAN : sign * INFINITY;
  if (exponent == 0) return sign * std::ldexp(mantissa, 1 - bias - mantissaBits);
  return sign * std::ldexp(mantissa + (1 << mantissaBits), exponent - bias - mantissaBits);
}

template <class T>
void everyPattern(int exponentBits, int mantissaBits) {
  for (int i = 0; i < 65536; ++i) {
    const T element{static_cast<uint16_t>(i)};
    const double value = valueOf(element.bits, exponentBits, mantissaBits);
    const float converted = toFloat(element);
    T back;
    fromFloat(converted, &back);
    if (std::isnan(value)) {
      CHECK(std::isnan(converted));
      CHECK(std::isnan(toFloat(back)));
    } else {
      CHECK(converted == value);
      CHECK(std::signbit(converted) == std::signbit(value));
      CHECK(back.bits == element.bits);
    }
  }
}

// Between two neighbours: below the middle down, above it up, the middle to the even pattern.
template <class T>
void roundsToNearestEven(int mantissaBits, uint16_t infinity) {
  for (int sign = 0; sign < 2; ++sign) {
    for (int i = 0; i + 1 < infinity; ++i) {
      const uint16_t low = static_cast<uint16_t>(i | sign << 15);
      const uint16_t high = static_cast<uint16_t>(low + 1);
      const double sum = static_cast<double>(toFloat(T{low})) + toFloat(T{high});
      const float middle = static_cast<float>(sum / 2);
      if (mantissaBits > 7 || std::fabs(middle) > 1e-37f) {  // exact in float
        T rounded;
        fromFloat(middle, &rounded);
        CHECK(rounded.bits == (i % 2 == 0 ? low : high));
        fromFloat(std::nextafter(middle, 0.0f), &rounded);
        CHECK(rounded.bits == low);
        fromFloat(std::nextafter(middle, sign ? -INFINITY : INFINITY), &rounded);
        CHECK(rounded.bits == high);
      }
    }
  }
}

template <class T>
void overflowsToInfinity(uint16_t infinity) {
  T rounded;
  fromFloat(INFINITY, &rounded);
  CHECK(rounded.bits == infinity);
  fromFloat(FLT_MAX, &rounded);
  CHECK(rounded.bits == infinity);
  fromFloat(-FLT_MAX, &rounded);
  CHECK(rounded.bits == (infinity | 0x8000));
  fromFloat(bitsToFloat(0x7f800001u), &rounded);  // NaN with only its lowest bit set
  CHECK(std::isnan(toFloat(rounded)));
}

}  // namespace

int main() {
  everyPattern<Float16>(5, 10);
  everyPattern<BFloat16>(8, 7);
  roundsToNearestEven<Float16>(10, 0x7c00);
  roundsToNearestEven<BFloat16>(7, 0x7f80);
  overflowsToInfinity<Float16>(0x7c00);
  overflowsToInfinity<BFloat16>(0x7f80);
  Float16 half;
  fromFloat(65519.996f, &half);  // just below the middle of 65504 and the first value beyond
  CHECK(half.bits == 0x7bff);
  fromFloat(65520.0f, &half);
  CHECK(half.bits == 0x7c00);
  CHECK(dtypeBytes(PAPO_FLOAT32) == 4 && dtypeBytes(PAPO_BFLOAT16) == 2);
  CHECK(dtypeBytes(PAPO_FLOAT64) == 8 && dtypeBytes(PAPO_UINT8) == 1);
  return papo_test::finish();
}
