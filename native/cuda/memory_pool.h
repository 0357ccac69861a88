// The memory pool of a device, one for all engines of the process. It keeps what is freed for the next
// allocation until the last engine is closed.
#pragma once

#include <cuda_runtime_api.h>

#include "papo.h"

namespace papo::cuda {

// A pool of this library's own: the threshold of the device's default pool belongs to the program.
// Null where the device has none. The device is current.
papo_status acquirePool(int device, cudaMemPool_t* pool);
void releasePool(int device);

}  // namespace papo::cuda
