// What the driver says of an address.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>

#include "papo.h"

namespace papo::cuda {

class Context;

struct PointerFacts {
  cudaMemoryType type = cudaMemoryTypeUnregistered;  // that: memory CUDA does not know
  int device = 0;
  // Of the allocation; null where the driver tells no range, as for virtual memory management.
  const unsigned char* base = nullptr;
  size_t bytes = 0;
};

papo_status readPointer(const void* data, PointerFacts* facts);
// As papo_memory_require; name: the argument. Leaves what was found.
papo_status requireDeviceMemory(const Context& context, const char* name, const void* data,
                                size_t bytes, PointerFacts* facts);

}  // namespace papo::cuda
