#include "jobs.h"

#include <algorithm>
#include <new>
#include <system_error>
#include <utility>

#include "errors.h"

namespace papo::node {
namespace {

constexpr napi_type_tag kJobsTag = {0x51c6a2f7e8304d19ULL, 0x9b27d4e86fa1c053ULL};

}  // namespace

class Jobs::LaneJob final : public Job {
 public:
  LaneJob(Jobs* jobs, uint64_t id, std::shared_ptr<Lane> lane,
          std::unique_ptr<Computation> computation)
      : Job(jobs, id), jobs_(jobs), lane_(std::move(lane)), computation_(std::move(computation)) {}

  void execute() noexcept override {
    outcome_ = lane_->run(*computation_);
    bytes_ = lane_->bytes();
  }
  // The owner waits for this in close(), so its mailbox is there.
  void deliver(std::unique_ptr<Job> self) noexcept override {
    if (jobs_->mailbox_.NonBlockingCall(this) == napi_ok) self.release();
  }

  const Outcome& outcome() const { return outcome_; }
  // A lane that nobody else holds ends with this job.
  void reportMemory(Napi::Env env) const {
    node::reportMemory(env, lane_.get(), lane_.use_count() > 1 ? bytes_ : 0);
  }

 private:
  Jobs* jobs_;
  std::shared_ptr<Lane> lane_;
  std::unique_ptr<Computation> computation_;
  Outcome outcome_;
  size_t bytes_ = 0;  // of the lane's workspace afterwards
};

Napi::Function Jobs::define(Napi::Env env) {
  return DefineClass(env, "Jobs", {InstanceMethod<&Jobs::cancel>("cancel")});
}

Jobs& Jobs::from(const Napi::Value& value) {
  if (!value.IsObject() || !value.As<Napi::Object>().CheckTypeTag(&kJobsTag))
    throwInvalid(value.Env(), "ERR_INTERNAL", "jobs", "a Jobs object", "another value");
  return *Unwrap(value.As<Napi::Object>());
}

// The hook is added after the mailbox has added its own, and such hooks run in reverse order: the
// mailbox still works while close() waits for the job that runs.
Jobs::Jobs(const Napi::CallbackInfo& info) : Napi::ObjectWrap<Jobs>(info), env_(info.Env()) {
  if (!info[0].IsFunction())
    throwInvalid(info.Env(), "ERR_INTERNAL", "settled", "a function", "another value");
  info.This().As<Napi::Object>().TypeTag(&kJobsTag);
  mailbox_ = Mailbox::New(info.Env(), info[0].As<Napi::Function>(), "papo-kernels", 0, 1, this);
  mailbox_.Unref(info.Env());
  napi_add_env_cleanup_hook(env_, &Jobs::closeHook, this);
}

Jobs::~Jobs() {
  if (isClosed_ || !mailbox_) return;
  napi_remove_env_cleanup_hook(env_, &Jobs::closeHook, this);
  close();
}

void Jobs::closeHook(void* jobs) { static_cast<Jobs*>(jobs)->close(); }

void Jobs::close() {
  if (isClosed_) return;
  isClosed_ = true;
  for (JobQueue* queue : queues_) queue->giveUp(this);
  mailbox_.Abort();
}

void Jobs::countOne(Napi::Env env, int change) {
  if (pending_ == 0) mailbox_.Ref(env);
  pending_ += change;
  if (pending_ == 0) mailbox_.Unref(env);
}

Napi::Value Jobs::enqueue(Napi::Env env, int32_t device, std::shared_ptr<Lane> lane,
                          std::unique_ptr<Computation> computation) {
  const uint64_t id = ++last_;
  try {
    JobQueue* queue = JobQueue::ofDevice(device);
    if (!queue) throw std::bad_alloc();
    if (std::find(queues_.begin(), queues_.end(), queue) == queues_.end()) queues_.push_back(queue);
    queue->push(std::make_unique<LaneJob>(this, id, std::move(lane), std::move(computation)));
  } catch (const std::bad_alloc&) {
    throwInvalid(env, "ERR_OUT_OF_MEMORY", "queue", "memory for a call", "none");
  } catch (const std::system_error& error) {
    throwInvalid(env, "ERR_OUT_OF_MEMORY", "queue", "a thread", error.what());
  }
  countOne(env, 1);
  return Napi::Number::New(env, static_cast<double>(id));
}

Napi::Value Jobs::cancel(const Napi::CallbackInfo& info) {
  const auto job = static_cast<uint64_t>(info[0].ToNumber().Int64Value());
  const bool cancelled = std::any_of(queues_.begin(), queues_.end(),
                                     [&](JobQueue* queue) { return queue->cancel(this, job); });
  if (cancelled) countOne(info.Env(), -1);
  return Napi::Boolean::New(info.Env(), cancelled);
}

// Without an environment the thread of JavaScript is ending, and nobody waits for the outcome.
void Jobs::settle(Napi::Env env, Napi::Function settled, Jobs* jobs, LaneJob* delivered) {
  const std::unique_ptr<LaneJob> job(delivered);
  if (env == nullptr) return;
  jobs->countOne(env, -1);
  job->reportMemory(env);
  const Outcome& outcome = job->outcome();
  const Napi::Value id = Napi::Number::New(env, static_cast<double>(job->id()));
  if (outcome.status == PAPO_OK)
    settled.Call({id, env.Undefined(), env.Undefined()});
  else
    settled.Call({id, Napi::String::New(env, errorCode(outcome.status)),
                  Napi::String::New(env, outcome.message)});
}

void reportMemory(Napi::Env env, Lane* lane, size_t bytes) {
  const auto now = static_cast<int64_t>(bytes);
  if (now == lane->reported) return;
  Napi::MemoryManagement::AdjustExternalMemory(env, now - lane->reported);
  lane->reported = now;
}

}  // namespace papo::node
