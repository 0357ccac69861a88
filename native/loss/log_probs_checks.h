// What papo_token_log_probs refuses before it reads a value or writes a byte; of both engines.
#pragma once

#include "engine/engine.h"
#include "engine/tensors.h"

namespace papo {

// Pointers, shapes, dtypes and overlaps.
papo_status checkLogProbsArguments(const papo_engine* engine,
                                   const papo_token_log_probs_args* args);

// That no argument lies in the workspace.
papo_status requireOwnWorkspace(const papo_token_log_probs_args& args, const void* workspace,
                                size_t bytes);

}  // namespace papo
