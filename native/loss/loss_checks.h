// Everything papo_loss refuses, checked before it reads a value or writes a byte.
#pragma once

#include "engine/engine.h"
#include "engine/tensors.h"

namespace papo {

// That no argument lies in the workspace.
papo_status requireOwnWorkspace(const papo_loss_args& args, const void* workspace, size_t bytes);

// Pointers, shapes, dtypes, overlaps, and which inputs the objective needs. Fills responses.
papo_status checkLossArguments(const papo_engine& engine, const papo_loss_args& args,
                               Responses* responses);

// Token ids in [0, V) in the rows that are read, masks 0 or 1.
papo_status checkLossValues(const papo_loss_args& args);
papo_status checkTokens(const papo_tensor& tokens, const papo_tensor& responseMask,
                        bool includesPadding, int64_t vocabSize);

}  // namespace papo
