// The functions of papo.h on a CUDA engine. Arguments are checked as far as the host can; values on the
// device are checked by the first kernel of a call, and a finding stops all later ones.
#pragma once

#include <cstddef>

#include "engine/tensors.h"
#include "papo.h"

namespace papo::cuda {

class Context;

// --- the engine -----------------------------------------------------------------------------------

// stream: the caller's cudaStream_t, or null for one of its own.
papo_status openContext(int32_t index, void* stream, Context** context);
void closeContext(Context* context);
void* streamOf(const Context& context);
// Waits, reports what the device found, and clears it.
papo_status synchronize(Context* context);

// --- computations ---------------------------------------------------------------------------------

papo_status lossWorkspace(const papo_loss_args& args, const Responses& responses, size_t* bytes);
papo_status loss(Context& context, const papo_loss_args& args, const Responses& responses,
                 void* workspace, size_t bytes);

papo_status tokenLogProbsWorkspace(const papo_token_log_probs_args& args, size_t* bytes);
papo_status tokenLogProbs(Context& context, const papo_token_log_probs_args& args, void* workspace,
                          size_t bytes);

papo_status advantagesWorkspace(const papo_advantages_args& args, size_t* bytes);
papo_status advantages(Context& context, const papo_advantages_args& args, void* workspace,
                       size_t bytes);

papo_status maskPatches(Context& context, const papo_mask_patches_args& args);
papo_status maskPatchRows(Context& context, const papo_mask_patch_rows_args& args);
papo_status randomPatchMask(Context& context, const papo_random_patch_mask_args& args);
papo_status saliencyPatchMask(Context& context, const papo_saliency_patch_mask_args& args);

}  // namespace papo::cuda
