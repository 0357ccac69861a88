// Every tensor of every call, one line each: what a valid one looks like. A new field of papo.h is a
// new line here and needs nothing else.
#pragma once

#include "papo.h"

namespace papo_fuzz {

enum class Extent {
  matrix,           // [logits rows, V], rows may be strided
  token,            // [N]
  tokenOrResponse,  // [N] or [B]
  metrics,
  image,      // [imageRows, imageColumns], rows may be strided
  cells,      // [cells] of a frame or of all
  everyCell,  // [frames * cells]
  oneOrChannels,
  grid,  // [images, 3]
};

enum class Content {
  logits,    // of the call's logits dtype
  logProbs,  // real, negative
  weights,   // real, about 1
  rewards,   // real, a few different numbers
  tokens,    // int32 in [0, V)
  rows,      // int32 in [0, logits rows)
  groups,    // int32
  mask,      // uint8 0 or 1
  pixels,    // of the call's image dtype
  fill,      // float64, whole numbers that a byte holds
  grid,      // int32, the patches of the call's images
  metrics,   // float64
};

enum class Role { input, output };

template <class Args>
struct Field {
  const char* name;
  papo_tensor Args::*tensor;
  Role role;
  Extent extent;
  Content content;
  int presence;  // percent of the calls that give it
};

#define PAPO_IN(name, extent, content, presence) \
  { #name, &Args::name, Role::input, Extent::extent, Content::content, presence }
#define PAPO_OUT(name, extent, content, presence) \
  { #name, &Args::name, Role::output, Extent::extent, Content::content, presence }

template <class Args>
struct Fields;

template <>
struct Fields<papo_token_log_probs_args> {
  using Args = papo_token_log_probs_args;
  static constexpr Field<Args> all[] = {
      PAPO_IN(logits, matrix, logits, 100),     PAPO_IN(tokens, token, tokens, 100),
      PAPO_IN(rowIndex, token, rows, 100),      PAPO_IN(responseMask, token, mask, 50),
      PAPO_OUT(logProbs, token, logProbs, 100), PAPO_OUT(entropies, token, weights, 50),
      PAPO_OUT(logSumExps, token, weights, 50),
  };
};

// Given logits or log-probs, operations.h takes away what does not go together.
template <>
struct Fields<papo_loss_args> {
  using Args = papo_loss_args;
  static constexpr Field<Args> all[] = {
      PAPO_IN(logits, matrix, logits, 100),
      PAPO_IN(maskedLogits, matrix, logits, 100),
      PAPO_IN(logProbs, token, logProbs, 100),
      PAPO_IN(maskedLogProbs, token, logProbs, 100),
      PAPO_IN(entropies, token, weights, 100),
      PAPO_IN(maskedEntropies, token, weights, 100),
      PAPO_IN(exactPerceptionKl, token, weights, 100),
      PAPO_IN(tokens, token, tokens, 100),
      PAPO_IN(rowIndex, token, rows, 100),
      PAPO_IN(responseMask, token, mask, 80),
      PAPO_IN(oldLogProbs, token, logProbs, 80),
      PAPO_IN(refLogProbs, token, logProbs, 80),
      PAPO_IN(advantages, tokenOrResponse, weights, 100),
      PAPO_IN(tokenWeights, tokenOrResponse, weights, 50),
      PAPO_IN(perceptionWeights, tokenOrResponse, weights, 50),
      PAPO_IN(sftMask, tokenOrResponse, mask, 90),
      PAPO_OUT(metrics, metrics, metrics, 100),
      PAPO_OUT(logitsGrad, matrix, logits, 70),
      PAPO_OUT(maskedLogitsGrad, matrix, logits, 70),
      PAPO_OUT(outLogProbs, token, logProbs, 50),
      PAPO_OUT(outMaskedLogProbs, token, logProbs, 50),
      PAPO_OUT(outEntropies, token, weights, 50),
      PAPO_OUT(outMaskedEntropies, token, weights, 50),
      PAPO_OUT(ratios, token, weights, 50),
      PAPO_OUT(refKlPerToken, token, weights, 50),
      PAPO_OUT(perceptionKlPerToken, token, weights, 50),
      PAPO_OUT(logProbsGrad, token, weights, 50),
      PAPO_OUT(maskedLogProbsGrad, token, weights, 50),
      PAPO_OUT(entropiesGrad, token, weights, 50),
      PAPO_OUT(maskedEntropiesGrad, token, weights, 50),
      PAPO_OUT(exactPerceptionKlGrad, token, weights, 50),
  };
};

template <>
struct Fields<papo_advantages_args> {
  using Args = papo_advantages_args;
  static constexpr Field<Args> all[] = {
      PAPO_IN(rewards, token, rewards, 100),     PAPO_IN(groupIds, token, groups, 95),
      PAPO_IN(baselines, token, rewards, 95),    PAPO_IN(responseMask, token, mask, 95),
      PAPO_OUT(advantages, token, rewards, 100), PAPO_OUT(returns, token, rewards, 15),
  };
};

template <>
struct Fields<papo_mask_patches_args> {
  using Args = papo_mask_patches_args;
  static constexpr Field<Args> all[] = {
      PAPO_IN(image, image, pixels, 100),
      PAPO_IN(patchMask, cells, mask, 100),
      PAPO_IN(fill, oneOrChannels, fill, 50),
      PAPO_OUT(out, image, pixels, 100),
  };
};

template <>
struct Fields<papo_mask_patch_rows_args> {
  using Args = papo_mask_patch_rows_args;
  static constexpr Field<Args> all[] = {
      PAPO_IN(rows, image, pixels, 100),        PAPO_IN(gridThw, grid, grid, 100),
      PAPO_IN(patchMask, everyCell, mask, 100), PAPO_IN(fill, oneOrChannels, fill, 50),
      PAPO_OUT(out, image, pixels, 100),
  };
};

template <>
struct Fields<papo_random_patch_mask_args> {
  using Args = papo_random_patch_mask_args;
  static constexpr Field<Args> all[] = {PAPO_OUT(patchMask, everyCell, mask, 100)};
};

template <>
struct Fields<papo_saliency_patch_mask_args> {
  using Args = papo_saliency_patch_mask_args;
  static constexpr Field<Args> all[] = {
      PAPO_IN(saliency, image, pixels, 100),
      PAPO_OUT(patchMask, everyCell, mask, 100),
  };
};

#undef PAPO_IN
#undef PAPO_OUT

// Outputs whose memory may be that of an input.
struct InPlacePair {
  const char* input;
  const char* output;
};
constexpr InPlacePair kInPlace[] = {{"logits", "logitsGrad"},
                                    {"maskedLogits", "maskedLogitsGrad"},
                                    {"image", "out"},
                                    {"rows", "out"}};

}  // namespace papo_fuzz
