// papo_group_advantages: from rewards to advantages, in double; formulas in advantage_terms.h.
#include <algorithm>
#include <cmath>

#include "advantages/advantage_terms.h"
#include "advantages/group_index.h"
#include "engine/engine.h"
#include "engine/refusals.h"
#include "engine/tensors.h"
#if defined(PAPO_WITH_CUDA)
#include "cuda/operations.h"
#endif

namespace papo {
namespace {

constexpr unsigned kReal = dtypeBit(PAPO_FLOAT32) | dtypeBit(PAPO_FLOAT64);

// All values in double. They are used from this copy, whatever becomes of the caller's meanwhile.
void readValues(const papo_tensor& t, double* values) {
  if (t.dtype == PAPO_FLOAT64)
    std::copy_n(static_cast<const double*>(t.data), t.rows, values);
  else
    std::copy_n(static_cast<const float*>(t.data), t.rows, values);
}

void writeValues(const double* values, const papo_tensor& t) {
  if (!isPresent(t)) return;
  if (t.dtype == PAPO_FLOAT64)
    std::copy_n(values, t.rows, static_cast<double*>(t.data));
  else
    std::transform(values, values + t.rows, static_cast<float*>(t.data),
                   [](double value) { return static_cast<float>(value); });
}

bool usesGroups(const papo_advantages_args& a) {
  return a.estimator != PAPO_ADVANTAGE_REMAX && a.estimator != PAPO_ADVANTAGE_REINFORCE_PLUS_PLUS;
}

papo_status requireFinite(const char* name, const double* values, int64_t count) {
  int64_t bad = 0;  // of the width of a double, for the vectoriser
  for (int64_t i = 0; i < count; ++i) bad += !std::isfinite(values[i]);
  for (int64_t i = 0; bad && i < count; ++i) {
    if (!std::isfinite(values[i])) return refuseNotFinite(name, values[i], i);
  }
  return PAPO_OK;
}

papo_status checkOptions(const papo_advantages_args& a) {
  if (a.estimator < PAPO_ADVANTAGE_GRPO || a.estimator > PAPO_ADVANTAGE_REINFORCE_PLUS_PLUS)
    return fail(PAPO_INVALID_OPTION, "estimator: expected 0 to 4, got %d", a.estimator);
  if (a.scale < PAPO_SCALE_GROUP || a.scale > PAPO_SCALE_NONE)
    return fail(PAPO_INVALID_OPTION, "scale: expected 0 to 2, got %d", a.scale);
  if (!(a.epsilon >= 0) || !std::isfinite(a.epsilon))
    return fail(PAPO_INVALID_OPTION, "epsilon: expected a finite number >= 0, got %g", a.epsilon);
  if (!(a.discount >= 0 && a.discount <= 1))
    return fail(PAPO_INVALID_OPTION, "discount: expected a number of 0 to 1, got %g", a.discount);
  return PAPO_OK;
}

// What is given must be a sound view even where the estimator does not look at it.
papo_status checkVector(NamedTensor argument, int64_t rows, unsigned dtypes, bool isNeeded) {
  return isNeeded || isPresent(*argument.tensor) ? requireVector(argument, rows, dtypes) : PAPO_OK;
}

papo_tensor cuSeqlensView(const papo_advantages_args& a) {
  if (a.estimator != PAPO_ADVANTAGE_REINFORCE_PLUS_PLUS) return {};
  return bytesView(a.cuSeqlens, static_cast<size_t>(a.responses + 1) * sizeof *a.cuSeqlens);
}

papo_status checkOverlap(const papo_advantages_args& a) {
  const papo_tensor cuSeqlens = cuSeqlensView(a);
  return requireDisjoint({{"rewards", &a.rewards},
                          {"groupIds", &a.groupIds},
                          {"baselines", &a.baselines},
                          {"responseMask", &a.responseMask},
                          {"cuSeqlens", &cuSeqlens}},
                         {{"advantages", &a.advantages}, {"returns", &a.returns}}, {});
}

papo_status requireOwnWorkspace(const papo_advantages_args& a, const void* workspace,
                                size_t bytes) {
  const papo_tensor cuSeqlens = cuSeqlensView(a), view = bytesView(workspace, bytes);
  return requireDisjoint({{"rewards", &a.rewards},
                          {"groupIds", &a.groupIds},
                          {"baselines", &a.baselines},
                          {"responseMask", &a.responseMask},
                          {"cuSeqlens", &cuSeqlens},
                          {"advantages", &a.advantages},
                          {"returns", &a.returns}},
                         {{"workspace", &view}}, {});
}

papo_status checkArguments(const papo_engine* engine, const papo_advantages_args* a) {
  PAPO_TRY(requireArgs(engine, a));
  PAPO_TRY(checkOptions(*a));
  const int64_t rows = a->rewards.rows;
  if (isPresent(a->rewards) && rows < 1)
    return fail(PAPO_INVALID_SHAPE, "rewards: expected at least one value, got %lld",
                static_cast<long long>(rows));
  const bool isPerToken = a->estimator == PAPO_ADVANTAGE_REINFORCE_PLUS_PLUS;
  const bool isRemax = a->estimator == PAPO_ADVANTAGE_REMAX;
  PAPO_TRY(requireVector({"rewards", &a->rewards}, rows, kReal));
  PAPO_TRY(requireVector({"advantages", &a->advantages}, rows, kReal));
  PAPO_TRY(checkVector({"groupIds", &a->groupIds}, rows, dtypeBit(PAPO_INT32), usesGroups(*a)));
  PAPO_TRY(checkVector({"baselines", &a->baselines}, rows, kReal, isRemax));
  PAPO_TRY(checkVector({"responseMask", &a->responseMask}, rows, dtypeBit(PAPO_UINT8), isPerToken));
  if (isPresent(a->returns) && !isPerToken)
    return fail(PAPO_INVALID_ARGUMENT, "returns: expected none but for REINFORCE++, got a tensor");
  PAPO_TRY(checkVector({"returns", &a->returns}, rows, kReal, false));
  Responses responses;
  if (isPerToken) PAPO_TRY(requireResponses(a->cuSeqlens, a->responses, rows, &responses));
  return checkOverlap(*a);
}

// --- groups -----------------------------------------------------------------------------------------

Moments momentsOf(const double* values, int64_t count) {
  double sum = 0, squares = 0;
  int64_t different = 0;
  for (int64_t i = 0; i < count; ++i) {
    sum += values[i];
    different += values[i] != values[0];
  }
  if (different == 0) return {values[0], 0};
  const double mean = meanOf(sum, count);
  for (int64_t i = 0; i < count; ++i) squares += squaredDifference(values[i], mean);
  return {mean, deviationOf(squares, count)};
}

papo_status checkGroups(const GroupIndex& index) {
  for (int64_t g = 0; g < index.groups; ++g) {
    if (index.offsets[g + 1] - index.offsets[g] < 2)
      return refuseLoneGroup(index.ids[index.order[index.offsets[g]]]);
  }
  return PAPO_OK;
}

// values: rewards, each of which becomes its advantage; grouped: as much memory for them in the order
// of their groups.
papo_status runGroups(const papo_advantages_args& a, GroupIndex index, double* values,
                      double* grouped) {
  const int64_t rows = a.rewards.rows;
  index.build(static_cast<const int32_t*>(a.groupIds.data), rows);
  PAPO_TRY(checkGroups(index));
  const AdvantageOptions options{a.estimator, a.scale, a.epsilon};
  const double batchDeviation = a.scale == PAPO_SCALE_BATCH ? momentsOf(values, rows).deviation : 0;
  for (int64_t i = 0; i < rows; ++i) grouped[i] = values[index.order[i]];
  for (int64_t g = 0; g < index.groups; ++g) {
    double* group = grouped + index.offsets[g];
    const int64_t members = index.offsets[g + 1] - index.offsets[g];
    const GroupScale scale = scaleOf(options, momentsOf(group, members), members, batchDeviation);
    for (int64_t i = 0; i < members; ++i) group[i] = advantageOf(scale, group[i]);
  }
  for (int64_t i = 0; i < rows; ++i) values[index.order[i]] = grouped[i];
  writeValues(values, a.advantages);
  return PAPO_OK;
}

papo_status runRemax(const papo_advantages_args& a, double* values, double* baselines) {
  readValues(a.baselines, baselines);
  PAPO_TRY(requireFinite("baselines", baselines, a.rewards.rows));
  for (int64_t i = 0; i < a.rewards.rows; ++i) values[i] -= baselines[i];
  writeValues(values, a.advantages);
  return PAPO_OK;
}

// --- per token --------------------------------------------------------------------------------------

// From the end of each response. values: rewards, each of which becomes its return.
void discountedReturns(const papo_advantages_args& a, double* values) {
  const auto* mask = static_cast<const uint8_t*>(a.responseMask.data);
  const Responses responses{a.responses, a.rewards.rows, a.cuSeqlens};
  for (int64_t b = 0; b < responses.count; ++b) {
    double carried = 0;
    for (int64_t row = responses.end(b) - 1; row >= responses.begin(b); --row) {
      values[row] = returnOf(values[row], a.discount, carried);
      carried = carriedOf(values[row], mask[row]);
    }
  }
}

papo_status runReinforcePlusPlus(const papo_advantages_args& a, double* values) {
  PAPO_TRY(requireBinary({"responseMask", &a.responseMask}));
  const auto* mask = static_cast<const uint8_t*>(a.responseMask.data);
  const int64_t rows = a.rewards.rows;
  double count = 0, sum = 0, squares = 0;
  for (int64_t row = 0; row < rows; ++row) count += mask[row];
  if (count < 2) return refuseCountedTokens(static_cast<int64_t>(count));
  discountedReturns(a, values);
  writeValues(values, a.returns);
  for (int64_t row = 0; row < rows; ++row) sum += mask[row] ? values[row] : 0;
  const double mean = countedMean(sum, count);
  for (int64_t row = 0; row < rows; ++row)
    squares += mask[row] ? squaredDifference(values[row], mean) : 0;
  const double scale = whiteningScale(squares, count, a.epsilon);
  for (int64_t row = 0; row < rows; ++row) values[row] = whitened(values[row], mean, scale);
  writeValues(values, a.advantages);
  return PAPO_OK;
}

struct Workspace {
  double* values = nullptr;  // [B] or [N] rewards, then what comes of them
  double* second = nullptr;  // [B] values by group, or baselines
  GroupIndex index;

