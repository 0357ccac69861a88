// REINFORCE++ (docs/math.md Eq. 21): discounted returns of each response from its end, in the CPU's
// order and so with its bits, whitened over the counted tokens of all responses.
#include "cuda/batch_sums.cuh"
#include "cuda/findings.cuh"
#include "cuda/work_grid.h"

namespace papo::cuda {
namespace {

__global__ void __launch_bounds__(kSumThreads)
    checkReturnsKernel(ReturnsCall call, DeviceError* error) {
  if (!mayCheck(error)) return;
  unsigned long long counted = 0;
  for (int64_t i = int64_t{blockIdx.x} * kSumThreads + threadIdx.x; i < call.rewards.count;
       i += int64_t{gridDim.x} * kSumThreads) {
    if (!isFinite(call.rewards.at(i))) found(error, Finding::rewards, i);
    if (call.mask[i] > 1) found(error, Finding::rewardMask, i);
    counted += call.mask[i];
  }
  atomicAdd(call.counted, counted);
  if (!isCheckDone(error)) return;
  const unsigned long long all = atomicAdd(call.counted, 0ull);
  if (all < 2) found(error, Finding::countedTokens, 0);
  publishFinding(error, [&](Finding finding, int64_t index) {
    if (finding == Finding::rewards) return detailOf(call.rewards.at(index));
    if (finding == Finding::rewardMask) return FindingDetail{call.mask[index], 0};
    return FindingDetail{static_cast<long long>(all), 0};
  });
}

// Tokens [begin, begin + count) of a response, count <= 32: every lane goes through them from the
// end and keeps what is its own.
__device__ double returnsOfPart(const ReturnsCall& call, int64_t begin, int count,
                                double* carried) {
  const int lane = static_cast<int>(threadIdx.x % 32);
  const bool isThere = lane < count;
  const double reward = isThere ? call.rewards.at(begin + lane) : 0;
  const unsigned counts = __ballot_sync(kAllLanes, isThere && call.mask[begin + lane] != 0);
  double own = 0;
  for (int i = count - 1; i >= 0; --i) {
    const double tokenReturn = returnOf(__shfl_sync(kAllLanes, reward, i), call.discount, *carried);
    *carried = carriedOf(tokenReturn, static_cast<uint8_t>(counts >> i & 1u));
    if (i == lane) own = tokenReturn;
  }
  return own;
}

// A warp for each response.
__global__ void __launch_bounds__(kSumThreads)
    returnsKernel(ReturnsCall call, const DeviceError* error) {
  if (error->key != 0) return;
  const int lane = static_cast<int>(threadIdx.x % 32);
  const int64_t length = call.rewards.count / call.responses;
  constexpr int kWarps = kSumThreads / 32;
  for (int64_t b = int64_t{blockIdx.x} * kWarps + threadIdx.x / 32; b < call.responses;
       b += int64_t{gridDim.x} * kWarps) {
    const int64_t begin = call.cuSeqlens ? call.cuSeqlens[b] : b * length;
    double carried = 0;
    for (int64_t end = call.cuSeqlens ? call.cuSeqlens[b + 1] : begin + length; end > begin;) {
      const int count = static_cast<int>(end - begin < 32 ? end - begin : 32);
      end -= count;
      const double own = returnsOfPart(call, end, count, &carried);
      if (lane >= count) continue;
      call.values[end + lane] = own;
      if (call.returns.data) call.returns.set(end + lane, own);
    }
  }
}

__global__ void __launch_bounds__(kSumThreads)
    whiteningKernel(ReturnsCall call, const DeviceError* error) {
  if (error->key != 0) return;
  const double mean = batchMean(call.batch);
  const double squares = sumOfChunks(call.batch.squares, call.batch.chunks);
  const double scale = whiteningScale(squares, batchCount(call.batch), call.epsilon);
  for (int64_t i = int64_t{blockIdx.x} * kSumThreads + threadIdx.x; i < call.rewards.count;
       i += int64_t{gridDim.x} * kSumThreads)
    call.advantages.set(i, whitened(call.values[i], mean, scale));
}

}  // namespace

papo_status launchReturns(Context& context, const ReturnsCall& call) {
  constexpr const char* kWhat = "papo_group_advantages";
  PAPO_CUDA_TRY(kWhat, launch(checkReturnsKernel, workBlocks(call.rewards.count, kSumThreads),
                              kSumThreads, 0, context.stream(), call, context.error()));
  PAPO_CUDA_TRY(kWhat, launch(returnsKernel, workBlocks(call.responses, kSumThreads / 32),
                              kSumThreads, 0, context.stream(), call, context.error()));
  return PAPO_OK;
}

papo_status launchWhitening(Context& context, const ReturnsCall& call) {
  PAPO_CUDA_TRY("papo_group_advantages",
                launch(whiteningKernel, workBlocks(call.rewards.count, kSumThreads), kSumThreads, 0,
                       context.stream(), call, context.error()));
  return PAPO_OK;
}

}  // namespace papo::cuda
