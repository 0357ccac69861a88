// The JavaScript object behind an engine: the lanes in which its computations run.
#pragma once

#include <napi.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "errors.h"
#include "jobs.h"
#include "lane.h"
#include "papo.h"

namespace papo::node {

// Lives on the JavaScript thread that opened it. Closed by dispose() or, failing that, when the
// object is collected; calling dispose() again does nothing. Calls that are queued by then still
// run: they hold the lane they run in.
class Engine : public Napi::ObjectWrap<Engine> {
 public:
  static Napi::Function define(Napi::Env env);

  // The open engine behind a value. Throws for any other value: objects are known by a type tag, so
  // that no other addon's wrapped object is taken for an engine.
  static Engine& from(const Napi::Value& value);

  // new Engine(device, instructionSet | undefined, threads, stream | undefined)
  explicit Engine(const Napi::CallbackInfo& info);

  // In which calls on the thread of JavaScript run; queued ones follow it in the same stream.
  const std::shared_ptr<Lane>& lane() const { return lane_; }

  // Runs a computation now and returns undefined; or, where jobs is given, queues a copy of it and
  // returns the number of the job. Throws what the computation refuses when run now; what it refuses
  // in the queue goes to settled().
  template <class AnyComputation>
  Napi::Value run(const Napi::Value& jobs, const AnyComputation& computation) {
    if (jobs.IsUndefined()) return runNow(jobs.Env(), computation);
    return enqueue(jobs, std::make_unique<AnyComputation>(computation));
  }

 private:
  Napi::Value dispose(const Napi::CallbackInfo& info);
  Napi::Value instructionSet(const Napi::CallbackInfo& info);
  Napi::Value threads(const Napi::CallbackInfo& info);
  Napi::Value stream(const Napi::CallbackInfo& info);
  Napi::Value synchronize(const Napi::CallbackInfo& info);
  // memoryInfo(): [bytes free, bytes in all] of the device
  Napi::Value memoryInfo(const Napi::CallbackInfo& info);
  void Finalize(Napi::Env env) override;
  void close(Napi::Env env);
  Napi::Value runNow(Napi::Env env, const Computation& computation);
  Napi::Value enqueue(const Napi::Value& jobs, std::unique_ptr<Computation> computation);
  // owner: of the stream that the lane shares, if any.
  std::shared_ptr<Lane> openLane(Napi::Env env, std::shared_ptr<Lane> owner) const;

  int32_t device_;
  int32_t threads_;
  std::string instructionSet_;  // empty: the fastest
  void* stream_ = nullptr;      // the caller's
  // Two, so that a call on this thread never waits for one in the queue. The second is opened by the
  // first queued call.
  std::shared_ptr<Lane> lane_, queuedLane_;
};

// instructionSets(): the names that this build and processor have, fastest first.
Napi::Value instructionSets(const Napi::CallbackInfo& info);

}  // namespace papo::node