  static Workspace layOut(Arena* arena, const papo_advantages_args& a) {
    Workspace w;
    w.values = arena->take<double>(a.rewards.rows);
    if (a.estimator == PAPO_ADVANTAGE_REINFORCE_PLUS_PLUS) return w;
    w.second = arena->take<double>(a.rewards.rows);
    if (usesGroups(a)) w.index = GroupIndex::layOut(arena, a.rewards.rows);
    return w;
  }
};

#if defined(PAPO_WITH_CUDA)
papo_status runOnDevice(papo_engine* engine, const papo_advantages_args& a, void* workspace,
                        size_t bytes) {
  size_t needed = 0;
  PAPO_TRY(cuda::advantagesWorkspace(a, &needed));
  PAPO_TRY(requireWorkspace(workspace, bytes, needed));
  PAPO_TRY(requireOwnWorkspace(a, workspace, needed));
  return cuda::advantages(*engine->cuda, a, workspace, bytes);
}
#endif

}  // namespace
}  // namespace papo

extern "C" papo_status papo_advantages_workspace(const papo_engine* engine,
                                                 const papo_advantages_args* args, size_t* bytes) {
  using namespace papo;
  PAPO_TRY(checkArguments(engine, args));
  if (!bytes) return fail(PAPO_INVALID_ARGUMENT, "bytes: expected a pointer, got null");
#if defined(PAPO_WITH_CUDA)
  if (engine->isCuda()) return cuda::advantagesWorkspace(*args, bytes);
#endif
  Arena arena(nullptr);
  Workspace::layOut(&arena, *args);
  *bytes = arena.used();
  return PAPO_OK;
}

extern "C" papo_status papo_group_advantages(papo_engine* engine, const papo_advantages_args* args,
                                             void* workspace, size_t workspaceBytes) {
  using namespace papo;
  PAPO_TRY(checkArguments(engine, args));
#if defined(PAPO_WITH_CUDA)
  if (engine->isCuda()) return runOnDevice(engine, *args, workspace, workspaceBytes);
#endif
  Arena sizes(nullptr);
  Workspace::layOut(&sizes, *args);
  PAPO_TRY(requireWorkspace(workspace, workspaceBytes, sizes.used()));
  PAPO_TRY(requireOwnWorkspace(*args, workspace, sizes.used()));
  Arena arena(workspace);
  const Workspace w = Workspace::layOut(&arena, *args);
  readValues(args->rewards, w.values);
  PAPO_TRY(requireFinite("rewards", w.values, args->rewards.rows));
  if (usesGroups(*args)) return runGroups(*args, w.index, w.values, w.second);
  return args->estimator == PAPO_ADVANTAGE_REMAX ? runRemax(*args, w.values, w.second)
                                                 : runReinforcePlusPlus(*args, w.values);
}
