#pragma once

#include <cuda_runtime_api.h>

namespace runtime_test {

cudaError_t addOne(int* data, cudaStream_t stream);  // one int of device memory
cudaError_t trap(cudaStream_t stream);

}  // namespace runtime_test
