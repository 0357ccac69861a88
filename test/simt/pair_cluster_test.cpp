// The cluster kernel gives the bits of the two sweeps, which rows_test holds against the formulas:
// for every size of cluster and number of threads, in several orders of the threads.
#include <cstdlib>

#include "../native/check.h"
#include "../native/sanitizers.h"
#include "cuda/local_rows.h"
#include "emu/options.h"
#include "engine/engine.h"
#include "rows_fixture.h"

namespace {

using namespace papo_test;
using papo::cuda::RowKind;
using papo::cuda::RowLaunch;
using papo::cuda::RowsCall;
using Record = papo::TokenRecord<float>;

papo_engine* openEngine() {
  papo_engine_options options{};
  options.size = sizeof options;
  options.device = PAPO_CUDA;
  papo_engine* engine = nullptr;
  if (papo_engine_open(&options, &engine) != PAPO_OK) std::printf("%s\n", papo_last_message());
  return engine;
}
papo_engine* engine = nullptr;

struct Variant {
  const char* profile = "papoExact";
  bool inPlace = false, squares = false, detached = false;
};

template <class T>
int32_t dtypeOf();
template <>
int32_t dtypeOf<float>() {
  return PAPO_FLOAT32;
}
template <>
int32_t dtypeOf<papo::Float16>() {
  return PAPO_FLOAT16;
}
template <>
int32_t dtypeOf<papo::BFloat16>() {
  return PAPO_BFLOAT16;
}

// ---- what a launch leaves ----------------------------------------------------------------------

template <class T>
struct Results {
  Matrix<T> image, masked;  // gradients
  std::vector<double> records;

