// Computations that JavaScript has handed to the queue of a device, and the way back of their outcomes.
//
// The arrays of a job are kept alive by lib/queue.ts, which holds every call until settled() was called
// with its number; when the thread of JavaScript ends, what waits is dropped and what runs is waited
// for, before the arrays go.
#pragma once

#include <napi.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "engine/job_queue.h"
#include "lane.h"

namespace papo::node {

// new Jobs(settled): settled(job, code, message) is called for every job that was not cancelled, with
// undefined twice where it succeeded. Lives on one thread of JavaScript, main or worker.
class Jobs : public Napi::ObjectWrap<Jobs> {
 public:
  static Napi::Function define(Napi::Env env);
  // As Engine::from.
  static Jobs& from(const Napi::Value& value);

  explicit Jobs(const Napi::CallbackInfo& info);
  ~Jobs() override;

  // The number of the job, from 1. Throws ERR_OUT_OF_MEMORY where the system has no memory or thread
  // left.
  Napi::Value enqueue(Napi::Env env, int32_t device, std::shared_ptr<Lane> lane,
                      std::unique_ptr<Computation> computation);

 private:
  class LaneJob;
  static void settle(Napi::Env env, Napi::Function settled, Jobs* jobs, LaneJob* job);
  using Mailbox = Napi::TypedThreadSafeFunction<Jobs, LaneJob, &Jobs::settle>;

  // cancel(job): whether it had not begun; it never will then, and settled() is not called.
  Napi::Value cancel(const Napi::CallbackInfo& info);
  static void closeHook(void* jobs);
  void close();
  void countOne(Napi::Env env, int change);

  napi_env env_;
  Mailbox mailbox_;
  std::vector<JobQueue*> queues_;  // in which jobs of this object may be
  uint64_t last_ = 0;
  int pending_ = 0;  // the thread of JavaScript lives on as long as there are any
  bool isClosed_ = false;
};

// Tells the garbage collector what a lane holds, so that engines nobody disposed are collected in
// time: without it an engine looks as small as its JavaScript object.
void reportMemory(Napi::Env env, Lane* lane, size_t bytes);

}  // namespace papo::node
