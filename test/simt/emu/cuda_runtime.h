// Shadows the toolkit's <cuda_runtime.h> for kernels: put this folder before the toolkit's.
#pragma once
#include_next <cuda_runtime.h>

// Shared memory is poisoned, mapped by peers and checked, so it comes from PAPO_SHARED_ARRAY.
#undef __shared__
#define __shared__ use_PAPO_SHARED_ARRAY_or_PAPO_SHARED_DYNAMIC
#ifndef __launch_bounds__
#define __launch_bounds__(...)
#endif
#ifndef __cluster_dims__
#define __cluster_dims__(...)
#endif
#ifndef __grid_constant__
#define __grid_constant__
#endif

#include "simt.h"
