// The JavaScript object that owns a papo_engine and the workspace of its calls.
#pragma once

#include <napi.h>

#include <cstddef>

#include "errors.h"
#include "papo.h"

namespace papo::node {

// Memory that is kept from call to call and only grows.
class Workspace {
 public:
  Workspace() = default;
  ~Workspace() { release(); }
  Workspace(const Workspace&) = delete;
  Workspace& operator=(const Workspace&) = delete;

  // At least this many bytes, aligned to 64; null when there is no memory. Contents are lost.
  void* reserve(size_t bytes);
  void release();
  void* memory() const { return memory_; }
  size_t bytes() const { return bytes_; }

 private:
  void* memory_ = nullptr;
  size_t bytes_ = 0;
};

// Lives on the JavaScript thread that opened it. Closed by dispose() or, failing that, when the
// object is collected; calling dispose() again does nothing.
class Engine : public Napi::ObjectWrap<Engine> {
 public:
  static Napi::Function define(Napi::Env env);

  // The open engine behind a value. Throws for any other value: objects are known by a type tag, so
  // that no other addon's wrapped object is taken for an engine.
  static Engine& from(const Napi::Value& value);

  // new Engine(device, instructionSet | undefined, threads)
  explicit Engine(const Napi::CallbackInfo& info);
  ~Engine() override;

  papo_engine* get() const { return engine_; }

  // Runs a computation of papo.h in the memory of the last call, and asks for its bytes only where
  // that is too small: asking checks all arguments once more. Throws what the computation refuses,
  // and ERR_OUT_OF_MEMORY, naming the bytes.
  template <class Args>
  void run(Napi::Env env, const Args& args,
           papo_status (*query)(const papo_engine*, const Args*, size_t*),
           papo_status (*compute)(papo_engine*, const Args*, void*, size_t)) {
    papo_status status = compute(engine_, &args, workspace_.memory(), workspace_.bytes());
    if (status == PAPO_WORKSPACE_TOO_SMALL) {
      size_t bytes = 0;
      check(env, query(engine_, &args, &bytes));
      status = compute(engine_, &args, workspace(env, bytes), bytes);
    }
    check(env, status);
  }

 private:
  Napi::Value dispose(const Napi::CallbackInfo& info);
  Napi::Value instructionSet(const Napi::CallbackInfo& info);
  Napi::Value threads(const Napi::CallbackInfo& info);
  void Finalize(Napi::Env env) override;
  void close(Napi::Env env);
  void* workspace(Napi::Env env, size_t bytes);

  papo_engine* engine_ = nullptr;
  Workspace workspace_;
};

// instructionSets(): the names that this build and processor have, fastest first.
Napi::Value instructionSets(const Napi::CallbackInfo& info);

}  // namespace papo::node
