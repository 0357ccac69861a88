// A point in the stream of an engine, as JavaScript holds it.
#pragma once

#include <napi.h>

#include <memory>

#include "lane.h"
#include "papo.h"

namespace papo::node {

// new Event(engine): the point behind everything that the engine was given by now.
class Event : public Napi::ObjectWrap<Event> {
 public:
  static Napi::Function define(Napi::Env env);

  explicit Event(const Napi::CallbackInfo& info);
  ~Event() override { close(); }

 private:
  static Event& from(const Napi::Value& value, const char* name);
  // wait(engine): what the engine is given from now on begins behind this point.
  Napi::Value wait(const Napi::CallbackInfo& info);
  // synchronize(): returns when the point has passed.
  Napi::Value synchronize(const Napi::CallbackInfo& info);
  // elapsedSince(event): milliseconds between two points that have passed.
  Napi::Value elapsedSince(const Napi::CallbackInfo& info);
  Napi::Value dispose(const Napi::CallbackInfo& info);
  void close();

  std::shared_ptr<Lane> lane_;  // its device stays open
  papo_event* event_ = nullptr;
};

}  // namespace papo::node
