// What the fuzzer found, each as a test of its own: arguments that share memory, views that are none,
// and a slope that became NaN where there was no row for it.
#include <cmath>
#include <cstdint>

#include "check.h"
#include "loss_case.h"

using namespace papo_test;

namespace {

constexpr int64_t kRows = 6, kVocabSize = 5;

// A valid call on-policy with everything that another argument may be put on top of.
struct Call {
  std::vector<float> logits = std::vector<float>(kRows * kVocabSize, 0.5f), gradient = logits;
  std::vector<float> advantages = std::vector<float>(kRows, 1.0f), ratios = advantages;
  std::vector<int32_t> tokens = std::vector<int32_t>(kRows, 2);
  std::vector<int64_t> cuSeqlens = {0, 2, kRows};
  double metrics[PAPO_METRIC_COUNT] = {};
  papo_objective objective = profile("grpo");
  papo_loss_args args{};
  Engine engine = openEngine("portable");
  Workspace workspace;

  Call() {
    args.size = sizeof args;
    args.objective = &objective;
    args.cuSeqlens = cuSeqlens.data();
    args.responses = 2;
    args.logits = view(logits.data(), kRows, kVocabSize, kVocabSize, PAPO_FLOAT32);
    args.logitsGrad = view(gradient.data(), kRows, kVocabSize, kVocabSize, PAPO_FLOAT32);
    args.tokens = view(tokens.data(), kRows, 1, 1, PAPO_INT32);
    args.advantages = vectorView(advantages);
    args.ratios = vectorView(ratios);
    args.metrics = view(metrics, PAPO_METRIC_COUNT, 1, 1, PAPO_FLOAT64);
  }
  size_t bytes() {
    size_t needed = 0;
    papo_loss_workspace(engine.get(), &args, &needed);
    return needed;
  }
  papo_status run() {
    const size_t needed = bytes();
    return papo_loss(engine.get(), &args, workspace.ofSize(needed), needed);
  }
};

void outputsOnWhatIsNoTensor() {
  Call call;
  CHECK(call.run() == PAPO_OK);
  call.args.ratios = view(call.cuSeqlens.data(), kRows, 1, 1, PAPO_FLOAT32);
  CHECK(call.run() == PAPO_OVERLAP);
  CHECK(call.cuSeqlens == (std::vector<int64_t>{0, 2, kRows}));
  call.args.ratios = view(&call.objective, kRows, 1, 1, PAPO_FLOAT32);
  CHECK(call.run() == PAPO_OVERLAP);
  CHECK(papo_objective_validate(&call.objective) == PAPO_OK);
}

void workspaceOnAnArgument() {
  Call call;
  const size_t needed = call.bytes();
  std::vector<char> large(needed + 64 + sizeof(float) * kRows);
  const auto at = reinterpret_cast<uintptr_t>(large.data());
  auto* memory = reinterpret_cast<float*>((at + 63) / 64 * 64);
  for (papo_tensor papo_loss_args::*field :
       {&papo_loss_args::advantages, &papo_loss_args::ratios}) {
    Call shared;
    (shared.args.*field).data = memory + 1;
    CHECK(papo_loss(shared.engine.get(), &shared.args, memory, needed) == PAPO_OVERLAP);
  }
  for (int64_t i = 0; i < kRows; ++i) memory[i] = 1;
  call.args.advantages.data = memory + (needed + 3) / sizeof(float);  // right behind it
  CHECK(papo_loss(call.engine.get(), &call.args, memory, needed) == PAPO_OK);
}

void negativeSizes() {
  const Engine engine = openEngine("portable");
  uint8_t value = 7;
  papo_random_patch_mask_args args{};
  args.size = sizeof args;
  args.ratio = 1;
  for (int64_t rows : {INT64_C(-1), INT64_C(0), INT64_MIN}) {
    args.patchMask = view(&value, rows, 1, 1, PAPO_UINT8);
    CHECK(papo_random_patch_mask(engine.get(), &args) == PAPO_INVALID_SHAPE);
  }
  CHECK(value == 7);
}

// Overflows in the reading of views that the estimator does not need, and an output it does not write.
void viewsThatAreNotNeeded() {
  const Engine engine = openEngine("portable");
  std::vector<float> rewards = {1, 2, 3, 4}, advantages(4), others(4);
  std::vector<int32_t> ids = {0, 0, 1, 1};
  papo_advantages_args args{};
  args.size = sizeof args;
  args.rewards = vectorView(rewards);
  args.groupIds = view(ids.data(), 4, 1, 1, PAPO_INT32);
  args.advantages = vectorView(advantages);
  size_t bytes = 0;
  CHECK(papo_advantages_workspace(engine.get(), &args, &bytes) == PAPO_OK);
  args.baselines = view(others.data(), INT64_MAX, 1, INT64_MAX, PAPO_FLOAT32);
  CHECK(papo_advantages_workspace(engine.get(), &args, &bytes) == PAPO_INVALID_SHAPE);
  args.baselines = {};
  args.returns = vectorView(others);
  CHECK(papo_advantages_workspace(engine.get(), &args, &bytes) == PAPO_INVALID_ARGUMENT);
}

// 1e39 is infinite in float32; times a coefficient of 0 it made the slope of the exact KL NaN, and the
// masked row was read where there is none.
void lossScaleBeyondFloat32() {
  for (const std::string& name : instructionSetNames()) {
    if (name == "reference") continue;
    Call call;
    call.engine = openEngine(name.c_str());
    call.objective.lossScale = 1e39;
    CHECK(call.run() == PAPO_OK);
    CHECK(!std::isfinite(call.gradient[0]));
  }
}

}  // namespace

int main() {
  outputsOnWhatIsNoTensor();
  workspaceOnAnArgument();
  negativeSizes();
  viewsThatAreNotNeeded();
  lossScaleBeyondFloat32();
  return finish();
}
