#include "computations.h"
#include "descriptor.h"
#include "engine.h"
#include "errors.h"
#include "operations.h"
#include "slots.h"

namespace papo::node {
namespace {

uint64_t readUint64(const Napi::Object& settings, const char* name) {
  const Napi::Value value = settings.Get(name);
  bool lossless = false;
  const uint64_t number = value.IsBigInt() ? value.As<Napi::BigInt>().Uint64Value(&lossless) : 0;
  if (!lossless)
    throwInvalid(value.Env(), "ERR_INVALID_OPTION", name, "a whole number from 0 to 2^64 - 1",
                 "another value");
  return number;
}

}  // namespace

Napi::Value maskPatches(const Napi::CallbackInfo& info) {
  Engine& engine = Engine::from(info[0]);
  const Napi::Object settings = info[1].ToObject();
  const auto size = [&](const char* name) {
    return toInt64(settings.Get(name).ToNumber().DoubleValue());
  };
  MaskPatchesComputation computation;
  papo_mask_patches_args& args = computation.args;
  args.size = sizeof args;
  args.height = size("height");
  args.width = size("width");
  args.channels = size("channels");
  args.patchSize = size("patchSize");
  readTensors(info[2], info[3], kMaskPatchesSlots, &args);
  return engine.run(info[4], computation);
}

Napi::Value randomPatchMask(const Napi::CallbackInfo& info) {
  Engine& engine = Engine::from(info[0]);
  const Napi::Object settings = info[1].ToObject();
  RandomPatchMaskComputation computation;
  papo_random_patch_mask_args& args = computation.args;
  args.size = sizeof args;
  args.seed = readUint64(settings, "seed");
  args.prompt = readUint64(settings, "prompt");
  args.image = settings.Get("image").ToNumber().Uint32Value();
  args.ratio = settings.Get("ratio").ToNumber().DoubleValue();
  readTensors(info[2], info[3], kRandomPatchMaskSlots, &args);
  return engine.run(info[4], computation);
}

}  // namespace papo::node
