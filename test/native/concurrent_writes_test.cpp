// Arguments that another thread changes during the call, as with a SharedArrayBuffer: the result may
// be anything, but nothing outside the outputs is read or written. What leads to an address is read
// once; AddressSanitizer, or a crash, tells where it is not. Not for ThreadSanitizer: this is a race
// by intent, of the caller.
#include <atomic>
#include <cstdint>
#include <thread>

#include "check.h"
#include "loss_case.h"

using namespace papo_test;

namespace {

constexpr int64_t kResponses = 512;
constexpr int kCalls = 3000;
constexpr int64_t kTokens = 64, kVocabSize = 7;

// Between ids that are counted, sorted, one group and groups of one.
void scribble(volatile int32_t* ids, const std::atomic<bool>* stop) {
  const int32_t values[] = {0, 1, 255, 1 << 30, INT32_MIN, INT32_MAX, -1};
  for (uint32_t i = 0; !*stop; ++i)
    ids[i * 2654435761u % kResponses] = i % 3 ? static_cast<int32_t>(i % 256) : values[i % 7];
}

void groupIdsThatChange() {
  const Engine engine = openEngine("portable");
  std::vector<float> rewards(kResponses), advantages(kResponses);
  std::vector<int32_t> ids(kResponses);
  for (size_t i = 0; i < rewards.size(); ++i) {
    rewards[i] = static_cast<float>(i % 7);
    ids[i] = static_cast<int32_t>(i / 2);
  }
  papo_advantages_args args{};
  args.size = sizeof args;
  args.rewards = vectorView(rewards);
  args.groupIds = view(ids.data(), kResponses, 1, 1, PAPO_INT32);
  args.advantages = vectorView(advantages);
  size_t bytes = 0;
  CHECK(papo_advantages_workspace(engine.get(), &args, &bytes) == PAPO_OK);
  Workspace workspace;
  void* memory = workspace.ofSize(bytes);
  std::atomic<bool> stop{false};
  std::thread writer(scribble, ids.data(), &stop);
  for (int call = 0; call < kCalls; ++call) {
    const papo_status status = papo_group_advantages(engine.get(), &args, memory, bytes);
    CHECK(status == PAPO_OK || status == PAPO_INVALID_VALUE);
  }
  stop = true;
  writer.join();
}

// Ids and rows inside and outside the bounds, masks of any value.
struct TokenMemory {
  std::vector<int32_t> ids = std::vector<int32_t>(kTokens, 1), rows = ids;
  std::vector<uint8_t> mask = std::vector<uint8_t>(kTokens, 1);
};

void scribbleTokens(TokenMemory* memory, const std::atomic<bool>* stop) {
  volatile int32_t *ids = memory->ids.data(), *rows = memory->rows.data();
  volatile uint8_t* mask = memory->mask.data();
  const int32_t values[] = {0, kVocabSize - 1, 2, 1, 1 << 30, INT32_MIN};
  for (uint32_t i = 0; !*stop; ++i) {
    const uint32_t at = i * 2654435761u % kTokens;
    // Mostly sound, so that calls get as far as the rows.
    const bool isWild = i % 64 == 0;
    ids[at] = values[isWild ? 4 + i / 64 % 2 : i % 4];
    rows[at] = isWild ? values[4 + i / 64 % 2] : static_cast<int32_t>(i % kTokens);
    mask[at] = static_cast<uint8_t>(isWild ? 2 : i % 2);
    if (!isWild) continue;
    ids[at] = rows[at] = 1;
    mask[at] = 0;
  }
}

void tokensThatChange(bool sharesRows) {
  const Engine engine = openEngine("portable");
  const std::vector<float> logits(kTokens * kVocabSize, 0.25f), advantages(kTokens, 1.0f);
  std::vector<float> gradient(logits);
  double metrics[PAPO_METRIC_COUNT];
  TokenMemory memory;
  const papo_objective objective = profile("grpo");
  papo_loss_args args{};
  args.size = sizeof args;
  args.objective = &objective;
  args.responses = 1;
  args.logits = view(logits.data(), kTokens, kVocabSize, kVocabSize, PAPO_FLOAT32);
  args.logitsGrad = view(gradient.data(), kTokens, kVocabSize, kVocabSize, PAPO_FLOAT32);
  args.tokens = view(memory.ids.data(), kTokens, 1, 1, PAPO_INT32);
  if (sharesRows) args.rowIndex = view(memory.rows.data(), kTokens, 1, 1, PAPO_INT32);
  args.responseMask = maskView(memory.mask);
  args.advantages = vectorView(advantages);
  args.metrics = view(metrics, PAPO_METRIC_COUNT, 1, 1, PAPO_FLOAT64);
  size_t bytes = 0;
  CHECK(papo_loss_workspace(engine.get(), &args, &bytes) == PAPO_OK);
  Workspace workspace;
  void* space = workspace.ofSize(bytes);
  std::atomic<bool> stop{false};
  std::thread writer(scribbleTokens, &memory, &stop);
  int done = 0;
  for (int call = 0; call < kCalls; ++call) {
    const papo_status status = papo_loss(engine.get(), &args, space, bytes);
    CHECK(status == PAPO_OK || status == PAPO_INVALID_VALUE);
    done += status == PAPO_OK;
  }
  stop = true;
  writer.join();
  CHECK(done > 0);
}

}  // namespace

int main() {
  tokensThatChange(false);
  tokensThatChange(true);
  groupIdsThatChange();
  return finish();
}
