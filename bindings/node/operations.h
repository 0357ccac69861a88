// The computations as JavaScript functions. Each parses its arguments into the plain struct of
// papo.h and runs it with the engine's workspace. They return nothing: outputs are the caller's.
#pragma once

#include <napi.h>

namespace papo::node {

// loss(engine, objective, slots, shapes, cuSeqlens | undefined, responses, gradNorm)
// objective: the numbers of PAPO_OBJECTIVE_FIELDS in order.
Napi::Value loss(const Napi::CallbackInfo& info);

// tokenLogProbs(engine, temperature, slots, shapes)
Napi::Value tokenLogProbs(const Napi::CallbackInfo& info);

// advantages(engine, { estimator, scale, epsilon, discount, responses }, slots, shapes,
//            cuSeqlens | undefined)
Napi::Value advantages(const Napi::CallbackInfo& info);

// maskPatches(engine, { height, width, channels, patchSize }, slots, shapes)
Napi::Value maskPatches(const Napi::CallbackInfo& info);

// randomPatchMask(engine, { seed, prompt, image, ratio }, slots, shapes); seed and prompt: bigint
Napi::Value randomPatchMask(const Napi::CallbackInfo& info);

// preferHugePages(typedArray): a hint to the system for memory that has not been written yet.
Napi::Value preferHugePages(const Napi::CallbackInfo& info);

}  // namespace papo::node
