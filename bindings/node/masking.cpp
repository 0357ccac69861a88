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

double readNumber(const Napi::Object& settings, const char* name) {
  return settings.Get(name).ToNumber().DoubleValue();
}

int64_t readSize(const Napi::Object& settings, const char* name) {
  return toInt64(readNumber(settings, name));
}

}  // namespace

Napi::Value maskPatches(const Napi::CallbackInfo& info) {
  Engine& engine = Engine::from(info[0]);
  const Napi::Object settings = info[1].ToObject();
  MaskPatchesComputation computation;
  papo_mask_patches_args& args = computation.args;
  args.size = sizeof args;
  args.layout = toInt32(readNumber(settings, "layout"));
  args.frames = readSize(settings, "frames");
  args.height = readSize(settings, "height");
  args.width = readSize(settings, "width");
  args.channels = readSize(settings, "channels");
  args.patchSize = readSize(settings, "patchSize");
  args.mergeSize = readSize(settings, "mergeSize");
  readTensors(info[2], info[3], kMaskPatchesSlots, &computation);
  return engine.run(info[4], computation);
}

Napi::Value maskPatchRows(const Napi::CallbackInfo& info) {
  Engine& engine = Engine::from(info[0]);
  const Napi::Object settings = info[1].ToObject();
  MaskPatchRowsComputation computation;
  papo_mask_patch_rows_args& args = computation.args;
  args.size = sizeof args;
  args.unit = toInt32(readNumber(settings, "unit"));
  args.mergeSize = readSize(settings, "mergeSize");
  readTensors(info[2], info[3], kMaskPatchRowsSlots, &computation);
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
  args.ratio = readNumber(settings, "ratio");
  readTensors(info[2], info[3], kRandomPatchMaskSlots, &computation);
  return engine.run(info[4], computation);
}

Napi::Value saliencyPatchMask(const Napi::CallbackInfo& info) {
  Engine& engine = Engine::from(info[0]);
  const Napi::Object settings = info[1].ToObject();
  SaliencyPatchMaskComputation computation;
  papo_saliency_patch_mask_args& args = computation.args;
  args.size = sizeof args;
  args.frames = readSize(settings, "frames");
  args.height = readSize(settings, "height");
  args.width = readSize(settings, "width");
  args.mergeSize = readSize(settings, "mergeSize");
  args.count = readSize(settings, "count");
  readTensors(info[2], info[3], kSaliencyPatchMaskSlots, &computation);
  return engine.run(info[4], computation);
}

}  // namespace papo::node
