// How many clusters of a kernel a device holds at once.
#pragma once

#include <cuda_runtime_api.h>

#include "cuda/launch_config.h"

namespace papo::cuda {

// Of the current device, whose index this is; 0: not one. Prepares the kernel there for its shared
// memory. The driver, which alone knows how the multiprocessors are grouped, is asked once for each
// kernel and launch; from any thread.
cudaError_t activeClusters(int device, const void* kernel, const RowLaunch& launch, int* active);

}  // namespace papo::cuda
