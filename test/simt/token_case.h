// papo_loss with log-probs of unequal responses, every input and every per-token output, on any engine.
#pragma once

#include "../native/loss_case.h"

namespace papo_test {

// Inputs in double, multiples of 2^-10, so that every float32 holds them exactly.
struct TokenCase {
  std::vector<int64_t> cuSeqlens;
  std::vector<double> logProbs, maskedLogProbs, entropies, maskedEntropies, exactKl;
  std::vector<double> oldLogProbs, refLogProbs, advantages, tokenWeights, perceptionWeights;
  std::vector<uint8_t> responseMask, sftMask;

  int64_t responses() const { return static_cast<int64_t>(cuSeqlens.size()) - 1; }
  int64_t tokens() const { return cuSeqlens.back(); }

  // Which of the inputs that may be given per response are.
  static TokenCase random(unsigned seed, const std::vector<int64_t>& lengths) {
    TokenCase c;
    std::mt19937 g(seed);
    c.cuSeqlens.push_back(0);
    for (int64_t length : lengths) c.cuSeqlens.push_back(c.cuSeqlens.back() + length);
    const auto draw = [&](double mean, double scale) {
      return std::nearbyint((mean + std::normal_distribution<double>(0, scale)(g)) * 1024) / 1024;
    };
    const auto perTokenOrResponse = [&] {
      return static_cast<size_t>(g() % 2 ? c.tokens() : c.responses());
    };
    for (int64_t i = 0; i < c.tokens(); ++i) {
      c.logProbs.push_back(-std::fabs(draw(0, 2)));
      c.maskedLogProbs.push_back(c.logProbs.back() + draw(-0.2, 0.6));
      c.entropies.push_back(std::fabs(draw(1, 0.7)));
      c.maskedEntropies.push_back(std::fabs(draw(1.2, 0.7)));
      c.exactKl.push_back(std::fabs(draw(0.2, 0.3)));
      c.oldLogProbs.push_back(c.logProbs.back() + draw(0, 0.3));
      c.refLogProbs.push_back(c.logProbs.back() + draw(0, 0.4));
      c.responseMask.push_back(g() % 5 != 0);
    }
    for (size_t i = perTokenOrResponse(); i > 0; --i) c.advantages.push_back(draw(0, 1));
    for (size_t i = perTokenOrResponse(); i > 0; --i) c.tokenWeights.push_back(draw(1, 0.25));
    for (size_t i = perTokenOrResponse(); i > 0; --i) c.perceptionWeights.push_back(draw(1, 0.25));
    for (size_t i = perTokenOrResponse(); i > 0; --i) c.sftMask.push_back(g() % 2);
    return c;
  }
};

constexpr int kOutputs = 8;
constexpr papo_tensor papo_loss_args::*kOutputFields[kOutputs] = {
    &papo_loss_args::ratios,
    &papo_loss_args::refKlPerToken,
    &papo_loss_args::perceptionKlPerToken,
    &papo_loss_args::logProbsGrad,
    &papo_loss_args::maskedLogProbsGrad,
    &papo_loss_args::entropiesGrad,
    &papo_loss_args::maskedEntropiesGrad,
    &papo_loss_args::exactPerceptionKlGrad};

// Real: float, or double for the reference.
template <class Real>
struct TokenRun {
  static constexpr Real kUntouched = -77;
  papo_status status = PAPO_OK;
  std::string message;
  double metrics[PAPO_METRIC_COUNT];
  std::vector<Real> outputs[kOutputs];
  size_t workspaceBytes = 0;

  TokenRun(papo_engine* engine, const TokenCase& c, const papo_objective& objective)
      : placed_(engine), engine_(engine), case_(c) {
    papo_loss_args args{};
    args.size = sizeof args;
    args.objective = &objective;
    args.cuSeqlens = c.cuSeqlens.data();
    args.responses = c.responses();
    setInputs(&args, objective);
    std::fill(metrics, metrics + PAPO_METRIC_COUNT, double{kUntouched});
    args.metrics = placed_.on({metrics, PAPO_METRIC_COUNT, 1, 1, PAPO_FLOAT64, PAPO_CPU});
    for (int i = 0; i < kOutputs; ++i) {
      outputs[i].assign(static_cast<size_t>(c.tokens()), kUntouched);
      args.*kOutputFields[i] = real(outputs[i]);
    }
    call(args);
    placed_.fetch();
  }

  bool isUntouched() const {
    for (double metric : metrics)
      if (metric != double{kUntouched}) return false;
    for (const auto& output : outputs)
      for (Real value : output)
        if (value != kUntouched) return false;
    return true;
  }

 private:
  void call(const papo_loss_args& args) {
    status = papo_loss_workspace(engine_, &args, &workspaceBytes);
    if (status == PAPO_OK)
      status = papo_loss(engine_, &args, placed_.workspace(workspaceBytes), workspaceBytes);
    if (status == PAPO_OK) status = papo_engine_synchronize(engine_);
    if (status != PAPO_OK) message = papo_last_message();
  }

  void setInputs(papo_loss_args* args, const papo_objective& o) {
    args->logProbs = input(case_.logProbs);
    args->maskedLogProbs = input(case_.maskedLogProbs);
    args->entropies = input(case_.entropies);
    args->maskedEntropies = input(case_.maskedEntropies);
    args->exactPerceptionKl = input(case_.exactKl);
    args->oldLogProbs = input(case_.oldLogProbs);
    args->refLogProbs = input(case_.refLogProbs);
    args->advantages = input(case_.advantages);
    args->tokenWeights = input(case_.tokenWeights);
    args->perceptionWeights = input(case_.perceptionWeights);
    args->responseMask = mask(case_.responseMask);
    if (o.sftCoef != 0) args->sftMask = mask(case_.sftMask);
  }

  papo_tensor real(std::vector<Real>& v) {
    const int32_t dtype = sizeof(Real) == 8 ? PAPO_FLOAT64 : PAPO_FLOAT32;
    return placed_.on({v.data(), static_cast<int64_t>(v.size()), 1, 1, dtype, PAPO_CPU});
  }
  papo_tensor input(const std::vector<double>& values) {
    if (values.empty()) return {};
    inputs_.emplace_back(new std::vector<Real>(values.begin(), values.end()));
    return real(*inputs_.back());
  }
  papo_tensor mask(const std::vector<uint8_t>& values) {
    if (values.empty()) return {};
    masks_.emplace_back(new std::vector<uint8_t>(values));
    return placed_.on(
        {masks_.back()->data(), static_cast<int64_t>(values.size()), 1, 1, PAPO_UINT8, PAPO_CPU});
  }

  Placed placed_;
  papo_engine* engine_;
  const TokenCase& case_;
  std::vector<std::unique_ptr<std::vector<Real>>> inputs_;
  std::vector<std::unique_ptr<std::vector<uint8_t>>> masks_;
};

}  // namespace papo_test
