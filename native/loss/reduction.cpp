#include "loss/reduction.h"

namespace papo {
namespace {

template <class Real>
void sumClippedShares(const Batch<Real>& batch, TokenSums* sums) {
  sums->clippedHigh = sums->clippedLow = 0;
  for (int64_t b = 0; b < batch.responses().count; ++b) {
    double high = 0, low = 0;
    for (int64_t row = batch.responses().begin(b); row < batch.responses().end(b); ++row) {
      if (!batch[row].counts) continue;
      high += batch[row].terms.policy.isClippedHigh;
      low += batch[row].terms.policy.isClippedLow;
    }
    const double count = denominator(static_cast<double>(batch.countedTokens(b)), 0);
    sums->clippedHigh += high / count;
    sums->clippedLow += low / count;
  }
}

}  // namespace

template <class Real>
void reduceBatch(const papo_objective& objective, const Batch<Real>& batch,
                 const MetricsContext& context, double* metrics) {
  TokenSums sums;
  for (int64_t row = 0; row < batch.responses().rows; ++row) sums.merge(TokenSums::of(batch[row]));
  if (objective.ratioLevel == PAPO_RATIO_LEVEL_SEQUENCE) sumClippedShares(batch, &sums);
  writeMetrics(objective, context, sums, metrics);
}

template void reduceBatch(const papo_objective&, const Batch<float>&, const MetricsContext&,
                          double*);
template void reduceBatch(const papo_objective&, const Batch<double>&, const MetricsContext&,
                          double*);

}  // namespace papo
