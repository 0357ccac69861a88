// Memory and threads that run out: every allocation of opening an engine fails once, and the call
// gives an engine or PAPO_OUT_OF_MEMORY; no exception leaves the C interface. Computations allocate
// nothing at all, which is held against the same counter.
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <new>

#include "check.h"
#include "loss_case.h"
#include "sanitizers.h"

using namespace papo_test;

namespace {

std::atomic<long> allocations{0};
std::atomic<long> failingAllocation{-1};  // the one that fails, counted from 0; -1: none

void* allocate(size_t bytes) {
  if (allocations++ == failingAllocation) return nullptr;
  return std::malloc(bytes ? bytes : 1);
}
void* allocateOrThrow(size_t bytes) {
  void* memory = allocate(bytes);
  if (!memory) throw std::bad_alloc();
  return memory;
}

}  // namespace

// The functions of the whole program, as far as the engine uses them.
void* operator new(size_t bytes) { return allocateOrThrow(bytes); }
void* operator new[](size_t bytes) { return allocateOrThrow(bytes); }
void* operator new(size_t bytes, const std::nothrow_t&) noexcept { return allocate(bytes); }
void* operator new[](size_t bytes, const std::nothrow_t&) noexcept { return allocate(bytes); }
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, size_t) noexcept { std::free(memory); }

namespace {

// From the first allocation on, one after the other fails until opening needs no more of them.
void everyAllocationOfAnEngine(int32_t threads) {
  int failures = 0;
  for (long n = 0;; ++n) {
    const papo_engine_options options{sizeof options, PAPO_CPU, threads, nullptr, nullptr};
    papo_engine* engine = nullptr;
    allocations = 0;
    failingAllocation = n;
    const papo_status status = papo_engine_open(&options, &engine);
    failingAllocation = -1;
    const bool failed = allocations > n;
    CHECK(status == PAPO_OK || status == PAPO_OUT_OF_MEMORY);
    CHECK((status == PAPO_OK) == (engine != nullptr));
    if (status == PAPO_OUT_OF_MEMORY) CHECK(std::strstr(papo_last_message(), "memory"));
    if (status == PAPO_OK) {
      const int32_t running = papo_engine_threads(engine);
      CHECK(running >= 1 && running <= threads);
      if (!failed) CHECK(running == threads);
    }
    papo_engine_close(engine);
    if (!failed) break;
    ++failures;
  }
  CHECK(failures >= 1);
}

// Bytes of address space in use.
size_t addressSpace() {
  size_t pages = 0;
  std::FILE* file = std::fopen("/proc/self/statm", "r");
  if (!file || std::fscanf(file, "%zu", &pages) != 1) pages = 0;
  if (file) std::fclose(file);
  return pages * static_cast<size_t>(sysconf(_SC_PAGESIZE));
}

// Opened where there is no room for the stack of a thread; sanitizers need all address space.
Engine openWithoutThreads() {
  rlimit before;
  CHECK(getrlimit(RLIMIT_AS, &before) == 0);
  rlimit tight = before;
  tight.rlim_cur = addressSpace() + (1 << 20);
  CHECK(setrlimit(RLIMIT_AS, &tight) == 0);
  Engine engine = openEngine("portable", 4);
  CHECK(setrlimit(RLIMIT_AS, &before) == 0);
  return engine;
}

// An engine whose threads the system refused computes the same with those it has. The first engine
// of the program: later ones reuse the stacks of ended threads.
void refusedThreads() {
  const Engine small = openWithoutThreads();
  CHECK(small != nullptr);
  if (!small) return;
  CHECK(papo_engine_threads(small.get()) < 4);
  const Engine full = openEngine("portable", 4);
  CHECK(papo_engine_threads(full.get()) == 4);
  const LossInputs in = LossInputs::random(5, 3, 40, 503);
  const LossRun<float, float> expected(full.get(), in, profile("papoExact"));
  const LossRun<float, float> run(small.get(), in, profile("papoExact"));
  CHECK(std::memcmp(run.metrics, expected.metrics, sizeof run.metrics) == 0);
  CHECK(run.logitsGrad == expected.logitsGrad);
}

// A call allocates nothing; not even an error does.
void computationsAllocateNothing() {
  const Engine engine = openEngine("portable", 2);
  std::vector<float> logits(40 * 601, 0.5f), gradient(logits), advantages(40, 1.0f);
  std::vector<int32_t> tokens(40, 7);
  double metrics[PAPO_METRIC_COUNT];
  for (const char* name : {"grpo", "gspo"}) {
    const papo_objective objective = profile(name);
    papo_loss_args args{};
    args.size = sizeof args;
    args.objective = &objective;
    args.responses = 4;
    args.logits = view(logits.data(), 40, 601, 601, PAPO_FLOAT32);
    args.logitsGrad = view(gradient.data(), 40, 601, 601, PAPO_FLOAT32);
    args.tokens = view(tokens.data(), 40, 1, 1, PAPO_INT32);
    args.advantages = vectorView(advantages);
    args.metrics = view(metrics, PAPO_METRIC_COUNT, 1, 1, PAPO_FLOAT64);
    size_t bytes = 0;
    CHECK(papo_loss_workspace(engine.get(), &args, &bytes) == PAPO_OK);
    Workspace workspace;
    void* memory = workspace.ofSize(bytes);
    const long before = allocations;
    CHECK(papo_loss(engine.get(), &args, memory, bytes) == PAPO_OK);
    CHECK(papo_loss(engine.get(), &args, memory, bytes - 1) == PAPO_WORKSPACE_TOO_SMALL);
    CHECK(allocations == before);
  }
}

void advantagesAllocateNothing() {
  const Engine engine = openEngine("portable");
  std::vector<float> rewards(64), advantages(64);
  std::vector<int32_t> ids(64);
  for (size_t i = 0; i < 64; ++i) {
    rewards[i] = static_cast<float>(i % 5);
    ids[i] = static_cast<int32_t>(i * 7919 % 16) << 20;  // far apart: they are sorted
  }
  papo_advantages_args args{};
  args.size = sizeof args;
  args.rewards = vectorView(rewards);
  args.groupIds = view(ids.data(), 64, 1, 1, PAPO_INT32);
  args.advantages = vectorView(advantages);
  size_t bytes = 0;
  CHECK(papo_advantages_workspace(engine.get(), &args, &bytes) == PAPO_OK);
  Workspace workspace;
  void* memory = workspace.ofSize(bytes);
  const long before = allocations;
  CHECK(papo_group_advantages(engine.get(), &args, memory, bytes) == PAPO_OK);
  args.epsilon = -1;
  CHECK(papo_group_advantages(engine.get(), &args, memory, bytes) == PAPO_INVALID_OPTION);
  CHECK(allocations == before);
}

}  // namespace

int main() {
  if (!kSanitized) refusedThreads();
  for (int32_t threads : {1, 2, 5}) everyAllocationOfAnEngine(threads);
  computationsAllocateNothing();
  advantagesAllocateNothing();
  return finish();
}
