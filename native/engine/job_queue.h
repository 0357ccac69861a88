// The line in which computations of a device wait that were handed over by threads with other work:
// one thread of its own runs them one after the other, in the order of their arrival, because each of
// them uses all cores. Everything in the process that uses the device stands in the same line.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>

namespace papo {

class Job {
 public:
  // Whose jobs are given up together, and a number that is unique among the owner's.
  Job(const void* owner, uint64_t id) : owner_(owner), id_(id) {}
  virtual ~Job() = default;
  const void* owner() const { return owner_; }
  uint64_t id() const { return id_; }

  // Both on the thread of the queue; deliver() follows execute() and takes the job over.
  virtual void execute() noexcept = 0;
  virtual void deliver(std::unique_ptr<Job> self) noexcept = 0;

 private:
  const void* owner_;
  uint64_t id_;
};

class JobQueue {
 public:
  // Of a device, for as long as the process lives: it is never destroyed, so that no order of
  // destruction at exit matters. Null where there is no memory for another. With a CUDA device
  // exit() waits for the job that runs, because the runtime of CUDA ends there.
  static JobQueue* ofDevice(int32_t device);

  JobQueue() = default;
  JobQueue(const JobQueue&) = delete;
  JobQueue& operator=(const JobQueue&) = delete;
  // Gives up what waits and ends the thread.
  ~JobQueue();

  // Starts the thread with the first job. Throws std::bad_alloc or std::system_error, and has done
  // nothing then.
  void push(std::unique_ptr<Job> job);
  // Whether the job still waited; it is destroyed then, undelivered.
  bool cancel(const void* owner, uint64_t id);
  // Destroys the owner's jobs that wait and returns once none of them runs: nothing that belongs to
  // the owner is used afterwards.
  void giveUp(const void* owner);
  // Returns once no job runs; none will any more. Those that wait are neither run nor destroyed.
  void stop();

 private:
  void serve();

  std::mutex mutex_;
  std::condition_variable arrived_, finished_;
  std::deque<std::unique_ptr<Job>> waiting_;
  const void* running_ = nullptr;  // owner of the job that runs
  bool stopping_ = false;
  std::atomic<bool> isIdle_{true};  // nothing waits, and the end is not near
  std::thread thread_;
};

}  // namespace papo
