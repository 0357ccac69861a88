// Checks of tensor views: everything that would corrupt memory is refused here, before any work.
#pragma once

#include <initializer_list>

#include "engine/dtype.h"
#include "engine/host_device.h"
#include "engine/placement.h"
#include "engine/status.h"
#include "papo.h"

namespace papo {

// What every function of papo.h takes: an engine, and arguments of this version with their tensors
// on its device.
template <class Args>
papo_status requireArgs(const papo_engine* engine, const Args* args) {
  if (!engine) return fail(PAPO_INVALID_ARGUMENT, "engine: expected an engine, got null");
  if (!args) return fail(PAPO_INVALID_ARGUMENT, "args: expected arguments, got null");
  if (args->size != sizeof *args)
    return fail(PAPO_INVALID_ARGUMENT, "args: expected size %zu, got %zu", sizeof *args,
                args->size);
  return requirePlacement(papo_engine_device(engine), *args);
}

PAPO_HOST_DEVICE bool isPresent(const papo_tensor& tensor) { return tensor.data != nullptr; }

struct NamedTensor {
  const char* name;
  const papo_tensor* tensor;
};

// [rows, columns] view of one of the dtypes, aligned to its element. dtypes is a bit set of
// 1 << papo_dtype.
papo_status requireMatrix(NamedTensor argument, int64_t rows, int64_t columns, unsigned dtypes);
// [rows] of contiguous values.
papo_status requireVector(NamedTensor argument, int64_t rows, unsigned dtypes);

constexpr unsigned dtypeBit(papo_dtype dtype) { return 1u << dtype; }
constexpr unsigned kLogitsDTypes =
    dtypeBit(PAPO_FLOAT32) | dtypeBit(PAPO_FLOAT16) | dtypeBit(PAPO_BFLOAT16);

struct TensorList {
  const NamedTensor* first;
  size_t count;

  const NamedTensor* begin() const { return first; }
  const NamedTensor* end() const { return first + count; }
};

// No byte of an output may be an input's or another output's. inPlace names the (input, output)
// pairs that may be one and the same view.
struct InPlacePair {
  const papo_tensor* input;
  const papo_tensor* output;
};
papo_status requireDisjoint(TensorList inputs, TensorList outputs,
                            std::initializer_list<InPlacePair> inPlace);
template <size_t kInputs, size_t kOutputs>
papo_status requireDisjoint(const NamedTensor (&inputs)[kInputs],
                            const NamedTensor (&outputs)[kOutputs],
                            std::initializer_list<InPlacePair> inPlace) {
  return requireDisjoint(TensorList{inputs, kInputs}, TensorList{outputs, kOutputs}, inPlace);
}

// Any memory as a tensor, for the check above; absent where there is none.
papo_tensor bytesView(const void* data, size_t bytes);

// Every value 0 or 1.
papo_status requireBinary(NamedTensor argument);

// Response b has rows [begin(b), end(b)).
struct Responses {
  int64_t count = 0;
  int64_t rows = 0;
  const int64_t* cuSeqlens = nullptr;  // null: equal lengths

  PAPO_HOST_DEVICE int64_t begin(int64_t b) const {
    return cuSeqlens ? cuSeqlens[b] : rows / count * b;
  }
  PAPO_HOST_DEVICE int64_t end(int64_t b) const { return begin(b + 1); }
};
papo_status requireResponses(const int64_t* cuSeqlens, int64_t count, int64_t rows, Responses* out);

papo_status requireWorkspace(const void* workspace, size_t given, size_t needed);

}  // namespace papo
