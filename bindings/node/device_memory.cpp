#include "device_memory.h"

#include <cstring>
#include <string>
#include <utility>

#include "descriptor.h"
#include "engine.h"
#include "errors.h"

namespace papo::node {
namespace {

constexpr napi_type_tag kMemoryTag = {0x3f7be8d90c5241a6ULL, 0xa1d94c0e72f65b38ULL};

size_t readBytes(const Napi::Value& value, const char* name) {
  const int64_t bytes = toInt64(value.ToNumber().DoubleValue());
  if (bytes < 0)
    throwInvalid(value.Env(), "ERR_INTERNAL", name, "a whole number of bytes", "another value");
  return static_cast<size_t>(bytes);
}

void* readPointer(const Napi::Value& value) {
  bool isLossless = false;
  const uint64_t number = value.IsBigInt() ? value.As<Napi::BigInt>().Uint64Value(&isLossless) : 0;
  if (!isLossless || number == 0)
    throwInvalid(value.Env(), "ERR_INVALID_ARGUMENT", "pointer", "an address", "another value");
  return reinterpret_cast<void*>(static_cast<uintptr_t>(number));
}

papo_ipc_memory readHandle(const Napi::Value& handle, const Napi::Value& offset) {
  papo_ipc_memory memory{};
  memory.size = sizeof memory;
  memory.offset = static_cast<int64_t>(readBytes(offset, "offset"));
  const bool fits =
      handle.IsTypedArray() && handle.As<Napi::TypedArray>().ByteLength() == sizeof memory.handle;
  if (!fits || handle.As<Napi::TypedArray>().TypedArrayType() != napi_uint8_array)
    throwInvalid(handle.Env(), "ERR_INTERNAL", "handle", "64 bytes", "another value");
  std::memcpy(memory.handle, handle.As<Napi::Uint8Array>().Data(), sizeof memory.handle);
  return memory;
}

// The other process said how long it is; this one does not take its word for it.
void* openImported(Napi::Env env, papo_engine* engine, const papo_ipc_memory& memory,
                   size_t bytes) {
  void* data = nullptr;
  check(env, papo_ipc_open(engine, &memory, &data));
  const papo_status status = papo_memory_require(engine, data, bytes);
  if (status == PAPO_OK) return data;
  const std::string message = papo_last_message();
  papo_ipc_close(engine, data);
  throwError(env, errorCode(status), message);
}

}  // namespace

DeviceBlock::DeviceBlock(Kind kind, std::shared_ptr<Lane> lane, void* data, size_t bytes)
    : kind_(kind), lane_(std::move(lane)), data_(data), bytes_(bytes) {}

DeviceBlock::~DeviceBlock() {
  papo_engine* engine = lane_->engine();
  if (kind_ == Kind::pool) papo_memory_free(engine, data_);
  if (kind_ == Kind::shareable) papo_memory_free_shareable(engine, data_);
  if (kind_ == Kind::imported) papo_ipc_close(engine, data_);
}

Napi::Function DeviceMemory::define(Napi::Env env) {
  return DefineClass(
      env, "DeviceMemory",
      {InstanceMethod<&DeviceMemory::pointer>("pointer"),
       InstanceMethod<&DeviceMemory::device>("device"),
       InstanceMethod<&DeviceMemory::clear>("clear"), InstanceMethod<&DeviceMemory::share>("share"),
       InstanceMethod<&DeviceMemory::dispose>("dispose")});
}

DeviceMemory* DeviceMemory::tryFrom(const Napi::Value& value, const char* name) {
  if (!value.IsObject() || !value.As<Napi::Object>().CheckTypeTag(&kMemoryTag)) return nullptr;
  DeviceMemory* memory = Unwrap(value.As<Napi::Object>());
  if (!memory->block_)
    throwInvalid(value.Env(), "ERR_DISPOSED", name, "memory in use", "some that was disposed");
  return memory;
}

DeviceMemory& DeviceMemory::from(const Napi::Value& value, const char* name) {
  if (DeviceMemory* memory = tryFrom(value, name)) return *memory;
  throwInvalid(value.Env(), "ERR_INVALID_ARGUMENT", name, "memory of a device", "another value");
}

DeviceMemory::DeviceMemory(const Napi::CallbackInfo& info) : Napi::ObjectWrap<DeviceMemory>(info) {
  const std::string kind = info[0].ToString().Utf8Value();
  bytes_ = readBytes(info[2], "bytes");
  if (kind == "view")
    openView(info);
  else
    open(info, kind);
  info.This().As<Napi::Object>().TypeTag(&kMemoryTag);
  report(info.Env(), true);
}

void DeviceMemory::openView(const Napi::CallbackInfo& info) {
  const DeviceMemory& whole = from(info[1], "memory");
  const size_t offset = readBytes(info[3], "offset");
  if (bytes_ > whole.bytes_ || offset > whole.bytes_ - bytes_)
    throwInvalid(info.Env(), "ERR_INVALID_SHAPE", "offset", "a part of the memory",
                 std::to_string(offset));
  block_ = whole.block_;
  offset_ = whole.offset_ + offset;
}

void DeviceMemory::open(const Napi::CallbackInfo& info, const std::string& kind) {
  using Kind = DeviceBlock::Kind;
  const Napi::Env env = info.Env();
  const std::shared_ptr<Lane>& lane = Engine::from(info[1]).lane();
  papo_engine* engine = lane->engine();
  void* data = nullptr;
  Kind blockKind = Kind::pool;
  if (kind == "pool") {
    check(env, papo_memory_allocate(engine, bytes_, &data));
  } else if (kind == "shareable") {
    check(env, papo_memory_allocate_shareable(engine, bytes_, &data));
    blockKind = Kind::shareable;
  } else if (kind == "pointer") {
    data = readPointer(info[3]);
    check(env, papo_memory_require(engine, data, bytes_));
    blockKind = Kind::foreign;
  } else if (kind == "imported") {
    data = openImported(env, engine, readHandle(info[3], info[4]), bytes_);
    blockKind = Kind::imported;
  } else {
    throwInvalid(env, "ERR_INTERNAL", "kind", "a kind of memory", kind);
  }
  block_ = std::make_shared<DeviceBlock>(blockKind, lane, data, bytes_);
}

// What a view holds it reports itself, so that the whole, whose own object is soon collected, is
// counted once for each part that is in use.
void DeviceMemory::report(Napi::Env env, bool isHeld) {
  const bool counts = isHeld && block_ && !block_->isForeign();
  const int64_t now = counts ? static_cast<int64_t>(bytes_) : 0;
  if (now != reported_) Napi::MemoryManagement::AdjustExternalMemory(env, now - reported_);
  reported_ = now;
}

void DeviceMemory::Finalize(Napi::Env env) {
  report(env, false);
  block_.reset();
}

Napi::Value DeviceMemory::dispose(const Napi::CallbackInfo& info) {
  report(info.Env(), false);
  block_.reset();
  return info.Env().Undefined();
}

Napi::Value DeviceMemory::pointer(const Napi::CallbackInfo& info) {
  const DeviceMemory& memory = from(info.This(), "memory");
  return Napi::BigInt::New(info.Env(),
                           static_cast<uint64_t>(reinterpret_cast<uintptr_t>(memory.data())));
}

Napi::Value DeviceMemory::device(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), from(info.This(), "memory").block_->device());
}

