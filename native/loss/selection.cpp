#include "loss/selection.h"

#include <algorithm>
#include <cmath>

namespace papo {

template <class Real>
Real quantile(Real* values, int64_t count, double level) {
  if (count == 0 || std::any_of(values, values + count, [](Real x) { return std::isnan(x); }))
    return Real(NAN);
  const QuantileRank rank = quantileRank(count, level);
  std::nth_element(values, values + rank.below, values + count);
  const Real low = values[rank.below];
  if (rank.toNext == 0) return low;
  return interpolated(low, *std::min_element(values + rank.below + 1, values + count), rank.toNext);
}

namespace {

template <class Real>
void selectByEntropy(const papo_objective& objective, Batch<Real>* batch, Real* scratch) {
  Batch<Real>& tokens = *batch;
  int64_t count = 0, kept = 0;
  for (int64_t row = 0; row < tokens.responses().rows; ++row)
    if (tokens[row].counts) scratch[count++] = tokens[row].inputs.entropy;
  const Real threshold = quantile(scratch, count, 1 - objective.topEntropyFraction);
  for (int64_t row = 0; row < tokens.responses().rows; ++row) {
    TokenInputs<Real>& in = tokens[row].inputs;
    in.keepsPolicy = isKept(in.entropy, threshold);
    kept += tokens[row].counts && in.keepsPolicy;
  }
  if (objective.topEntropyScope != PAPO_TOP_ENTROPY_SCOPE_POLICY_AND_ENTROPY) return;
  for (int64_t row = 0; row < tokens.responses().rows; ++row)
    restrictEntropyToKept(objective, kept, &tokens[row]);
}

template <class Real>
void selectByPerception(const papo_objective& objective, const TokenObjective<Real>& o,
                        Batch<Real>* batch, Real* scratch) {
  Batch<Real>& tokens = *batch;
  const auto weightedKl = [&](int64_t row) { return weightedPerceptionKl(o, tokens[row].inputs); };
  for (int64_t b = 0; b < tokens.responses().count; ++b) {
    const int64_t begin = tokens.responses().begin(b), end = tokens.responses().end(b);
    int64_t count = 0;
    for (int64_t row = begin; row < end; ++row)
      if (tokens[row].counts) scratch[count++] = weightedKl(row);
    const Real threshold = quantile(scratch, count, 1 - objective.perceptionTopFraction);
    for (int64_t row = begin; row < end; ++row)
      tokens[row].inputs.keepsPerception = isKept(weightedKl(row), threshold);
  }
}

}  // namespace

template <class Real>
void selectTokens(const papo_objective& objective, const TokenObjective<Real>& o,
                  Batch<Real>* batch, Real* scratch) {
  const bool hasMasked = batch->responses().rows > 0 && (*batch)[0].inputs.hasMasked;
  if (objective.topEntropyFraction < 1) selectByEntropy(objective, batch, scratch);
  if (objective.perceptionTopFraction < 1 && hasMasked)
    selectByPerception(objective, o, batch, scratch);
}

template float quantile(float*, int64_t, double);
template double quantile(double*, int64_t, double);
template void selectTokens(const papo_objective&, const TokenObjective<float>&, Batch<float>*,
                           float*);
template void selectTokens(const papo_objective&, const TokenObjective<double>&, Batch<double>*,
                           double*);

}  // namespace papo
