// A papo_loss call with its memory, for tests: random inputs for an objective, on any engine, through
// the C interface only.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "engine/dtype.h"
#include "papo.h"
#include "placed.h"

namespace papo_test {

// Grows with every operator new in a test that replaces it to count.
inline long allocations = 0;

struct EngineCloser {
  void operator()(papo_engine* engine) const { papo_engine_close(engine); }
};
using Engine = std::unique_ptr<papo_engine, EngineCloser>;

// An instruction set of the CPU, or "cuda".
inline Engine openEngine(const char* instructionSet, int threads = 1) {
  papo_engine_options options{};
  options.size = sizeof options;
  const bool onCuda = instructionSet && std::strcmp(instructionSet, "cuda") == 0;
  options.device = onCuda ? PAPO_CUDA : PAPO_CPU;
  options.threads = onCuda ? 0 : threads;
  options.instructionSet = instructionSet;
  papo_engine* engine = nullptr;
  papo_engine_open(&options, &engine);
  return Engine(engine);
}

// What the tests go through.
inline std::vector<std::string> instructionSetNames() {
#if defined(PAPO_TEST_CUDA)
  return {"cuda"};
#endif
  const char* names[16];
  const int count = papo_instruction_sets(names, 16);
  return {names, names + count};
}

inline papo_objective profile(const char* name) {
  papo_objective objective;
  papo_objective_init(name, &objective);
  return objective;
}

// An objective with every option drawn at random, away from the degenerate.
inline papo_objective randomObjective(unsigned seed) {
  std::mt19937 g(seed);
  const auto pick = [&](int count) {
    return static_cast<int32_t>(g() % static_cast<unsigned>(count));
  };
  papo_objective o = profile("papoG");
  o.temperature = pick(2) ? 1 : 0.7;
  o.dualClip = pick(2) ? 3 : 1.4;
  o.ratioCap = pick(3) ? INFINITY : 1.15;
  o.ratioLevel = pick(2);
  o.surrogate = pick(4) == 0;
  o.topEntropyFraction = pick(3) ? 1 : 0.6;
  o.topEntropyScope = pick(2);
  o.refKlCoef = 0.3;
  o.refKlEstimator = pick(4);
  o.refKlRatioCorrection = pick(2);
  o.perceptionKlCoef = 0.4;
  o.perceptionKlEstimator = pick(5);
  o.perceptionRatio = pick(2);
  o.perceptionGradient = pick(2);
  o.perceptionKlCap = pick(3) ? INFINITY : 0.3;
  o.perceptionTopFraction = pick(3) ? 1 : 0.5;
  o.entropyCoef = 0.2;
  o.maskedEntropyCoef = 0.15;
  o.entropyEstimator = pick(2);
  o.entropyGradient = pick(4) != 0;
  o.sftCoef = pick(2) ? 0.1 : 0;
  o.reduction = pick(3);
  o.maxLength = 9;
  o.normalizer = pick(3) ? 0 : 11;
  o.tokenNormalizer = pick(3) ? 0 : 13;
  o.paddingInAuxiliaryTerms = pick(4) == 0;
  o.lossScale = pick(2) ? 1 : -2.5;
  return o;
}

// Shape and inputs in double; the engine's precision is chosen when the call is made.
struct LossInputs {
  int64_t responses = 4, length = 5, vocabSize = 37;
  std::vector<double> logits, maskedLogits;  // [rows * vocabSize]
  std::vector<double> oldLogProbs, refLogProbs, advantages, tokenWeights, perceptionWeights;
  std::vector<int32_t> tokens;
  std::vector<uint8_t> responseMask, sftMask;
  std::vector<int32_t> rowIndex;  // of each token, into logitRows rows of logits; empty: its own
  int64_t logitRows = 0;

  int64_t rows() const { return responses * length; }
  int64_t matrixRows() const { return rowIndex.empty() ? rows() : logitRows; }

  // The same tokens with their rows of logits put where index says, among logitRows rows of which
  // the others are NaN. Where tokens share a row, it is the last one's.
  LossInputs scattered(const std::vector<int32_t>& index, int64_t count) const {
    LossInputs out = *this;
    out.rowIndex = index;
    out.logitRows = count;
    const auto scatter = [&](const std::vector<double>& from, std::vector<double>* to) {
      to->assign(static_cast<size_t>(count * vocabSize), NAN);
      for (size_t i = 0; i < index.size(); ++i)
        std::copy_n(from.begin() + static_cast<int64_t>(i) * vocabSize, vocabSize,
                    to->begin() + index[i] * vocabSize);
    };
    scatter(logits, &out.logits);
    scatter(maskedLogits, &out.maskedLogits);
    return out;
  }

