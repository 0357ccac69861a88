#include "event.h"

#include "engine.h"
#include "errors.h"

namespace papo::node {
namespace {

constexpr napi_type_tag kEventTag = {0xc29a6e10b48f4d73ULL, 0x86d35f0b9ce1724aULL};

}  // namespace

Napi::Function Event::define(Napi::Env env) {
  return DefineClass(
      env, "Event",
      {InstanceMethod<&Event::wait>("wait"), InstanceMethod<&Event::synchronize>("synchronize"),
       InstanceMethod<&Event::elapsedSince>("elapsedSince"),
       InstanceMethod<&Event::dispose>("dispose")});
}

Event& Event::from(const Napi::Value& value, const char* name) {
  const Napi::Env env = value.Env();
  if (!value.IsObject() || !value.As<Napi::Object>().CheckTypeTag(&kEventTag))
    throwInvalid(env, "ERR_INVALID_ARGUMENT", name, "an event", "another value");
  Event* event = Unwrap(value.As<Napi::Object>());
  if (!event->event_)
    throwInvalid(env, "ERR_DISPOSED", name, "an event in use", "one that was disposed");
  return *event;
}

Event::Event(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<Event>(info), lane_(Engine::from(info[0]).lane()) {
  info.This().As<Napi::Object>().TypeTag(&kEventTag);
  check(info.Env(), papo_event_create(lane_->engine(), &event_));
  const papo_status status = papo_event_record(lane_->engine(), event_);
  if (status == PAPO_OK) return;
  const std::string message = papo_last_message();
  close();
  throwError(info.Env(), errorCode(status), message);
}

void Event::close() {
  if (event_) papo_event_destroy(event_);
  event_ = nullptr;
  lane_.reset();
}

Napi::Value Event::wait(const Napi::CallbackInfo& info) {
  papo_event* event = from(info.This(), "event").event_;
  check(info.Env(), papo_event_wait(Engine::from(info[0]).lane()->engine(), event));
  return info.Env().Undefined();
}

Napi::Value Event::synchronize(const Napi::CallbackInfo& info) {
  check(info.Env(), papo_event_synchronize(from(info.This(), "event").event_));
  return info.Env().Undefined();
}

Napi::Value Event::elapsedSince(const Napi::CallbackInfo& info) {
  papo_event* to = from(info.This(), "event").event_;
  papo_event* since = from(info[0], "earlier").event_;
  float milliseconds = 0;
  check(info.Env(), papo_event_elapsed(since, to, &milliseconds));
  return Napi::Number::New(info.Env(), milliseconds);
}

Napi::Value Event::dispose(const Napi::CallbackInfo& info) {
  close();
  return info.Env().Undefined();
}

}  // namespace papo::node
