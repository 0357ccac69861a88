// The queue of a device: order, cancelling, and what an owner may rely on when it goes away.
#include "engine/job_queue.h"

#include <atomic>
#include <thread>
#include <vector>

#include "check.h"

namespace {

using papo::Job;
using papo::JobQueue;

// A door that jobs wait behind.
class Gate {
 public:
  void open() {
    const std::lock_guard<std::mutex> lock(mutex_);
    isOpen_ = true;
    changed_.notify_all();
  }
  void pass() {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [this] { return isOpen_; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool isOpen_ = false;
};

// What happened to the jobs of a test. Read by the test when nothing runs any more, or by atomics.
struct Log {
  std::mutex mutex;
  std::vector<uint64_t> executed, delivered;
  std::vector<std::thread::id> threads;
  std::atomic<int> alive{0};
  std::atomic<int> started{0};
};

class Probe final : public Job {
 public:
  Probe(const void* owner, uint64_t id, Log* log, Gate* gate = nullptr)
      : Job(owner, id), log_(log), gate_(gate) {
    ++log_->alive;
  }
  ~Probe() override { --log_->alive; }

  void execute() noexcept override {
    ++log_->started;
    if (gate_) gate_->pass();
    const std::lock_guard<std::mutex> lock(log_->mutex);
    log_->executed.push_back(id());
    log_->threads.push_back(std::this_thread::get_id());
  }
  void deliver(std::unique_ptr<Job> self) noexcept override {
    const std::lock_guard<std::mutex> lock(log_->mutex);
    CHECK(self.get() == this);
    log_->delivered.push_back(id());
  }

 private:
  Log* log_;
  Gate* gate_;
};

std::unique_ptr<Job> probe(const void* owner, uint64_t id, Log* log, Gate* gate = nullptr) {
  return std::make_unique<Probe>(owner, id, log, gate);
}

void waitFor(const std::atomic<int>& value, int expected) {
  while (value.load() != expected) std::this_thread::yield();
}

void runsInOrderOnOneOtherThread() {
  Log log;
  const int owner = 0;
  JobQueue queue;
  for (uint64_t id = 1; id <= 100; ++id) queue.push(probe(&owner, id, &log));
  waitFor(log.alive, 0);
  queue.giveUp(&owner);
  CHECK(log.executed.size() == 100);
  CHECK(log.delivered == log.executed);
  for (uint64_t i = 0; i < log.executed.size(); ++i) {
    CHECK(log.executed[i] == i + 1);
    CHECK(log.threads[i] == log.threads[0]);
    CHECK(log.threads[i] != std::this_thread::get_id());
  }
}

void cancelsOnlyWhatWaits() {
  Log log;
  const int owner = 0, other = 0;
  Gate gate;
  JobQueue queue;
  queue.push(probe(&owner, 1, &log, &gate));
  queue.push(probe(&owner, 2, &log));
  queue.push(probe(&owner, 3, &log));
  waitFor(log.started, 1);
  CHECK(!queue.cancel(&owner, 1));  // runs
  CHECK(!queue.cancel(&other, 2));  // somebody else's
  CHECK(queue.cancel(&owner, 2));
  CHECK(!queue.cancel(&owner, 2));
  CHECK(log.alive.load() == 2);
  gate.open();
  waitFor(log.alive, 0);
  queue.giveUp(&owner);
  CHECK((log.executed == std::vector<uint64_t>{1, 3}));
  CHECK(log.delivered == log.executed);
  CHECK(!queue.cancel(&owner, 3));  // done
}

// giveUp() waits for the owner's running job, drops its waiting ones and leaves those of others.
void givesUpWithAnOwner() {
  Log log;
  const int owner = 0, other = 0;
  Gate gate;
  JobQueue queue;
  queue.push(probe(&owner, 1, &log, &gate));
  queue.push(probe(&owner, 2, &log));
  queue.push(probe(&other, 3, &log));
  waitFor(log.started, 1);
  std::atomic<bool> gone{false};
  std::thread leaving([&] {
    queue.giveUp(&owner);
    gone = true;
  });
  waitFor(log.alive, 2);  // job 2 is dropped before the wait for job 1
  CHECK(!gone.load());
  gate.open();
  leaving.join();
  waitFor(log.alive, 0);
  queue.giveUp(&other);
  CHECK((log.executed == std::vector<uint64_t>{1, 3}));
}

// Owners on several threads push, cancel and leave all the time.
void standsManyOwners() {
  Log log;
  JobQueue queue;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&queue, &log] {
      for (int round = 0; round < 50; ++round) {
        const int owner = 0;
        for (uint64_t id = 1; id <= 5; ++id) queue.push(probe(&owner, id, &log));
        queue.cancel(&owner, 4);
        queue.giveUp(&owner);
      }
    });
  for (std::thread& thread : threads) thread.join();
  waitFor(log.alive, 0);
  CHECK(log.executed.size() == log.delivered.size());
}

void endsWithJobsWaiting() {
  Log log;
  Gate gate;
  const int owner = 0;
  std::thread opener;
  {
    JobQueue queue;
    queue.push(probe(&owner, 1, &log, &gate));
    queue.push(probe(&owner, 2, &log));
    waitFor(log.started, 1);
    // Opens when the destructor has dropped the waiting job.
    opener = std::thread([&] {
      waitFor(log.alive, 1);
      gate.open();
    });
  }
  opener.join();
  CHECK(log.alive.load() == 0);
  CHECK(log.executed.size() == 1);
}

void isOneForADevice() {
  CHECK(JobQueue::ofDevice(0) != nullptr);
  CHECK(JobQueue::ofDevice(0) == JobQueue::ofDevice(0));
  CHECK(JobQueue::ofDevice(0) != JobQueue::ofDevice(17));
}

}  // namespace

int main() {
  runsInOrderOnOneOtherThread();
  cancelsOnlyWhatWaits();
  givesUpWithAnOwner();
  standsManyOwners();
  endsWithJobsWaiting();
  isOneForADevice();
  return papo_test::finish();
}
