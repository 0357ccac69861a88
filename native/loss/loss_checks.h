// What papo_loss refuses before it reads a value or writes a byte. Values are checked where they are
// read: masks by the batch, token ids and rows by TokenRows.
#pragma once

#include "engine/engine.h"
#include "engine/tensors.h"

namespace papo {

// That no argument lies in the workspace.
papo_status requireOwnWorkspace(const papo_loss_args& args, const void* workspace, size_t bytes);

// Pointers, shapes, dtypes, overlaps, and which inputs the objective needs. Fills responses.
papo_status checkLossArguments(const papo_engine& engine, const papo_loss_args& args,
                               Responses* responses);

// Value i of a mask, which is to be 0 or 1.
papo_status readMask(NamedTensor argument, int64_t i, bool* value);

}  // namespace papo
