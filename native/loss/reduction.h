// From tokens to scalars: loss, terms and metrics, summed in double in the order of the rows, so
// that the result depends on nothing but the inputs.
#pragma once

#include "loss/batch.h"
#include "loss/token_sums.h"

namespace papo {

// Fills metrics[PAPO_METRIC_COUNT].
template <class Real>
void reduceBatch(const papo_objective& objective, const Batch<Real>& batch,
                 const MetricsContext& context, double* metrics);

}  // namespace papo
