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

}  // namespace

int main() {
  groupIdsThatChange();
  return finish();
}
