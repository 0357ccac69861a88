// From tokens to scalars: loss, terms and metrics, summed in double in the order of the rows, so
// that the result depends on nothing but the inputs.
#pragma once

#include "loss/batch.h"

namespace papo {

// What the call knows beyond the tokens.
struct ReductionContext {
  bool knowsEntropy = false;
  bool knowsMaskedEntropy = false;
  double sumOfSquares = 0;  // of the logits gradients; NaN where not asked for
};

// Fills metrics[PAPO_METRIC_COUNT].
template <class Real>
void reduceBatch(const papo_objective& objective, const Batch<Real>& batch,
                 const ReductionContext& context, double* metrics);

}  // namespace papo
