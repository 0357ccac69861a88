// The computations as JavaScript functions. Each parses its arguments into the plain struct of
// papo.h. Without the last argument it runs them at once and returns undefined; with one, a Jobs
// object, it queues them and returns the number of the job. Outputs are the caller's.
#pragma once

#include <napi.h>

namespace papo::node {

// loss(engine, objective, slots, shapes, cuSeqlens | undefined, responses, gradNorm, jobs?)
// objective: the numbers of PAPO_OBJECTIVE_FIELDS in order.
Napi::Value loss(const Napi::CallbackInfo& info);

// tokenLogProbs(engine, temperature, slots, shapes, jobs?)
Napi::Value tokenLogProbs(const Napi::CallbackInfo& info);

// advantages(engine, { estimator, scale, epsilon, discount, responses }, slots, shapes,
//            cuSeqlens | undefined, jobs?)
Napi::Value advantages(const Napi::CallbackInfo& info);

// maskPatches(engine, { layout, frames, height, width, channels, patchSize, mergeSize }, slots, shapes,
//             jobs?)
Napi::Value maskPatches(const Napi::CallbackInfo& info);

// maskPatchRows(engine, { unit, mergeSize }, slots, shapes, jobs?)
Napi::Value maskPatchRows(const Napi::CallbackInfo& info);

// randomPatchMask(engine, { seed, prompt, image, ratio }, slots, shapes, jobs?)
// seed and prompt: bigint
Napi::Value randomPatchMask(const Napi::CallbackInfo& info);

// saliencyPatchMask(engine, { frames, height, width, mergeSize, count }, slots, shapes, jobs?)
Napi::Value saliencyPatchMask(const Napi::CallbackInfo& info);

// copy(engine, slots, shapes, jobs?): engine is one of a device that takes part
Napi::Value copy(const Napi::CallbackInfo& info);

// preferHugePages(typedArray): a hint to the system for memory that has not been written yet.
Napi::Value preferHugePages(const Napi::CallbackInfo& info);

// compiledInstructionSets(): [{ name, features, usable }], fastest first
Napi::Value compiledInstructionSets(const Napi::CallbackInfo& info);

// cudaDriver(): the fields of papo_cuda_driver; state is a word, devices is an array
Napi::Value cudaDriver(const Napi::CallbackInfo& info);

}  // namespace papo::node