  // And back: a row of logits for each token, without an index.
  LossInputs expanded() const {
    LossInputs out = *this;
    out.rowIndex.clear();
    const auto expand = [&](const std::vector<double>& from, std::vector<double>* to) {
      to->clear();
      for (int32_t row : rowIndex)
        to->insert(to->end(), from.begin() + row * vocabSize, from.begin() + (row + 1) * vocabSize);
    };
    expand(logits, &out.logits);
    expand(maskedLogits, &out.maskedLogits);
    return out;
  }

  // Values are multiples of 2^-10, so that every float32 holds them exactly.
  static LossInputs random(unsigned seed, int64_t responses, int64_t length, int64_t vocabSize) {
    LossInputs in;
    in.responses = responses;
    in.length = length;
    in.vocabSize = vocabSize;
    std::mt19937 generator(seed);
    const auto normal = [&](double scale) {
      const double x = std::normal_distribution<double>(0, scale)(generator);
      return std::nearbyint(x * 1024) / 1024;
    };
    const auto fill = [&](std::vector<double>* out, int64_t count, double mean, double scale) {
      for (int64_t i = 0; i < count; ++i) out->push_back(mean + normal(scale));
    };
    fill(&in.logits, in.rows() * vocabSize, 0, 2);
    for (double z : in.logits) in.maskedLogits.push_back(z + normal(0.5));
    const double uniform = -std::nearbyint(std::log(static_cast<double>(vocabSize)) * 1024) / 1024;
    fill(&in.advantages, responses, 0, 1);
    fill(&in.tokenWeights, in.rows(), 1, 0.25);
    fill(&in.perceptionWeights, responses, 1, 0.25);
    for (int64_t row = 0; row < in.rows(); ++row) {
      const auto token = static_cast<int32_t>(generator() % static_cast<uint64_t>(vocabSize));
      in.tokens.push_back(token);
      in.responseMask.push_back(generator() % 5 != 0);
      const double z = in.logits[static_cast<size_t>(row * vocabSize + token)];
      in.oldLogProbs.push_back(z + uniform - 1.5 + normal(0.3));
      in.refLogProbs.push_back(z + uniform - 1.5 + normal(0.3));
    }
    for (int64_t b = 0; b < responses; ++b) in.sftMask.push_back(b % 2 == 0);
    return in;
  }
};

// The element type of an engine's per-token values, and of logits in a chosen dtype.
template <class T>
std::vector<T> convert(const std::vector<double>& values) {
  std::vector<T> out(values.size());
  for (size_t i = 0; i < values.size(); ++i)
    papo::fromFloat(static_cast<float>(values[i]), &out[i]);
  return out;
}
template <>
inline std::vector<double> convert(const std::vector<double>& values) {
  return values;
}

template <class T>
constexpr int32_t dtypeOf();
template <>
constexpr int32_t dtypeOf<float>() {
  return PAPO_FLOAT32;
}
template <>
constexpr int32_t dtypeOf<double>() {
  return PAPO_FLOAT64;
}
template <>
constexpr int32_t dtypeOf<papo::Float16>() {
  return PAPO_FLOAT16;
}
template <>
constexpr int32_t dtypeOf<papo::BFloat16>() {
  return PAPO_BFLOAT16;
}

inline papo_tensor view(const void* data, int64_t rows, int64_t columns, int64_t stride,
                        int32_t dtype) {
  return {const_cast<void*>(data), rows, columns, stride, dtype, PAPO_CPU};
}
template <class T>
papo_tensor vectorView(const std::vector<T>& v) {
  return view(v.data(), static_cast<int64_t>(v.size()), 1, 1, dtypeOf<T>());
}
inline papo_tensor maskView(const std::vector<uint8_t>& v) {
  return view(v.data(), static_cast<int64_t>(v.size()), 1, 1, PAPO_UINT8);
}

// Logits of type T, per-token values of type Real. Rows may be strided; padding holds `padding`.
template <class T, class Real>
struct LossRun {
  papo_status status = PAPO_OK;
  std::vector<T> logits, maskedLogits, logitsGrad, maskedLogitsGrad;
  std::vector<Real> logProbs, maskedLogProbs, entropies, slopes;  // slopes: logProbsGrad
  double metrics[PAPO_METRIC_COUNT] = {};
  int64_t stride = 0;
  size_t workspaceBytes = 0;
  long allocationsInCall = 0;

