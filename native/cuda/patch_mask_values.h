// What the functions of image masking share on a device.
#pragma once

#include <cstdint>

#include "cuda/context.h"

namespace papo::cuda {

// Looks for values of a patch mask that are neither 0 nor 1. what: the function of papo.h.
papo_status launchPatchMaskCheck(Context& context, const char* what, const uint8_t* mask,
                                 int64_t count);

}  // namespace papo::cuda
