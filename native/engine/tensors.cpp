#include "engine/tensors.h"

#include <cstdio>

#include "engine/arena.h"
#include "engine/refusals.h"

namespace papo {
namespace {

void listDTypes(unsigned dtypes, char* text, size_t capacity) {
  size_t used = 0;
  text[0] = 0;
  for (int dtype = 0; dtype < 6; ++dtype) {
    if (!(dtypes >> dtype & 1u)) continue;
    used += static_cast<size_t>(
        std::snprintf(text + used, capacity - used, "%s%s", used ? " or " : "", dtypeName(dtype)));
  }
}

struct ByteRange {
  uintptr_t begin, end;
};

ByteRange byteRange(const papo_tensor& t) {
  const auto begin = reinterpret_cast<uintptr_t>(t.data);
  const int64_t elements = (t.rows - 1) * t.rowStride + t.columns;
  return {begin, begin + static_cast<uintptr_t>(elements) * dtypeBytes(t.dtype)};
}

bool overlap(const papo_tensor& a, const papo_tensor& b) {
  const ByteRange x = byteRange(a), y = byteRange(b);
  return x.begin < y.end && y.begin < x.end;
}

bool isSameView(const papo_tensor& a, const papo_tensor& b) {
  return a.data == b.data && a.dtype == b.dtype && a.rowStride == b.rowStride;
}

}  // namespace

papo_status requireMatrix(NamedTensor argument, int64_t rows, int64_t columns, unsigned dtypes) {
  const papo_tensor& t = *argument.tensor;
  if (!t.data) return fail(PAPO_INVALID_ARGUMENT, "%s: expected a tensor, got none", argument.name);
  if (t.dtype < 0 || t.dtype >= 6 || !(dtypes >> t.dtype & 1u)) {
    char expected[96];
    listDTypes(dtypes, expected, sizeof expected);
    return fail(PAPO_INVALID_DTYPE, "%s: expected dtype %s, got %s", argument.name, expected,
                dtypeName(t.dtype));
  }
  if (t.rows != rows || t.columns != columns)
    return fail(PAPO_INVALID_SHAPE, "%s: expected shape [%lld, %lld], got [%lld, %lld]",
                argument.name, static_cast<long long>(rows), static_cast<long long>(columns),
                static_cast<long long>(t.rows), static_cast<long long>(t.columns));
  if (rows < 1 || columns < 1)
    return fail(PAPO_INVALID_SHAPE, "%s: expected at least one row and column, got [%lld, %lld]",
                argument.name, static_cast<long long>(rows), static_cast<long long>(columns));
  if (t.rowStride < t.columns)
    return fail(PAPO_INVALID_SHAPE, "%s: expected rowStride of at least %lld, got %lld",
                argument.name, static_cast<long long>(t.columns),
                static_cast<long long>(t.rowStride));
  // A view that ends beyond the address space would wrap around in every later computation.
  if (t.rowStride > INT64_MAX / 16 / rows)
    return fail(PAPO_INVALID_SHAPE, "%s: rows * rowStride is too large", argument.name);
  if (reinterpret_cast<uintptr_t>(t.data) % dtypeBytes(t.dtype) != 0)
    return fail(PAPO_INVALID_ARGUMENT, "%s: expected data aligned to %zu bytes, got %p",
                argument.name, dtypeBytes(t.dtype), t.data);
  return PAPO_OK;
}

papo_status requireVector(NamedTensor argument, int64_t rows, unsigned dtypes) {
  PAPO_TRY(requireMatrix(argument, rows, 1, dtypes));
  if (argument.tensor->rowStride != 1)
    return fail(PAPO_INVALID_SHAPE, "%s: expected contiguous values (rowStride 1), got %lld",
                argument.name, static_cast<long long>(argument.tensor->rowStride));
  return PAPO_OK;
}

papo_status requireDisjoint(TensorList inputs, TensorList outputs,
                            std::initializer_list<InPlacePair> inPlace) {
  for (const NamedTensor* out = outputs.begin(); out != outputs.end(); ++out) {
    if (!isPresent(*out->tensor)) continue;
    for (const NamedTensor& in : inputs) {
      if (!isPresent(*in.tensor) || !overlap(*in.tensor, *out->tensor)) continue;
      bool allowed = false;
      for (const InPlacePair& pair : inPlace)
        allowed |= pair.input == in.tensor && pair.output == out->tensor &&
                   isSameView(*in.tensor, *out->tensor);
      if (!allowed)
        return fail(PAPO_OVERLAP, "%s: expected memory of its own, got memory that overlaps %s",
                    out->name, in.name);
    }
    for (const NamedTensor* other = outputs.begin(); other != out; ++other) {
      if (isPresent(*other->tensor) && overlap(*other->tensor, *out->tensor))
        return fail(PAPO_OVERLAP, "%s: expected memory of its own, got memory that overlaps %s",
                    out->name, other->name);
    }
  }
  return PAPO_OK;
}

papo_tensor bytesView(const void* data, size_t bytes) {
  const auto count = static_cast<int64_t>(bytes);
  return {count > 0 ? const_cast<void*>(data) : nullptr, count, 1, 1, PAPO_UINT8, PAPO_CPU};
}

papo_status requireBinary(NamedTensor argument) {
  const auto* values = static_cast<const uint8_t*>(argument.tensor->data);
  for (int64_t i = 0; i < argument.tensor->rows; ++i) {
    if (values[i] > 1) return refuseBinary(argument.name, values[i], i);
  }
  return PAPO_OK;
}

papo_status requireResponses(const int64_t* cuSeqlens, int64_t count, int64_t rows,
                             Responses* out) {
  if (count < 1 || rows < 1)
    return fail(PAPO_INVALID_SHAPE,
                "responses: expected at least one response and one row, got "
                "%lld and %lld",
                static_cast<long long>(count), static_cast<long long>(rows));
  *out = {count, rows, cuSeqlens};
  if (!cuSeqlens) {
    if (rows % count == 0) return PAPO_OK;
    return fail(PAPO_INVALID_SHAPE,
                "responses: expected a divisor of the %lld rows (or cuSeqlens), "
                "got %lld",
                static_cast<long long>(rows), static_cast<long long>(count));
  }
  if (cuSeqlens[0] != 0 || cuSeqlens[count] != rows)
    return fail(PAPO_INVALID_VALUE,
                "cuSeqlens: expected to start at 0 and end at %lld rows, got "
                "%lld and %lld",
                static_cast<long long>(rows), static_cast<long long>(cuSeqlens[0]),
                static_cast<long long>(cuSeqlens[count]));
  for (int64_t b = 0; b < count; ++b) {
    if (cuSeqlens[b] > cuSeqlens[b + 1])
      return fail(PAPO_INVALID_VALUE,
                  "cuSeqlens: expected increasing values, got %lld after %lld "
                  "at index %lld",
                  static_cast<long long>(cuSeqlens[b + 1]), static_cast<long long>(cuSeqlens[b]),
                  static_cast<long long>(b + 1));
  }
  return PAPO_OK;
}

papo_status requireWorkspace(const void* workspace, size_t given, size_t needed) {
  if (needed == 0) return PAPO_OK;
  if (!workspace || given < needed)
    return fail(PAPO_WORKSPACE_TOO_SMALL, "workspace: expected %zu bytes, got %zu", needed,
                workspace ? given : 0);
  if (reinterpret_cast<uintptr_t>(workspace) % Arena::kAlignment != 0)
    return fail(PAPO_INVALID_ARGUMENT, "workspace: expected memory aligned to %zu bytes, got %p",
                Arena::kAlignment, workspace);
  return PAPO_OK;
}

}  // namespace papo
