#include "cuda/device.cuh"
#include "runtime_test.h"

namespace runtime_test {
namespace {

__global__ void addOneKernel(int* data) { data[0] += 1; }
__global__ void trapKernel() { __trap(); }

}  // namespace

cudaError_t addOne(int* data, cudaStream_t stream) {
  return papo::cuda::launch(addOneKernel, 1, 1, 0, stream, data);
}
cudaError_t trap(cudaStream_t stream) { return papo::cuda::launch(trapKernel, 1, 32, 0, stream); }

}  // namespace runtime_test
