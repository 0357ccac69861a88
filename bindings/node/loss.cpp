#include "computations.h"
#include "descriptor.h"
#include "engine.h"
#include "engine/status.h"
#include "operations.h"
#include "slots.h"

namespace papo::node {
namespace {

papo_objective readObjective(const Napi::Value& value) {
  const double* numbers = readNumbers(value, "objective", PAPO_OBJECTIVE_FIELD_COUNT);
  papo_objective objective{};
  objective.size = sizeof objective;
#define PAPO_READ_NUMBER(field) objective.field = *numbers++;
#define PAPO_READ_INTEGER(field) objective.field = toInt32(*numbers++);
  PAPO_OBJECTIVE_FIELDS(PAPO_READ_NUMBER, PAPO_READ_INTEGER)
#undef PAPO_READ_NUMBER
#undef PAPO_READ_INTEGER
  return objective;
}

constexpr size_t kAlignment = 256;
constexpr size_t kMetricBytes =
    (PAPO_METRIC_COUNT * sizeof(double) + kAlignment - 1) / kAlignment * kAlignment;

}  // namespace

papo_loss_args LossComputation::complete(const papo_engine* engine, void* metrics) const {
  papo_loss_args complete = args;
  complete.objective = &objective;
  complete.metrics.data = metrics;
  complete.metrics.device = papo_engine_device(engine);
  return complete;
}

papo_status LossComputation::workspace(const papo_engine* engine, size_t* bytes) const {
  const papo_loss_args asked = complete(engine, args.metrics.data);
  PAPO_TRY(papo_loss_workspace(engine, &asked, bytes));
  if (papo_engine_device(engine) != PAPO_CPU) *bytes += kMetricBytes;
  return PAPO_OK;
}

papo_status LossComputation::compute(papo_engine* engine, void* memory, size_t bytes) const {
  if (papo_engine_device(engine) != PAPO_CPU)
    return computeOnDevice(engine, static_cast<char*>(memory), bytes);
  const papo_loss_args asked = complete(engine, args.metrics.data);
  return papo_loss(engine, &asked, memory, bytes);
}

papo_status LossComputation::computeOnDevice(papo_engine* engine, char* memory,
                                             size_t bytes) const {
  if (bytes < kMetricBytes) return PAPO_WORKSPACE_TOO_SMALL;
  const papo_loss_args asked = complete(engine, memory);
  PAPO_TRY(papo_loss(engine, &asked, memory + kMetricBytes, bytes - kMetricBytes));
  return papo_memory_copy(engine, args.metrics.data, memory, PAPO_METRIC_COUNT * sizeof(double));
}

Napi::Value loss(const Napi::CallbackInfo& info) {
  Engine& engine = Engine::from(info[0]);
  LossComputation computation;
  computation.objective = readObjective(info[1]);
  papo_loss_args& args = computation.args;
  args.size = sizeof args;
  readTensors(info[2], info[3], kLossSlots, &computation);
  args.responses = toInt64(info[5].ToNumber().DoubleValue());
  args.cuSeqlens = readCuSeqlens(info[4], args.responses);
  args.gradNorm = info[6].ToBoolean() ? 1 : 0;
  return engine.run(info[7], computation);
}

Napi::Value tokenLogProbs(const Napi::CallbackInfo& info) {
  Engine& engine = Engine::from(info[0]);
  TokenLogProbsComputation computation;
  papo_token_log_probs_args& args = computation.args;
  args.size = sizeof args;
  args.temperature = info[1].ToNumber().DoubleValue();
  readTensors(info[2], info[3], kTokenLogProbsSlots, &computation);
  return engine.run(info[4], computation);
}

}  // namespace papo::node
