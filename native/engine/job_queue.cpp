#include "engine/job_queue.h"

#include <algorithm>
#include <cstdlib>
#include <map>
#include <new>
#include <utility>

#include "cpu/spin.h"
#include "papo.h"

namespace papo {
namespace {

// About 100 microseconds: a caller that awaits each call before the next is back by then.
constexpr int kSpins = 10000;

// Never deleted, and reachable, so that it is no leak.
std::map<int32_t, JobQueue*>* queues = nullptr;

// Registered after the runtime of CUDA has registered its own end, and so called before it: node's
// process.exit() runs no hook of an environment's.
void stopDevices() {
  for (const auto& [device, queue] : *queues)
    if (device != PAPO_CPU) queue->stop();
}

}  // namespace

JobQueue* JobQueue::ofDevice(int32_t device) {
  static std::mutex mutex;
  static bool stopsAtExit = false;
  const std::lock_guard<std::mutex> lock(mutex);
  try {
    if (!queues) queues = new std::map<int32_t, JobQueue*>;
    JobQueue*& queue = (*queues)[device];
    if (!queue) queue = new JobQueue;
    if (device != PAPO_CPU && !stopsAtExit) stopsAtExit = std::atexit(stopDevices) == 0;
    return queue;
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}

JobQueue::~JobQueue() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    waiting_.clear();
    stopping_ = true;
    isIdle_ = false;
  }
  arrived_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void JobQueue::push(std::unique_ptr<Job> job) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!thread_.joinable()) thread_ = std::thread([this] { serve(); });
  waiting_.push_back(std::move(job));
  isIdle_ = false;
  arrived_.notify_one();
}

bool JobQueue::cancel(const void* owner, uint64_t id) {
  std::unique_ptr<Job> job;  // destroyed outside of the lock
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto at = std::find_if(waiting_.begin(), waiting_.end(), [&](const auto& waiting) {
    return waiting->owner() == owner && waiting->id() == id;
  });
  if (at == waiting_.end()) return false;
  job = std::move(*at);
  waiting_.erase(at);
  return true;
}

void JobQueue::giveUp(const void* owner) {
  std::unique_lock<std::mutex> lock(mutex_);
  waiting_.erase(std::remove_if(waiting_.begin(), waiting_.end(),
                                [owner](const auto& job) { return job->owner() == owner; }),
                 waiting_.end());
  finished_.wait(lock, [&] { return running_ != owner; });
}

void JobQueue::stop() {
  if (thread_.get_id() == std::this_thread::get_id()) return;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    // At the end of the process, where what jobs hold may be gone already.
    for (std::unique_ptr<Job>& job : waiting_) job.release();
    waiting_.clear();
    stopping_ = true;
    isIdle_ = false;
  }
  arrived_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void JobQueue::serve() {
  std::unique_lock<std::mutex> lock(mutex_);
  for (;;) {
    isIdle_ = waiting_.empty() && !stopping_;
    if (isIdle_) {
      lock.unlock();
      spinUntil(kSpins, [this] { return !isIdle_; });
      lock.lock();
    }
    arrived_.wait(lock, [this] { return stopping_ || !waiting_.empty(); });
    if (waiting_.empty()) return;
    std::unique_ptr<Job> job = std::move(waiting_.front());
    waiting_.pop_front();
    running_ = job->owner();
    lock.unlock();
    Job& work = *job;
    work.execute();
    work.deliver(std::move(job));
    lock.lock();
    running_ = nullptr;
    finished_.notify_all();
  }
}

}  // namespace papo
