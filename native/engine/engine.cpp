#include "engine/engine.h"

#include <cstring>
#include <memory>
#include <new>
#include <thread>

#include "cuda/operations.h"
#include "engine/placement.h"
#include "engine/status.h"

#ifndef PAPO_VERSION
#define PAPO_VERSION "0.1.0"
#endif

namespace papo {
namespace {

constexpr int kMaxThreads = 1024;

// What a CUDA engine says it is; its kernels are chosen by cuda/launch_config.h.
const InstructionSet kCudaInstructions = {"cuda", [] { return true; }, {}};

int hardwareThreads() {
  const unsigned count = std::thread::hardware_concurrency();
  return count == 0 ? 1 : static_cast<int>(count);
}

}  // namespace
}  // namespace papo

papo_engine::papo_engine(int32_t cudaDevice)
    : instructionSet(&papo::kCudaInstructions), pool(1), device(cudaDevice) {}

papo_engine::~papo_engine() {
  if (cuda) papo::cuda::closeContext(cuda);
}

namespace papo {
namespace {

papo_status openOnCpu(const papo_engine_options& options, papo_engine** engine) {
  if (options.stream)
    return fail(PAPO_INVALID_ARGUMENT, "stream: expected null for an engine of the CPU, got %p",
                options.stream);
  if (options.threads < 0 || options.threads > kMaxThreads)
    return fail(PAPO_INVALID_OPTION, "threads: expected 0 (automatic) to %d, got %d", kMaxThreads,
                options.threads);
  const InstructionSet* set = findInstructionSet(options.instructionSet);
  if (!set)
    return fail(PAPO_UNAVAILABLE,
                "instructionSet: \"%s\" is not among those of this build and processor",
                options.instructionSet ? options.instructionSet : "");
  *engine =
      new (std::nothrow) papo_engine(set, options.threads ? options.threads : hardwareThreads());
  return *engine ? PAPO_OK : fail(PAPO_OUT_OF_MEMORY, "engine: out of memory");
}

papo_status openOnCuda(const papo_engine_options& options, papo_engine** engine) {
  if (options.threads != 0)
    return fail(PAPO_INVALID_OPTION, "threads: expected 0 for a CUDA engine, got %d",
                options.threads);
  if (options.instructionSet && std::strcmp(options.instructionSet, kCudaInstructions.name) != 0)
    return fail(PAPO_UNAVAILABLE, "instructionSet: expected \"%s\" for a CUDA engine, got \"%s\"",
                kCudaInstructions.name, options.instructionSet);
  std::unique_ptr<papo_engine> opened(new (std::nothrow) papo_engine(options.device));
  if (!opened) return fail(PAPO_OUT_OF_MEMORY, "engine: out of memory");
  PAPO_TRY(cuda::openContext(deviceIndex(options.device), options.stream, &opened->cuda));
  *engine = opened.release();
  return PAPO_OK;
}

}  // namespace

papo_status requireCudaEngine(const papo_engine* engine) {
  if (engine && engine->isCuda()) return PAPO_OK;
  return fail(PAPO_INVALID_ARGUMENT, "engine: expected a CUDA engine, got %s",
              engine ? "one of the CPU" : "null");
}

}  // namespace papo

using papo::fail;

extern "C" {

int32_t papo_abi_version(void) { return PAPO_ABI_VERSION; }
const char* papo_version(void) { return PAPO_VERSION; }

int32_t papo_engine_device(const papo_engine* engine) { return engine ? engine->device : PAPO_CPU; }
void* papo_engine_stream(const papo_engine* engine) {
  return engine && engine->isCuda() ? papo::cuda::streamOf(*engine->cuda) : nullptr;
}

papo_status papo_engine_open(const papo_engine_options* options, papo_engine** engine) {
  if (!options || !engine)
    return fail(PAPO_INVALID_ARGUMENT, "papo_engine_open: expected options and engine, got null");
  *engine = nullptr;
  if (options->size != sizeof *options)
    return fail(PAPO_INVALID_ARGUMENT, "options: expected size %zu, got %zu", sizeof *options,
                options->size);
  if (options->device == PAPO_CPU) return papo::openOnCpu(*options, engine);
  if (options->device > 0 && papo::deviceKind(options->device) == PAPO_CUDA)
    return papo::openOnCuda(*options, engine);
  return fail(PAPO_INVALID_OPTION, "device: expected papo_device_kind + 16 * index, got %d",
              options->device);
}

void papo_engine_close(papo_engine* engine) { delete engine; }

papo_status papo_engine_synchronize(papo_engine* engine) {
  if (!engine) return fail(PAPO_INVALID_ARGUMENT, "engine: expected an engine, got null");
  return engine->isCuda() ? papo::cuda::synchronize(engine->cuda) : PAPO_OK;
}

const char* papo_engine_instruction_set(const papo_engine* engine) {
  return engine ? engine->instructionSet->name : "";
}

int32_t papo_engine_threads(const papo_engine* engine) {
  return engine && !engine->isCuda() ? engine->pool.threads() : 0;
}

int32_t papo_instruction_sets(const char** names, int32_t capacity) {
  const papo::InstructionSetList list = papo::instructionSets();
  int32_t count = 0;
  for (int i = 0; i < list.count; ++i) {
    if (!list.first[i]->supported()) continue;
    if (names && count < capacity) names[count] = list.first[i]->name;
    ++count;
  }
  return count;
}

papo_status papo_instruction_set_at(int32_t index, papo_instruction_set_info* info) {
  if (!info) return fail(PAPO_INVALID_ARGUMENT, "info: expected a struct, got null");
  if (info->size != sizeof *info)
    return fail(PAPO_INVALID_ARGUMENT, "info: expected size %zu, got %zu", sizeof *info,
                info->size);
  const papo::InstructionSetList list = papo::instructionSets();
  if (index < 0 || index >= list.count)
    return fail(PAPO_INVALID_VALUE, "index: expected 0 to %d, got %d", list.count - 1, index);
  const papo::InstructionSet& set = *list.first[index];
  *info = {sizeof *info, set.name, set.features, set.supported() ? 1 : 0};
  return PAPO_OK;
}

}  // extern "C"
