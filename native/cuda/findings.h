// What kernels found, in the words of the CPU engine.
#pragma once

#include "cuda/device_error.h"
#include "papo.h"

namespace papo::cuda {

// found.key is not 0.
papo_status refuseFinding(const DeviceError& found);

}  // namespace papo::cuda
