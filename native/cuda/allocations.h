// What this process was given by papo_memory_* and has not given back: a second or a wrong free is
// refused here, where the driver might take it for another allocation's.
#pragma once

#include <cstddef>

#include "papo.h"

namespace papo::cuda {

enum class Origin { allocated, pinned, shareable, imported };

struct Allocation {
  Origin origin = Origin::allocated;
  int device = 0;
  void* base = nullptr;  // imported: of the other process's allocation; else the address itself
};

// Remembers data; PAPO_OUT_OF_MEMORY where there is no memory for that. The same import counts up.
papo_status remember(void* data, const Allocation& allocation);
// The allocation at data, which is forgotten (an import once); PAPO_INVALID_ARGUMENT names data where
// there is none of this origin and device. Pinned memory is of every device.
papo_status forget(void* data, Origin origin, int device, Allocation* allocation);
// Whether data is the start of an allocation of this origin.
bool isFrom(const void* data, Origin origin);

}  // namespace papo::cuda
