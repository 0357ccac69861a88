#include "descriptor.h"
#include "engine.h"
#include "operations.h"
#include "slots.h"

namespace papo::node {

Napi::Value advantages(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Engine& engine = Engine::from(info[0]);
  const Napi::Object settings = info[1].ToObject();
  const auto number = [&](const char* name) { return settings.Get(name).ToNumber().DoubleValue(); };
  papo_advantages_args args{};
  args.size = sizeof args;
  args.estimator = toInt32(number("estimator"));
  args.scale = toInt32(number("scale"));
  args.epsilon = number("epsilon");
  args.discount = number("discount");
  args.responses = toInt64(number("responses"));
  readTensors(info[2], info[3], kAdvantagesSlots, &args);
  args.cuSeqlens = readCuSeqlens(info[4], args.responses);

  engine.run(env, args, papo_advantages_workspace, papo_group_advantages);
  return env.Undefined();
}

}  // namespace papo::node
