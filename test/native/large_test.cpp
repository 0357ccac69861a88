// A call whose logits have more than 2^31 elements, each of them read and each gradient written in
// place: element offsets beyond 32 bits inside rows that all count.
//
// Most rows are zero, whose log-prob, entropy and gradient are known in closed form; a few at the
// start, at the 2^31st element and at the end carry numbers, and are held against the same rows alone.
// Memory is mapped as it is written, 4.4 GB in all; where there is not that much free, the test says
// so and does the forward alone, which maps nothing. Under a sanitizer it does nothing.
#include <sys/mman.h>

#include <cmath>
#include <cstdio>
#include <vector>

#include "check.h"
#include "loss_case.h"
#include "sanitizers.h"

using namespace papo_test;
using papo::BFloat16;

namespace {

constexpr int64_t kVocabSize = 151936;
constexpr int64_t kRows = (int64_t{1} << 31) / kVocabSize + 10;
constexpr int64_t kFullRows[] = {0, 1, (int64_t{1} << 31) / kVocabSize, kRows - 2, kRows - 1};
constexpr int64_t kFullCount = sizeof kFullRows / sizeof kFullRows[0];
constexpr size_t kRowBytes = kVocabSize * sizeof(BFloat16);
constexpr size_t kBytes = static_cast<size_t>(kRows) * kRowBytes;
static_assert(kRows * kVocabSize > INT64_C(1) << 31, "more elements than 31 bits can count");

// Private zero pages: reading them takes no memory.
class Mapping {
 public:
  Mapping()
      : memory_(mmap(nullptr, kBytes, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)) {}
  ~Mapping() {
    if (isThere()) munmap(memory_, kBytes);
  }
  bool isThere() const { return memory_ != MAP_FAILED; }
  BFloat16* row(int64_t row) const { return static_cast<BFloat16*>(memory_) + row * kVocabSize; }
  papo_tensor tensor() const { return view(memory_, kRows, kVocabSize, kVocabSize, PAPO_BFLOAT16); }

 private:
  void* memory_;
};

size_t freeMemory() {
  std::FILE* file = std::fopen("/proc/meminfo", "r");
  char line[128];
  size_t kilobytes = 0;
  while (file && std::fgets(line, sizeof line, file))
    if (std::sscanf(line, "MemAvailable: %zu kB", &kilobytes) == 1) break;
  if (file) std::fclose(file);
  return kilobytes * 1024;
}

struct Case {
  std::vector<BFloat16> rows;  // [kFullCount, V], the rows with numbers
  std::vector<int32_t> tokens = std::vector<int32_t>(kRows);

