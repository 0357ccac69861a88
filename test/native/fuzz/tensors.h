// Tensors of a fuzzed call: a valid view of each, mutations of it, memory and values.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "engine/dtype.h"
#include "fields.h"
#include "memory.h"
#include "source.h"

namespace papo_fuzz {

struct Sizes {
  int64_t rows = 1, responses = 1, logitsRows = 1, vocabSize = 1;
  bool sharesRows = false;  // with a row index
  int64_t imageRows = 1, imageColumns = 1, channels = 1, frames = 1, cells = 1, images = 1;
  int64_t grid[3] = {1, 1, 1};
  int32_t logitsDType = PAPO_FLOAT32, realDType = PAPO_FLOAT32, imageDType = PAPO_UINT8;
};

struct Tensor {
  const char* name;
  papo_tensor* view;
  Role role;
  Content content;
  size_t shift = 0;  // bytes by which the data is misplaced
};

inline int32_t dtypeOf(Content content, const Sizes& sizes) {
  switch (content) {
    case Content::logits:
      return sizes.logitsDType;
    case Content::tokens:
    case Content::rows:
    case Content::groups:
    case Content::grid:
      return PAPO_INT32;
    case Content::mask:
      return PAPO_UINT8;
    case Content::pixels:
      return sizes.imageDType;
    case Content::metrics:
    case Content::fill:
      return PAPO_FLOAT64;
    default:
      return sizes.realDType;
  }
}

inline papo_tensor validView(Extent extent, Content content, const Sizes& sizes, Source* source) {
  papo_tensor view{};
  view.columns = 1;
  view.dtype = dtypeOf(content, sizes);
  switch (extent) {
    case Extent::matrix:
      view.rows = sizes.logitsRows;
      view.columns = sizes.vocabSize;
      break;
    case Extent::token:
      view.rows = sizes.rows;
      break;
    case Extent::tokenOrResponse:
      view.rows = source->percent(50) ? sizes.rows : sizes.responses;
      break;
    case Extent::metrics:
      view.rows = PAPO_METRIC_COUNT;
      break;
    case Extent::image:
      view.rows = sizes.imageRows;
      view.columns = sizes.imageColumns;
      break;
    case Extent::cells:
      view.rows = sizes.cells * (source->percent(50) ? sizes.frames : 1);
      break;
    case Extent::everyCell:
      view.rows = sizes.cells * sizes.frames;
      break;
    case Extent::oneOrChannels:
      view.rows = source->percent(50) ? sizes.channels : 1;
      break;
    case Extent::grid:
      view.rows = sizes.images;
      view.columns = 3;
      break;
  }
  const bool isMatrix = extent == Extent::matrix || extent == Extent::image;
  const bool padded = isMatrix && source->percent(30);
  view.rowStride = view.columns + (padded ? source->between(1, 9) : 0);
  return view;
}

// One wrong thing in a view. Wrong sizes are near misses, or so large that no machine has the memory:
// a size between would be a promise of memory that the fuzzer does not keep.
inline void mutate(Tensor* tensor, Source* source) {
  papo_tensor& view = *tensor->view;
  const int64_t impossible[] = {-1, INT64_MIN, INT64_MAX, INT64_MAX / 16 + 1};
  const auto nearMiss = [&](int64_t value) {
    const bool isSmall = value > -100 && value < INT32_MAX;
    return isSmall && source->percent(60) ? value + source->between(-2, 2)
                                          : source->pick(impossible);
  };
  switch (source->below(6)) {
    case 0:
      view.rows = source->percent(20) ? 0 : nearMiss(view.rows);
      break;
    case 1:
      view.columns = source->percent(20) ? 0 : nearMiss(view.columns);
      break;
    case 2:
      view.rowStride = source->percent(20) ? 0 : nearMiss(view.rowStride);
      break;
    case 3:
      view.dtype = static_cast<int32_t>(source->percent(90) ? source->between(-1, 6) : INT32_MAX);
      break;
    case 4:
      view.device = source->pick({1, 16, 17, -1, INT32_MIN});
      break;
    default:
      tensor->shift = static_cast<size_t>(source->between(1, 7));
  }
}

// Bytes from the first element to behind the last; 0 for a view that cannot be real.
inline size_t viewBytes(const papo_tensor& view) {
  constexpr int64_t kLimit = 1 << 22;
  if (view.rows < 1 || view.columns < 1 || view.columns > kLimit) return 0;
  const __int128 elements = static_cast<__int128>(view.rows - 1) * view.rowStride + view.columns;
  if (view.rowStride < view.columns || elements > kLimit) return 0;
  return static_cast<size_t>(elements) * papo::dtypeBytes(view.dtype);
}

inline void allocate(const Tensor& tensor, Memory* memory) {
  tensor.view->data = memory->allocate(viewBytes(*tensor.view) + tensor.shift) + tensor.shift;
}

inline unsigned char* elementAt(const papo_tensor& view, int64_t row, int64_t column) {
  return static_cast<unsigned char*>(view.data) +
         static_cast<size_t>(row * view.rowStride + column) * papo::dtypeBytes(view.dtype);
}

template <class T>
void put(unsigned char* at, T value) {
  std::memcpy(at, &value, sizeof value);
}

inline int32_t toInt32(double value) {
  return static_cast<int32_t>(value > -2147483648.0 && value < 2147483647.0 ? value : INT32_MIN);
}

// NaN and numbers out of range become the smallest int32.
inline void store(const papo_tensor& view, int64_t row, int64_t column, double value) {
  unsigned char* at = elementAt(view, row, column);
  papo::Float16 half{};
  papo::BFloat16 brain{};
  switch (view.dtype) {
    case PAPO_FLOAT32:
      return put(at, static_cast<float>(value));
    case PAPO_FLOAT16:
      papo::fromFloat(static_cast<float>(value), &half);
      return put(at, half);
    case PAPO_BFLOAT16:
      papo::fromFloat(static_cast<float>(value), &brain);
      return put(at, brain);
    case PAPO_FLOAT64:
      return put(at, value);
    case PAPO_INT32:
      return put(at, toInt32(value));
    default:
      *at = static_cast<unsigned char>(toInt32(value) & 255);
  }
}

inline double validValue(Content content, int64_t row, int64_t column, const Sizes& sizes,
                         Source* source) {
  const auto less = [&](int64_t bound) {
    return static_cast<double>(source->noise() %
                               static_cast<uint64_t>(std::max<int64_t>(1, bound)));
  };
  switch (content) {
    case Content::logits:
      return 20 * source->uniform() - 10;
    case Content::logProbs:
      return -6 * source->uniform();
    case Content::rewards:
      return less(4);
    case Content::tokens:
      return less(sizes.vocabSize);
    case Content::rows:
      return less(sizes.logitsRows);
    case Content::groups:
      return static_cast<double>(row % std::max<int64_t>(1, sizes.rows / 3));
    case Content::mask:
      return less(4) != 0;
    case Content::pixels:
    case Content::fill:
      return less(256);
    case Content::grid:
      return static_cast<double>(sizes.grid[column % 3]);
    default:
      return 2 * source->uniform() - 0.5;
  }
}

inline void fill(const Tensor& tensor, const Sizes& sizes, Source* source) {
  const papo_tensor& view = *tensor.view;
  if (viewBytes(view) == 0) return;
  const double factor = tensor.content == Content::groups ? source->pick({1, 1, -1, 100003}) : 1;
  for (int64_t row = 0; row < view.rows; ++row)
    for (int64_t column = 0; column < view.columns; ++column)
      store(view, row, column, factor * validValue(tensor.content, row, column, sizes, source));
}

// One value that is rare or wrong; of logits also a whole row.
inline void corrupt(const Tensor& tensor, Source* source) {
  const papo_tensor& view = *tensor.view;
  if (viewBytes(view) == 0) return;
  const double values[] = {NAN,  INFINITY, -INFINITY, -1,   0,          2,           255,
                           1e30, -1e30,    1e-45,     3e38, 2147483646, -2147483648, 0.5};
  const double value = source->pick(values);
  const int64_t row = source->below(view.rows), column = source->below(view.columns);
  const bool wholeRow = view.columns > 1 && source->percent(30);
  for (int64_t c = 0; c < view.columns; ++c)
    if (wholeRow || c == column) store(view, row, c, value);
}

}  // namespace papo_fuzz