Napi::Value DeviceMemory::clear(const Napi::CallbackInfo& info) {
  const DeviceMemory& memory = from(info.This(), "memory");
  papo_engine* engine = Engine::from(info[0]).lane()->engine();
  check(info.Env(), papo_memory_set(engine, memory.data(), 0, memory.bytes_));
  check(info.Env(), papo_engine_synchronize(engine));
  return info.Env().Undefined();
}

Napi::Value DeviceMemory::share(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const DeviceMemory& memory = from(info.This(), "memory");
  papo_ipc_memory shared{};
  shared.size = sizeof shared;
  check(env, papo_ipc_export(Engine::from(info[0]).lane()->engine(), memory.data(), &shared));
  Napi::Uint8Array handle = Napi::Uint8Array::New(env, sizeof shared.handle);
  std::memcpy(handle.Data(), shared.handle, sizeof shared.handle);
  Napi::Object result = Napi::Object::New(env);
  result.Set("handle", handle);
  result.Set("offset", Napi::Number::New(env, static_cast<double>(shared.offset)));
  return result;
}

Napi::Value pinnedBuffer(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const std::shared_ptr<Lane>& lane = Engine::from(info[0]).lane();
  const size_t bytes = readBytes(info[1], "bytes");
  void* data = nullptr;
  check(env, papo_memory_allocate_pinned(lane->engine(), bytes, &data));
  std::memset(data, 0, bytes);
  // The lane lives until the buffer is collected, which happens on this thread.
  auto* owner = new std::shared_ptr<Lane>(lane);
  const auto free = [](napi_env, void* pinned, void* hint) {
    auto* lane = static_cast<std::shared_ptr<Lane>*>(hint);
    papo_memory_free_pinned((*lane)->engine(), pinned);
    delete lane;
  };
  napi_value buffer = nullptr;
  if (napi_create_external_arraybuffer(env, data, bytes, free, owner, &buffer) == napi_ok)
    return Napi::Value(env, buffer);
  free(env, data, owner);
  throwInvalid(env, "ERR_UNAVAILABLE", "pinned", "a runtime with external buffers", "none");
}

}  // namespace papo::node
