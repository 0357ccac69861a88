// Reads what lib/descriptor.ts writes: the tensors of one call as a list of typed arrays and of
// memory of devices in a fixed order, and four numbers for each (rows, columns, rowStride, dtype).
//
// Nothing the numbers claim is believed: kind and length of every entry are checked against them, so
// that a mistake in JavaScript cannot make the engine read or write out of bounds.
#pragma once

#include <napi.h>

#include <cstdint>

#include "lane.h"
#include "papo.h"

namespace papo::node {

// A tensor field of an argument struct, under the name that messages use.
template <class Args>
struct Slot {
  const char* name;
  papo_tensor Args::*field;
};

class DescriptorReader {
 public:
  // Throws unless slots is a list of count entries and shapes a Float64Array of 4 * count.
  DescriptorReader(const Napi::Value& slots, const Napi::Value& shapes, uint32_t count);

  // The view in slot index; absent (data null) where the list holds undefined. The computation keeps
  // memory of a device.
  papo_tensor read(uint32_t index, const char* name, Computation* computation) const;

 private:
  Napi::Array slots_;
  const double* shapes_;
};

// Into the args of a computation.
template <class Args, uint32_t kCount, class AnyComputation>
void readTensors(const Napi::Value& slots, const Napi::Value& shapes,
                 const Slot<Args> (&table)[kCount], AnyComputation* computation) {
  const DescriptorReader reader(slots, shapes, kCount);
  for (uint32_t i = 0; i < kCount; ++i)
    computation->args.*table[i].field = reader.read(i, table[i].name, computation);
}

template <class Args, uint32_t kCount>
Napi::Array slotNames(Napi::Env env, const Slot<Args> (&table)[kCount]) {
  Napi::Array names = Napi::Array::New(env, kCount);
  for (uint32_t i = 0; i < kCount; ++i) names.Set(i, Napi::String::New(env, table[i].name));
  return names;
}

// A Float64Array of exactly this many numbers.
const double* readNumbers(const Napi::Value& value, const char* name, size_t count);

// First rows of the responses, a BigInt64Array of responses + 1 numbers; null for undefined.
const int64_t* readCuSeqlens(const Napi::Value& value, int64_t responses);

// Whole numbers up to 2^53; -1, which every check of papo.h refuses, for anything else.
int64_t toInt64(double value);
int32_t toInt32(double value);

}  // namespace papo::node
