#include "engine.h"

#include <new>
#include <string>

#include "errors.h"

namespace papo::node {
namespace {

constexpr std::align_val_t kAlignment{64};
constexpr napi_type_tag kEngineTag = {0x8d1f4be2a9c3475eULL, 0xb6e05f7c21d84a93ULL};

papo_engine_options readOptions(const Napi::CallbackInfo& info, std::string* instructionSet) {
  papo_engine_options options{};
  options.size = sizeof options;
  options.device = info[0].ToNumber().Int32Value();
  options.threads = info[2].ToNumber().Int32Value();
  if (info[1].IsString()) {
    *instructionSet = info[1].As<Napi::String>().Utf8Value();
    options.instructionSet = instructionSet->c_str();
  }
  return options;
}

}  // namespace

void* Workspace::reserve(size_t bytes) {
  if (bytes <= bytes_) return memory_;
  release();
  memory_ = ::operator new(bytes, kAlignment, std::nothrow);
  bytes_ = memory_ ? bytes : 0;
  return memory_;
}

void Workspace::release() {
  ::operator delete(memory_, kAlignment);
  memory_ = nullptr;
  bytes_ = 0;
}

Napi::Function Engine::define(Napi::Env env) {
  return DefineClass(env, "Engine",
                     {InstanceMethod<&Engine::dispose>("dispose"),
                      InstanceMethod<&Engine::instructionSet>("instructionSet"),
                      InstanceMethod<&Engine::threads>("threads")});
}

Engine& Engine::from(const Napi::Value& value) {
  const Napi::Env env = value.Env();
  if (!value.IsObject() || !value.As<Napi::Object>().CheckTypeTag(&kEngineTag))
    throwInvalid(env, "ERR_INVALID_ARGUMENT", "engine", "an engine", "another value");
  Engine* engine = Unwrap(value.As<Napi::Object>());
  if (!engine->engine_)
    throwInvalid(env, "ERR_DISPOSED", "engine", "an open engine", "one that was disposed");
  return *engine;
}

Engine::Engine(const Napi::CallbackInfo& info) : Napi::ObjectWrap<Engine>(info) {
  info.This().As<Napi::Object>().TypeTag(&kEngineTag);
  std::string instructionSet;
  const papo_engine_options options = readOptions(info, &instructionSet);
  check(info.Env(), papo_engine_open(&options, &engine_));
}

Engine::~Engine() { papo_engine_close(engine_); }

void Engine::Finalize(Napi::Env env) { close(env); }

void Engine::close(Napi::Env env) {
  const auto bytes = static_cast<int64_t>(workspace_.bytes());
  papo_engine_close(engine_);
  engine_ = nullptr;
  workspace_.release();
  if (bytes > 0) Napi::MemoryManagement::AdjustExternalMemory(env, -bytes);
}

// The garbage collector is told of the memory, so that engines nobody disposed are collected in
// time: without it an engine looks as small as its JavaScript object.
void* Engine::workspace(Napi::Env env, size_t bytes) {
  const auto before = static_cast<int64_t>(workspace_.bytes());
  void* memory = workspace_.reserve(bytes);
  const auto after = static_cast<int64_t>(workspace_.bytes());
  if (after != before) Napi::MemoryManagement::AdjustExternalMemory(env, after - before);
  if (bytes > 0 && !memory)
    throwInvalid(env, "ERR_OUT_OF_MEMORY", "workspace", std::to_string(bytes) + " bytes",
                 "no memory");
  return memory;
}

Napi::Value Engine::dispose(const Napi::CallbackInfo& info) {
  close(info.Env());
  return info.Env().Undefined();
}

Napi::Value Engine::instructionSet(const Napi::CallbackInfo& info) {
  return Napi::String::New(info.Env(), papo_engine_instruction_set(engine_));
}

Napi::Value Engine::threads(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), papo_engine_threads(engine_));
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
