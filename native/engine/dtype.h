// Data types of tensors: width, names, and conversion of single elements.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "engine/host_device.h"
#include "papo.h"

namespace papo {

constexpr int kRowDTypes = 4;  // dtypes of logits rows, PAPO_FLOAT64 for the reference only

struct Float16 {
  uint16_t bits;
};
struct BFloat16 {
  uint16_t bits;
};

inline size_t dtypeBytes(int32_t dtype) {
  switch (dtype) {
    case PAPO_FLOAT64:
      return 8;
    case PAPO_FLOAT32:
    case PAPO_INT32:
      return 4;
    case PAPO_FLOAT16:
    case PAPO_BFLOAT16:
      return 2;
    default:
      return 1;
  }
}

inline const char* dtypeName(int32_t dtype) {
  constexpr const char* names[] = {"float32", "float16", "bfloat16", "float64", "int32", "uint8"};
  return dtype >= 0 && dtype < 6 ? names[dtype] : "unknown";
}

// Bit patterns are converted in integer arithmetic, round to nearest even, so that every compiler
// and processor gives the same bits. NaN stays NaN.
PAPO_HOST_DEVICE float bitsToFloat(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}
PAPO_HOST_DEVICE uint32_t floatToBits(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

PAPO_HOST_DEVICE float toFloat(float x) { return x; }
PAPO_HOST_DEVICE float toFloat(double x) { return static_cast<float>(x); }
PAPO_HOST_DEVICE float toFloat(BFloat16 x) {
  return bitsToFloat(static_cast<uint32_t>(x.bits) << 16);
}
PAPO_HOST_DEVICE float toFloat(Float16 x) {
  const uint32_t sign = static_cast<uint32_t>(x.bits & 0x8000u) << 16;
  const uint32_t magnitude = x.bits & 0x7fffu;
  if (magnitude >= 0x7c00u) return bitsToFloat(sign | 0x7f800000u | (magnitude & 0x3ffu) << 13);
  if (magnitude >= 0x0400u) return bitsToFloat(sign | ((magnitude << 13) + 0x38000000u));
  const float subnormal = static_cast<float>(magnitude) * 0x1p-24f;
  return bitsToFloat(sign | floatToBits(subnormal));
}

inline void fromFloat(float value, float* out) { *out = value; }
inline void fromFloat(float value, double* out) { *out = value; }
inline void fromFloat(float value, BFloat16* out) {
  const uint32_t bits = floatToBits(value);
  const bool isNan = (bits & 0x7fffffffu) > 0x7f800000u;
  const uint32_t rounded = bits + 0x7fffu + ((bits >> 16) & 1u);
  out->bits = static_cast<uint16_t>((isNan ? bits | 0x00400000u : rounded) >> 16);
}
inline void fromFloat(float value, Float16* out) {
  const uint32_t bits = floatToBits(value);
  const uint32_t sign = bits >> 16 & 0x8000u;
  const uint32_t magnitude = bits & 0x7fffffffu;
  uint32_t half;
  if (magnitude > 0x7f800000u) {
    half = 0x7e00u | (magnitude >> 13 & 0x3ffu);
  } else if (magnitude >= 0x477ff000u) {  // 65520 and above rounds to infinity
    half = 0x7c00u;
  } else if (magnitude >= 0x38800000u) {
    half = (magnitude - 0x38000000u + 0xfffu + (magnitude >> 13 & 1u)) >> 13;
  } else {  // subnormal: adding 0.5 leaves the rounded multiple of 2^-24 in the low mantissa bits
    half = floatToBits(bitsToFloat(magnitude) + 0.5f) - 0x3f000000u;
  }
  out->bits = static_cast<uint16_t>(sign | half);
}

// Calls visitor with a value of the element type of a floating dtype; false for any other dtype.
template <class Visitor>
bool visitDType(int32_t dtype, Visitor&& visitor) {
  switch (dtype) {
    case PAPO_FLOAT32:
      visitor(float{});
      return true;
    case PAPO_FLOAT16:
      visitor(Float16{});
      return true;
    case PAPO_BFLOAT16:
      visitor(BFloat16{});
      return true;
    case PAPO_FLOAT64:
      visitor(double{});
      return true;
    default:
      return false;
  }
}

}  // namespace papo