  double loss() const { return metrics[PAPO_METRIC_loss]; }

  LossRun(papo_engine* engine, const LossInputs& in, const papo_objective& objective,
          bool inPlace = false, int64_t extraStride = 0, float padding = 1e30f)
      : stride(in.vocabSize + extraStride) {
    logits = strided(in.logits, in, padding);
    maskedLogits = strided(in.maskedLogits, in, padding);
    const std::vector<Real> old = convert<Real>(in.oldLogProbs),
                            ref = convert<Real>(in.refLogProbs),
                            advantages = convert<Real>(in.advantages),
                            tokenWeights = convert<Real>(in.tokenWeights),
                            perceptionWeights = convert<Real>(in.perceptionWeights);
    logProbs.assign(static_cast<size_t>(in.rows()), Real(-99));
    maskedLogProbs = entropies = slopes = logProbs;
    T filler;
    papo::fromFloat(7.0f, &filler);
    if (!inPlace) logitsGrad.assign(logits.size(), filler);
    if (!inPlace) maskedLogitsGrad.assign(logits.size(), filler);

    Placed placed(engine);
    papo_loss_args args{};
    args.size = sizeof args;
    args.objective = &objective;
    args.responses = in.responses;
    args.logits = placed.on(matrix(logits, in));
    args.maskedLogits = placed.on(matrix(maskedLogits, in));
    args.tokens = placed.on(view(in.tokens.data(), in.rows(), 1, 1, PAPO_INT32));
    if (!in.rowIndex.empty())
      args.rowIndex = placed.on(view(in.rowIndex.data(), in.rows(), 1, 1, PAPO_INT32));
    args.responseMask = placed.on(maskView(in.responseMask));
    args.oldLogProbs = placed.on(vectorView(old));
    args.refLogProbs = placed.on(vectorView(ref));
    args.advantages = placed.on(vectorView(advantages));
    args.tokenWeights = placed.on(vectorView(tokenWeights));
    args.perceptionWeights = placed.on(vectorView(perceptionWeights));
    if (objective.sftCoef != 0) args.sftMask = placed.on(maskView(in.sftMask));
    args.metrics = placed.on(view(metrics, PAPO_METRIC_COUNT, 1, 1, PAPO_FLOAT64));
    args.logitsGrad = inPlace ? args.logits : placed.on(matrix(logitsGrad, in));
    args.maskedLogitsGrad = inPlace ? args.maskedLogits : placed.on(matrix(maskedLogitsGrad, in));
    args.outLogProbs = placed.on(vectorView(logProbs));
    args.outMaskedLogProbs = placed.on(vectorView(maskedLogProbs));
    args.outEntropies = placed.on(vectorView(entropies));
    args.logProbsGrad = placed.on(vectorView(slopes));
    args.gradNorm = 1;
    status = papo_loss_workspace(engine, &args, &workspaceBytes);
    if (status != PAPO_OK) return;
    void* const memory = placed.workspace(workspaceBytes);
    const long before = allocations;
    status = papo_loss(engine, &args, memory, workspaceBytes);
    allocationsInCall = allocations - before;
    if (status == PAPO_OK) status = papo_engine_synchronize(engine);
    placed.fetch();
    if (inPlace) {
      logitsGrad = logits;
      maskedLogitsGrad = maskedLogits;
    }
  }

  T gradAt(int64_t row, int64_t v) const {
    return logitsGrad[static_cast<size_t>(row * stride + v)];
  }
  T maskedGradAt(int64_t row, int64_t v) const {
    return maskedLogitsGrad[static_cast<size_t>(row * stride + v)];
  }

 private:
  std::vector<T> strided(const std::vector<double>& dense, const LossInputs& in, float padding) {
    T filler;
    papo::fromFloat(padding, &filler);
    std::vector<T> out(static_cast<size_t>(in.matrixRows() * stride), filler);
    const std::vector<T> values = convert<T>(dense);
    for (int64_t row = 0; row < in.matrixRows(); ++row)
      std::memcpy(&out[static_cast<size_t>(row * stride)],
                  &values[static_cast<size_t>(row * in.vocabSize)],
                  static_cast<size_t>(in.vocabSize) * sizeof(T));
    return out;
  }
  papo_tensor matrix(const std::vector<T>& v, const LossInputs& in) const {
    return view(v.data(), in.matrixRows(), in.vocabSize, stride, dtypeOf<T>());
  }
};

}  // namespace papo_test
