// What require() of the binary gives. lib/native.ts holds the same list as a TypeScript type. There
// is no static state: every worker thread that loads the addon has an export table of its own.
#include <napi.h>

#include "device_memory.h"
#include "engine.h"
#include "event.h"
#include "jobs.h"
#include "operations.h"
#include "slots.h"

namespace {

using namespace papo::node;

// Names in the order in which this binary reads them.
Napi::Object layout(Napi::Env env) {
  static constexpr const char* kObjectiveFields[] = {
#define PAPO_FIELD_NAME(field) #field,
      PAPO_OBJECTIVE_FIELDS(PAPO_FIELD_NAME, PAPO_FIELD_NAME)
#undef PAPO_FIELD_NAME
  };
  Napi::Array objective = Napi::Array::New(env, PAPO_OBJECTIVE_FIELD_COUNT);
  for (uint32_t i = 0; i < PAPO_OBJECTIVE_FIELD_COUNT; ++i)
    objective.Set(i, Napi::String::New(env, kObjectiveFields[i]));
  Napi::Object names = Napi::Object::New(env);
  names.Set("objective", objective);
  names.Set("loss", slotNames(env, kLossSlots));
  names.Set("tokenLogProbs", slotNames(env, kTokenLogProbsSlots));
  names.Set("advantages", slotNames(env, kAdvantagesSlots));
  names.Set("maskPatches", slotNames(env, kMaskPatchesSlots));
  names.Set("maskPatchRows", slotNames(env, kMaskPatchRowsSlots));
  names.Set("randomPatchMask", slotNames(env, kRandomPatchMaskSlots));
  names.Set("saliencyPatchMask", slotNames(env, kSaliencyPatchMaskSlots));
  names.Set("copy", slotNames(env, kCopySlots));
  return names;
}

Napi::Object initialize(Napi::Env env, Napi::Object exports) {
  exports.Set("abiVersion", Napi::Number::New(env, papo_abi_version()));
  exports.Set("version", Napi::String::New(env, papo_version()));
  exports.Set("metricCount", Napi::Number::New(env, PAPO_METRIC_COUNT));
  exports.Set("layout", layout(env));
  exports.Set("Engine", Engine::define(env));
  exports.Set("Jobs", Jobs::define(env));
  exports.Set("DeviceMemory", DeviceMemory::define(env));
  exports.Set("Event", Event::define(env));
  exports.Set("instructionSets", Napi::Function::New<instructionSets>(env));
  exports.Set("loss", Napi::Function::New<loss>(env));
  exports.Set("tokenLogProbs", Napi::Function::New<tokenLogProbs>(env));
  exports.Set("advantages", Napi::Function::New<advantages>(env));
  exports.Set("maskPatches", Napi::Function::New<maskPatches>(env));
  exports.Set("maskPatchRows", Napi::Function::New<maskPatchRows>(env));
  exports.Set("randomPatchMask", Napi::Function::New<randomPatchMask>(env));
  exports.Set("saliencyPatchMask", Napi::Function::New<saliencyPatchMask>(env));
  exports.Set("copy", Napi::Function::New<copy>(env));
  exports.Set("pinnedBuffer", Napi::Function::New<pinnedBuffer>(env));
  exports.Set("preferHugePages", Napi::Function::New<preferHugePages>(env));
  exports.Set("compiledInstructionSets", Napi::Function::New<compiledInstructionSets>(env));
  exports.Set("cudaDriver", Napi::Function::New<cudaDriver>(env));
  return exports;
}

}  // namespace

NODE_API_MODULE(NODE_GYP_MODULE_NAME, initialize)
