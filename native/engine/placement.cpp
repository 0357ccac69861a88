#include "engine/placement.h"

#include <cstdio>

#include "engine/status.h"

namespace papo {
namespace {

enum class Place { engine, host };

template <class Args>
struct Placed {
  const char* name;
  papo_tensor Args::*tensor;
  Place place;
};

template <class Args, size_t kCount>
papo_status requireAll(int32_t device, const Args& args, const Placed<Args> (&all)[kCount]) {
  for (const Placed<Args>& argument : all) {
    const papo_tensor& tensor = args.*argument.tensor;
    const int32_t expected = argument.place == Place::host ? int32_t{PAPO_CPU} : device;
    if (tensor.data && tensor.device != expected)
      return fail(PAPO_INVALID_ARGUMENT, "%s: expected a tensor on '%s', got one on '%s'",
                  argument.name, DeviceName(expected).text, DeviceName(tensor.device).text);
  }
  return PAPO_OK;
}

}  // namespace

DeviceName::DeviceName(int32_t device) {
  if (device == PAPO_CPU)
    std::snprintf(text, sizeof text, "cpu");
  else if (deviceKind(device) == PAPO_CUDA && device >= 0)
    std::snprintf(text, sizeof text, "cuda:%d", deviceIndex(device));
  else
    std::snprintf(text, sizeof text, "device %d", device);
}

#define PAPO_HERE(name) \
  { #name, &Args::name, Place::engine }
#define PAPO_ON_HOST(name) \
  { #name, &Args::name, Place::host }

papo_status requirePlacement(int32_t device, const papo_token_log_probs_args& args) {
  using Args = papo_token_log_probs_args;
  static constexpr Placed<Args> all[] = {
      PAPO_HERE(logits),   PAPO_HERE(tokens),    PAPO_HERE(rowIndex),   PAPO_HERE(responseMask),
      PAPO_HERE(logProbs), PAPO_HERE(entropies), PAPO_HERE(logSumExps),
  };
  return requireAll(device, args, all);
}

papo_status requirePlacement(int32_t device, const papo_loss_args& args) {
  using Args = papo_loss_args;
  static constexpr Placed<Args> all[] = {
      PAPO_HERE(logits),
      PAPO_HERE(maskedLogits),
      PAPO_HERE(logProbs),
      PAPO_HERE(maskedLogProbs),
      PAPO_HERE(entropies),
      PAPO_HERE(maskedEntropies),
      PAPO_HERE(exactPerceptionKl),
      PAPO_HERE(tokens),
      PAPO_HERE(rowIndex),
      PAPO_HERE(responseMask),
      PAPO_HERE(oldLogProbs),
      PAPO_HERE(refLogProbs),
      PAPO_HERE(advantages),
      PAPO_HERE(tokenWeights),
      PAPO_HERE(perceptionWeights),
      PAPO_HERE(sftMask),
      PAPO_HERE(metrics),
      PAPO_HERE(logitsGrad),
      PAPO_HERE(maskedLogitsGrad),
      PAPO_HERE(outLogProbs),
      PAPO_HERE(outMaskedLogProbs),
      PAPO_HERE(outEntropies),
      PAPO_HERE(outMaskedEntropies),
      PAPO_HERE(ratios),
      PAPO_HERE(refKlPerToken),
      PAPO_HERE(perceptionKlPerToken),
      PAPO_HERE(logProbsGrad),
      PAPO_HERE(maskedLogProbsGrad),
      PAPO_HERE(entropiesGrad),
      PAPO_HERE(maskedEntropiesGrad),
      PAPO_HERE(exactPerceptionKlGrad),
  };
  return requireAll(device, args, all);
}

papo_status requirePlacement(int32_t device, const papo_advantages_args& args) {
  using Args = papo_advantages_args;
  static constexpr Placed<Args> all[] = {
      PAPO_HERE(rewards),      PAPO_HERE(groupIds),   PAPO_HERE(baselines),
      PAPO_HERE(responseMask), PAPO_HERE(advantages), PAPO_HERE(returns),
  };
  return requireAll(device, args, all);
}

papo_status requirePlacement(int32_t device, const papo_mask_patches_args& args) {
  using Args = papo_mask_patches_args;
  static constexpr Placed<Args> all[] = {
      PAPO_HERE(image),
      PAPO_HERE(patchMask),
      PAPO_ON_HOST(fill),
      PAPO_HERE(out),
  };
  return requireAll(device, args, all);
}

papo_status requirePlacement(int32_t device, const papo_mask_patch_rows_args& args) {
  using Args = papo_mask_patch_rows_args;
  static constexpr Placed<Args> all[] = {
      PAPO_HERE(rows),    PAPO_ON_HOST(gridThw), PAPO_HERE(patchMask),
      PAPO_ON_HOST(fill), PAPO_HERE(out),
  };
  return requireAll(device, args, all);
}

papo_status requirePlacement(int32_t device, const papo_random_patch_mask_args& args) {
  using Args = papo_random_patch_mask_args;
  static constexpr Placed<Args> all[] = {PAPO_HERE(patchMask)};
  return requireAll(device, args, all);
}

papo_status requirePlacement(int32_t device, const papo_saliency_patch_mask_args& args) {
  using Args = papo_saliency_patch_mask_args;
  static constexpr Placed<Args> all[] = {PAPO_HERE(saliency), PAPO_HERE(patchMask)};
  return requireAll(device, args, all);
}

#undef PAPO_HERE
#undef PAPO_ON_HOST

}  // namespace papo
