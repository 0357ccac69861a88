// papo_group_advantages: from rewards to advantages (docs/math.md Eq. 17-21), in double.
//
// Sources: GRPO arXiv 2402.03300, Dr. GRPO 2503.20783, RLOO 2402.14740, ReMax 2310.10505,
// REINFORCE++ 2501.03262; constants as in the authors' core_algos.py.
#include <cmath>

#include "advantages/group_index.h"
#include "engine/engine.h"
#include "engine/tensors.h"

namespace papo {
namespace {

constexpr unsigned kReal = dtypeBit(PAPO_FLOAT32) | dtypeBit(PAPO_FLOAT64);

double valueAt(const papo_tensor& t, int64_t i) {
  return t.dtype == PAPO_FLOAT64 ? static_cast<const double*>(t.data)[i]
                                 : static_cast<double>(static_cast<const float*>(t.data)[i]);
}

void setValue(const papo_tensor& t, int64_t i, double value) {
  if (!isPresent(t)) return;
  if (t.dtype == PAPO_FLOAT64)
    static_cast<double*>(t.data)[i] = value;
  else
    static_cast<float*>(t.data)[i] = static_cast<float>(value);
}

bool usesGroups(const papo_advantages_args& a) {
  return a.estimator != PAPO_ADVANTAGE_REMAX && a.estimator != PAPO_ADVANTAGE_REINFORCE_PLUS_PLUS;
}

papo_status requireFinite(NamedTensor argument) {
  for (int64_t i = 0; i < argument.tensor->rows; ++i) {
    if (!std::isfinite(valueAt(*argument.tensor, i)))
      return fail(PAPO_INVALID_VALUE, "%s: expected finite numbers, got %g at index %lld",
                  argument.name, valueAt(*argument.tensor, i), static_cast<long long>(i));
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

papo_status checkArguments(const papo_engine* engine, const papo_advantages_args* a) {
  if (!engine) return fail(PAPO_INVALID_ARGUMENT, "engine: expected an engine, got null");
  if (!a) return fail(PAPO_INVALID_ARGUMENT, "args: expected arguments, got null");
  if (a->size != sizeof *a)
    return fail(PAPO_INVALID_ARGUMENT, "args: expected size %zu, got %zu", sizeof *a, a->size);
  PAPO_TRY(checkOptions(*a));
  const int64_t rows = a->rewards.rows;
  if (isPresent(a->rewards) && rows < 1)
    return fail(PAPO_INVALID_SHAPE, "rewards: expected at least one value, got %lld",
                static_cast<long long>(rows));
  PAPO_TRY(requireVector({"rewards", &a->rewards}, rows, kReal));
  PAPO_TRY(requireVector({"advantages", &a->advantages}, rows, kReal));
  if (usesGroups(*a))
    PAPO_TRY(requireVector({"groupIds", &a->groupIds}, rows, dtypeBit(PAPO_INT32)));
  if (a->estimator == PAPO_ADVANTAGE_REMAX)
    PAPO_TRY(requireVector({"baselines", &a->baselines}, rows, kReal));
  if (a->estimator == PAPO_ADVANTAGE_REINFORCE_PLUS_PLUS) {
    Responses responses;
    PAPO_TRY(requireResponses(a->cuSeqlens, a->responses, rows, &responses));
    PAPO_TRY(requireVector({"responseMask", &a->responseMask}, rows, dtypeBit(PAPO_UINT8)));
    if (isPresent(a->returns)) PAPO_TRY(requireVector({"returns", &a->returns}, rows, kReal));
  }
  return requireDisjoint({{"rewards", &a->rewards},
                          {"groupIds", &a->groupIds},
                          {"baselines", &a->baselines},
                          {"responseMask", &a->responseMask}},
                         {{"advantages", &a->advantages}, {"returns", &a->returns}}, {});
}

// --- groups -----------------------------------------------------------------------------------------

struct Moments {
  double mean = 0, deviation = 0;  // unbiased; 0 where all values are equal
};

// index: maps 0 .. count - 1 to a reward.
template <class Index>
Moments momentsOf(const papo_tensor& rewards, int64_t count, Index&& index) {
  double sum = 0, squares = 0;
  bool allEqual = true;
  const double first = valueAt(rewards, index(0));
  for (int64_t i = 0; i < count; ++i) {
    sum += valueAt(rewards, index(i));
    allEqual &= valueAt(rewards, index(i)) == first;
  }
  if (allEqual) return {first, 0};
  const double mean = sum / static_cast<double>(count);
  for (int64_t i = 0; i < count; ++i) {
    const double difference = valueAt(rewards, index(i)) - mean;
    squares += difference * difference;
  }
  return {mean, std::sqrt(squares / static_cast<double>(count - 1))};
}

double groupAdvantage(const papo_advantages_args& a, double reward, const Moments& group,
                      int64_t members, double batchDeviation) {
  const double centred = reward - group.mean;
  if (a.estimator == PAPO_ADVANTAGE_DR_GRPO) return centred;
  if (a.estimator == PAPO_ADVANTAGE_RLOO)
    return centred * static_cast<double>(members) / static_cast<double>(members - 1);
  if (a.scale == PAPO_SCALE_NONE) return centred;
  const double deviation = a.scale == PAPO_SCALE_BATCH ? batchDeviation : group.deviation;
  return centred == 0 ? 0 : centred / (deviation + a.epsilon);
}

papo_status checkGroups(const GroupIndex& index, const int32_t* ids) {
  for (int64_t g = 0; g < index.groups; ++g) {
    if (index.offsets[g + 1] - index.offsets[g] < 2)
      return fail(PAPO_INVALID_VALUE,
                  "groupIds: expected at least 2 responses in a group, got 1 "
                  "in group %d",
                  ids[index.order[index.offsets[g]]]);
  }
  return PAPO_OK;
}

papo_status runGroups(const papo_advantages_args& a, GroupIndex index) {
  const auto* ids = static_cast<const int32_t*>(a.groupIds.data);
  index.build(ids, a.rewards.rows);
  PAPO_TRY(checkGroups(index, ids));
  const double batchDeviation =
      a.scale == PAPO_SCALE_BATCH
          ? momentsOf(a.rewards, a.rewards.rows, [](int64_t i) { return i; }).deviation
          : 0;
  for (int64_t g = 0; g < index.groups; ++g) {
    const int64_t* members = index.order + index.offsets[g];
    const int64_t count = index.offsets[g + 1] - index.offsets[g];
    const Moments group = momentsOf(a.rewards, count, [=](int64_t i) { return members[i]; });
    for (int64_t i = 0; i < count; ++i)
      setValue(a.advantages, members[i],
               groupAdvantage(a, valueAt(a.rewards, members[i]), group, count, batchDeviation));
  }
  return PAPO_OK;
}

// --- per token --------------------------------------------------------------------------------------

// R_t = r_t + discount c_{t+1}, c_t = R_t m_t, from the end of each response.
void discountedReturns(const papo_advantages_args& a, double* returns) {
  const auto* mask = static_cast<const uint8_t*>(a.responseMask.data);
  const Responses responses{a.responses, a.rewards.rows, a.cuSeqlens};
  for (int64_t b = 0; b < responses.count; ++b) {
    double carried = 0;
    for (int64_t row = responses.end(b) - 1; row >= responses.begin(b); --row) {
      returns[row] = valueAt(a.rewards, row) + a.discount * carried;
      carried = returns[row] * mask[row];
    }
  }
}

// Whitened over counted tokens: (R - mean) / sqrt(var + epsilon), var unbiased. The authors' masked
// mean divides by count + 1e-8.
papo_status runReinforcePlusPlus(const papo_advantages_args& a, double* returns) {
  const auto* mask = static_cast<const uint8_t*>(a.responseMask.data);
  const int64_t rows = a.rewards.rows;
  double count = 0, sum = 0, squares = 0;
  for (int64_t row = 0; row < rows; ++row) count += mask[row];
  if (count < 2)
    return fail(PAPO_INVALID_VALUE, "responseMask: expected at least 2 counted tokens, got %g",
                count);
  discountedReturns(a, returns);
  for (int64_t row = 0; row < rows; ++row) sum += mask[row] ? returns[row] : 0;
  constexpr double kCountEpsilon = 1e-8;
  const double mean = sum / (count + kCountEpsilon);
  for (int64_t row = 0; row < rows; ++row)
    squares += mask[row] ? (returns[row] - mean) * (returns[row] - mean) : 0;
  const double variance = squares / (count + kCountEpsilon) * count / (count - 1);
  const double scale = 1 / std::sqrt(variance + a.epsilon);
  for (int64_t row = 0; row < rows; ++row) {
    setValue(a.advantages, row, (returns[row] - mean) * scale);
    setValue(a.returns, row, returns[row]);
  }
  return PAPO_OK;
}

struct Workspace {
  GroupIndex index;
  double* returns = nullptr;

  static Workspace layOut(Arena* arena, const papo_advantages_args& a) {
    Workspace w;
    if (usesGroups(a)) w.index = GroupIndex::layOut(arena, a.rewards.rows);
    if (a.estimator == PAPO_ADVANTAGE_REINFORCE_PLUS_PLUS)
      w.returns = arena->take<double>(a.rewards.rows);
    return w;
  }
};

}  // namespace
}  // namespace papo

extern "C" papo_status papo_advantages_workspace(const papo_engine* engine,
                                                 const papo_advantages_args* args, size_t* bytes) {
  using namespace papo;
  PAPO_TRY(checkArguments(engine, args));
  if (!bytes) return fail(PAPO_INVALID_ARGUMENT, "bytes: expected a pointer, got null");
  Arena arena(nullptr);
  Workspace::layOut(&arena, *args);
  *bytes = arena.used();
  return PAPO_OK;
}

extern "C" papo_status papo_group_advantages(papo_engine* engine, const papo_advantages_args* args,
                                             void* workspace, size_t workspaceBytes) {
  using namespace papo;
  PAPO_TRY(checkArguments(engine, args));
  PAPO_TRY(requireFinite({"rewards", &args->rewards}));
  Arena sizes(nullptr);
  Workspace::layOut(&sizes, *args);
  PAPO_TRY(requireWorkspace(workspace, workspaceBytes, sizes.used()));
  Arena arena(workspace);
  const Workspace layout = Workspace::layOut(&arena, *args);
  if (usesGroups(*args)) return runGroups(*args, layout.index);
  if (args->estimator == PAPO_ADVANTAGE_REINFORCE_PLUS_PLUS) {
    PAPO_TRY(requireBinary({"responseMask", &args->responseMask}));
    return runReinforcePlusPlus(*args, layout.returns);
  }
  PAPO_TRY(requireFinite({"baselines", &args->baselines}));
  for (int64_t i = 0; i < args->rewards.rows; ++i)
    setValue(args->advantages, i, valueAt(args->rewards, i) - valueAt(args->baselines, i));
  return PAPO_OK;
}
