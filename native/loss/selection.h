// What one token's terms need from other tokens: the ratio of its response, and the quantiles that
// select tokens. An objective without these is local to a token, and its rows need one sweep only.
#pragma once

#include "loss/batch.h"
#include "loss/quantile.h"

namespace papo {

inline bool isTokenLocal(const papo_objective& o) {
  return o.ratioLevel == PAPO_RATIO_LEVEL_TOKEN && o.topEntropyFraction >= 1 &&
         o.perceptionTopFraction >= 1;
}

// Linearly interpolated quantile of values, which are reordered. NaN where values are empty or hold a
// NaN.
template <class Real>
Real quantile(Real* values, int64_t count, double level);

// Marks the tokens below the quantiles of topEntropyFraction and perceptionTopFraction (Eq. 14, 16).
// scratch: one Real per row.
template <class Real>
void selectTokens(const papo_objective& objective, const TokenObjective<Real>& tokenObjective,
                  Batch<Real>* batch, Real* scratch);

}  // namespace papo
