// papo_token_log_probs on a device: what its kernels are given, and its stages around the rows.
#pragma once

#include "cuda/context.h"
#include "cuda/token_sort.h"

namespace papo::cuda {

// By value to the kernels.
struct LogProbsCall {
  papo_token_log_probs_args args;
  TokenRows tokenRows;
  TokenSort sort;
  DeviceError* error;
};

// Checks mask, ids and rows.
papo_status readScoredTokens(Context& context, const LogProbsCall& call);
// 0 for the tokens that do not count; no row writes theirs.
papo_status clearOtherTokens(Context& context, const LogProbsCall& call);

}  // namespace papo::cuda