  bool isPaddingIntact() const { return image.isPaddingIntact() && masked.isPaddingIntact(); }
};

std::vector<Record> freshRecords(int64_t count, bool isPair) {
  std::vector<Record> records(static_cast<size_t>(count));
  for (size_t i = 0; i < records.size(); ++i) {
    Record& record = records[i];
    record.counts = record.contributes = true;
    record.inputs.hasMasked = isPair;
    record.inputs.advantage = i % 2 ? -0.7f : 1.3f;
    record.inputs.oldLogProb = -9.5f + 0.1f * static_cast<float>(i % 5);
    record.shares.policy = record.shares.entropy = 0.25f;
    if (isPair) record.shares.perception = record.shares.maskedEntropy = 0.5f;
  }
  return records;
}

void append(const Record& r, std::vector<double>* out) {
  for (float x : {r.inputs.logProb, r.inputs.maskedLogProb, r.inputs.entropy,
                  r.inputs.maskedEntropy, r.inputs.exactKl, r.inputs.advantage, r.inputs.oldLogProb,
                  r.terms.policy.loss, r.terms.perceptionKl.value, r.terms.entropy, r.terms.ratio,
                  r.slopes.logProb, r.slopes.maskedLogProb, r.slopes.entropy,
                  r.slopes.maskedEntropy, r.slopes.exactKl, r.shares.policy})
    out->push_back(static_cast<double>(x));
  out->push_back(r.sumOfSquares);
  out->push_back(r.counts + 2 * r.contributes + 4 * r.inputs.hasMasked);
}

// launch(call) on copies of the logits.
template <class T, class Launch>
Results<T> results(Rows<T>& rows, const Variant& variant, Launch&& launch) {
  const papo::cuda::DeviceError nothing{};
  Matrix<T> logits = rows.logits, maskedLogits = rows.maskedLogits;
  Results<T> out{Matrix<T>(rows.shape), Matrix<T>(rows.shape), {}};
  if (variant.inPlace) out.image = logits, out.masked = maskedLogits;
  std::vector<Record> records = freshRecords(rows.tokens.count(), rows.shape.isPair());
  std::vector<papo::SampledEntry> entries(records.size());

  RowsCall call = rows.call(dtypeOf<T>(), &nothing);
  call.logits = variant.inPlace ? out.image.tensor() : logits.tensor();
  call.logitsGrad = out.image.tensor();
  if (rows.shape.isPair()) {
    call.maskedLogits = variant.inPlace ? out.masked.tensor() : maskedLogits.tensor();
    call.maskedLogitsGrad = out.masked.tensor();
  }
  papo_objective objective;
  papo_objective_init(variant.profile, &objective);
  if (variant.detached) objective.perceptionGradient = PAPO_PERCEPTION_GRADIENT_POLICY;
  call.objective = papo::tokenObjective<float>(objective);
  call.sumOfSquares = variant.squares;
  call.hasOldLogProbs = true;
  call.records = records.data();
  if (!rows.tokens.rowIndex.empty()) call.entries = entries.data();
  launch(call);
  for (const Record& record : records) append(record, &out.records);
  return out;
}

// A NaN is a NaN, whatever its bits.
bool isSame(double a, double b) {
  return (std::isnan(a) && std::isnan(b)) || (a == b && std::signbit(a) == std::signbit(b));
}

template <class T>
bool isSame(const Matrix<T>& a, const Matrix<T>& b, const RowsShape& shape) {
  for (int64_t row = 0; row < shape.rows; ++row)
    for (int64_t v = 0; v < shape.vocabSize; ++v)
      if (!isSame(static_cast<double>(a.get(row, v)), static_cast<double>(b.get(row, v)))) {
        std::printf("row %lld, element %lld: %g and %g\n", static_cast<long long>(row),
                    static_cast<long long>(v), static_cast<double>(a.get(row, v)),
                    static_cast<double>(b.get(row, v)));
        return false;
      }
  return true;
}

template <class T>
bool hasValues(const Matrix<T>& gradient, const RowsShape& shape) {
  for (int64_t row = 0; row < shape.rows; ++row)
    for (int64_t v = 0; v < shape.vocabSize; ++v) {
      const float x = gradient.get(row, v);
      if (x != 0 && !std::isnan(x)) return true;
    }
  return shape.vocabSize == 1;
}

template <class T>
void compare(const RowsShape& shape, const Results<T>& a, const Results<T>& b) {
  CHECK(isSame(a.image, b.image, shape));
  if (shape.isPair()) CHECK(isSame(a.masked, b.masked, shape));
  CHECK(a.records.size() == b.records.size());
  for (size_t i = 0; i < a.records.size(); ++i) CHECK(isSame(a.records[i], b.records[i]));
  CHECK(a.isPaddingIntact() && b.isPaddingIntact());
}

// ---- launches ----------------------------------------------------------------------------------

struct Launch {
  int clusterSize, threads;
};
constexpr Launch kFew[] = {{8, 64}, {2, 0}};
constexpr Launch kMany[] = {{1, 32}, {1, 0}, {2, 96}, {4, 32}, {4, 256}, {8, 32}, {8, 512}};

void launchTwoSweeps(const RowsCall& call) {
  CHECK(papo::cuda::launchLocalRowsInTwoSweeps(*engine->cuda, call) == PAPO_OK);
  CHECK(papo_engine_synchronize(engine) == PAPO_OK);
}

void launchClusters(const RowsCall& call, const RowLaunch& launch) {
  bool launched = false;
  CHECK(papo::cuda::launchRowsInClusters(*engine->cuda, call, launch, &launched) == PAPO_OK);
  CHECK(launched);
  if (!CHECK(papo_engine_synchronize(engine) == PAPO_OK)) std::printf("%s\n", papo_last_message());
}

// Returns how many launches there were: not every cluster holds every row.
template <class T, size_t kCount>
int launchesGiveSameBits(Rows<T>& rows, const Variant& variant, const Launch (&launches)[kCount]) {
  std::snprintf(checkContext, sizeof checkContext, "V %lld, kind %d, dtype %d, %s%s",
                static_cast<long long>(rows.shape.vocabSize), static_cast<int>(rows.shape.kind),
                dtypeOf<T>(), variant.profile, variant.inPlace ? ", in place" : "");
  const Results<T> expected = results(rows, variant, launchTwoSweeps);
  CHECK(hasValues(expected.image, rows.shape));
  const papo::cuda::RowShape shape{rows.shape.vocabSize, static_cast<int>(sizeof(T)),
                                   rows.shape.isPair() ? 2 : 1};
  int count = 0;
  for (const Launch& l : launches) {
    const RowLaunch launch =
        papo::cuda::chooseRowLaunch(engine->cuda->properties(), shape, {l.clusterSize, l.threads});
    if (!launch.isCluster()) continue;
    CHECK(launch.clusterSize == l.clusterSize);
    ++count;
    compare(rows.shape, expected,
            results(rows, variant, [&](const RowsCall& call) { launchClusters(call, launch); }));
  }
  return count;
}

// ---- cases -------------------------------------------------------------------------------------

constexpr RowKind kKinds[] = {RowKind::kOne, RowKind::kPair, RowKind::kExactPair};

RowsShape shapeOf(int64_t rows, int64_t vocabSize, RowKind kind, Logits logits = Logits::kRandom) {
  RowsShape shape;
  shape.rows = rows;
  shape.vocabSize = vocabSize;
  shape.kind = kind;
  shape.logits = logits;
  return shape;
}

// Rows shorter than a tile, blocks without a tile, tails of every length of a copy.
template <class T>
void sizes() {
  for (RowKind kind : kKinds)
    for (int64_t vocabSize : {1, 3, 1023, 1024, 1025, 3079, 8003}) {
      Rows<T> rows = Rows<T>::ofEach(shapeOf(2, vocabSize, kind, Logits::kHoles));
      CHECK(launchesGiveSameBits(rows, {}, kFew) == 2);
    }
}

// Rows and gradients at any element, so that copies and stores are not of 16 bytes, or some are.
template <class T>
void alignments() {
  for (int64_t padding : {0, 1, 8, 13})
    for (int64_t offset : {0, 1, 4, 8}) {
      RowsShape shape = shapeOf(5, 2050, RowKind::kExactPair);
      shape.padding = padding;
      shape.offset = offset;
      Rows<T> rows = Rows<T>::ofEach(shape);
      for (bool inPlace : {false, true}) {
        Variant variant;
        variant.inPlace = inPlace;
        CHECK(launchesGiveSameBits(rows, variant, kFew) == 2);
      }
    }
}

void objectives() {
  for (const char* profile : {"papoG", "papoExact", "papoPaper", "grpo", "cispo"})
    for (RowKind kind : kKinds)
      for (bool inPlace : {false, true})
        for (bool detached : {false, true}) {
          RowsShape shape = shapeOf(3, 4099, kind, Logits::kEmptyTiles);
          shape.inverseTemperature = 1.25;
          Rows<papo::BFloat16> rows = Rows<papo::BFloat16>::ofEach(shape);
          CHECK(launchesGiveSameBits(rows, {profile, inPlace, true, detached}, kFew) == 2);
        }
}

template <class T>
void setNan(Rows<T>* rows, int64_t row) {
  for (int64_t v = 0; v < rows->shape.vocabSize; ++v) {
    rows->logits.set(row, v, NAN);
    rows->maskedLogits.set(row, v, NAN);
  }
}

// More rows than clusters, with runs of padding of any length: it becomes 0, and is not read.
void skippedRows() {
  const int64_t count = 310;
  const RowsShape shape = shapeOf(count, 1031, RowKind::kExactPair);
  Tokens tokens;
  for (int64_t row = 0; row < count; ++row) {
    const bool isSkipped = row < 9 || (row > 20 && row < 200) || row % 3 == 0 || row > 300;
    tokens.ids.push_back(isSkipped ? -1 : static_cast<int32_t>(row * 7919 % shape.vocabSize));
  }
  for (bool inPlace : {false, true}) {
    Rows<papo::BFloat16> rows(shape, tokens);
    for (int64_t row = 0; row < count; ++row)
      if (tokens.ids[static_cast<size_t>(row)] < 0) setNan(&rows, row);
    Variant variant;
    variant.inPlace = inPlace;
    variant.squares = true;
    const Results<papo::BFloat16> out = results(rows, variant, launchTwoSweeps);
    for (int64_t v = 0; v < shape.vocabSize; ++v) CHECK(out.image.get(5, v) == 0);
    for (const Launch& l : {Launch{4, 0}, Launch{1, 0}}) {
      const papo::cuda::RowShape rowShape{shape.vocabSize, 2, 2};
      RowLaunch launch = papo::cuda::chooseRowLaunch(engine->cuda->properties(), rowShape,
                                                     {l.clusterSize, l.threads});
      const Results<papo::BFloat16> other =
          results(rows, variant, [&](const RowsCall& call) { launchClusters(call, launch); });
      for (int64_t row = 0; row < count; ++row)
        for (int64_t v = 0; v < shape.vocabSize; v += 1)
          if (!isSame(static_cast<double>(out.image.get(row, v)),
                      static_cast<double>(other.image.get(row, v)))) {
            CHECK(false);
            return;
          }
      CHECK(out.records == other.records);
    }
  }
}

// A NaN in a row is that row's alone; one with nothing but -inf has no statistics either.
void badRows() {
  for (RowKind kind : kKinds) {
    Rows<float> rows = Rows<float>::ofEach(shapeOf(6, 2500, kind));
    rows.logits.set(1, 2400, NAN);
    rows.maskedLogits.set(2, 7, INFINITY);
    setNan(&rows, 4);
    for (int64_t v = 0; v < rows.shape.vocabSize; ++v) rows.logits.set(3, v, -INFINITY);
    CHECK(launchesGiveSameBits(rows, {}, kMany) == 7);
  }
}

// Rows that several tokens share, some of them the same entry, among rows with one token and none.
void sharedRows() {
  for (RowKind kind : kKinds)
    for (bool inPlace : {false, true}) {
      const RowsShape shape = shapeOf(7, 3000, kind, Logits::kHoles);
      Tokens tokens;
      for (int32_t i = 0; i < 40; ++i) {
        const int32_t row = i < 30 ? (i % 2 ? 5 : 1) : i % 2 ? 2 : 3;
        tokens.rowIndex.push_back(i < 36 ? row : 6);
        tokens.ids.push_back(i % 7 == 0 ? 2999 : i * 97 % 3000);
      }
      tokens.ids[38] = -1;
      Rows<papo::Float16> rows(shape, tokens);
      Variant variant;
      variant.inPlace = inPlace;
      variant.squares = true;
      CHECK(launchesGiveSameBits(rows, variant, kMany) == 7);
    }
}

template <class T>
void realVocabulary(RowKind kind, int64_t vocabSize, int64_t count) {
  Rows<T> rows = Rows<T>::ofEach(shapeOf(count, vocabSize, kind));
  Variant variant;
  variant.inPlace = variant.squares = true;
  const Launch launches[] = {{4, 0}, {8, 0}};
  CHECK(launchesGiveSameBits(rows, variant, launches) >= 1);
}

// A finding of an earlier kernel: nothing is written.
void earlierFinding() {
  Rows<float> rows = Rows<float>::ofEach(shapeOf(2, 2000, RowKind::kPair));
  papo::cuda::DeviceError found{};
  found.key = 1;
  const Results<float> out = results(rows, {}, [&](RowsCall call) {
    call.error = &found;
    RowLaunch launch =
        papo::cuda::chooseRowLaunch(engine->cuda->properties(), {2000, 4, 2}, {2, 0});
    launchClusters(call, launch);
  });
  const Matrix<float> untouched(rows.shape);
  CHECK(out.image.sameRows(untouched) && out.masked.sameRows(untouched));
}

void orders() {
  for (simt::Order order : {simt::Order::reverse, simt::Order::random})
    for (uint64_t seed = 1; seed < (order == simt::Order::random ? 4u : 2u); ++seed) {
      simt::options().order = order;
      simt::options().seed = seed;
      sharedRows();
      badRows();
      Rows<papo::BFloat16> rows =
          Rows<papo::BFloat16>::ofEach(shapeOf(9, 5003, RowKind::kExactPair));
      Variant variant;
      variant.inPlace = variant.squares = true;
      CHECK(launchesGiveSameBits(rows, variant, kMany) == 7);
    }
  simt::options().order = simt::Order::forward;
}

// ---- the choice --------------------------------------------------------------------------------

// launchLocalRows with what the environment asks for.
papo_status chosen(const char* variable, const char* value, Results<float>* out) {
  setenv(variable, value, 1);
  Rows<float> rows = Rows<float>::ofEach(shapeOf(2, 3000, RowKind::kPair));
  papo_status status = PAPO_OK;
  *out = results(rows, {}, [&](const RowsCall& call) {
    status = papo::cuda::launchLocalRows(*engine->cuda, call);
    CHECK(papo_engine_synchronize(engine) == PAPO_OK);
  });
  unsetenv(variable);
  return status;
}

void environment() {
  const RowsShape shape = shapeOf(2, 3000, RowKind::kPair);
  Results<float> expected{Matrix<float>(shape), Matrix<float>(shape), {}}, out = expected;
  CHECK(chosen("PAPO_KERNELS_CUDA_CLUSTER", "", &expected) == PAPO_OK);
  for (const char* size : {"0", "1", "2", "4", "8"}) {
    CHECK(chosen("PAPO_KERNELS_CUDA_CLUSTER", size, &out) == PAPO_OK);
    compare(shape, expected, out);
  }
  CHECK(chosen("PAPO_KERNELS_CUDA_THREADS", "64", &out) == PAPO_OK);
  compare(shape, expected, out);
  const Matrix<float> untouched(shape);
  for (const char* variable : {"PAPO_KERNELS_CUDA_CLUSTER", "PAPO_KERNELS_CUDA_THREADS"}) {
    CHECK(chosen(variable, "3", &out) == PAPO_INVALID_ARGUMENT);
    CHECK(std::strstr(papo_last_message(), variable) && std::strstr(papo_last_message(), "'3'"));
    CHECK(out.image.sameRows(untouched));
  }
}

}  // namespace

int main() {
  // So few that a cluster works several rows, one after the other.
  simt::options().multiprocessors = 1;
  engine = openEngine();
  if (!CHECK(engine)) return finish();
  environment();
  earlierFinding();
  badRows();
  sharedRows();
  skippedRows();
  sizes<papo::BFloat16>();
  if (!papo_test::kThreadSanitized) {  // threads do the same whatever the dtype
    sizes<float>();
    sizes<papo::Float16>();
    alignments<float>();
  }
  alignments<papo::BFloat16>();
  objectives();
  orders();
  // ThreadSanitizer has no room for the traces of so many emulated threads.
  if (!papo_test::kThreadSanitized) {
    realVocabulary<papo::BFloat16>(RowKind::kExactPair, 151936, 2);
    realVocabulary<papo::BFloat16>(RowKind::kOne, 151936, 2);
    realVocabulary<float>(RowKind::kExactPair, 151936, 1);
  }
  papo_engine_close(engine);
  return finish();
}