  Case() {
    const LossInputs in = LossInputs::random(3, kFullCount, 1, kVocabSize);
    rows = convert<BFloat16>(in.logits);
    for (int64_t row = 0; row < kRows; ++row)
      tokens[static_cast<size_t>(row)] = static_cast<int32_t>(row * 7919 % kVocabSize);
  }
  BFloat16* full(int64_t i) { return &rows[static_cast<size_t>(i * kVocabSize)]; }
  void writeTo(const Mapping& logits) {
    for (int64_t i = 0; i < kFullCount; ++i)
      std::memcpy(logits.row(kFullRows[i]), full(i), kRowBytes);
  }
  std::vector<int32_t> fullTokens() const {
    std::vector<int32_t> chosen;
    for (int64_t row : kFullRows) chosen.push_back(tokens[static_cast<size_t>(row)]);
    return chosen;
  }
};

struct Scores {
  std::vector<float> logProbs, entropies;
};

Scores score(papo_engine* engine, papo_tensor logits, const std::vector<int32_t>& tokens) {
  Scores scores{std::vector<float>(tokens.size()), std::vector<float>(tokens.size())};
  papo_token_log_probs_args args{};
  args.size = sizeof args;
  args.temperature = 1;
  args.logits = logits;
  args.tokens = view(tokens.data(), static_cast<int64_t>(tokens.size()), 1, 1, PAPO_INT32);
  args.logProbs = vectorView(scores.logProbs);
  args.entropies = vectorView(scores.entropies);
  size_t bytes = 0;
  CHECK(papo_token_log_probs_workspace(engine, &args, &bytes) == PAPO_OK);
  Workspace workspace;
  CHECK(papo_token_log_probs(engine, &args, workspace.ofSize(bytes), bytes) == PAPO_OK);
  return scores;
}

void forward(papo_engine* engine, const Mapping& logits, Case& in) {
  const Scores all = score(engine, logits.tensor(), in.tokens);
  const papo_tensor alone = view(in.rows.data(), kFullCount, kVocabSize, kVocabSize, PAPO_BFLOAT16);
  const Scores expected = score(engine, alone, in.fullTokens());
  const double uniform = std::log(static_cast<double>(kVocabSize));
  size_t next = 0;
  for (int64_t row = 0; row < kRows; ++row) {
    const auto at = static_cast<size_t>(row);
    if (next < kFullCount && row == kFullRows[next]) {
      CHECK(all.logProbs[at] == expected.logProbs[next]);
      CHECK(all.entropies[at] == expected.entropies[next]);
      ++next;
    } else {
      CHECK(std::fabs(all.logProbs[at] + uniform) <= 1e-5);
      CHECK(std::fabs(all.entropies[at] - uniform) <= 1e-5);
    }
  }
  CHECK(next == kFullCount);
}

// The loss of the policy term alone, on-policy with advantage 1, in place: the gradient of a row is
// (p - onehot) / normalizer.
void gradient(papo_engine* engine, papo_tensor logits, const std::vector<int32_t>& tokens) {
  papo_objective objective = profile("grpo");
  objective.refKlCoef = 0;
  objective.normalizer = 1;
  std::vector<float> advantages(tokens.size(), 1.0f);
  double metrics[PAPO_METRIC_COUNT];
  papo_loss_args args{};
  args.size = sizeof args;
  args.objective = &objective;
  args.responses = static_cast<int64_t>(tokens.size());
  args.logits = args.logitsGrad = logits;
  args.tokens = view(tokens.data(), args.responses, 1, 1, PAPO_INT32);
  args.advantages = vectorView(advantages);
  args.metrics = view(metrics, PAPO_METRIC_COUNT, 1, 1, PAPO_FLOAT64);
  size_t bytes = 0;
  CHECK(papo_loss_workspace(engine, &args, &bytes) == PAPO_OK);
  Workspace workspace;
  CHECK(papo_loss(engine, &args, workspace.ofSize(bytes), bytes) == PAPO_OK);
  CHECK(std::fabs(metrics[PAPO_METRIC_loss] + static_cast<double>(tokens.size())) <= 1e-6);
}

// Of a row that was zero: p everywhere, p - 1 at the token.
void checkUniform(const BFloat16* row, int32_t token) {
  BFloat16 p{}, atToken{};
  papo::fromFloat(1.0f / static_cast<float>(kVocabSize), &p);
  papo::fromFloat(1.0f / static_cast<float>(kVocabSize) - 1.0f, &atToken);
  int64_t different = 0;
  for (int64_t v = 0; v < kVocabSize; ++v)
    different += std::abs(row[v].bits - (v == token ? atToken : p).bits) > 1;
  CHECK(different == 0);
}

void backward(papo_engine* engine, const Mapping& logits, Case& in) {
  gradient(engine, logits.tensor(), in.tokens);
  gradient(engine, view(in.rows.data(), kFullCount, kVocabSize, kVocabSize, PAPO_BFLOAT16),
           in.fullTokens());
  int64_t next = 0;
  for (int64_t row = 0; row < kRows; ++row) {
    if (next < kFullCount && row == kFullRows[next])
      CHECK(std::memcmp(logits.row(row), in.full(next++), kRowBytes) == 0);
    else
      checkUniform(logits.row(row), in.tokens[static_cast<size_t>(row)]);
  }
  CHECK(next == kFullCount);
}

}  // namespace

int main() {
  if (kSanitized) {
    std::printf("not under a sanitizer: it would take minutes and its shadow memory\n");
    CHECK(true);
    return finish();
  }
  const Engine engine = openEngine(nullptr, 2);
  const Mapping logits;
  CHECK(logits.isThere());
  if (!logits.isThere()) return finish();
  Case in;
  in.writeTo(logits);
  forward(engine.get(), logits, in);
  if (freeMemory() > kBytes + (size_t{2} << 30))
    backward(engine.get(), logits, in);
  else
    std::printf("less than %zu MB free: the gradient is left out\n", (kBytes >> 20) + 2048);
  return finish();
}
