// Marks the functions that the CPU engine and CUDA kernels share.
#pragma once

#if defined(__CUDACC__)
#define PAPO_HOST_DEVICE __host__ __device__ inline
#else
#define PAPO_HOST_DEVICE inline
#endif
