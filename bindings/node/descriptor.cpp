#include "descriptor.h"

#include <cmath>
#include <string>

#include "device_memory.h"
#include "errors.h"

namespace papo::node {
namespace {

constexpr size_t kNumbersPerSlot = 4;

struct TypedArrayView {
  napi_typedarray_type kind;
  size_t length;  // elements
  void* data;
};

// The array buffer costs as much to ask for as all the rest, and only the message needs it.
bool isDetached(Napi::Env env, const Napi::Value& typedArray) {
  napi_value buffer = nullptr;
  bool detached = false;
  return napi_get_typedarray_info(env, typedArray, nullptr, nullptr, nullptr, &buffer, nullptr) !=
             napi_ok ||
         napi_is_detached_arraybuffer(env, buffer, &detached) != napi_ok || detached;
}

// As<TypedArray>() does not look at the element type and says nothing of detached buffers. A
// detached array has length 0, which no argument has.
bool tryReadTypedArray(const Napi::Value& value, const char* name, TypedArrayView* view) {
  const Napi::Env env = value.Env();
  if (napi_get_typedarray_info(env, value, &view->kind, &view->length, &view->data, nullptr,
                               nullptr) != napi_ok)
    return false;
  if (view->length == 0 && isDetached(env, value))
    throwInvalid(env, "ERR_DETACHED", name, "a buffer of this thread", "one that was transferred");
  return true;
}

TypedArrayView readTypedArray(const Napi::Value& value, const char* name) {
  TypedArrayView view{};
  if (!tryReadTypedArray(value, name, &view))
    throwInvalid(value.Env(), "ERR_INVALID_ARGUMENT", name, "a typed array", "another value");
  return view;
}

struct ElementKind {
  napi_typedarray_type kind;
  const char* name;
  size_t bytes;
};

// In the order of papo_dtype. Both 16-bit floats travel as bit patterns.
constexpr ElementKind kElementKinds[] = {
    {napi_float32_array, "Float32Array", 4}, {napi_uint16_array, "Uint16Array", 2},
    {napi_uint16_array, "Uint16Array", 2},   {napi_float64_array, "Float64Array", 8},
    {napi_int32_array, "Int32Array", 4},     {napi_uint8_array, "Uint8Array", 1},
};
constexpr int32_t kDTypeCount = sizeof kElementKinds / sizeof kElementKinds[0];

const ElementKind& elementKind(Napi::Env env, const char* name, int32_t dtype) {
  if (dtype < 0 || dtype >= kDTypeCount)
    throwInvalid(env, "ERR_INVALID_DTYPE", name, "a papo_dtype", std::to_string(dtype));
  return kElementKinds[dtype];
}

void requireKind(Napi::Env env, const char* name, int32_t dtype, napi_typedarray_type kind) {
  const ElementKind& expected = elementKind(env, name, dtype);
  if (expected.kind != kind)
    throwInvalid(env, "ERR_INVALID_DTYPE", name, expected.name,
                 "typed array kind " + std::to_string(kind));
}

// (rows - 1) * rowStride + columns <= length, without overflow.
bool fits(const papo_tensor& t, size_t length) {
  const auto elements = static_cast<int64_t>(length);
  if (t.rows < 1 || t.columns < 1 || t.rowStride < t.columns || t.columns > elements) return false;
  return t.rows - 1 <= (elements - t.columns) / t.rowStride;
}

// Fills data and device of a tensor; returns how many elements of its dtype are there.
size_t readData(const Napi::Value& value, const char* name, papo_tensor* tensor,
                Computation* computation) {
  TypedArrayView view{};
  if (tryReadTypedArray(value, name, &view)) {
    requireKind(value.Env(), name, tensor->dtype, view.kind);
    tensor->data = view.data;
    tensor->device = PAPO_CPU;
    return view.length;
  }
  const DeviceMemory* memory = DeviceMemory::tryFrom(value, name);
  if (!memory)
    throwInvalid(value.Env(), "ERR_INVALID_ARGUMENT", name, "a typed array", "another value");
  tensor->data = memory->data();
  tensor->device = memory->block()->device();
  computation->blocks.push_back(memory->block());
  return memory->bytes() / elementKind(value.Env(), name, tensor->dtype).bytes;
}

}  // namespace

DescriptorReader::DescriptorReader(const Napi::Value& slots, const Napi::Value& shapes,
                                   uint32_t count)
    : shapes_(readNumbers(shapes, "shapes", kNumbersPerSlot * count)) {
  if (!slots.IsArray() || slots.As<Napi::Array>().Length() != count)
    throwInvalid(slots.Env(), "ERR_INTERNAL", "slots", std::to_string(count) + " entries",
                 "another value");
  slots_ = slots.As<Napi::Array>();
}

papo_tensor DescriptorReader::read(uint32_t index, const char* name,
                                   Computation* computation) const {
  papo_tensor tensor{};
  const Napi::Value value = slots_.Get(index);
  if (value.IsUndefined()) return tensor;
  const double* shape = shapes_ + kNumbersPerSlot * index;
  tensor.rows = toInt64(shape[0]);
  tensor.columns = toInt64(shape[1]);
  tensor.rowStride = toInt64(shape[2]);
  tensor.dtype = toInt32(shape[3]);
  const size_t length = readData(value, name, &tensor, computation);
  if (!fits(tensor, length))
    throwInvalid(value.Env(), "ERR_INVALID_SHAPE", name,
                 "at least " + std::to_string(tensor.rows) + " x " +
                     std::to_string(tensor.columns) + " elements",
                 std::to_string(length));
  return tensor;
}

const double* readNumbers(const Napi::Value& value, const char* name, size_t count) {
  const TypedArrayView view = readTypedArray(value, name);
  if (view.kind != napi_float64_array || view.length != count)
    throwInvalid(value.Env(), "ERR_INTERNAL", name, "a Float64Array of " + std::to_string(count),
                 std::to_string(view.length));
  return static_cast<const double*>(view.data);
}

const int64_t* readCuSeqlens(const Napi::Value& value, int64_t responses) {
  if (value.IsUndefined()) return nullptr;
  const TypedArrayView view = readTypedArray(value, "cuSeqlens");
  if (view.kind != napi_bigint64_array || responses < 1 ||
      view.length != static_cast<uint64_t>(responses) + 1)
    throwInvalid(value.Env(), "ERR_INTERNAL", "cuSeqlens", "a BigInt64Array of responses + 1",
                 std::to_string(view.length));
  return static_cast<const int64_t*>(view.data);
}

int64_t toInt64(double value) {
  constexpr double kLargest = 9007199254740992.0;  // 2^53
  if (!(value >= 0 && value <= kLargest) || value != std::floor(value)) return -1;
  return static_cast<int64_t>(value);
}

int32_t toInt32(double value) {
  const int64_t wide = toInt64(value);
  return wide > INT32_MAX ? -1 : static_cast<int32_t>(wide);
}

}  // namespace papo::node
