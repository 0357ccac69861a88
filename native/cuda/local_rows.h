// The way of working the rows of a local objective that launchLocalRows (rows.h) prefers.
#pragma once

#include "cuda/launch_config.h"
#include "cuda/rows.h"

namespace papo::cuda {

// By clusters of thread blocks that hold a row together: each logit is read once, each gradient
// written once. *launched false, and nothing done: no such cluster finds room on this device.
papo_status launchRowsInClusters(Context& context, const RowsCall& call, const RowLaunch& launch,
                                 bool* launched);

}  // namespace papo::cuda
