// Order of the tensors of each call, as in the structs of papo.h. lib/native.ts holds the same
// lists, and compares them when it loads the binary.
#pragma once

#include "computations.h"
#include "descriptor.h"

namespace papo::node {

#define PAPO_SLOT(Args, field) \
  { #field, &Args::field }

constexpr Slot<papo_loss_args> kLossSlots[] = {
    PAPO_SLOT(papo_loss_args, logits),
    PAPO_SLOT(papo_loss_args, maskedLogits),
    PAPO_SLOT(papo_loss_args, logProbs),
    PAPO_SLOT(papo_loss_args, maskedLogProbs),
    PAPO_SLOT(papo_loss_args, entropies),
    PAPO_SLOT(papo_loss_args, maskedEntropies),
    PAPO_SLOT(papo_loss_args, exactPerceptionKl),
    PAPO_SLOT(papo_loss_args, tokens),
    PAPO_SLOT(papo_loss_args, rowIndex),
    PAPO_SLOT(papo_loss_args, responseMask),
    PAPO_SLOT(papo_loss_args, oldLogProbs),
    PAPO_SLOT(papo_loss_args, refLogProbs),
    PAPO_SLOT(papo_loss_args, advantages),
    PAPO_SLOT(papo_loss_args, tokenWeights),
    PAPO_SLOT(papo_loss_args, perceptionWeights),
    PAPO_SLOT(papo_loss_args, sftMask),
    PAPO_SLOT(papo_loss_args, metrics),
    PAPO_SLOT(papo_loss_args, logitsGrad),
    PAPO_SLOT(papo_loss_args, maskedLogitsGrad),
    PAPO_SLOT(papo_loss_args, outLogProbs),
    PAPO_SLOT(papo_loss_args, outMaskedLogProbs),
    PAPO_SLOT(papo_loss_args, outEntropies),
    PAPO_SLOT(papo_loss_args, outMaskedEntropies),
    PAPO_SLOT(papo_loss_args, ratios),
    PAPO_SLOT(papo_loss_args, refKlPerToken),
    PAPO_SLOT(papo_loss_args, perceptionKlPerToken),
    PAPO_SLOT(papo_loss_args, logProbsGrad),
    PAPO_SLOT(papo_loss_args, maskedLogProbsGrad),
    PAPO_SLOT(papo_loss_args, entropiesGrad),
    PAPO_SLOT(papo_loss_args, maskedEntropiesGrad),
    PAPO_SLOT(papo_loss_args, exactPerceptionKlGrad),
};

constexpr Slot<papo_token_log_probs_args> kTokenLogProbsSlots[] = {
    PAPO_SLOT(papo_token_log_probs_args, logits),
    PAPO_SLOT(papo_token_log_probs_args, tokens),
    PAPO_SLOT(papo_token_log_probs_args, rowIndex),
    PAPO_SLOT(papo_token_log_probs_args, responseMask),
    PAPO_SLOT(papo_token_log_probs_args, logProbs),
    PAPO_SLOT(papo_token_log_probs_args, entropies),
    PAPO_SLOT(papo_token_log_probs_args, logSumExps),
};

constexpr Slot<papo_advantages_args> kAdvantagesSlots[] = {
    PAPO_SLOT(papo_advantages_args, rewards),    PAPO_SLOT(papo_advantages_args, groupIds),
    PAPO_SLOT(papo_advantages_args, baselines),  PAPO_SLOT(papo_advantages_args, responseMask),
    PAPO_SLOT(papo_advantages_args, advantages), PAPO_SLOT(papo_advantages_args, returns),
};

constexpr Slot<papo_mask_patches_args> kMaskPatchesSlots[] = {
    PAPO_SLOT(papo_mask_patches_args, image),
    PAPO_SLOT(papo_mask_patches_args, patchMask),
    PAPO_SLOT(papo_mask_patches_args, fill),
    PAPO_SLOT(papo_mask_patches_args, out),
};

constexpr Slot<papo_mask_patch_rows_args> kMaskPatchRowsSlots[] = {
    PAPO_SLOT(papo_mask_patch_rows_args, rows),      PAPO_SLOT(papo_mask_patch_rows_args, gridThw),
    PAPO_SLOT(papo_mask_patch_rows_args, patchMask), PAPO_SLOT(papo_mask_patch_rows_args, fill),
    PAPO_SLOT(papo_mask_patch_rows_args, out),
};

constexpr Slot<papo_random_patch_mask_args> kRandomPatchMaskSlots[] = {
    PAPO_SLOT(papo_random_patch_mask_args, patchMask),
};

constexpr Slot<papo_saliency_patch_mask_args> kSaliencyPatchMaskSlots[] = {
    PAPO_SLOT(papo_saliency_patch_mask_args, saliency),
    PAPO_SLOT(papo_saliency_patch_mask_args, patchMask),
};

constexpr Slot<CopyArgs> kCopySlots[] = {
    PAPO_SLOT(CopyArgs, source),
    PAPO_SLOT(CopyArgs, destination),
};

#undef PAPO_SLOT

}  // namespace papo::node
