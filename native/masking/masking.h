// What the functions of image masking share: limits, checks, and the value of masked elements.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "engine/engine.h"
#include "engine/tensors.h"
#include "masking/grids.h"
#if defined(PAPO_WITH_CUDA)
#include "cuda/operations.h"
#endif

namespace papo {

// Of every size in pixels, patches, channels and frames: keeps the product of three in 64 bits.
constexpr int64_t kSizeLimit = 1 << 20;

constexpr unsigned kFloatDTypes = kLogitsDTypes | dtypeBit(PAPO_FLOAT64);
constexpr unsigned kImageDTypes = kFloatDTypes | dtypeBit(PAPO_UINT8);

inline papo_status requireSize(const char* name, int64_t value, papo_status status) {
  if (value >= 1 && value <= kSizeLimit) return PAPO_OK;
  return fail(status, "%s: expected 1 to %lld, got %lld", name, static_cast<long long>(kSizeLimit),
              static_cast<long long>(value));
}

// As visitDType, for uint8 too.
template <class Visitor>
bool visitImageDType(int32_t dtype, Visitor&& visitor) {
  if (dtype != PAPO_UINT8) return visitDType(dtype, visitor);
  visitor(uint8_t{});
  return true;
}

// The value in an element type; by way of float32 for the 16-bit floats.
template <class T>
T toElement(double value) {
  if constexpr (std::is_same_v<T, uint8_t> || std::is_same_v<T, double>) {
    return static_cast<T>(value);
  } else {
    T element;
    fromFloat(static_cast<float>(value), &element);
    return element;
  }
}

// One value for all channels, or one per channel; 0 where the tensor is absent.
class Fill {
 public:
  explicit Fill(const papo_tensor& tensor)
      : values_(static_cast<const double*>(tensor.data)), count_(values_ ? tensor.rows : 1) {
    for (int64_t i = 0; values_ && i < count_; ++i)
      isZero_ &= values_[i] == 0 && !std::signbit(values_[i]);
  }

  int64_t count() const { return count_; }
  bool isZero() const { return isZero_; }
  double at(int64_t channel) const { return values_ ? values_[count_ == 1 ? 0 : channel] : 0; }

 private:
  const double* values_;
  int64_t count_;
  bool isZero_ = true;
};

// A patch mask on a device is looked at there.
inline papo_status requireBinaryHere(const papo_engine* engine, NamedTensor argument) {
  return engine->isCuda() ? PAPO_OK : requireBinary(argument);
}

// A fill for so many channels, each value one that the dtype can hold.
papo_status requireFill(const papo_tensor& fill, int64_t channels, int32_t dtype);

// Calls body(begin, end) for parts of the items, on as many threads as moving this many bytes is worth.
// Waking a second thread takes as long as copying about 1 MB, so that it pays from a few of them on.
template <class Body>
void forEachPart(papo_engine* engine, int64_t items, int64_t itemBytes, Body&& body) {
  constexpr int64_t kAloneBytes = 1 << 22, kPartBytes = 1 << 19;
  const bool alone = itemBytes >= kAloneBytes ? items == 1 : items <= kAloneBytes / itemBytes;
  const int64_t part = itemBytes >= kPartBytes ? 1 : kPartBytes / itemBytes;
  engine->pool.run(items, alone ? items : part,
                   [&](int, int64_t begin, int64_t end) { body(begin, end); });
}

}  // namespace papo
