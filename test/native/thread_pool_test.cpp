// The thread pool: who computes what, and that everything is done when run() returns.
#include "cpu/thread_pool.h"

#include <chrono>
#include <thread>
#include <vector>

#include "check.h"

namespace {

using papo::ThreadPool;

// Every item once, by the thread that its chunk belongs to, in whole chunks.
void fixedPartition(int threads, int64_t items, int64_t grain) {
  ThreadPool pool(threads);
  CHECK(pool.threads() == (threads < 1 ? 1 : threads));
  std::vector<int> owner(static_cast<size_t>(items), -1), visits(static_cast<size_t>(items), 0);
  std::vector<int64_t> last(static_cast<size_t>(pool.threads()), -1);
  std::vector<int> wrongChunks(static_cast<size_t>(pool.threads()), 0);
  pool.run(items, grain, [&](int thread, int64_t begin, int64_t end) {
    const size_t t = static_cast<size_t>(thread);
    const bool whole = begin % grain == 0 && (end - begin == grain || end == items);
    wrongChunks[t] += !whole || begin <= last[t];
    last[t] = begin;
    for (int64_t i = begin; i < end; ++i) {
      owner[static_cast<size_t>(i)] = thread;
      ++visits[static_cast<size_t>(i)];
    }
  });
  for (int wrong : wrongChunks) CHECK(wrong == 0);
  for (int64_t i = 0; i < items; ++i) {
    CHECK(visits[static_cast<size_t>(i)] == 1);
    CHECK(owner[static_cast<size_t>(i)] == i / grain % pool.threads());
  }
}

void runsOnDistinctThreads() {
  ThreadPool pool(3);
  std::vector<std::thread::id> ids(3);
  pool.run(3, 1, [&](int thread, int64_t, int64_t) {
    ids[static_cast<size_t>(thread)] = std::this_thread::get_id();
  });
  CHECK(ids[0] == std::this_thread::get_id());
  CHECK(ids[1] != ids[0]);
  CHECK(ids[2] != ids[0]);
  CHECK(ids[1] != ids[2]);
}

// Dispatches right after each other and after the workers have gone to sleep.
void manyDispatches() {
  ThreadPool pool(4);
  std::vector<int64_t> sums(4, 0);
  for (int round = 0; round < 20000; ++round) {
    if (round % 5000 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    pool.run(16, 2, [&](int thread, int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) sums[static_cast<size_t>(thread)] += i;
    });
  }
  // Chunks c and c + 4 of two items each: 2c + (2c + 1) + (2c + 8) + (2c + 9).
  for (int64_t c = 0; c < 4; ++c) CHECK(sums[static_cast<size_t>(c)] == 20000 * (8 * c + 18));
}

void unusedPool() {
  for (int threads = 1; threads < 5; ++threads) {
    ThreadPool pool(threads);
    CHECK(pool.threads() == threads);
  }
}

void noItemsAndHugeGrain() {
  ThreadPool pool(3);
  int calls = 0;
  pool.run(0, 1, [&](int, int64_t, int64_t) { ++calls; });
  CHECK(calls == 0);
  pool.run(5, INT64_MAX, [&](int thread, int64_t begin, int64_t end) {
    calls += thread == 0 && begin == 0 && end == 5;
  });
  CHECK(calls == 1);
}

}  // namespace

int main() {
  for (int threads : {0, 1, 2, 3, 7})
    for (int64_t items : {1, 2, 5, 64, 1000})
      for (int64_t grain : {1, 3, 64}) fixedPartition(threads, items, grain);
  runsOnDistinctThreads();
  manyDispatches();
  unusedPool();
  noItemsAndHugeGrain();
  return papo_test::finish();
}
