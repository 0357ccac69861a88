// Threads of one engine, with a fixed partition of the work: which thread computes what depends on
// nothing but the counts, and nothing is allocated per call.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <thread>
#include <type_traits>
#include <vector>

namespace papo {

// Used from one thread at a time, which takes part as thread 0; run() does not nest.
class ThreadPool {
 public:
  // At least one thread. Where the system refuses some, the pool has fewer: see threads().
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const { return static_cast<int>(workers_.size()) + 1; }

  // Calls body(thread, begin, end) for every chunk of grain >= 1 items of [0, items); chunk c
  // belongs to thread c % threads(), which takes its chunks in order. body must not throw. Returns
  // when all is done; everything written in body is then visible to the caller.
  template <class Body>
  void run(int64_t items, int64_t grain, Body&& body) {
    using Plain = std::remove_reference_t<Body>;
    Job job;
    job.items = items;
    job.grain = grain < items ? grain : items;  // so that sums of chunks do not overflow
    job.context = const_cast<void*>(static_cast<const void*>(std::addressof(body)));
    job.call = [](void* context, int thread, int64_t begin, int64_t end) {
      (*static_cast<Plain*>(context))(thread, begin, end);
    };
    dispatch(job);
  }

 private:
  struct Job {
    int64_t items = 0;
    int64_t grain = 1;
    void* context = nullptr;
    void (*call)(void* context, int thread, int64_t begin, int64_t end) = nullptr;
  };

  void dispatch(const Job& job);
  void work(const Job& job, int thread) const;
  void serve(int thread);

  std::vector<std::thread> workers_;
  Job job_;
  std::atomic<uint64_t> generation_{0};  // grows by one per dispatched job
  std::atomic<int> pending_{0};          // workers that have not finished the job
  std::atomic<bool> stopping_{false};
  std::mutex mutex_;
  std::condition_variable started_;
  std::condition_variable finished_;
};

}  // namespace papo
