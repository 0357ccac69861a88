// papo_loss on a device: what its kernels are given, and the stages that cuda/loss.cpp puts in order.
// Every stage is queued on the engine's stream and does nothing once something was found wrong.
#pragma once

#include "cuda/context.h"
#include "cuda/token_sort.h"
#include "engine/arena.h"
#include "loss/quantile.h"
#include "loss/token_io.h"

namespace papo::cuda {

constexpr int kTokenThreads = 256;  // of the kernels that take a token a thread

// Sums go over chunks of kTokenThreads tokens, then over the chunks.
inline int64_t chunksOf(int64_t tokens) { return (tokens + kTokenThreads - 1) / kTokenThreads; }

// What a quantile says; of the whole batch or of a response.
struct Threshold {
  float value = 0;
  int64_t kept = 0;  // counted tokens that are not below it
};

// Shares of clipped tokens of a response.
struct ResponseClips {
  double high = 0, low = 0;
};

// Workspace of a call, device memory.
struct LossMemory {
  TokenRecord<float>* records;  // [N]
  int64_t* cuSeqlens;           // [B + 1], where the caller gave them
  int64_t* counts;              // [2 + B]: tokens and SFT tokens that count, and of each response
  TokenSums* partials;          // [chunksOf(N)]

  uint32_t* keys;                // [N], of an objective with a quantile
  float* weightedKls;            // [N], with perceptionTopFraction, and so the next
  Threshold* entropyThreshold;   // [1], with topEntropyFraction
  Threshold* klThresholds;       // [B]
  ResponseClips* responseClips;  // [B], of ratios at sequence level

  TokenRows tokenRows;  // of a call with logits
  TokenSort sort;
  SampledEntry* entries;      // [N], with a row index
  RowStatistics* statistics;  // [N], of an objective that is not local to a token

  static LossMemory layOut(Arena* arena, const papo_loss_args& args, const Responses& responses);
};

// By value to every kernel. Pointers are device memory, but args.objective and args.cuSeqlens, which
// are the host's and not followed.
struct LossCall {
  papo_loss_args args;
  papo_objective options;
  TokenObjective<float> objective;
  Responses responses;  // cuSeqlens on the device
  LossMemory memory;
  DeviceError* error;
};

inline bool selectsByEntropy(const LossCall& call) { return call.memory.entropyThreshold; }
inline bool selectsByPerception(const LossCall& call) { return call.memory.klThresholds; }

// The stages, in their order; each a file. fillTokens checks masks, ids and rows. Tokens are counted
// by response only where a mean or a ratio of responses asks for it.
papo_status fillTokens(Context& context, const LossCall& call);
papo_status setTokenShares(Context& context, const LossCall& call);
papo_status findThresholds(Context& context, const LossCall& call);     // Eq. 14, 16
papo_status evaluateTokens(Context& context, const LossCall& call);     // not local, or no logits
papo_status evaluateResponses(Context& context, const LossCall& call);  // instead: Eq. 9, GSPO
papo_status reduceTokens(Context& context, const LossCall& call);       // outputs and metrics

}  // namespace papo::cuda
