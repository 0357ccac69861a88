// The quantiles that select tokens (Eq. 14, 16), without the search for the values themselves; of both
// engines.
#pragma once

#include <cmath>
#include <cstdint>

#include "loss/token_terms.h"

namespace papo {

// Which of count sorted values a quantile lies at or above, and how far to the next it is.
struct QuantileRank {
  int64_t below = 0;
  double toNext = 0;  // 0: the value itself, and there may be no next
};

// Rank (count - 1) * level, count >= 1. A rank within rounding of an integer is that integer, so that a
// threshold that is one of the values is that value exactly.
PAPO_HOST_DEVICE QuantileRank quantileRank(int64_t count, double level) {
  const double exactRank = level * static_cast<double>(count - 1);
  const double nearest = std::nearbyint(exactRank);
  if (std::fabs(exactRank - nearest) < 1e-9 * static_cast<double>(count))
    return {static_cast<int64_t>(nearest), 0};
  const double below = std::floor(exactRank);
  return {static_cast<int64_t>(below), exactRank - below};
}

template <class Real>
PAPO_HOST_DEVICE Real interpolated(Real low, Real high, double toNext) {
  return low + Real(toNext) * (high - low);
}

// A NaN threshold or value keeps the token, so that NaN reaches the loss.
template <class Real>
PAPO_HOST_DEVICE bool isKept(Real value, Real threshold) {
  return !(value < threshold);
}

// What perceptionTopFraction selects by.
template <class Real>
PAPO_HOST_DEVICE Real weightedPerceptionKl(const TokenObjective<Real>& o,
                                           const TokenInputs<Real>& in) {
  return perceptionEstimate(o, in).value * in.perceptionWeight;
}

}  // namespace papo
