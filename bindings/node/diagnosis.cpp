// What this build and this machine have, as plain objects: lib/doctor turns them into sentences.
#include "errors.h"
#include "operations.h"

namespace papo::node {
namespace {

const char* stateName(int32_t state) {
  switch (state) {
    case PAPO_CUDA_DRIVER_READY:
      return "ready";
    case PAPO_CUDA_DRIVER_ABSENT:
      return "absent";
    case PAPO_CUDA_DRIVER_INCOMPLETE:
      return "incomplete";
    default:
      return "failed";
  }
}

Napi::Array deviceList(Napi::Env env, const papo_cuda_driver& driver) {
  Napi::Array list = Napi::Array::New(env);
  for (int32_t i = 0; i < driver.deviceCount && i < PAPO_CUDA_DEVICE_CAPACITY; ++i) {
    const papo_cuda_device& device = driver.devices[i];
    Napi::Object entry = Napi::Object::New(env);
    entry.Set("name", Napi::String::New(env, device.name));
    entry.Set("major", Napi::Number::New(env, device.major));
    entry.Set("minor", Napi::Number::New(env, device.minor));
    entry.Set("memory", Napi::Number::New(env, static_cast<double>(device.memory)));
    list.Set(static_cast<uint32_t>(i), entry);
  }
  return list;
}

}  // namespace

Napi::Value compiledInstructionSets(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Napi::Array list = Napi::Array::New(env);
  papo_instruction_set_info set{};
  set.size = sizeof set;
  for (uint32_t i = 0; papo_instruction_set_at(static_cast<int32_t>(i), &set) == PAPO_OK; ++i) {
    Napi::Object entry = Napi::Object::New(env);
    entry.Set("name", Napi::String::New(env, set.name));
    entry.Set("features", Napi::String::New(env, set.features));
    entry.Set("usable", Napi::Boolean::New(env, set.usable == 1));
    list.Set(i, entry);
  }
  return list;
}

Napi::Value cudaDriver(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  papo_cuda_driver driver{};
  driver.size = sizeof driver;
  check(env, papo_cuda_driver_info(&driver));
  Napi::Object out = Napi::Object::New(env);
  out.Set("runtimeVersion", Napi::Number::New(env, driver.runtimeVersion));
  out.Set("driverVersion", Napi::Number::New(env, driver.driverVersion));
  out.Set("state", Napi::String::New(env, stateName(driver.state)));
  out.Set("result", Napi::Number::New(env, driver.result));
  out.Set("function", Napi::String::New(env, driver.function));
  out.Set("message", Napi::String::New(env, driver.message));
  out.Set("deviceCount", Napi::Number::New(env, driver.deviceCount));
  out.Set("devices", deviceList(env, driver));
  return out;
}

}  // namespace papo::node
