// Copies between tensors of devices and of the host, row by row where rows have gaps.
#include "computations.h"
#include "descriptor.h"
#include "engine.h"
#include "engine/status.h"
#include "operations.h"
#include "slots.h"

namespace papo::node {
namespace {

size_t elementBytes(int32_t dtype) {
  if (dtype == PAPO_FLOAT64) return 8;
  if (dtype == PAPO_FLOAT16 || dtype == PAPO_BFLOAT16) return 2;
  return dtype == PAPO_UINT8 ? 1 : 4;
}

int64_t span(const papo_tensor& tensor) {
  return (tensor.rows - 1) * tensor.rowStride + tensor.columns;
}

bool areApart(const papo_tensor& a, const papo_tensor& b, size_t element) {
  const auto* first = static_cast<const char*>(a.data);
  const auto* second = static_cast<const char*>(b.data);
  return first + static_cast<size_t>(span(a)) * element <= second ||
         second + static_cast<size_t>(span(b)) * element <= first;
}

bool isDense(const papo_tensor& tensor) {
  return tensor.rows == 1 || tensor.rowStride == tensor.columns;
}

}  // namespace

papo_status CopyComputation::workspace(const papo_engine*, size_t* bytes) const {
  *bytes = 0;
  return PAPO_OK;
}

papo_status CopyComputation::compute(papo_engine* engine, void*, size_t) const {
  const papo_tensor& from = args.source;
  const papo_tensor& to = args.destination;
  if (from.dtype != to.dtype || from.rows != to.rows || from.columns != to.columns)
    return fail(PAPO_INVALID_SHAPE, "destination: expected shape and dtype of the source");
  const size_t element = elementBytes(from.dtype);
  if (!areApart(from, to, element))
    return fail(PAPO_OVERLAP, "destination: expected memory apart from the source's");
  const bool isOnePiece = isDense(from) && isDense(to);
  const int64_t pieces = isOnePiece ? 1 : from.rows;
  const int64_t length = isOnePiece ? from.rows * from.columns : from.columns;
  for (int64_t piece = 0; piece < pieces; ++piece) {
    const size_t source = static_cast<size_t>(piece * from.rowStride) * element;
    const size_t destination = static_cast<size_t>(piece * to.rowStride) * element;
    PAPO_TRY(papo_memory_copy(engine, static_cast<char*>(to.data) + destination,
                              static_cast<const char*>(from.data) + source,
                              static_cast<size_t>(length) * element));
  }
  return PAPO_OK;
}

Napi::Value copy(const Napi::CallbackInfo& info) {
  Engine& engine = Engine::from(info[0]);
  CopyComputation computation;
  readTensors(info[1], info[2], kCopySlots, &computation);
  return engine.run(info[3], computation);
}

}  // namespace papo::node
