// Memory of a device as JavaScript holds it.
//
// Objects of JavaScript and queued calls share a block, which is freed with the last of them, on the
// thread of JavaScript and in the order of the stream in which it was allocated.
#pragma once

#include <napi.h>

#include <cstddef>
#include <memory>

#include "lane.h"
#include "papo.h"

namespace papo::node {

class DeviceBlock {
 public:
  enum class Kind { pool, shareable, imported, foreign };

  DeviceBlock(Kind kind, std::shared_ptr<Lane> lane, void* data, size_t bytes);
  ~DeviceBlock();
  DeviceBlock(const DeviceBlock&) = delete;
  DeviceBlock& operator=(const DeviceBlock&) = delete;

  void* data() const { return data_; }
  size_t bytes() const { return bytes_; }
  int32_t device() const { return papo_engine_device(lane_->engine()); }
  // The caller's memory, which the garbage collector has no part in.
  bool isForeign() const { return kind_ == Kind::foreign; }

 private:
  Kind kind_;
  std::shared_ptr<Lane> lane_;  // stays open until the block is freed
  void* data_;
  size_t bytes_;
};

// new DeviceMemory('pool' | 'shareable', engine, bytes)
// new DeviceMemory('pointer', engine, bytes, pointer): somebody else's, checked with the driver
// new DeviceMemory('imported', engine, bytes, handle, offset): another process's
// new DeviceMemory('view', memory, bytes, offset): a part, which keeps the whole alive
class DeviceMemory : public Napi::ObjectWrap<DeviceMemory> {
 public:
  static Napi::Function define(Napi::Env env);
  // Null for any other value. Throws where it was disposed; name is the argument in the message.
  static DeviceMemory* tryFrom(const Napi::Value& value, const char* name);
  static DeviceMemory& from(const Napi::Value& value, const char* name);

  explicit DeviceMemory(const Napi::CallbackInfo& info);

  void* data() const { return static_cast<char*>(block_->data()) + offset_; }
  size_t bytes() const { return bytes_; }
  const std::shared_ptr<DeviceBlock>& block() const { return block_; }

 private:
  void open(const Napi::CallbackInfo& info, const std::string& kind);
  void openView(const Napi::CallbackInfo& info);
  void report(Napi::Env env, bool isHeld);
  void Finalize(Napi::Env env) override;

  Napi::Value pointer(const Napi::CallbackInfo& info);
  Napi::Value device(const Napi::CallbackInfo& info);
  // clear(engine): all bytes 0; returns when it is done
  Napi::Value clear(const Napi::CallbackInfo& info);
  // share(engine): { handle, offset } for another process
  Napi::Value share(const Napi::CallbackInfo& info);
  Napi::Value dispose(const Napi::CallbackInfo& info);

  std::shared_ptr<DeviceBlock> block_;
  size_t offset_ = 0;
  size_t bytes_ = 0;
  int64_t reported_ = 0;  // bytes that the garbage collector was told of
};

// pinnedBuffer(engine, bytes): an ArrayBuffer on host memory that the device copies from directly.
Napi::Value pinnedBuffer(const Napi::CallbackInfo& info);

}  // namespace papo::node
