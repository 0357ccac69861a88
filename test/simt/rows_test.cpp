// Row kernels against plain loops in double: statistics, gradients, and both in one kernel, for hard
// rows, any size and any place in memory; and the same bits from every way to the same result.
#include <cstdio>
#include <cstdlib>

#include "../native/check.h"
#include "cuda/context.h"
#include "rows_fixture.h"
#include "simt.h"

namespace {

using namespace papo;
using namespace papo_test;
using cuda::RowKind;
using cuda::RowsCall;

struct Worst {
  double ratio = 0, error = 0;
};
struct WorstOf {
  Worst logProb, entropy, kl, gradient, squares;
} worst[3];

bool within(double got, double expected, double tolerance, Worst* record) {
  if (got == expected) return true;
  const double difference = std::fabs(got - expected);
  if (!(difference <= tolerance)) {
    std::printf("got %.9g, expected %.9g +- %.3g  %s\n", got, expected, tolerance, checkContext);
    return false;
  }
  record->ratio = std::max(record->ratio, difference / tolerance);
  record->error = std::max(record->error, difference);
  return true;
}

cuda::Context* context() {
  static const std::unique_ptr<cuda::Context> opened = [] {
    cuda::Context* c = nullptr;
    CHECK(cuda::Context::open(0, nullptr, &c) == PAPO_OK);
    return std::unique_ptr<cuda::Context>(c);
  }();
  return opened.get();
}

using Launch = papo_status (*)(cuda::Context&, const RowsCall&);
void run(Launch launch, const RowsCall& call) {
  CHECK(launch(*context(), call) == PAPO_OK);
  CHECK(context()->synchronize() == PAPO_OK);
}

// What a sequence of kernels left behind.
template <class T>
struct Results {
  std::vector<TokenRecord<float>> records;
  std::vector<RowStatistics> statistics;
  std::vector<SampledEntry> entries;
  Matrix<T> grad, maskedGrad;

  explicit Results(const Rows<T>& rows)
      : records(rows.tokens.ids.size()),
        statistics(rows.tokens.ids.size()),
        entries(rows.tokens.ids.size()),
        grad(rows.shape),
        maskedGrad(rows.shape) {}

  void join(RowsCall* call, bool isPair) {
    call->records = records.data();
    call->statistics = statistics.data();
    call->entries = entries.data();
    call->logitsGrad = grad.tensor();
    if (isPair) call->maskedLogitsGrad = maskedGrad.tensor();
  }
  void setSlopes(const RowSlopes& s) {
    for (TokenRecord<float>& record : records) {
      TokenSlopes<float>& to = record.slopes;
      to.logProb = static_cast<float>(s.logProb);
      to.entropy = static_cast<float>(s.entropy);
      to.maskedLogProb = static_cast<float>(s.maskedLogProb);
      to.maskedEntropy = static_cast<float>(s.maskedEntropy);
      to.exactKl = static_cast<float>(s.exactKl);
    }
  }
};

template <class V>
bool sameBits(const V& a, const V& b) {
  return std::memcmp(&a, &b, sizeof a) == 0;
}

// ---- values --------------------------------------------------------------------------------------

void checkBranch(const BranchStatistics& got, const OracleBranch& expected, WorstOf* record) {
  const double size = std::fabs(expected.logProb);
  CHECK(within(got.logProb, expected.logProb, 5e-7 + 1e-12 * size, &record->logProb));
  CHECK(within(got.max + got.logSum, expected.logSumExp,
               5e-7 + 1e-12 * std::fabs(expected.logSumExp), &record->logProb));
  CHECK(within(got.entropy, expected.entropy, 5e-7 + 5e-7 * expected.entropy, &record->entropy));
}

void checkStatistics(const RowStatistics& got, const OraclePair& expected, int dtype,
                     RowKind kind) {
  checkBranch(got.image, expected.image, &worst[dtype]);
  if (kind == RowKind::kOne) return;
  checkBranch(got.masked, expected.masked, &worst[dtype]);
  if (kind == RowKind::kPair) {
    CHECK(got.exactKl == 0 && got.sharedMass == 1);
    return;
  }
  Worst* const record = &worst[dtype].kl;
  CHECK(within(got.exactKl, expected.exactKl, 5e-7 + 5e-7 * expected.klTerms, record));
  CHECK(within(got.sharedMass, expected.sharedMass, 5e-7, record));
}

double roundingOf(int dtype, double value) {
  const double size = std::fabs(value);
  if (dtype == PAPO_FLOAT16) return std::max(std::ldexp(size, -11), std::ldexp(1, -25));
  if (dtype == PAPO_BFLOAT16) return std::ldexp(size, -8);
  return std::ldexp(size, -24);
}

// p = 2^u has the absolute error of u, which is rounded to float32, as relative one; below 2^-126 it may
// be 0. 1 - p of the sampled element has the error of its log-prob. As in vocab_rows_test.cpp.
double errorOf(double terms, double logP, double sampledMass) {
  if (terms == 0 && sampledMass == 0) return 0;
  return (2e-6 + 2.5e-7 * -std::max(logP, -90.0)) * terms + 5e-7 * sampledMass + 1e-36;
}

bool gradientWithin(double got, double expected, double error, int dtype) {
  if (error == 0) return got == expected;
  return within(got, expected, error + 1.01 * roundingOf(dtype, expected), &worst[dtype].gradient);
}

// oracles: of every token of the row.
struct ExpectedElement {
  double image = 0, imageError = 0, masked = 0, maskedError = 0;

