// Where the tensors of a call must be: on the engine's device, but for the few that are read by the
// host whatever the engine. Part of requireArgs, before anything is dereferenced.
#pragma once

#include <cstddef>
#include <cstdint>

#include "papo.h"

namespace papo {

// A device code as "cpu" or "cuda:1".
struct DeviceName {
  explicit DeviceName(int32_t device);
  char text[24];
};

constexpr int32_t deviceKind(int32_t device) { return device & 15; }
constexpr int32_t deviceIndex(int32_t device) { return device >> 4; }

// PAPO_INVALID_ARGUMENT names the first present tensor that is elsewhere. device: the engine's.
papo_status requirePlacement(int32_t device, const papo_token_log_probs_args& args);
papo_status requirePlacement(int32_t device, const papo_loss_args& args);
papo_status requirePlacement(int32_t device, const papo_advantages_args& args);
papo_status requirePlacement(int32_t device, const papo_mask_patches_args& args);
papo_status requirePlacement(int32_t device, const papo_mask_patch_rows_args& args);
papo_status requirePlacement(int32_t device, const papo_random_patch_mask_args& args);
papo_status requirePlacement(int32_t device, const papo_saliency_patch_mask_args& args);

}  // namespace papo
