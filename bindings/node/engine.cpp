#include "engine.h"

namespace papo::node {
namespace {

constexpr napi_type_tag kEngineTag = {0x8d1f4be2a9c3475eULL, 0xb6e05f7c21d84a93ULL};

}  // namespace

Napi::Function Engine::define(Napi::Env env) {
  return DefineClass(
      env, "Engine",
      {InstanceMethod<&Engine::dispose>("dispose"),
       InstanceMethod<&Engine::instructionSet>("instructionSet"),
       InstanceMethod<&Engine::threads>("threads"), InstanceMethod<&Engine::stream>("stream"),
       InstanceMethod<&Engine::synchronize>("synchronize"),
       InstanceMethod<&Engine::memoryInfo>("memoryInfo")});
}

Engine& Engine::from(const Napi::Value& value) {
  const Napi::Env env = value.Env();
  if (!value.IsObject() || !value.As<Napi::Object>().CheckTypeTag(&kEngineTag))
    throwInvalid(env, "ERR_INVALID_ARGUMENT", "engine", "an engine", "another value");
  Engine* engine = Unwrap(value.As<Napi::Object>());
  if (!engine->lane_)
    throwInvalid(env, "ERR_DISPOSED", "engine", "an open engine", "one that was disposed");
  return *engine;
}

Engine::Engine(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<Engine>(info),
      device_(info[0].ToNumber().Int32Value()),
      threads_(info[2].ToNumber().Int32Value()) {
  info.This().As<Napi::Object>().TypeTag(&kEngineTag);
  if (info[1].IsString()) instructionSet_ = info[1].As<Napi::String>().Utf8Value();
  if (info[3].IsBigInt()) {
    bool isLossless = false;
    const uint64_t handle = info[3].As<Napi::BigInt>().Uint64Value(&isLossless);
    stream_ = reinterpret_cast<void*>(static_cast<uintptr_t>(handle));
  }
  lane_ = openLane(info.Env(), nullptr);
}

std::shared_ptr<Lane> Engine::openLane(Napi::Env env, std::shared_ptr<Lane> owner) const {
  papo_engine_options options{};
  options.size = sizeof options;
  options.device = device_;
  options.threads = threads_;
  options.instructionSet = instructionSet_.empty() ? nullptr : instructionSet_.c_str();
  options.stream = stream_;
  auto lane = std::make_shared<Lane>();
  check(env, owner ? lane->open(options, std::move(owner)) : lane->open(options));
  return lane;
}

void Engine::Finalize(Napi::Env env) { close(env); }

void Engine::close(Napi::Env env) {
  // Memory of a device that is still in use keeps the lane.
  if (lane_) lane_->dropWorkspace();
  for (std::shared_ptr<Lane>* lane : {&lane_, &queuedLane_}) {
    if (*lane) reportMemory(env, lane->get(), 0);
    lane->reset();
  }
}

Napi::Value Engine::runNow(Napi::Env env, const Computation& computation) {
  const Outcome outcome = lane_->run(computation);
  reportMemory(env, lane_.get(), lane_->bytes());
  if (outcome.status != PAPO_OK) throwError(env, errorCode(outcome.status), outcome.message);
  return env.Undefined();
}

Napi::Value Engine::enqueue(const Napi::Value& jobs, std::unique_ptr<Computation> computation) {
  const Napi::Env env = jobs.Env();
  if (!queuedLane_) queuedLane_ = openLane(env, lane_->isOnDevice() ? lane_ : nullptr);
  return Jobs::from(jobs).enqueue(env, device_, queuedLane_, std::move(computation));
}

Napi::Value Engine::dispose(const Napi::CallbackInfo& info) {
  close(info.Env());
  return info.Env().Undefined();
}

Napi::Value Engine::instructionSet(const Napi::CallbackInfo& info) {
  return Napi::String::New(info.Env(),
                           papo_engine_instruction_set(lane_ ? lane_->engine() : nullptr));
}

Napi::Value Engine::threads(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), papo_engine_threads(lane_ ? lane_->engine() : nullptr));
}

Napi::Value Engine::stream(const Napi::CallbackInfo& info) {
  const void* stream = papo_engine_stream(from(info.This()).lane_->engine());
  return Napi::BigInt::New(info.Env(), static_cast<uint64_t>(reinterpret_cast<uintptr_t>(stream)));
}

Napi::Value Engine::synchronize(const Napi::CallbackInfo& info) {
  check(info.Env(), papo_engine_synchronize(from(info.This()).lane_->engine()));
  return info.Env().Undefined();
}

Napi::Value Engine::memoryInfo(const Napi::CallbackInfo& info) {
  size_t freeBytes = 0, totalBytes = 0;
  check(info.Env(), papo_memory_info(from(info.This()).lane_->engine(), &freeBytes, &totalBytes));
  Napi::Array list = Napi::Array::New(info.Env(), 2);
  list.Set(0u, Napi::Number::New(info.Env(), static_cast<double>(freeBytes)));
  list.Set(1u, Napi::Number::New(info.Env(), static_cast<double>(totalBytes)));
  return list;
}

Napi::Value instructionSets(const Napi::CallbackInfo& info) {
  constexpr int32_t kCapacity = 16;
  const char* names[kCapacity];
  int32_t count = papo_instruction_sets(names, kCapacity);
  if (count > kCapacity) count = kCapacity;
  Napi::Array list = Napi::Array::New(info.Env(), static_cast<size_t>(count));
  for (int32_t i = 0; i < count; ++i)
    list.Set(static_cast<uint32_t>(i), Napi::String::New(info.Env(), names[i]));
  return list;
}

}  // namespace papo::node
