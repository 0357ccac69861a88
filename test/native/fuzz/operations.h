// Every function of papo.h as a fuzzed call: a valid one, then wrong in a few places.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "call.h"

namespace papo_fuzz {

// Engines of every instruction set, with one thread and with several; opened once.
class Engines {
 public:
  Engines() {
    const char* names[16];
    const int32_t count = papo_instruction_sets(names, 16);
    for (int32_t i = 0; i < count; ++i)
      for (int32_t threads : {1, 3})
        open({sizeof(papo_engine_options), PAPO_CPU, threads, names[i], nullptr});
  }
  ~Engines() {
    for (papo_engine* engine : list) papo_engine_close(engine);
  }
  std::vector<papo_engine*> list;

 private:
  void open(const papo_engine_options& options) {
    papo_engine* engine = nullptr;
    if (papo_engine_open(&options, &engine) == PAPO_OK) list.push_back(engine);
  }
};

inline const std::vector<papo_engine*>& engines() {
  static const Engines opened;
  return opened.list;
}

inline papo_engine* pickEngine(Source* source) {
  if (source->percent(1)) return nullptr;
  return engines()[static_cast<size_t>(source->below(static_cast<int64_t>(engines().size())))];
}

inline bool isReference(const papo_engine* engine) {
  return std::strcmp(papo_engine_instruction_set(engine), "reference") == 0;
}

inline double wildNumber(Source* source) {
  const double values[] = {NAN,   INFINITY, -INFINITY, -1,    0,      0.5,  1, 2,
                           1e-30, 1e30,     1e308,     -1e30, 5e-324, 0.01, 3, -0.0};
  return source->pick(values);
}

template <class Args>
size_t wildSize(Source* source) {
  return source->percent(98) ? sizeof(Args) : static_cast<size_t>(source->pick({0, 8, 16, 4096}));
}

inline Sizes sizesOf(papo_engine* engine, Source* source) {
  Sizes sizes;
  sizes.responses = source->between(1, 4);
  sizes.rows = sizes.logitsRows = sizes.responses * source->between(1, 5);
  sizes.sharesRows = source->percent(40);
  if (sizes.sharesRows) sizes.logitsRows = source->between(1, sizes.rows + 2);
  sizes.vocabSize = source->percent(95) ? source->between(1, 70) : source->between(1000, 5000);
  const bool reference = isReference(engine);
  sizes.logitsDType = static_cast<int32_t>(source->below(reference ? 4 : 3));
  sizes.realDType = reference ? PAPO_FLOAT64 : PAPO_FLOAT32;
  return sizes;
}

// --- responses and objective ----------------------------------------------------------------------

inline const int64_t* randomCuSeqlens(Call* call, int64_t responses) {
  Source& source = *call->source;
  const int64_t count = responses < 1 || responses > 1000 ? 1 : responses;
  std::vector<int64_t> starts(static_cast<size_t>(count) + 1);
  for (int64_t& start : starts) start = source.below(call->sizes.rows + 1);
  std::sort(starts.begin(), starts.end());
  starts.front() = 0;
  starts.back() = call->sizes.rows;
  if (source.percent(10))
    starts[static_cast<size_t>(source.below(count + 1))] =
        source.pick({int64_t{-1}, INT64_MIN, INT64_MAX, int64_t{3}, int64_t{1} << 40});
  const size_t bytes = starts.size() * sizeof(int64_t);
  unsigned char* data = call->memory.allocate(bytes);
  std::memcpy(data, starts.data(), bytes);
  call->inputs.push_back({data, bytes});
  return reinterpret_cast<const int64_t*>(data);
}

// A count that is believed must be kept: beyond 1000 there is no cuSeqlens that long.
template <class Args>
void setResponses(Call* call, Args* args) {
  Source& source = *call->source;
  args->responses = call->sizes.responses;
  if (source.percent(5))
    args->responses = source.pick({int64_t{0}, int64_t{-1}, INT64_MIN, INT64_MAX, int64_t{1} << 40,
                                   call->sizes.rows, call->sizes.rows + 1});
  if (args->responses <= 1000 && source.percent(50))
    args->cuSeqlens = randomCuSeqlens(call, args->responses);
}

inline void vary(papo_objective* objective, Source* source) {
  const int chance = source->pick({0, 10, 30});
  const bool wild = source->percent(10);
#define PAPO_VARY_NUMBER(field) \
  if (source->percent(chance))  \
    objective->field = wild ? wildNumber(source) : source->pick({0.05, 0.3, 1.0, 2.5});
#define PAPO_VARY_INTEGER(field) \
  if (source->percent(chance))   \
    objective->field = static_cast<int32_t>(wild ? source->between(-2, 6) : source->below(2));
  PAPO_OBJECTIVE_FIELDS(PAPO_VARY_NUMBER, PAPO_VARY_INTEGER)
#undef PAPO_VARY_NUMBER
#undef PAPO_VARY_INTEGER
  if (objective->reduction == PAPO_REDUCTION_CONSTANT && objective->maxLength == 0 && !wild)
    objective->maxLength = 5;
  objective->size = wildSize<papo_objective>(source);
}

inline const papo_objective* randomObjective(Call* call) {
  static const char* const profiles[] = {"grpo", "dapo",  "papoG",  "papoD",    "papoPaper",
                                         "gspo", "cispo", "drGrpo", "papoExact"};
  Source& source = *call->source;
  if (source.percent(1)) return nullptr;
  unsigned char* data = call->memory.allocate(sizeof(papo_objective));
  auto* objective = reinterpret_cast<papo_objective*>(data);
  papo_objective_init("grpo", objective);
  papo_objective_init(source.pick(profiles), objective);
  vary(objective, &source);
  call->inputs.push_back({data, sizeof *objective});
  return objective;
}

// --- computations ---------------------------------------------------------------------------------

inline void fuzzTokenLogProbs(Source* source) {
  Call call("papo_token_log_probs", source);
  papo_engine* engine = pickEngine(source);
  call.sizes = sizesOf(engine, source);
  papo_token_log_probs_args args{};
  args.size = wildSize<papo_token_log_probs_args>(source);
  args.temperature = source->percent(90) ? 0.7 : wildNumber(source);
  call.describe(&args);
  if (!call.sizes.sharesRows) call.drop(&args, {&papo_token_log_probs_args::rowIndex});
  call.mutateViews();
  call.makeTensors();
  call.workspace = [&](size_t* bytes) {
    return papo_token_log_probs_workspace(engine, &args, bytes);
  };
  call.compute = [&](void* memory, size_t bytes) {
    return papo_token_log_probs(engine, &args, memory, bytes);
  };
  call.run();
}

// Which inputs go together: either logits or log-probs of each branch.
inline void chooseBranches(Call* call, papo_loss_args* args) {
  using Args = papo_loss_args;
  Source& source = *call->source;
  if (source.percent(3)) return;
  if (!call->sizes.sharesRows) call->drop(args, {&Args::rowIndex});
  const bool logits = source.percent(75), maskedLogits = logits && source.percent(60);
  if (logits)
    call->drop(args, {&Args::logProbs, &Args::entropies, &Args::exactPerceptionKl});
  else
    call->drop(args, {&Args::logits, &Args::logitsGrad, &Args::rowIndex});
  if (maskedLogits)
    call->drop(args, {&Args::maskedLogProbs, &Args::maskedEntropies});
  else
    call->drop(args, {&Args::maskedLogits, &Args::maskedLogitsGrad});
}

inline void fuzzLoss(Source* source) {
  Call call("papo_loss", source);
  papo_engine* engine = pickEngine(source);
  call.sizes = sizesOf(engine, source);
  papo_loss_args args{};
  args.size = wildSize<papo_loss_args>(source);
  args.objective = randomObjective(&call);
  args.gradNorm = static_cast<int32_t>(source->below(2));
  setResponses(&call, &args);
  call.describe(&args);
  chooseBranches(&call, &args);
  call.mutateViews();
  call.makeTensors();
  call.workspace = [&](size_t* bytes) { return papo_loss_workspace(engine, &args, bytes); };
  call.compute = [&](void* memory, size_t bytes) {
    return papo_loss(engine, &args, memory, bytes);
  };
  call.run();
}

inline void fuzzAdvantages(Source* source) {
  Call call("papo_group_advantages", source);
  papo_engine* engine = pickEngine(source);
  call.sizes = sizesOf(engine, source);
  call.sizes.realDType = source->pick({PAPO_FLOAT32, PAPO_FLOAT64});
  papo_advantages_args args{};
  args.size = wildSize<papo_advantages_args>(source);
  args.estimator = static_cast<int32_t>(source->percent(95) ? source->below(5) : -1);
  args.scale = static_cast<int32_t>(source->percent(95) ? source->below(3) : 3);
  args.epsilon = source->percent(80) ? 1e-6 : wildNumber(source);
  args.discount = source->percent(80) ? 0.9 : wildNumber(source);
  setResponses(&call, &args);
  if (args.estimator != PAPO_ADVANTAGE_REINFORCE_PLUS_PLUS) call.inputs.clear();  // not looked at
  call.describe(&args);
  call.mutateViews();
  call.makeTensors();
  call.workspace = [&](size_t* bytes) { return papo_advantages_workspace(engine, &args, bytes); };
  call.compute = [&](void* memory, size_t bytes) {
    return papo_group_advantages(engine, &args, memory, bytes);
  };
  call.run();
}

// --- masking --------------------------------------------------------------------------------------

inline int64_t wildLength(int64_t length, Source* source) {
  if (source->percent(97)) return length;
  return source->pick({int64_t{0}, int64_t{-1}, INT64_MAX, INT64_MIN, int64_t{1} << 20,
                       (int64_t{1} << 20) + 1, length + 1});
}

inline int64_t cellsAlong(int64_t length, int64_t side) { return (length + side - 1) / side; }

inline int32_t imageDType(Source* source) {
  return source->pick(
      {PAPO_UINT8, PAPO_UINT8, PAPO_FLOAT32, PAPO_FLOAT16, PAPO_BFLOAT16, PAPO_FLOAT64});
}

inline void fuzzMaskPatches(Source* source) {
  Call call("papo_mask_patches", source);
  papo_engine* engine = pickEngine(source);
  const int64_t height = source->between(1, 20), width = source->between(1, 20);
  const int64_t patchSize = source->between(1, 12), mergeSize = source->between(1, 2);
  const bool planar = source->percent(50);
  Sizes& sizes = call.sizes;
  sizes.channels = source->between(1, 4);
  sizes.frames = source->between(1, 3);
  sizes.imageRows = sizes.frames * height * (planar ? sizes.channels : 1);
  sizes.imageColumns = width * (planar ? 1 : sizes.channels);
  sizes.cells =
      cellsAlong(height, patchSize * mergeSize) * cellsAlong(width, patchSize * mergeSize);
  sizes.imageDType = imageDType(source);
  papo_mask_patches_args args{};
  args.size = wildSize<papo_mask_patches_args>(source);
  args.layout = source->percent(97) ? static_cast<int32_t>(planar) : 2;
  args.frames = wildLength(sizes.frames, source);
  args.height = wildLength(height, source);
  args.width = wildLength(width, source);
  args.channels = wildLength(sizes.channels, source);
  args.patchSize = wildLength(patchSize, source);
  args.mergeSize = wildLength(mergeSize, source);
  call.describe(&args);
  call.mutateViews();
  call.makeTensors();
  call.compute = [&](void*, size_t) { return papo_mask_patches(engine, &args); };
  call.run();
}

inline void fuzzMaskPatchRows(Source* source) {
  Call call("papo_mask_patch_rows", source);
  papo_engine* engine = pickEngine(source);
  const int64_t mergeSize = source->between(1, 3);
  const bool perToken = source->percent(50);
  Sizes& sizes = call.sizes;
  sizes.images = source->between(1, 3);
  sizes.grid[0] = source->between(1, 2);
  sizes.grid[1] = mergeSize * source->between(1, 3);
  sizes.grid[2] = mergeSize * source->between(1, 3);
  sizes.channels = source->between(1, 3);
  sizes.imageRows = sizes.images * sizes.grid[0] * sizes.grid[1] * sizes.grid[2];
  sizes.imageColumns = sizes.channels * source->between(1, 8);
  sizes.cells = sizes.imageRows / (perToken ? mergeSize * mergeSize : 1);
  sizes.imageDType = imageDType(source);
  papo_mask_patch_rows_args args{};
  args.size = wildSize<papo_mask_patch_rows_args>(source);
  args.unit = source->percent(97) ? static_cast<int32_t>(perToken) : -1;
  args.mergeSize = wildLength(mergeSize, source);
  call.describe(&args);
  call.mutateViews();
  call.makeTensors();
  call.compute = [&](void*, size_t) { return papo_mask_patch_rows(engine, &args); };
  call.run();
}

inline void fuzzSaliencyPatchMask(Source* source) {
  Call call("papo_saliency_patch_mask", source);
  papo_engine* engine = pickEngine(source);
  const int64_t height = source->between(1, 12), width = source->between(1, 12);
  const int64_t mergeSize = source->between(1, 4);
  Sizes& sizes = call.sizes;
  sizes.frames = source->between(1, 3);
  sizes.imageRows = sizes.frames * height;
  sizes.imageColumns = width;
  sizes.cells = cellsAlong(height, mergeSize) * cellsAlong(width, mergeSize);
  sizes.imageDType = source->pick({PAPO_FLOAT32, PAPO_FLOAT16, PAPO_BFLOAT16, PAPO_FLOAT64});
  papo_saliency_patch_mask_args args{};
  args.size = wildSize<papo_saliency_patch_mask_args>(source);
  args.frames = wildLength(sizes.frames, source);
  args.height = wildLength(height, source);
  args.width = wildLength(width, source);
  args.mergeSize = wildLength(mergeSize, source);
  args.count = wildLength(source->between(0, sizes.cells), source);
  call.describe(&args);
  call.mutateViews();
  call.makeTensors();
  call.compute = [&](void*, size_t) { return papo_saliency_patch_mask(engine, &args); };
  call.run();
}

inline void fuzzRandomPatchMask(Source* source) {
  Call call("papo_random_patch_mask", source);
  papo_engine* engine = pickEngine(source);
  call.sizes.cells = source->between(1, 300);
  papo_random_patch_mask_args args{};
  args.size = wildSize<papo_random_patch_mask_args>(source);
  args.seed = source->noise();
  args.prompt = source->noise();
  args.image = static_cast<uint32_t>(source->noise());
  args.ratio = source->percent(80) ? source->uniform() : wildNumber(source);
  call.describe(&args);
  call.mutateViews();
  call.makeTensors();
  call.compute = [&](void*, size_t) { return papo_random_patch_mask(engine, &args); };
  call.run();
}

// --- handles and names ----------------------------------------------------------------------------

inline std::string randomName(Source* source) {
  static const char* const names[] = {"", "papoG", "avx2", "portable", "reference", "%s%n", "-"};
  std::string name = source->pick(names);
  while (source->percent(30)) name += static_cast<char>(source->between(1, 255));
  if (source->percent(5)) name += std::string(2000, 'x');
  return name;
}

inline void fuzzEngine(Source* source) {
  const std::string stale = staleMessage(), name = randomName(source);
  papo_engine_options options{};
  options.size = wildSize<papo_engine_options>(source);
  options.instructionSet = name.c_str();
  options.device = source->percent(80) ? PAPO_CPU : static_cast<int32_t>(source->between(-2, 40));
  options.threads = source->percent(80) ? static_cast<int32_t>(source->below(4))
                                        : source->pick({-1, 1025, INT32_MAX, INT32_MIN});
  if (source->percent(20)) options.instructionSet = nullptr;
  papo_engine* engine = nullptr;
  const papo_status status = papo_engine_open(source->percent(98) ? &options : nullptr,
                                              source->percent(98) ? &engine : nullptr);
  known("papo_engine_open", status, stale.c_str());
  if (status != PAPO_OK && engine) problem("papo_engine_open: an engine after an error");
  if (engine && papo_engine_synchronize(engine) != PAPO_OK) problem("papo_engine_synchronize");
  papo_engine_close(engine);
}

inline void fuzzNames(Source* source) {
  const std::string stale = staleMessage(), name = randomName(source);
  papo_objective objective{};
  const papo_status status =
      papo_objective_init(source->percent(95) ? name.c_str() : nullptr, &objective);
  known("papo_objective_init", status, stale.c_str());
  vary(&objective, source);
  const std::string staleAgain = staleMessage();
  known("papo_objective_validate", papo_objective_validate(&objective), staleAgain.c_str());
  const char* names[8] = {};
  const auto capacity = static_cast<int32_t>(source->between(-1, 8));
  const int32_t count = papo_instruction_sets(source->percent(95) ? names : nullptr, capacity);
  for (int32_t i = std::max(0, std::min(count, capacity)); i < 8; ++i)
    if (names[i]) problem("papo_instruction_sets: wrote behind its capacity");
}

// One call of one function.
inline void fuzzOnce(const uint8_t* data, size_t size) {
  Source source(data, size);
  using Operation = void (*)(Source*);
  const Operation operations[] = {
      fuzzLoss,          fuzzLoss,       fuzzLoss,        fuzzLoss,          fuzzTokenLogProbs,
      fuzzTokenLogProbs, fuzzAdvantages, fuzzAdvantages,  fuzzMaskPatches,   fuzzRandomPatchMask,
      fuzzNames,         fuzzEngine,     fuzzMaskPatches, fuzzMaskPatchRows, fuzzSaliencyPatchMask};
  source.pick(operations)(&source);
}

}  // namespace papo_fuzz
