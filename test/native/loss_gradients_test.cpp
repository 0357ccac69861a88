// Gradients of every option: the reference against finite differences of its own loss, and each
// engine against the reference.
#include <cmath>
#include <cstdio>

#include "check.h"
#include "loss_case.h"

using namespace papo_test;

namespace {

LossInputs tinyInputs(unsigned seed) { return LossInputs::random(seed, 3, 4, 7); }

using Reference = LossRun<double, double>;

double lossAt(papo_engine* engine, LossInputs in, const papo_objective& o, bool masked,
              size_t index, double shift) {
  (masked ? in.maskedLogits : in.logits)[index] += shift;
  return Reference(engine, in, o).loss();
}

// Central difference on two step sizes: where they disagree the point is next to a kink (a clip, cap
// or quantile switches), and says nothing.
struct Difference {
  double slope;
  bool isSmooth;
};
Difference difference(papo_engine* engine, const LossInputs& in, const papo_objective& o,
                      bool masked, size_t index) {
  const auto central = [&](double h) {
    return (lossAt(engine, in, o, masked, index, h) - lossAt(engine, in, o, masked, index, -h)) /
           (2 * h);
  };
  const double fine = central(1e-5), coarse = central(4e-5);
  return {fine, std::fabs(fine - coarse) < 1e-7 * (1 + std::fabs(fine))};
}

// Which inputs the loss treats as constants although its value depends on them.
bool isConstantBranch(const papo_objective& o, bool masked) {
  return masked && o.perceptionGradient == PAPO_PERCEPTION_GRADIENT_POLICY;
}
bool hasStopGradient(const papo_objective& o) {
  return o.surrogate == PAPO_SURROGATE_CISPO || !o.entropyGradient;
}

void referenceMatchesFiniteDifferences() {
  Engine engine = openEngine("reference");
  int smooth = 0, kinks = 0;
  double worst = 0;
  for (unsigned seed = 0; seed < 300; ++seed) {
    const LossInputs in = tinyInputs(seed);
    const papo_objective o = randomObjective(seed);
    if (hasStopGradient(o)) continue;
    const Reference run(engine.get(), in, o);
    CHECK(run.status == PAPO_OK);
    for (size_t index = seed % 5; index < in.logits.size(); index += 5) {
      for (bool masked : {false, true}) {
        const double gradient = masked ? run.maskedLogitsGrad[index] : run.logitsGrad[index];
        if (isConstantBranch(o, masked)) {
          CHECK(gradient == 0);
          continue;
        }
        const Difference d = difference(engine.get(), in, o, masked, index);
        d.isSmooth ? ++smooth : ++kinks;
        const double error = std::fabs(gradient - d.slope);
        if (d.isSmooth) CHECK(error < 1e-6 * (1 + std::fabs(d.slope)));
        if (d.isSmooth && error > worst) worst = error;
      }
    }
  }
  std::printf("finite differences: %d points, %d at kinks, largest error %.2e\n", smooth, kinks,
              worst);
  CHECK(smooth > 2000);
  CHECK(kinks < smooth / 50);
}

// CISPO's weight and the entropies without gradient are constants: their slopes are checked on the
// log-probs, where the formula can be written down.
void cispoSlopeIsTheCappedRatio() {
  Engine engine = openEngine("reference");
  const LossInputs in = LossInputs::random(5, 3, 4, 7);
  papo_objective o = profile("cispo");
  o.clipRatioLow = 0.3;
  o.clipRatioHigh = 0.2;
  const Reference run(engine.get(), in, o);
  int counted = 0;
  for (uint8_t m : in.responseMask) counted += m;
  for (int64_t row = 0; row < in.rows(); ++row) {
    const auto i = static_cast<size_t>(row);
    const auto at = static_cast<size_t>(row * in.vocabSize + in.tokens[i]);
    const double ratio = std::exp(run.logProbs[i] - in.oldLogProbs[i]);
    const double weight = std::fmin(std::fmax(ratio, 0.7), 1.2);
    const double p = std::exp(run.logProbs[i]);
    const double expected =
        in.responseMask[i] ? -weight * in.tokenWeights[i] * in.advantages[i / 4] / counted * (1 - p)
                           : 0;
    CHECK(std::fabs(run.logitsGrad[at] - expected) < 1e-12);
  }
}

template <class T>
double largestDifference(const std::vector<T>& got, const std::vector<double>& expected) {
  double worst = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    const double error = std::fabs(static_cast<double>(papo::toFloat(got[i])) - expected[i]);
    if (!(error <= worst)) worst = error;
  }
  return worst;
}

double largest(const std::vector<double>& values) {
  double result = 0;
  for (double x : values) result = std::fmax(result, std::fabs(x));
  return result;
}

// The same inputs, rounded to T, through an engine and through the reference.
template <class T>
void engineMatchesReference(const std::string& name, double relative) {
  Engine engine = openEngine(name.c_str(), 2), oracle = openEngine("reference");
  double worst = 0;
  for (unsigned seed = 0; seed < 60; ++seed) {
    const LossInputs in = LossInputs::random(seed, 3, 5, seed % 3 ? 131 : 2053);
    papo_objective o = randomObjective(seed);
    const LossRun<T, float> run(engine.get(), in, o);
    const LossRun<T, double> expected(oracle.get(), in, o);
    CHECK(run.status == PAPO_OK);
    CHECK(expected.status == PAPO_OK);
    std::vector<double> image, masked;
    LossInputs rounded = in;
    for (std::vector<double>* logits : {&rounded.logits, &rounded.maskedLogits})
      for (double& z : *logits) {
        T value;
        papo::fromFloat(static_cast<float>(z), &value);
        z = static_cast<double>(papo::toFloat(value));
      }
    const Reference exact(oracle.get(), rounded, o);
    CHECK(std::fabs(run.loss() - exact.loss()) < 2e-6 + 1e-5 * std::fabs(exact.loss()));
    const double scale = largest(exact.logitsGrad) + largest(exact.maskedLogitsGrad);
    const double error = std::fmax(largestDifference(run.logitsGrad, exact.logitsGrad),
                                   largestDifference(run.maskedLogitsGrad, exact.maskedLogitsGrad));
    CHECK(error <= 1e-7 + relative * scale);
    if (!(error / scale <= worst)) worst = error / scale;
    CHECK(std::fabs(run.metrics[PAPO_METRIC_gradNorm] - exact.metrics[PAPO_METRIC_gradNorm]) <=
          2e-5 * exact.metrics[PAPO_METRIC_gradNorm]);
    CHECK(scale > 1e-4);  // a gradient of zeros would not pass
  }
  std::printf("%s, %d-byte logits: largest gradient error %.2e of the largest gradient\n",
              name.c_str(), static_cast<int>(sizeof(T)), worst);
}

}  // namespace

int main() {
  referenceMatchesFiniteDifferences();
  cispoSlopeIsTheCappedRatio();
  for (const std::string& name : instructionSetNames()) {
    if (name == "reference") continue;
    engineMatchesReference<float>(name, 2e-5);
    engineMatchesReference<papo::Float16>(name, 1.0 / 1024);
    engineMatchesReference<papo::BFloat16>(name, 1.0 / 128);
  }
  return finish();
}
