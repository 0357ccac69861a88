#include "cpu/thread_pool.h"

#include <new>
#include <system_error>

#include "cpu/spin.h"

namespace papo {
namespace {

// Turns of waiting before a thread sleeps: some tens of microseconds, the time it takes to wake a
// sleeping one, so that a dispatch right after another does not pay for it.
constexpr int kSpins = 2000;

}  // namespace

ThreadPool::ThreadPool(int threads) {
  if (threads <= 1) return;
  // The threads that did start do the work.
  try {
    workers_.reserve(static_cast<size_t>(threads) - 1);
    for (int i = 1; i < threads; ++i) workers_.emplace_back([this, i] { serve(i); });
  } catch (const std::system_error&) {
  } catch (const std::bad_alloc&) {
  }
}

ThreadPool::~ThreadPool() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
  }
  started_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::work(const Job& job, int thread) const {
  const int64_t stride = job.grain * threads();
  for (int64_t begin = job.grain * thread; begin < job.items; begin += stride) {
    const int64_t end = job.items - begin < job.grain ? job.items : begin + job.grain;
    job.call(job.context, thread, begin, end);
  }
}

void ThreadPool::dispatch(const Job& job) {
  // A single chunk belongs to thread 0: nobody needs to be woken.
  if (workers_.empty() || job.items <= job.grain) return work(job, 0);
  {
    std::lock_guard<std::mutex> lock(mutex_);
    job_ = job;
    pending_ = static_cast<int>(workers_.size());
    ++generation_;
  }
  started_.notify_all();
  work(job, 0);
  const auto done = [this] { return pending_ == 0; };
  if (spinUntil(kSpins, done)) return;
  std::unique_lock<std::mutex> lock(mutex_);
  finished_.wait(lock, done);
}

void ThreadPool::serve(int thread) {
  for (uint64_t seen = 0;; ++seen) {
    const auto called = [this, seen] { return generation_ != seen || stopping_; };
    if (!spinUntil(kSpins, called)) {
      std::unique_lock<std::mutex> lock(mutex_);
      started_.wait(lock, called);
    }
    if (generation_ == seen) return;
    work(job_, thread);
    if (--pending_ == 0) {
      // With the lock held: the caller either sees 0 before it waits or is waiting already.
      std::lock_guard<std::mutex> lock(mutex_);
      finished_.notify_one();
    }
  }
}

}  // namespace papo
