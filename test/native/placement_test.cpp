// Every tensor of every call is held against the engine's device, before anything is read.
#include <cstring>
#include <string>

#include "check.h"
#include "fuzz/fields.h"
#include "papo.h"

namespace {

papo_engine* openCpu() {
  papo_engine_options options{};
  options.size = sizeof options;
  options.threads = 1;
  papo_engine* engine = nullptr;
  CHECK(papo_engine_open(&options, &engine) == PAPO_OK);
  return engine;
}

papo_status call(papo_engine* engine, const papo_token_log_probs_args& args) {
  return papo_token_log_probs(engine, &args, nullptr, 0);
}
papo_status call(papo_engine* engine, const papo_loss_args& args) {
  return papo_loss(engine, &args, nullptr, 0);
}
papo_status call(papo_engine* engine, const papo_advantages_args& args) {
  return papo_group_advantages(engine, &args, nullptr, 0);
}
papo_status call(papo_engine* engine, const papo_mask_patches_args& args) {
  return papo_mask_patches(engine, &args);
}
papo_status call(papo_engine* engine, const papo_mask_patch_rows_args& args) {
  return papo_mask_patch_rows(engine, &args);
}
papo_status call(papo_engine* engine, const papo_random_patch_mask_args& args) {
  return papo_random_patch_mask(engine, &args);
}
papo_status call(papo_engine* engine, const papo_saliency_patch_mask_args& args) {
  return papo_saliency_patch_mask(engine, &args);
}

// The address is never looked at: this one ends the process.
template <class Args>
void refusesAnywhereElse(papo_engine* engine) {
  const struct {
    int32_t device;
    const char* name;
  } places[] = {
      {PAPO_CUDA, "cuda:0"}, {PAPO_CUDA + 16 * 7, "cuda:7"}, {5, "device 5"}, {-15, "device -15"}};
  for (const auto& field : papo_fuzz::Fields<Args>::all) {
    for (const auto& place : places) {
      Args args;
      std::memset(&args, 0, sizeof args);
      args.size = sizeof args;
      papo_tensor& tensor = args.*field.tensor;
      tensor = {reinterpret_cast<void*>(uintptr_t{256}), 1, 1, 1, PAPO_FLOAT32, place.device};
      std::snprintf(papo_test::checkContext, sizeof papo_test::checkContext, "%s", field.name);
      CHECK(call(engine, args) == PAPO_INVALID_ARGUMENT);
      CHECK(std::string(papo_last_message()) == std::string(field.name) +
                                                    ": expected a tensor on 'cpu', got one on '" +
                                                    place.name + "'");
    }
  }
}

}  // namespace

int main() {
  papo_engine* engine = openCpu();
  refusesAnywhereElse<papo_token_log_probs_args>(engine);
  refusesAnywhereElse<papo_loss_args>(engine);
  refusesAnywhereElse<papo_advantages_args>(engine);
  refusesAnywhereElse<papo_mask_patches_args>(engine);
  refusesAnywhereElse<papo_mask_patch_rows_args>(engine);
  refusesAnywhereElse<papo_random_patch_mask_args>(engine);
  refusesAnywhereElse<papo_saliency_patch_mask_args>(engine);
  papo_engine_close(engine);
  return papo_test::finish();
}
