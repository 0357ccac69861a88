#include "computations.h"
#include "descriptor.h"
#include "engine.h"
#include "operations.h"
#include "slots.h"

namespace papo::node {

Napi::Value advantages(const Napi::CallbackInfo& info) {
  Engine& engine = Engine::from(info[0]);
  const Napi::Object settings = info[1].ToObject();
  const auto number = [&](const char* name) { return settings.Get(name).ToNumber().DoubleValue(); };
  AdvantagesComputation computation;
  papo_advantages_args& args = computation.args;
  args.size = sizeof args;
  args.estimator = toInt32(number("estimator"));
  args.scale = toInt32(number("scale"));
  args.epsilon = number("epsilon");
  args.discount = number("discount");
  args.responses = toInt64(number("responses"));
  readTensors(info[2], info[3], kAdvantagesSlots, &computation);
  args.cuSeqlens = readCuSeqlens(info[4], args.responses);
  return engine.run(info[5], computation);
}

}  // namespace papo::node