  ExpectedElement(const std::vector<OraclePair>& oracles, const RowSlopes& slopes, size_t v) {
    for (const OraclePair& oracle : oracles) {
      const OracleElement e = oracle.element(slopes, v);
      const double hot = static_cast<int64_t>(v) == oracle.token ? oracle.inverseTemperature : 0;
      const double logP = oracle.image.logP[v];
      image += e.image;
      imageError += errorOf(e.imageTerms, logP, hot * std::fabs(slopes.logProb) * std::exp(logP));
      if (oracle.masked.p.empty()) continue;
      const double maskedLogP = oracle.masked.logP[v];
      masked += e.masked;
      maskedError += errorOf(e.maskedTerms, std::min(logP, maskedLogP),
                             hot * std::fabs(slopes.maskedLogProb) * std::exp(maskedLogP));
    }
  }
  double squares() const { return image * image + masked * masked; }
  double squaresError() const {
    return (2 * std::fabs(image) + imageError) * imageError +
           (2 * std::fabs(masked) + maskedError) * maskedError + 2e-6 * squares();
  }
};

template <class T>
bool rowGradientWithin(const Results<T>& got, int64_t row, const std::vector<OraclePair>& oracles,
                       const RowSlopes& slopes, int dtype, double squares) {
  double expectedSquares = 0, squaresError = 1e-36;
  for (int64_t v = 0; v < static_cast<int64_t>(oracles[0].image.p.size()); ++v) {
    const ExpectedElement e(oracles, slopes, static_cast<size_t>(v));
    if (!gradientWithin(static_cast<double>(got.grad.get(row, v)), e.image, e.imageError, dtype))
      return false;
    expectedSquares += e.squares();
    squaresError += e.squaresError();
    if (oracles[0].masked.p.empty()) continue;
    if (!gradientWithin(static_cast<double>(got.maskedGrad.get(row, v)), e.masked, e.maskedError,
                        dtype))
      return false;
  }
  return within(squares, expectedSquares, squaresError, &worst[dtype].squares);
}

std::vector<RowSlopes> slopeSets(RowKind kind) {
  const RowSlopes some[] = {
      {-1.5, 0, 0, 0, 0}, {0.75, 0.5, 0, 0, 0},           {-1.5, 0.25, 0.5, -0.75, 0},
      {0, 0, 0.5, 0, 0},  {-1.5, 0.25, 0.5, -0.75, -0.5}, {0, 0, 0, 0, -1}};
  if (kind == RowKind::kOne) return {some[0], some[1]};
  if (kind == RowKind::kPair) return {some[2], some[3]};
  return {some[2], some[4], some[5]};
}

// Statistics and gradients of all rows, in two kernels; oracles by token.
template <class T>
void checkValues(const RowsShape& shape, int dtype) {
  Rows<T> rows = Rows<T>::ofEach(shape);
  std::snprintf(checkContext, sizeof checkContext, "%s V %lld logits %d kind %d", dtypeName(dtype),
                static_cast<long long>(shape.vocabSize), static_cast<int>(shape.logits),
                static_cast<int>(shape.kind));
  std::vector<OraclePair> oracles;
  for (int64_t row = 0; row < shape.rows; ++row) oracles.push_back(rows.oracle(row));
  Results<T> results(rows);
  RowsCall call = rows.call(dtype, context()->error());
  results.join(&call, shape.isPair());
  call.sumOfSquares = true;
  run(cuda::launchRowStatistics, call);
  for (size_t row = 0; row < oracles.size(); ++row) {
    checkStatistics(results.statistics[row], oracles[row], dtype, shape.kind);
    const RowStatistics& s = results.statistics[row];
    CHECK(results.records[row].inputs.logProb == static_cast<float>(s.image.logProb));
    CHECK(results.records[row].inputs.exactKl == static_cast<float>(s.exactKl));
  }
  for (const RowSlopes& slopes : slopeSets(shape.kind)) {
    results.setSlopes(slopes);
    run(cuda::launchRowGradients, call);
    for (size_t row = 0; row < oracles.size(); ++row)
      CHECK(rowGradientWithin(results, static_cast<int64_t>(row), {oracles[row]}, slopes, dtype,
                              results.records[row].sumOfSquares));
    CHECK(results.grad.isPaddingIntact() && results.maskedGrad.isPaddingIntact());
  }
}

template <class T>
void valuesOfEveryKind(int dtype) {
  for (int64_t vocabSize : {1, 3, 37, 1023, 1024, 1025, 2500, 8003}) {
    for (int logits = 0; logits < kLogitKinds; ++logits) {
      for (RowKind kind : {RowKind::kOne, RowKind::kPair, RowKind::kExactPair}) {
        RowsShape shape{2, vocabSize, logits, logits % 3, kind, static_cast<Logits>(logits)};
        shape.inverseTemperature = logits % 2 == 0 ? 1 : logits % 4 == 1 ? 1 / 0.7 : 0.5;
        checkValues<T>(shape, dtype);
      }
    }
  }
}

// ---- the same bits -------------------------------------------------------------------------------

TokenObjective<float> exactObjective() {
  papo_objective objective;
  CHECK(papo_objective_init("papoExact", &objective) == PAPO_OK);
  return tokenObjective<float>(objective);
}

template <class T>
void fillRecords(const Rows<T>& rows, Results<T>* results) {
  for (size_t i = 0; i < results->records.size(); ++i) {
    TokenRecord<float>& record = results->records[i];
    record = TokenRecord<float>();
    record.counts = record.contributes = true;
    record.inputs.hasMasked = rows.shape.isPair();
    record.inputs.advantage = i % 2 ? -0.7f : 1.3f;
    record.inputs.oldLogProb = -2.5f + 0.1f * static_cast<float>(i % 5);
    record.shares = {0.25f, 0.5f, 0.25f, 0.5f, 0};
  }
}

struct Variant {
  bool isTwoKernels = false, inPlace = false, maskedGradient = true;
};

template <class T>
RowsCall localCall(Rows<T>* rows, Results<T>* results, int dtype) {
  RowsCall call = rows->call(dtype, context()->error());
  results->join(&call, rows->shape.isPair());
  call.objective = exactObjective();
  if (!call.exactKl) call.objective.perceptionKlEstimator = PAPO_PERCEPTION_KL_ESTIMATOR_K3;
  call.hasOldLogProbs = true;
  call.sumOfSquares = true;
  return call;
}

// A whole local loss of rows, by one kernel or by two with the terms on the host between them.
template <class T>
Results<T> localRows(Rows<T> rows, int dtype, const Variant& variant) {
  Results<T> results(rows);
  fillRecords(rows, &results);
  RowsCall call = localCall(&rows, &results, dtype);
  if (variant.inPlace) {
    call.logitsGrad = call.logits;
    if (rows.shape.isPair()) call.maskedLogitsGrad = call.maskedLogits;
  }
  call.objective.maskedGradient = variant.maskedGradient;
  if (variant.isTwoKernels) {
    run(cuda::launchRowStatistics, call);
    for (size_t i = 0; i < results.records.size(); ++i)
      if (rows.tokens.ids[i] >= 0)
        evaluateToken(call.objective, call.hasOldLogProbs, &results.records[i]);
    run(cuda::launchRowGradients, call);
  } else {
    run(cuda::launchLocalRowsInTwoSweeps, call);
  }
  if (variant.inPlace) {
    results.grad = rows.logits;
    results.maskedGrad = rows.maskedLogits;
  }
  CHECK(rows.logits.isPaddingIntact() && rows.maskedLogits.isPaddingIntact());
  CHECK(results.grad.isPaddingIntact() && results.maskedGrad.isPaddingIntact());
  return results;
}

template <class V>
bool sameValues(const V& a, const V& b) {
  return a.inputs.logProb == b.inputs.logProb && a.inputs.entropy == b.inputs.entropy &&
         a.inputs.maskedLogProb == b.inputs.maskedLogProb &&
         a.inputs.maskedEntropy == b.inputs.maskedEntropy && a.inputs.exactKl == b.inputs.exactKl &&
         a.terms.policy.loss == b.terms.policy.loss && a.terms.ratio == b.terms.ratio &&
         a.slopes.logProb == b.slopes.logProb && a.slopes.exactKl == b.slopes.exactKl &&
         a.slopes.entropy == b.slopes.entropy && a.slopes.maskedLogProb == b.slopes.maskedLogProb &&
         a.sumOfSquares == b.sumOfSquares;
}

template <class T>
bool sameResults(const Results<T>& a, const Results<T>& b, bool isPair) {
  bool same = a.grad.sameRows(b.grad) && (!isPair || a.maskedGrad.sameRows(b.maskedGrad));
  for (size_t i = 0; i < a.records.size(); ++i)
    same = same && sameValues(a.records[i], b.records[i]);
  return same;
}

template <class T>
void sameBitsEveryWay(int dtype, int64_t vocabSize, RowKind kind, Logits logits) {
  const RowsShape shape{3, vocabSize, 0, 0, kind, logits, 1 / 0.7};
  std::snprintf(checkContext, sizeof checkContext, "same bits: %s V %lld logits %d kind %d",
                dtypeName(dtype), static_cast<long long>(vocabSize), static_cast<int>(logits),
                static_cast<int>(kind));
  const Rows<T> rows = Rows<T>::ofEach(shape);
  for (bool maskedGradient : {true, false}) {
    const Variant plain{false, false, maskedGradient};
    const Results<T> expected = localRows(rows, dtype, plain);
    for (simt::Order order : {simt::Order::reverse, simt::Order::random}) {
      simt::options().order = order;
      CHECK(sameResults(localRows(rows, dtype, plain), expected, shape.isPair()));
    }
    simt::options().order = simt::Order::forward;
    CHECK(sameResults(localRows(rows, dtype, {true, false, maskedGradient}), expected,
                      shape.isPair()));
    CHECK(sameResults(localRows(rows, dtype, {false, true, maskedGradient}), expected,
                      shape.isPair()));
    CHECK(sameResults(localRows(rows, dtype, {true, true, maskedGradient}), expected,
                      shape.isPair()));
    for (int64_t offset : {1, 3}) {
      RowsShape elsewhere = shape;
      elsewhere.offset = offset;
      elsewhere.padding = 2 * offset + 1;
      const Rows<T> moved = Rows<T>::ofEach(elsewhere);
      CHECK(sameResults(localRows(moved, dtype, {false, offset == 3, maskedGradient}), expected,
                        shape.isPair()));
    }
  }
}

// Each gradient on its own, and none: the terms are the same, and so is what is asked for.
template <class T>
void onlyWhatIsAskedFor(int dtype, RowKind kind) {
  const RowsShape shape{2, 1500, 0, 0, kind, Logits::kHoles};
  std::snprintf(checkContext, sizeof checkContext, "asked for: %s kind %d", dtypeName(dtype),
                static_cast<int>(kind));
  Rows<T> rows = Rows<T>::ofEach(shape);
  const Results<T> both = localRows(rows, dtype, Variant());
  for (int asked = 0; asked < 3; ++asked) {
    Results<T> results(rows);
    const Results<T> untouched(rows);
    fillRecords(rows, &results);
    RowsCall call = localCall(&rows, &results, dtype);
    if (asked != 1) call.logitsGrad = {};
    if (asked != 2) call.maskedLogitsGrad = {};
    run(cuda::launchLocalRowsInTwoSweeps, call);
    CHECK(results.grad.sameRows(asked == 1 ? both.grad : untouched.grad));
    CHECK(results.maskedGrad.sameRows(asked == 2 ? both.maskedGrad : untouched.maskedGrad));
    for (size_t i = 0; i < results.records.size(); ++i) {
      CHECK(sameBits(results.records[i].slopes, both.records[i].slopes));
      CHECK(results.records[i].inputs.exactKl == both.records[i].inputs.exactKl);
    }
  }
}

// A row alone, without its partner, and for its log-probs only.
template <class T>
void sameBitsAlone(int dtype, int64_t vocabSize) {
  std::snprintf(checkContext, sizeof checkContext, "alone: %s V %lld", dtypeName(dtype),
                static_cast<long long>(vocabSize));
  RowsShape shape{2, vocabSize, 0, 0, RowKind::kExactPair, Logits::kHoles, 1 / 0.7};
  Rows<T> rows = Rows<T>::ofEach(shape);
  Results<T> pair(rows);
  RowsCall call = rows.call(dtype, context()->error());
  pair.join(&call, true);
  run(cuda::launchRowStatistics, call);

  std::vector<float> logProbs(2, -1), entropies(2, -1), logSumExps(2, -1);
  for (int branch = 0; branch < 2; ++branch) {
    const cuda::RowTensor& tensor = branch == 0 ? rows.logits.tensor() : rows.maskedLogits.tensor();
    RowsCall alone = rows.call(dtype, context()->error());
    alone.logits = tensor;
    alone.maskedLogits = {};
    alone.exactKl = false;
    alone.logProbOutputs = {logProbs.data(), entropies.data(), logSumExps.data()};
    run(cuda::launchRowStatistics, alone);
    for (size_t row = 0; row < 2; ++row) {
      const RowStatistics& s = pair.statistics[row];
      const BranchStatistics& expected = branch == 0 ? s.image : s.masked;
      CHECK(logProbs[row] == static_cast<float>(expected.logProb));
      CHECK(entropies[row] == static_cast<float>(expected.entropy));
      CHECK(logSumExps[row] == static_cast<float>(expected.max + expected.logSum));
    }
  }
}

// ---- rows that are shared, skipped or not finite -------------------------------------------------

template <class T>
void sharedRows(int dtype, RowKind kind) {
  const RowsShape shape{3, 2500, 3, 1, kind, Logits::kHoles, 0.5};
  // Row 1 has no token; token 4 is not read; in row 0 two tokens sampled the same.
  const Tokens tokens{{7, 1500, 7, 2499, -1, 0, 3}, {0, 0, 0, 0, 2, 2, 2}};
  Rows<T> rows(shape, tokens);
  std::snprintf(checkContext, sizeof checkContext, "shared: %s kind %d", dtypeName(dtype),
                static_cast<int>(kind));
  for (int64_t v = 0; v < shape.vocabSize; ++v) rows.logits.set(1, v, NAN);
  for (const RowSlopes& slopes : slopeSets(kind)) {
    Results<T> results(rows);
    RowsCall call = rows.call(dtype, context()->error());
    results.join(&call, shape.isPair());
    call.sumOfSquares = true;
    run(cuda::launchRowStatistics, call);
    results.setSlopes(slopes);
    run(cuda::launchRowGradients, call);
    std::vector<OraclePair> oracles[3];
    for (int64_t i = 0; i < tokens.count(); ++i) {
      const auto at = static_cast<size_t>(i);
      if (tokens.ids[at] < 0) continue;
      oracles[tokens.row(i)].push_back(rows.oracle(i));
      const TokenInputs<float>& in = results.records[at].inputs;
      CHECK(within(static_cast<double>(in.logProb), oracles[tokens.row(i)].back().image.logProb,
                   2e-6, &worst[dtype].logProb));
    }
    CHECK(
        rowGradientWithin(results, 0, oracles[0], slopes, dtype, results.records[0].sumOfSquares));
    CHECK(
        rowGradientWithin(results, 2, oracles[2], slopes, dtype, results.records[5].sumOfSquares));
    bool zero = true;
    for (int64_t v = 0; v < shape.vocabSize; ++v)
      zero = zero && results.grad.get(1, v) == 0 &&
             (!shape.isPair() || results.maskedGrad.get(1, v) == 0);
    CHECK(zero);
  }
  for (bool inPlace : {false, true})
    CHECK(sameResults(localRows(rows, dtype, {false, inPlace, true}),
                      localRows(rows, dtype, {true, false, true}), shape.isPair()));
}

bool allNan(const BranchStatistics& s) {
  return std::isnan(s.max) && std::isnan(s.sumExp) && std::isnan(s.logSum) &&
         std::isnan(s.logProb) && std::isnan(s.entropy);
}

template <class T>
bool everyIs(const Matrix<T>& matrix, int64_t vocabSize, bool isNan, bool isZero) {
  for (int64_t v = 0; v < vocabSize; ++v) {
    const float x = matrix.get(0, v);
    if (std::isnan(x) != isNan || (isZero && x != 0)) return false;
  }
  return true;
}

// A NaN or +inf at a place, or -inf throughout, in the branches named by which (1 image, 2 masked).
template <class T>
void notFinite(int dtype, float value, int which, int64_t vocabSize, int64_t place) {
  std::snprintf(checkContext, sizeof checkContext, "not finite: %s %g in %d V %lld at %lld",
                dtypeName(dtype), static_cast<double>(value), which,
                static_cast<long long>(vocabSize), static_cast<long long>(place));
  const RowsShape shape{1, vocabSize, 0, 0, RowKind::kExactPair};
  Rows<T> rows = Rows<T>::ofEach(shape);
  for (int64_t v = 0; v < vocabSize; ++v) {
    if (v != place && value != -INFINITY) continue;
    if (which & 1) rows.logits.set(0, v, value);
    if (which & 2) rows.maskedLogits.set(0, v, value);
  }
  Results<T> results(rows);
  RowsCall call = rows.call(dtype, context()->error());
  results.join(&call, true);
  run(cuda::launchRowStatistics, call);
  const RowStatistics& got = results.statistics[0];
  CHECK(allNan(got.image) == ((which & 1) != 0));
  CHECK(allNan(got.masked) == ((which & 2) != 0));
  CHECK(std::isnan(got.exactKl));
  for (double d : {0.0, 0.5}) {
    results.setSlopes({1, 0.5, 1, 0.5, d});
    run(cuda::launchRowGradients, call);
    CHECK(everyIs(results.grad, vocabSize, d != 0 || (which & 1) != 0, false));
    CHECK(everyIs(results.maskedGrad, vocabSize, d != 0 || (which & 2) != 0, false));
  }
  results.setSlopes(RowSlopes());
  run(cuda::launchRowGradients, call);
  CHECK(everyIs(results.grad, vocabSize, false, true));
  CHECK(everyIs(results.maskedGrad, vocabSize, false, true));
}

template <class T>
void notFiniteRows(int dtype) {
  for (int64_t vocabSize : {1, 17, 1025, 2500})
    for (int64_t place : {int64_t{0}, vocabSize / 2, vocabSize - 1})
      for (int which = 1; which <= 3; ++which)
        for (float value : {NAN, -NAN, INFINITY, -INFINITY})
          notFinite<T>(dtype, value, which, vocabSize, place);
}

// Excluded by the masked branch, the sampled token is outside S, and nothing is NaN.
template <class T>
void excludedToken(int dtype) {
  const RowsShape shape{1, 1500, 0, 0, RowKind::kExactPair};
  Rows<T> rows(shape, {{1042}, {}});
  rows.maskedLogits.set(0, 1042, -INFINITY);
  std::snprintf(checkContext, sizeof checkContext, "excluded token: %s", dtypeName(dtype));
  const OraclePair oracle = rows.oracle(0);
  CHECK(oracle.sharedMass < 1);
  Results<T> results(rows);
  RowsCall call = rows.call(dtype, context()->error());
  results.join(&call, true);
  call.sumOfSquares = true;
  run(cuda::launchRowStatistics, call);
  CHECK(results.statistics[0].masked.logProb == -INFINITY);
  const RowSlopes slopes{1, 0.5, 0, 0.25, 0.5};
  results.setSlopes(slopes);
  run(cuda::launchRowGradients, call);
  CHECK(rowGradientWithin(results, 0, {oracle}, slopes, dtype, results.records[0].sumOfSquares));
}

// Logits as large as the dtype has them, which some use to exclude tokens.
void hugeLogits() {
  const RowsShape shape{1, 2500, 0, 0, RowKind::kExactPair};
  for (float huge : {-3.4e38f, -1e31f, 3.4e38f}) {
    Rows<float> rows = Rows<float>::ofEach(shape);
    for (int64_t v = 1000; v < 1100; ++v) rows.logits.set(0, v, huge);
    for (int64_t v = 1000; v < 1100; ++v) rows.maskedLogits.set(0, v, huge);
    std::snprintf(checkContext, sizeof checkContext, "huge: %g", static_cast<double>(huge));
    Results<float> results(rows);
    RowsCall call = rows.call(PAPO_FLOAT32, context()->error());
    results.join(&call, true);
    call.sumOfSquares = true;
    run(cuda::launchRowStatistics, call);
    const OraclePair oracle = rows.oracle(0);
    checkStatistics(results.statistics[0], oracle, PAPO_FLOAT32, shape.kind);
    const RowSlopes slopes{1, 0.5, 0.5, 0.25, 0.5};
    results.setSlopes(slopes);
    run(cuda::launchRowGradients, call);
    CHECK(rowGradientWithin(results, 0, {oracle}, slopes, PAPO_FLOAT32,
                            results.records[0].sumOfSquares));
  }
}

// After a finding nothing is read or written.
void findingStopsKernels() {
  std::snprintf(checkContext, sizeof checkContext, "finding");
  const RowsShape shape{2, 100};
  Rows<float> rows = Rows<float>::ofEach(shape);
  Results<float> results(rows), untouched(rows);
  const cuda::DeviceError found{1, 0, 0};
  RowsCall call = rows.call(PAPO_FLOAT32, &found);
  results.join(&call, false);
  for (Launch launch :
       {cuda::launchRowStatistics, cuda::launchRowGradients, cuda::launchLocalRowsInTwoSweeps})
    run(launch, call);
  CHECK(results.grad.sameRows(untouched.grad));
  CHECK(results.records[0].inputs.logProb == 0 && results.statistics[0].image.sumExp == 0);
}

// More tiles than a group: the merge goes group by group.
void longRow() {
  const RowsShape shape{1, 1024 * 1024 + 3000, 0, 0, RowKind::kOne};
  checkValues<BFloat16>(shape, PAPO_BFLOAT16);
}

template <class T>
void everything(int dtype) {
  valuesOfEveryKind<T>(dtype);
  for (int64_t vocabSize : {50257, 151936, 152064}) {
    checkValues<T>({1, vocabSize, 0, 0, RowKind::kExactPair, Logits::kRandom, 1 / 0.7}, dtype);
    checkValues<T>({1, vocabSize, 0, 0, RowKind::kPair, Logits::kHoles}, dtype);
  }
  checkValues<T>({1, 151936, 0, 0, RowKind::kExactPair, Logits::kFlat}, dtype);
  for (int64_t vocabSize : {1, 1025, 8003})
    for (RowKind kind : {RowKind::kOne, RowKind::kPair, RowKind::kExactPair})
      sameBitsEveryWay<T>(dtype, vocabSize, kind, Logits::kHoles);
  sameBitsEveryWay<T>(dtype, 50257, RowKind::kExactPair, Logits::kRandom);
  for (int64_t vocabSize : {1, 1500, 8003}) sameBitsAlone<T>(dtype, vocabSize);
  for (RowKind kind : {RowKind::kPair, RowKind::kExactPair}) onlyWhatIsAskedFor<T>(dtype, kind);
  for (RowKind kind : {RowKind::kOne, RowKind::kPair, RowKind::kExactPair})
    sharedRows<T>(dtype, kind);
  notFiniteRows<T>(dtype);
  excludedToken<T>(dtype);
}

void printWorst() {
  for (int dtype = 0; dtype < 3; ++dtype) {
    const WorstOf& w = worst[dtype];
    const struct {
      const char* name;
      Worst worst;
    } lines[] = {{"logProb", w.logProb},
                 {"entropy", w.entropy},
                 {"exactKl", w.kl},
                 {"gradient", w.gradient},
                 {"squares", w.squares}};
    for (const auto& line : lines)
      std::printf("%-9s %-9s largest error %.3g, %.3f of its tolerance\n", dtypeName(dtype),
                  line.name, line.worst.error, line.worst.ratio);
  }
}

}  // namespace

int main() {
  everything<float>(PAPO_FLOAT32);
  everything<Float16>(PAPO_FLOAT16);
  everything<BFloat16>(PAPO_BFLOAT16);
  hugeLogits();
  longRow();
  findingStopsKernels();
  simt::options().ulpNoise = 2;
  valuesOfEveryKind<BFloat16>(PAPO_BFLOAT16);
  valuesOfEveryKind<float>(PAPO_FLOAT32);
  printWorst();
  return finish();
}
