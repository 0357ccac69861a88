// The computations of papo.h with their arguments by value.
#pragma once

#include "lane.h"

namespace papo::node {

// The metrics are memory of the host on every engine: a device writes them to the begin of the
// workspace, from where they are copied.
class LossComputation final : public Computation {
 public:
  papo_objective objective{};
  papo_loss_args args{};

  papo_status workspace(const papo_engine* engine, size_t* bytes) const override;
  papo_status compute(papo_engine* engine, void* memory, size_t bytes) const override;

 private:
  // Of this copy of the computation, with metrics in this memory.
  papo_loss_args complete(const papo_engine* engine, void* metrics) const;
  papo_status computeOnDevice(papo_engine* engine, char* memory, size_t bytes) const;
};

// One that a struct of arguments and two functions describe.
template <class Args, papo_status (*kWorkspace)(const papo_engine*, const Args*, size_t*),
          papo_status (*kCompute)(papo_engine*, const Args*, void*, size_t)>
class PlainComputation final : public Computation {
 public:
  Args args{};

  papo_status workspace(const papo_engine* engine, size_t* bytes) const override {
    return kWorkspace(engine, &args, bytes);
  }
  papo_status compute(papo_engine* engine, void* memory, size_t bytes) const override {
    return kCompute(engine, &args, memory, bytes);
  }
};

using TokenLogProbsComputation =
    PlainComputation<papo_token_log_probs_args, papo_token_log_probs_workspace,
                     papo_token_log_probs>;
using AdvantagesComputation =
    PlainComputation<papo_advantages_args, papo_advantages_workspace, papo_group_advantages>;

// One that needs no workspace.
template <class Args, papo_status (*kCompute)(papo_engine*, const Args*)>
class SimpleComputation final : public Computation {
 public:
  Args args{};

  papo_status workspace(const papo_engine*, size_t* bytes) const override {
    *bytes = 0;
    return PAPO_OK;
  }
  papo_status compute(papo_engine* engine, void*, size_t) const override {
    return kCompute(engine, &args);
  }
};

using MaskPatchesComputation = SimpleComputation<papo_mask_patches_args, papo_mask_patches>;
using MaskPatchRowsComputation = SimpleComputation<papo_mask_patch_rows_args, papo_mask_patch_rows>;
using RandomPatchMaskComputation =
    SimpleComputation<papo_random_patch_mask_args, papo_random_patch_mask>;
using SaliencyPatchMaskComputation =
    SimpleComputation<papo_saliency_patch_mask_args, papo_saliency_patch_mask>;

struct CopyArgs {
  papo_tensor source, destination;
};

// Equal rows and columns of one dtype, on the host or on devices, one of them the engine's.
class CopyComputation final : public Computation {
 public:
  CopyArgs args{};

  papo_status workspace(const papo_engine* engine, size_t* bytes) const override;
  papo_status compute(papo_engine* engine, void* memory, size_t bytes) const override;
};

}  // namespace papo::node
