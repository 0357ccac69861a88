// Emulator shadow of <cuda_runtime.h>: put -I emu before the toolkit's include directory.
#pragma once
#include_next <cuda_runtime.h>
#undef __shared__
#ifdef SIMT_PLAIN_SHARED
#define __shared__ static  // no poison, no clusters, no extern __shared__
#else
#define __shared__ simt_use_SHARED_ARRAY_instead
#endif
#ifndef __launch_bounds__
#define __launch_bounds__(...)
#endif
#ifndef __cluster_dims__
#define __cluster_dims__(...)
#endif
#include "simt.h"
