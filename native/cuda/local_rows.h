// The two ways of working the rows of an objective that is local to a token; launchLocalRows chooses.
#pragma once

#include "cuda/launch_config.h"
#include "cuda/rows.h"

namespace papo::cuda {

// By clusters of thread blocks that hold a row together: each logit is read once, each gradient
// written once. *launched false, and nothing done: no such cluster finds room on this device.
papo_status launchRowsInClusters(Context& context, const RowsCall& call, const RowLaunch& launch,
                                 bool* launched);
// By single blocks, which read a row for its statistics and again for its gradients.
papo_status launchLocalRowsInTwoSweeps(Context& context, const RowsCall& call);

}  // namespace papo::cuda
