// Row index of logits: rows in any order, rows of no token, and rows that several tokens share, on
// every instruction set. The truth is the call without an index, on a copy of the row a token.
#include <atomic>
#include <cmath>
#include <cstdio>
#include <new>
#include <thread>

#include "check.h"
#include "loss/token_rows.h"
#include "loss_case.h"

using namespace papo_test;
using papo::BFloat16;
using papo::Float16;

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)  // those replace them
// Not inlined: the compiler would see malloc and free where it expects a pair of operators.
__attribute__((noinline)) void* operator new(size_t bytes) {
  ++papo_test::allocations;
  if (void* memory = std::malloc(bytes ? bytes : 1)) return memory;
  throw std::bad_alloc();
}
__attribute__((noinline)) void operator delete(void* memory) noexcept { std::free(memory); }
__attribute__((noinline)) void operator delete(void* memory, size_t) noexcept { std::free(memory); }
#endif

namespace {

using Reference = LossRun<double, double>;

constexpr const char* kProfiles[] = {"papoExact", "papoG", "gspo", "papoPaper"};

template <class T>
bool sameBits(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

template <class Run>
bool sameValues(const Run& a, const Run& b) {
  return a.status == PAPO_OK && b.status == PAPO_OK && sameBits(a.logProbs, b.logProbs) &&
         sameBits(a.maskedLogProbs, b.maskedLogProbs) && sameBits(a.entropies, b.entropies) &&
         sameBits(a.slopes, b.slopes);
}
template <class Run>
bool sameMetrics(const Run& a, const Run& b) {
  return std::memcmp(a.metrics, b.metrics, sizeof a.metrics) == 0;
}
template <class Run>
bool sameGradients(const Run& a, const Run& b) {
  return sameBits(a.logitsGrad, b.logitsGrad) && sameBits(a.maskedLogitsGrad, b.maskedLogitsGrad);
}

// Groups of three responses behind a prompt each: prompts of four rows, then the responses' own, of
// which the last predicts nothing. The first tokens of a group share the prompt's last row.
LossInputs sharedPrompts(unsigned seed, int64_t vocabSize, int64_t groups = 2) {
  constexpr int64_t kPerGroup = 3, kLength = 3, kPrompt = 4;
  const LossInputs in = LossInputs::random(seed, groups * kPerGroup, kLength, vocabSize);
  std::vector<int32_t> index;
  int64_t row = 0;
  for (int64_t b = 0; b < in.responses; ++b) {
    if (b % kPerGroup == 0) row += kPrompt;
    const int64_t promptEnd = row - b % kPerGroup * kLength - 1;
    for (int64_t t = 0; t < kLength; ++t)
      index.push_back(static_cast<int32_t>(t == 0 ? promptEnd : row + t - 1));
    row += kLength;
  }
  return in.scattered(index, row);
}

// Every token at one of three rows: many to a row, counted and masked ones, equal ids.
LossInputs crowdedRows(unsigned seed, int64_t vocabSize) {
  const LossInputs in = LossInputs::random(seed, 3, 4, vocabSize);
  std::mt19937 generator(seed);
  std::vector<int32_t> index;
  for (int64_t i = 0; i < in.rows(); ++i)
    index.push_back(static_cast<int32_t>(1 + 2 * (generator() % 3)));
  return in.scattered(index, 7);
}

double toDouble(double x) { return x; }
template <class T>
double toDouble(T x) {
  return static_cast<double>(papo::toFloat(x));
}

// The sum of the gradients that each token of a row has alone.
template <class T, class Real>
std::vector<double> summed(const LossInputs& in, const LossRun<T, Real>& alone, bool masked) {
  const auto size = static_cast<size_t>(in.vocabSize);
  std::vector<double> sums(static_cast<size_t>(in.logitRows) * size, 0);
  const std::vector<T>& from = masked ? alone.maskedLogitsGrad : alone.logitsGrad;
  for (size_t i = 0; i < in.rowIndex.size(); ++i)
    for (size_t v = 0; v < size; ++v)
      sums[static_cast<size_t>(in.rowIndex[i]) * size + v] += toDouble(from[i * size + v]);
  return sums;
}

double largest(const std::vector<double>& values) {
  double result = 0;
  for (double x : values) result = std::fmax(result, std::fabs(x));
  return result;
}
template <class T>
double largestDifference(const std::vector<T>& got, const std::vector<double>& expected) {
  double worst = got.size() == expected.size() ? 0 : INFINITY;
  for (size_t i = 0; i < got.size(); ++i) {
    const double error = std::fabs(toDouble(got[i]) - expected[i]);
    if (!(error <= worst)) worst = error;
  }
  return worst;
}

// --- rows of one token ------------------------------------------------------------------------------

template <class T, class Real>
void identityIsNoIndex(papo_engine* engine) {
  for (unsigned seed = 0; seed < 40; ++seed) {
    const LossInputs in = LossInputs::random(seed, 3, 5, seed % 2 ? 37 : 2053);
    LossInputs indexed = in;
    for (int64_t i = 0; i < in.rows(); ++i) indexed.rowIndex.push_back(static_cast<int32_t>(i));
    indexed.logitRows = in.rows();
    const papo_objective o = randomObjective(seed);
    const LossRun<T, Real> plain(engine, in, o), run(engine, indexed, o);
    CHECK(sameValues(run, plain));
    CHECK(sameMetrics(run, plain));
    CHECK(sameGradients(run, plain));
  }
}

// Permuted rows among others that are NaN: the values of the sliced call, its gradients in their
// rows, and 0 in the others.
template <class T, class Real>
void permutedAndGapped(papo_engine* engine) {
  for (unsigned seed = 0; seed < 40; ++seed) {
    const LossInputs in = LossInputs::random(seed, 3, 5, seed % 2 ? 37 : 2053);
    const int64_t rows = 2 * in.rows() + 3;
    std::vector<int32_t> index;
    for (int64_t i = 0; i < rows; ++i) index.push_back(static_cast<int32_t>(i));
    std::shuffle(index.begin(), index.end(), std::mt19937(seed));
    index.resize(static_cast<size_t>(in.rows()));
    const papo_objective o = randomObjective(seed);
    const LossRun<T, Real> sliced(engine, in, o),
        run(engine, in.scattered(index, rows), o, seed % 2 == 0, seed % 3);
    CHECK(sameValues(run, sliced));
    CHECK(sameMetrics(run, sliced));
    std::vector<bool> used(static_cast<size_t>(rows));
    for (int64_t i = 0; i < in.rows(); ++i) {
      const int64_t row = index[static_cast<size_t>(i)];
      used[static_cast<size_t>(row)] = true;
      for (int64_t v = 0; v < in.vocabSize; ++v) {
        const T got[] = {run.gradAt(row, v), run.maskedGradAt(row, v)};
        const T expected[] = {sliced.gradAt(i, v), sliced.maskedGradAt(i, v)};
        CHECK(std::memcmp(got, expected, sizeof got) == 0);
      }
    }
    for (int64_t row = 0; row < rows; ++row)
      for (int64_t v = 0; v < in.vocabSize && !used[static_cast<size_t>(row)]; ++v)
        CHECK(toDouble(run.gradAt(row, v)) == 0 && toDouble(run.maskedGradAt(row, v)) == 0);
  }
}

// --- shared rows ------------------------------------------------------------------------------------

// Values are those of the tokens alone, to the bit; the reference's gradient is the sum of theirs.
void referenceSumsGradients() {
  Engine engine = openEngine("reference");
  double worst = 0;
  for (unsigned seed = 0; seed < 200; ++seed) {
    const LossInputs in = seed % 2 ? sharedPrompts(seed, 11) : crowdedRows(seed, 5);
    const papo_objective o = randomObjective(seed);
    const Reference run(engine.get(), in, o), alone(engine.get(), in.expanded(), o);
    CHECK(sameValues(run, alone));
    CHECK(run.loss() == alone.loss());
    double squares = 0;
    for (bool masked : {false, true}) {
      const std::vector<double> sums = summed(in, alone, masked);
      const std::vector<double>& got = masked ? run.maskedLogitsGrad : run.logitsGrad;
      const double error = largestDifference(got, sums);
      CHECK(error <= 1e-14 * (1 + largest(sums)));
      if (!(error <= worst)) worst = error;
      for (double x : sums) squares += x * x;
    }
    CHECK(squares > 0);
    CHECK(std::fabs(run.metrics[PAPO_METRIC_gradNorm] - std::sqrt(squares)) <=
          1e-12 * std::sqrt(squares));
  }
  std::printf("reference: largest difference to the sum of the tokens' gradients %.2e\n", worst);
}

// By ascending token index in every row: sums over them are then the same for any batch.
void tokensKeepTheirOrder() {
  const LossInputs in = crowdedRows(3, 5);
  const float logits = 0;
  const papo_tensor matrix = view(&logits, in.logitRows, in.vocabSize, in.vocabSize, PAPO_FLOAT32),
                    tokens = view(in.tokens.data(), in.rows(), 1, 1, PAPO_INT32),
                    index = view(in.rowIndex.data(), in.rows(), 1, 1, PAPO_INT32);
  const papo::TokenArguments args{matrix, tokens, index};
  papo::Arena sizes(nullptr);
  papo::TokenRows::layOut(&sizes, args);
  Workspace workspace;
  papo::Arena arena(workspace.ofSize(sizes.used()));
  papo::TokenRows rows = papo::TokenRows::layOut(&arena, args);
  CHECK(rows.read(args, [](int64_t token) { return token != 4; }) == PAPO_OK);
  int64_t found = 0;
  for (int64_t row = 0; row < in.logitRows; ++row) {
    CHECK(rows.place(row) == found);
    for (int64_t i = 0; i < rows.count(row); ++i, ++found) {
      const int64_t token = rows.at(row, i);
      CHECK(token != 4 && in.rowIndex[static_cast<size_t>(token)] == row);
      CHECK(i == 0 || rows.at(row, i - 1) < token);
    }
  }
  CHECK(found == in.rows() - 1);
}

double lossAt(papo_engine* engine, LossInputs in, const papo_objective& o, bool masked,
              size_t index, double shift) {
  (masked ? in.maskedLogits : in.logits)[index] += shift;
  return Reference(engine, in, o).loss();
}

// Central differences on two step sizes: where they disagree there is a kink nearby.
void referenceMatchesFiniteDifferences() {
  Engine engine = openEngine("reference");
  int smooth = 0, kinks = 0;
  double worst = 0;
  for (unsigned seed = 0; seed < 60; ++seed) {
    const LossInputs in = seed % 2 ? sharedPrompts(seed, 5) : crowdedRows(seed, 5);
    papo_objective o = randomObjective(seed);
    o.surrogate = PAPO_SURROGATE_CLIP;  // CISPO and entropies without gradient are not the slope
    o.entropyGradient = 1;              // of the value
    o.perceptionGradient = PAPO_PERCEPTION_GRADIENT_BOTH;
    const Reference run(engine.get(), in, o);
    for (size_t i = seed % 3; i < in.logits.size(); i += 3) {
      if (std::isnan(in.logits[i])) continue;
      for (bool masked : {false, true}) {
        const auto central = [&](double h) {
          return (lossAt(engine.get(), in, o, masked, i, h) -
                  lossAt(engine.get(), in, o, masked, i, -h)) /
                 (2 * h);
        };
        const double fine = central(1e-5), coarse = central(4e-5);
        const bool isSmooth = std::fabs(fine - coarse) < 1e-7 * (1 + std::fabs(fine));
        isSmooth ? ++smooth : ++kinks;
        if (!isSmooth) continue;
        const double got = masked ? run.maskedLogitsGrad[i] : run.logitsGrad[i];
        const double error = std::fabs(got - fine);
        CHECK(error <= 1e-6 * (1 + std::fabs(fine)));
        if (!(error <= worst)) worst = error;
      }
    }
  }
  std::printf("finite differences: %d points, %d at kinks, largest error %.2e\n", smooth, kinks,
              worst);
  CHECK(smooth > 800);
  CHECK(kinks < smooth / 20);
}

template <class T>
LossInputs roundedTo(LossInputs in) {
  for (std::vector<double>* logits : {&in.logits, &in.maskedLogits})
    for (double& z : *logits) {
      T value;
      papo::fromFloat(static_cast<float>(z), &value);
      z = toDouble(value);
    }
  return in;
}

// relative: to the largest gradient of the call, as in loss_gradients_test.
template <class T>
void engineMatchesReference(papo_engine* engine, double relative) {
  Engine oracle = openEngine("reference");
  constexpr int64_t kVocabSizes[] = {1, 2, 5, 37, 131, 2053, 4099};
  double worst = 0;
  for (unsigned seed = 0; seed < 70; ++seed) {
    const int64_t vocabSize = kVocabSizes[seed % 7];
    const LossInputs in =
        roundedTo<T>(seed % 2 ? sharedPrompts(seed, vocabSize) : crowdedRows(seed, vocabSize));
    const papo_objective o = randomObjective(seed);
    const LossRun<T, float> run(engine, in, o), alone(engine, in.expanded(), o);
    const Reference exact(oracle.get(), in, o);
    CHECK(sameValues(run, alone));
    CHECK(run.loss() == alone.loss());
    const LossRun<T, float> inPlace(engine, in, o, true);
    CHECK(sameMetrics(run, inPlace) && sameGradients(run, inPlace));
    const double scale = largest(exact.logitsGrad) + largest(exact.maskedLogitsGrad);
    const double error = std::fmax(largestDifference(run.logitsGrad, exact.logitsGrad),
                                   largestDifference(run.maskedLogitsGrad, exact.maskedLogitsGrad));
    CHECK(error <= 1e-7 + relative * scale);
    CHECK(std::fabs(run.metrics[PAPO_METRIC_gradNorm] - exact.metrics[PAPO_METRIC_gradNorm]) <=
          1e-7 + 2e-5 * exact.metrics[PAPO_METRIC_gradNorm]);
    if (vocabSize == 1) continue;
    CHECK(scale > 1e-4);
    if (!(error / scale <= worst)) worst = error / scale;
  }
  std::printf("  %d-byte logits: largest gradient error %.2e of the largest gradient\n",
              static_cast<int>(sizeof(T)), worst);
}

// Four tokens of one response each at one row, on-policy, so that their slopes are known.
LossInputs fourTokens(const std::vector<int32_t>& tokens, const std::vector<double>& advantages) {
  LossInputs in = LossInputs::random(1, 4, 1, 40);
  in.responseMask.assign(4, 1);
  in.tokens = tokens;
  in.advantages = advantages;
  in.tokenWeights.assign(4, 1);
  in.oldLogProbs.clear();
  return in.scattered({1, 1, 1, 1}, 2);
}

// A row whose first entry has nearly all the mass: g (1 - p) of its tokens is tiny beside g and must
// keep its digits, also beside another token that sampled an entry of next to no mass.
void cancellationKeepsDigits(papo_engine* engine) {
  papo_objective o = profile("grpo");
  o.refKlCoef = 0;
  for (const std::vector<int32_t>& tokens :
       {std::vector<int32_t>{0, 0, 0, 0}, {0, 7, 0, 7}, {39, 7, 0, 8}}) {
    LossInputs in = fourTokens(tokens, {1, 0.5, -0.25, 2});
    for (int64_t v = 0; v < 40; ++v)
      in.logits[static_cast<size_t>(40 + v)] = v == 0 ? 16 : static_cast<double>(v % 3);
    const LossRun<float, float> run(engine, in, o), alone(engine, in.expanded(), o);
    const std::vector<double> sums = summed(in, alone, false);
    for (int64_t v = 0; v < 40; ++v) {
      const double expected = sums[static_cast<size_t>(40 + v)];
      CHECK(expected != 0);
      CHECK(std::fabs(toDouble(run.gradAt(1, v)) - expected) <= 1e-6 * std::fabs(expected));
    }
    CHECK((std::fabs(sums[40]) < 1e-4) == (tokens[1] == 0));  // of slopes that add up to 0.8
  }
}

// Slopes that add up to 0 do not make the row one without gradient.
void cancellingSlopes(papo_engine* engine) {
  papo_objective o = profile("grpo");
  o.refKlCoef = 0;
  const LossInputs in = fourTokens({3, 5, 39, 3}, {1, -1, 0.5, -0.5});
  const LossRun<float, float> run(engine, in, o);
  for (int64_t v = 0; v < 40; ++v) {
    const double expected = v == 3 ? -0.125 : v == 5 ? 0.25 : v == 39 ? -0.125 : 0;
    CHECK(std::fabs(toDouble(run.gradAt(1, v)) - expected) <= 1e-7);
  }
}

template <class T>
void sameBitsForAnyThreads(const std::string& name) {
  const LossInputs in = sharedPrompts(12, 8003, 3);
  for (const char* profileName : kProfiles) {
    Engine one = openEngine(name.c_str(), 1);
    const LossRun<T, float> expected(one.get(), in, profile(profileName));
    for (int threads : {2, 7}) {
      Engine engine = openEngine(name.c_str(), threads);
      for (bool inPlace : {false, true}) {
        const LossRun<T, float> run(engine.get(), in, profile(profileName), inPlace);
        CHECK(sameValues(run, expected) && sameMetrics(run, expected));
        CHECK(sameGradients(run, expected));
      }
    }
  }
}

// A masked token beside counted ones is no part of the row, whatever its id and row index hold.
void maskedTokensAreNotLookedAt(papo_engine* engine) {
  for (const char* profileName : kProfiles) {
    LossInputs in = crowdedRows(7, 301);
    in.responseMask.assign(static_cast<size_t>(in.rows()), 1);
    in.responseMask[2] = in.responseMask[7] = 0;
    const LossRun<float, float> clean(engine, in, profile(profileName));
    in.tokens[2] = in.rowIndex[2] = -100;
    in.tokens[7] = in.rowIndex[7] = INT32_MAX;
    in.oldLogProbs[2] = in.refLogProbs[7] = NAN;
    const LossRun<float, float> run(engine, in, profile(profileName));
    CHECK(sameValues(run, clean) && sameMetrics(run, clean) && sameGradients(run, clean));
    CHECK(std::isfinite(run.loss()));
  }
}

// NaN in a shared row reaches the loss through each of its tokens.
void notANumber(papo_engine* engine) {
  LossInputs in = sharedPrompts(3, 37);
  in.responseMask.assign(static_cast<size_t>(in.rows()), 1);
  in.logits[static_cast<size_t>(3 * in.vocabSize + 30)] = NAN;
  const LossRun<float, float> run(engine, in, profile("papoExact"));
  CHECK(std::isnan(run.loss()));
  CHECK(run.metrics[PAPO_METRIC_nonFiniteRows] == 3);
  for (int64_t v = 0; v < in.vocabSize; ++v) CHECK(std::isnan(run.gradAt(3, v)));
}

// --- log-probs --------------------------------------------------------------------------------------

struct Scores {
  papo_status status;
  std::vector<float> logProbs, entropies, logSumExps;
};

Scores score(papo_engine* engine, const LossInputs& in) {
  const std::vector<BFloat16> logits = convert<BFloat16>(in.logits);
  Scores out;
  out.logProbs.assign(static_cast<size_t>(in.rows()), -99);
  out.entropies = out.logSumExps = out.logProbs;
  Placed placed(engine);
  papo_token_log_probs_args args{};
  args.size = sizeof args;
  args.temperature = 0.7;
  args.logits =
      placed.on(view(logits.data(), in.matrixRows(), in.vocabSize, in.vocabSize, PAPO_BFLOAT16));
  args.tokens = placed.on(view(in.tokens.data(), in.rows(), 1, 1, PAPO_INT32));
  if (!in.rowIndex.empty())
    args.rowIndex = placed.on(view(in.rowIndex.data(), in.rows(), 1, 1, PAPO_INT32));
  args.responseMask = placed.on(maskView(in.responseMask));
  args.logProbs = placed.on(vectorView(out.logProbs));
  args.entropies = placed.on(vectorView(out.entropies));
  args.logSumExps = placed.on(vectorView(out.logSumExps));
  size_t bytes = 0;
  out.status = papo_token_log_probs_workspace(engine, &args, &bytes);
  CHECK(out.status == PAPO_OK);
  CHECK(papo_token_log_probs(engine, &args, nullptr, 0) == PAPO_WORKSPACE_TOO_SMALL);
  void* memory = placed.workspace(bytes);
  const long before = allocations;
  out.status = papo_token_log_probs(engine, &args, memory, bytes);
  CHECK(allocations == before || isCuda(engine));  // the emulator's own
  if (out.status == PAPO_OK) out.status = papo_engine_synchronize(engine);
  placed.fetch();
  return out;
}

// Ids and rows are kept in the workspace and used as addresses: no output may be written over them.
void workspaceIsItsOwn(papo_engine* engine) {
  const LossInputs in = crowdedRows(1, 9);
  const std::vector<float> logits = convert<float>(in.logits);
  papo_token_log_probs_args args{};
  args.size = sizeof args;
  args.temperature = 1;
  args.logits = view(logits.data(), in.logitRows, in.vocabSize, in.vocabSize, PAPO_FLOAT32);
  args.tokens = view(in.tokens.data(), in.rows(), 1, 1, PAPO_INT32);
  args.rowIndex = view(in.rowIndex.data(), in.rows(), 1, 1, PAPO_INT32);
  std::vector<float> logProbs(static_cast<size_t>(in.rows()));
  args.logProbs = vectorView(logProbs);
  size_t bytes = 0;
  CHECK(papo_token_log_probs_workspace(engine, &args, &bytes) == PAPO_OK);
  Workspace workspace;
  void* const memory = workspace.ofSize(bytes);
  CHECK(papo_token_log_probs(engine, &args, memory, bytes) == PAPO_OK);
  args.logProbs = view(memory, in.rows(), 1, 1, PAPO_FLOAT32);
  CHECK(papo_token_log_probs(engine, &args, memory, bytes) == PAPO_OVERLAP);
  CHECK(std::strncmp(papo_last_message(), "workspace:", 10) == 0);
}

void logProbsOfSharedRows(papo_engine* engine) {
  for (unsigned seed = 0; seed < 20; ++seed) {
    LossInputs in = seed % 2 ? sharedPrompts(seed, 2053) : crowdedRows(seed, 37);
    LossInputs sliced = in.expanded();
    for (size_t i = 0; i < in.tokens.size(); ++i)
      if (!in.responseMask[i]) in.tokens[i] = in.rowIndex[i] = -1;
    const Scores got = score(engine, in), expected = score(engine, sliced);
    CHECK(got.status == PAPO_OK && expected.status == PAPO_OK);
    CHECK(sameBits(got.logProbs, expected.logProbs));
    CHECK(sameBits(got.entropies, expected.entropies));
    CHECK(sameBits(got.logSumExps, expected.logSumExps));
    for (size_t i = 0; i < in.tokens.size(); ++i)
      CHECK(in.responseMask[i] ? got.logProbs[i] < 0 : got.logProbs[i] == 0);
  }
}

// --- refusals, memory -------------------------------------------------------------------------------

void refused(const LossInputs& in, papo_engine* engine, const papo_objective& o,
             const char* message) {
  const LossRun<float, float> run(engine, in, o);
  std::snprintf(papo_test::checkContext, sizeof papo_test::checkContext, "%s", message);
  CHECK(run.status == PAPO_INVALID_VALUE);
  CHECK(std::strcmp(papo_last_message(), message) == 0);
  for (float x : run.logitsGrad) CHECK(x == 7.0f);
  for (float x : run.logProbs) CHECK(x == -99.0f);
  for (double x : run.metrics) CHECK(x == 0);
  papo_test::checkContext[0] = 0;
}

void badRows(papo_engine* engine) {
  const papo_objective o = profile("papoG");
  LossInputs good = crowdedRows(1, 9);
  good.responseMask.assign(static_cast<size_t>(good.rows()), 1);
  CHECK((LossRun<float, float>(engine, good, o).status == PAPO_OK));
  LossInputs bad = good;
  bad.rowIndex[3] = -1;
  refused(bad, engine, o, "rowIndex: expected rows in [0, 7), got -1 at index 3");
  bad.rowIndex[3] = 7;
  refused(bad, engine, o, "rowIndex: expected rows in [0, 7), got 7 at index 3");
  bad = good;
  bad.tokens[11] = 9;
  refused(bad, engine, o, "tokens: expected ids in [0, 9), got 9 at index 11");
  bad = good;
  bad.responseMask[4] = 2;
  refused(bad, engine, o, "responseMask: expected 0 or 1, got 2 at index 4");
  bad = good;
  bad.responseMask[5] = 0;
  bad.rowIndex[5] = -100;
  CHECK((LossRun<float, float>(engine, bad, o).status == PAPO_OK));
  papo_objective padded = o;
  padded.paddingInAuxiliaryTerms = 1;
  refused(bad, engine, padded, "rowIndex: expected rows in [0, 7), got -100 at index 5");
  LossInputs scored = good;
  scored.rowIndex[0] = 7;
  CHECK(score(engine, scored).status == PAPO_INVALID_VALUE);
  CHECK(std::strcmp(papo_last_message(), "rowIndex: expected rows in [0, 7), got 7 at index 0") ==
        0);
}

// What cannot be said with LossInputs.
void badTensors(papo_engine* engine) {
  std::vector<float> logits(6, 0.0f), gradient(6), advantages = {1, 2}, logProbs = {-1, -1};
  std::vector<int32_t> tokens = {0, 1}, index = {0, 1};
  double metrics[PAPO_METRIC_COUNT];
  const papo_objective o = profile("drGrpo");
  papo_objective objective = o;
  objective.maxLength = 1;
  papo_loss_args good{};
  good.size = sizeof good;
  good.objective = &objective;
  good.responses = 2;
  good.logits = view(logits.data(), 3, 2, 2, PAPO_FLOAT32);
  good.tokens = view(tokens.data(), 2, 1, 1, PAPO_INT32);
  good.rowIndex = view(index.data(), 2, 1, 1, PAPO_INT32);
  good.advantages = vectorView(advantages);
  good.logitsGrad = view(gradient.data(), 3, 2, 2, PAPO_FLOAT32);
  good.metrics = view(metrics, PAPO_METRIC_COUNT, 1, 1, PAPO_FLOAT64);
  size_t bytes = 0;
  const auto check = [&](papo_status status, const char* argument, auto change) {
    papo_loss_args args = good;
    change(&args);
    CHECK(papo_loss_workspace(engine, &args, &bytes) == status);
    if (status != PAPO_OK)
      CHECK(std::strncmp(papo_last_message(), argument, std::strlen(argument)) == 0);
  };
  using Args = papo_loss_args;
  check(PAPO_OK, "", [](Args*) {});
  check(PAPO_INVALID_SHAPE, "rowIndex:", [](Args* a) { a->rowIndex.rows = 1; });
  check(PAPO_INVALID_SHAPE, "rowIndex:", [](Args* a) { a->rowIndex.rowStride = 2; });
  check(PAPO_INVALID_DTYPE, "rowIndex:", [](Args* a) { a->rowIndex.dtype = PAPO_FLOAT32; });
  check(PAPO_INVALID_SHAPE, "logitsGrad:", [](Args* a) { a->logitsGrad.rows = 2; });
  check(PAPO_INVALID_SHAPE, "logits:", [](Args* a) { a->logits.rows = 0; });
  check(PAPO_INVALID_SHAPE, "logits:", [](Args* a) { a->logits.rows = -5; });
  check(PAPO_INVALID_ARGUMENT, "tokens:", [](Args* a) { a->tokens.data = nullptr; });
  check(PAPO_INVALID_SHAPE, "tokens:", [](Args* a) { a->tokens.rows = a->rowIndex.rows = 0; });
  check(PAPO_OVERLAP, "outLogProbs:", [&](Args* a) {
    a->outLogProbs = view(index.data(), 2, 1, 1, PAPO_FLOAT32);
  });
  check(PAPO_INVALID_ARGUMENT, "rowIndex:", [&](Args* a) {
    a->logits.data = a->logitsGrad.data = a->tokens.data = nullptr;
    a->logProbs = vectorView(logProbs);
  });
}

// O(tokens + rows) of memory, all of it the caller's.
void memoryIsTheCallers(papo_engine* engine) {
  for (const char* profileName : {"papoExact", "gspo"}) {
    const auto bytes = [&](int64_t vocabSize, int64_t extraRows) {
      LossInputs in = sharedPrompts(1, vocabSize);
      in.logitRows += extraRows;
      in.logits.resize(static_cast<size_t>(in.logitRows * vocabSize), 0);
      in.maskedLogits.resize(in.logits.size(), 0);
      return LossRun<float, float>(engine, in, profile(profileName), true);
    };
    CHECK(bytes(3, 0).workspaceBytes == bytes(4099, 0).workspaceBytes);
    CHECK(bytes(3, 8000).workspaceBytes - bytes(3, 0).workspaceBytes <= 8000 * 8 + 64);
    if (isCuda(engine)) continue;  // the emulator allocates
    CHECK(bytes(3, 0).allocationsInCall == 0);
    CHECK(bytes(4099, 0).allocationsInCall == 0);
  }
}

// Another thread writes to tokens and row index all the while: a call succeeds or refuses a value,
// and never follows one that it has not checked.
void valuesThatChange(papo_engine* engine) {
#if !defined(__SANITIZE_THREAD__)
  LossInputs in = crowdedRows(5, 11);
  in.responseMask.assign(static_cast<size_t>(in.rows()), 1);
  volatile int32_t* const token = &in.tokens[6];
  volatile int32_t* const row = &in.rowIndex[6];
  std::atomic<bool> done{false};
  std::thread writer([&] {
    for (int32_t i = 0; !done; ++i) {
      *token = i % 3 ? 3 : 1 << 30;
      *row = i % 2 ? 1 : -(1 << 30);
    }
  });
  int accepted = 0;
  for (int i = 0; i < 2000; ++i) {
    const papo_status status = LossRun<float, float>(engine, in, profile("papoExact")).status;
    CHECK(status == PAPO_OK || status == PAPO_INVALID_VALUE);
    accepted += status == PAPO_OK;
  }
  done = true;
  writer.join();
  std::printf("  values that change: %d of 2000 calls found good ones\n", accepted);
#else
  (void)engine;
#endif
}

}  // namespace

int main() {
  tokensKeepTheirOrder();
  referenceSumsGradients();
  referenceMatchesFiniteDifferences();
  for (const std::string& name : instructionSetNames()) {
    std::printf("%s\n", name.c_str());
    Engine engine = openEngine(name.c_str(), 2);
    if (name == "reference") {
      identityIsNoIndex<double, double>(engine.get());
      permutedAndGapped<double, double>(engine.get());
      continue;
    }
    identityIsNoIndex<float, float>(engine.get());
    identityIsNoIndex<BFloat16, float>(engine.get());
    permutedAndGapped<float, float>(engine.get());
    permutedAndGapped<Float16, float>(engine.get());
    permutedAndGapped<BFloat16, float>(engine.get());
    engineMatchesReference<float>(engine.get(), 2e-5);
    engineMatchesReference<Float16>(engine.get(), 1.0 / 1024);
    engineMatchesReference<BFloat16>(engine.get(), 1.0 / 128);
    cancellationKeepsDigits(engine.get());
    cancellingSlopes(engine.get());
    sameBitsForAnyThreads<float>(name);
    sameBitsForAnyThreads<BFloat16>(name);
    maskedTokensAreNotLookedAt(engine.get());
    notANumber(engine.get());
    logProbsOfSharedRows(engine.get());
    badRows(engine.get());
    memoryIsTheCallers(engine.get());
    if (name == "cuda") continue;  // the rest is about memory of the host
    workspaceIsItsOwn(engine.get());
    badTensors(engine.get());
    valuesThatChange(engine.get());
  }
  return finish();
}
