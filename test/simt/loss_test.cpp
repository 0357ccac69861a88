// papo_loss with log-probs on a CUDA engine: every profile and option against the CPU, whose formulas it
// shares, and against the reference; selection, sequence ratios and sums at awkward sizes; findings.
#include <cstdio>

#include "../native/check.h"
#include "loss/objective_table.h"
#include "options.h"
#include "token_case.h"

using namespace papo_test;

namespace {

using OnDevice = TokenRun<float>;
using OnCpu = TokenRun<float>;
using Exact = TokenRun<double>;

struct Engines {
  Engine cuda = openEngine("cuda"), cpu = openEngine("portable"),
         reference = openEngine("reference");
};

// Equal, or both NaN, or the same infinity, or as close as this.
bool isClose(double got, double expected, double tolerance) {
  if (std::isnan(expected)) return std::isnan(got);
  return got == expected || std::fabs(got - expected) <= tolerance * (1 + std::fabs(expected));
}

template <class Real>
void checkClose(const OnDevice& got, const TokenRun<Real>& expected, double tolerance) {
  CHECK(got.status == PAPO_OK && expected.status == PAPO_OK);
  for (int m = 0; m < PAPO_METRIC_COUNT; ++m) {
    std::snprintf(checkContext, sizeof checkContext, "metric %d: %.9g, expected %.9g", m,
                  got.metrics[m], expected.metrics[m]);
    CHECK(isClose(got.metrics[m], expected.metrics[m], tolerance));
  }
  for (int i = 0; i < kOutputs; ++i)
    for (size_t t = 0; t < got.outputs[i].size(); ++t) {
      const double a = got.outputs[i][t], b = expected.outputs[i][t];
      std::snprintf(checkContext, sizeof checkContext,
                    "output %d of token %zu: %.9g, expected %.9g", i, t, a, b);
      CHECK(isClose(a, b, tolerance));
    }
  checkContext[0] = 0;
}

bool sameBits(const OnDevice& a, const OnDevice& b) {
  bool same = std::memcmp(a.metrics, b.metrics, sizeof a.metrics) == 0;
  for (int i = 0; i < kOutputs; ++i)
    same &= std::memcmp(a.outputs[i].data(), b.outputs[i].data(),
                        a.outputs[i].size() * sizeof(float)) == 0;
  return same;
}

// The formulas are the CPU's, so they agree but for contraction and the order of the sums.
void checkAgainstCpu(const Engines& engines, const TokenCase& c, const papo_objective& o) {
  const OnDevice run(engines.cuda.get(), c, o);
  checkClose(run, OnCpu(engines.cpu.get(), c, o), 1e-5);
  checkClose(run, Exact(engines.reference.get(), c, o), 2e-5);
}

void everyProfile(const Engines& engines) {
  for (const papo::ProfileRow& row : papo::kProfiles) {
    papo_objective o = profile(row.name);
    if (o.maxLength == 0) o.maxLength = 40;
    for (unsigned seed = 0; seed < 3; ++seed)
      checkAgainstCpu(engines, TokenCase::random(seed, {7, 1, 40, 0, 13, 3}), o);
  }
}

void everyOption(const Engines& engines) {
  for (unsigned seed = 0; seed < 200; ++seed)
    checkAgainstCpu(engines, TokenCase::random(seed, {5, 0, 17, 33, 1, 2, 70}),
                    randomObjective(seed));
}

// Nothing but the required: no masks, no weights, no old policy, no reference, equal lengths.
void absentInputs(const Engines& engines) {
  TokenCase c = TokenCase::random(9, {6, 6, 6});
  c.responseMask.clear();
  c.tokenWeights.clear();
  c.perceptionWeights.clear();
  c.oldLogProbs.clear();
  c.refLogProbs.clear();
  for (const char* name : {"papoG", "gspo", "cispo", "papoExact"})
    checkAgainstCpu(engines, c, profile(name));
  for (auto* absent : {&c.maskedLogProbs, &c.entropies, &c.maskedEntropies, &c.exactKl})
    absent->clear();
  for (const char* name : {"dapo", "gspo"}) checkAgainstCpu(engines, c, profile(name));
}

papo_objective withSelection(double entropyFraction, double perceptionFraction) {
  papo_objective o = profile("papoG");
  o.topEntropyFraction = entropyFraction;
  o.topEntropyScope = PAPO_TOP_ENTROPY_SCOPE_POLICY_AND_ENTROPY;
  o.perceptionTopFraction = perceptionFraction;
  return o;
}

// Ranks that are whole and ranks between, equal values, signs, zeros, NaN and infinities.
void selectionOfHardValues(const Engines& engines) {
  for (double fraction : {1e-9, 0.1, 0.25, 1.0 / 3, 0.5, 0.9, 1 - 1e-12}) {
    const papo_objective o = withSelection(fraction, fraction);
    TokenCase c = TokenCase::random(4, {1, 2, 3, 5, 9, 41, 0, 300});
    checkAgainstCpu(engines, c, o);
    for (size_t i = 0; i < c.entropies.size(); ++i) {
      c.entropies[i] = i % 4 * 0.5;  // ties
      c.maskedLogProbs[i] = c.logProbs[i] + (i % 3 ? 0.25 : -0.25);
    }
    checkAgainstCpu(engines, c, o);
    c.entropies[7] = -0.0;
    c.entropies[8] = INFINITY;
    c.entropies[9] = -3;
    checkAgainstCpu(engines, c, o);
    c.responseMask[11] = 1;
    c.entropies[11] = NAN;
    c.maskedLogProbs[13] = NAN;
    checkAgainstCpu(engines, c, o);
  }
}

void awkwardSizes(const Engines& engines) {
  papo_objective selecting = withSelection(0.3, 0.4);
  selecting.ratioLevel = PAPO_RATIO_LEVEL_SEQUENCE;
  const std::vector<int64_t> shapes[] = {{1},
                                         {31},
                                         {255},
                                         {256},
                                         {257},
                                         {1025},
                                         std::vector<int64_t>(300, 1),
                                         std::vector<int64_t>(40, 0)};
  for (std::vector<int64_t> lengths : shapes) {
    if (lengths[0] == 0) lengths.back() = 3;  // nothing but empty responses before one
    for (const papo_objective& o : {profile("papoExact"), profile("gspo"), selecting})
      checkAgainstCpu(engines, TokenCase::random(3, lengths), o);
  }
}

void nothingCounts(const Engines& engines) {
  TokenCase c = TokenCase::random(2, {4, 9});
  c.responseMask.assign(c.responseMask.size(), 0);
  for (const char* name : {"papoG", "gspo", "papoExact", "trlPapo"}) {
    papo_objective o = profile(name);
    checkAgainstCpu(engines, c, o);
    o.topEntropyFraction = o.perceptionTopFraction = 0.5;
    checkAgainstCpu(engines, c, o);
  }
}

// NaN and infinity where a token does not count change nothing; where it does, they are counted.
void notANumber(const Engines& engines) {
  TokenCase c = TokenCase::random(6, {8, 8});
  c.responseMask.assign(16, 1);
  c.responseMask[5] = 0;
  const OnDevice clean(engines.cuda.get(), c, profile("papoG"));
  c.logProbs[5] = c.oldLogProbs[5] = c.refLogProbs[5] = c.maskedLogProbs[5] = NAN;
  CHECK(sameBits(OnDevice(engines.cuda.get(), c, profile("papoG")), clean));
  c.responseMask[5] = 1;
  const OnDevice spoiled(engines.cuda.get(), c, profile("papoG"));
  CHECK(std::isnan(spoiled.metrics[PAPO_METRIC_loss]));
  CHECK(spoiled.metrics[PAPO_METRIC_nonFiniteRows] == 1);
  checkAgainstCpu(engines, c, profile("papoG"));
  checkAgainstCpu(engines, c, profile("gspo"));
}

void manyTokens(const Engines& engines) {
  std::vector<int64_t> lengths;
  for (int64_t sum = 0; sum < 70000; sum += lengths.back())
    lengths.push_back(static_cast<int64_t>(lengths.size() * 37 % 1500));
  const TokenCase c = TokenCase::random(1, lengths);
  papo_objective selecting = withSelection(0.2, 0.7);
  for (const papo_objective& o : {profile("papoG"), profile("gspo"), selecting}) {
    const OnDevice run(engines.cuda.get(), c, o);
    checkClose(run, OnCpu(engines.cpu.get(), c, o), 1e-5);
    CHECK(sameBits(run, OnDevice(engines.cuda.get(), c, o)));
  }
}

// Whatever the order in which blocks and threads take turns.
void sameBitsInAnyOrder(const Engines& engines) {
  const simt::Options asked = simt::options();
  const TokenCase c = TokenCase::random(12, {300, 0, 1, 900, 2, 33, 700});
  for (unsigned seed = 0; seed < 12; ++seed) {
    const papo_objective o = randomObjective(seed);
    simt::options().order = simt::Order::forward;
    const OnDevice expected(engines.cuda.get(), c, o);
    CHECK(expected.status == PAPO_OK);
    for (simt::Order order : {simt::Order::reverse, simt::Order::random}) {
      simt::options().order = order;
      simt::options().seed = seed;
      CHECK(sameBits(OnDevice(engines.cuda.get(), c, o), expected));
    }
  }
  simt::options() = asked;
}

// A response has the bits it has alone, given the batch's denominators.
void responsesAreIndependent(const Engines& engines) {
  const TokenCase c = TokenCase::random(8, {300, 300});
  TokenCase first = c;
  first.cuSeqlens = {0, 300};
  const auto cut = [](auto* values, size_t count) {
    if (values->size() > 2)
      values->resize(count);
    else
      values->resize(values->size() / 2);
  };
  for (auto* v : {&first.logProbs, &first.maskedLogProbs, &first.entropies, &first.maskedEntropies,
                  &first.exactKl, &first.oldLogProbs, &first.refLogProbs, &first.advantages,
                  &first.tokenWeights, &first.perceptionWeights})
    cut(v, 300);
  cut(&first.responseMask, 300);
  for (const char* name : {"papoG", "gspo"}) {
    papo_objective o = profile(name);
    o.perceptionTopFraction = 0.6;
    o.perceptionKlCoef = 0.1;
    o.normalizer = 700;
    o.tokenNormalizer = 700;
    const OnDevice whole(engines.cuda.get(), c, o), alone(engines.cuda.get(), first, o);
    for (int i = 0; i < kOutputs; ++i)
      CHECK(std::memcmp(whole.outputs[i].data(), alone.outputs[i].data(), 300 * sizeof(float)) ==
            0);
  }
}

// The message of the CPU, nothing written, and the engine works again afterwards.
void checkFinding(const Engines& engines, const TokenCase& bad, const papo_objective& o) {
  const OnDevice run(engines.cuda.get(), bad, o);
  const OnCpu expected(engines.cpu.get(), bad, o);
  CHECK(run.status == PAPO_INVALID_VALUE && expected.status == PAPO_INVALID_VALUE);
  CHECK(run.message == expected.message);
  if (run.message != expected.message)
    std::printf("%s\n%s\n", run.message.c_str(), expected.message.c_str());
  CHECK(run.isUntouched());
}

void badMasks(const Engines& engines) {
  papo_objective o = profile("papoG");
  o.sftCoef = 0.1;
  const TokenCase good = TokenCase::random(5, {600, 0, 400});
  TokenCase bad = good;
  for (size_t i : {999u, 600u, 7u, 0u}) {
    bad.responseMask[i] = static_cast<uint8_t>(i == 0 ? 255 : 2);
    checkFinding(engines, bad, o);
    checkClose(OnDevice(engines.cuda.get(), good, o), OnCpu(engines.cpu.get(), good, o), 1e-5);
  }
  bad = good;
  bad.sftMask = {0, 3, 1};  // of a response without tokens
  checkFinding(engines, bad, o);
  bad.sftMask.assign(1000, 0);
  bad.sftMask[512] = 9;
  checkFinding(engines, bad, o);
}

void workspaceIsChecked(const Engines& engines) {
  const TokenCase c = TokenCase::random(5, {6, 2});
  const OnDevice run(engines.cuda.get(), c, profile("gspo"));
  CHECK(run.workspaceBytes > 0 && run.workspaceBytes < 8 * 1024);
  papo_objective wrong = profile("papoG");
  wrong.temperature = -1;
  CHECK(OnDevice(engines.cuda.get(), c, wrong).status == PAPO_INVALID_OPTION);
}

}  // namespace

int main() {
  const Engines engines;
  everyProfile(engines);
  everyOption(engines);
  absentInputs(engines);
  selectionOfHardValues(engines);
  awkwardSizes(engines);
  nothingCounts(engines);
  notANumber(engines);
  manyTokens(engines);
  sameBitsInAnyOrder(engines);
  responsesAreIndependent(engines);
  badMasks(engines);
  workspaceIsChecked(engines);
  return finish();
}
