#include "computations.h"
#include "descriptor.h"
#include "engine.h"
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

}  // namespace

Napi::Value loss(const Napi::CallbackInfo& info) {
  Engine& engine = Engine::from(info[0]);
  LossComputation computation;
  computation.objective = readObjective(info[1]);
  papo_loss_args& args = computation.args;
  args.size = sizeof args;
  readTensors(info[2], info[3], kLossSlots, &args);
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
  readTensors(info[2], info[3], kTokenLogProbsSlots, &args);
  return engine.run(info[4], computation);
}

}  // namespace papo::node
