// Random calls of every function of papo.h (fuzz/operations.h), the kept corpus first:
//   fuzz_test [calls | seconds followed by s] [first seed]
// A failure prints the seed that makes it alone: fuzz_test 1 SEED.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "check.h"
#include "fuzz/operations.h"

using namespace papo_test;
using namespace papo_fuzz;

namespace {

void report(const char* text) {
  CHECK(false);
  std::printf("  %s\n", text);
}

void runCorpus(const char* folder) {
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    std::snprintf(checkContext, sizeof checkContext, "%s", entry.path().filename().c_str());
    std::ifstream file(entry.path(), std::ios::binary);
    const std::vector<char> bytes{std::istreambuf_iterator<char>(file), {}};
    fuzzOnce(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
    CHECK(checkCounts.failed == 0);
  }
}

void runSeed(uint64_t seed) {
  std::snprintf(checkContext, sizeof checkContext, "seed %llu",
                static_cast<unsigned long long>(seed));
  uint8_t bytes[sizeof seed];
  std::memcpy(bytes, &seed, sizeof seed);
  fuzzOnce(bytes, sizeof bytes);
}

// The fuzzer is worth nothing where it only meets one kind of answer.
void requireEveryAnswer() {
  for (const char* function :
       {"papo_loss", "papo_token_log_probs", "papo_group_advantages", "papo_mask_patches",
        "papo_mask_patch_rows", "papo_saliency_patch_mask"}) {
    std::map<int, long>& counts = statusCounts[function];
    long total = 0;
    for (const auto& [status, count] : counts) total += count;
    CHECK(counts[PAPO_OK] * 4 > total);
    for (int status : {PAPO_INVALID_ARGUMENT, PAPO_INVALID_DTYPE, PAPO_INVALID_SHAPE,
                       PAPO_INVALID_VALUE, PAPO_OVERLAP})
      CHECK(counts[status] > 0);
  }
}

void printCounts() {
  for (const auto& [function, counts] : statusCounts) {
    std::printf("%-26s", function.c_str());
    for (const auto& [status, count] : counts) std::printf(" %d:%ld", status, count);
    std::printf("\n");
  }
}

// A sanitizer ends the program: say which call it was.
void printContext() { std::fprintf(stderr, "while running %s\n", checkContext); }

}  // namespace

int main(int argc, char** argv) {
  const std::string budget = argc > 1 ? argv[1] : "20000";
  const uint64_t first = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 1;
  const bool isTime = budget.back() == 's';
  const double limit = std::atof(budget.c_str());
  onProblem = report;
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
#ifdef PAPO_HAS_ASAN
  __sanitizer_set_death_callback(printContext);
#else
  static_cast<void>(printContext);
#endif
  if (argc < 3) runCorpus("test/native/fuzz/corpus");
  const auto begin = std::chrono::steady_clock::now();
  double calls = 0, seconds = 0;
  while (isTime ? seconds < limit : calls < limit) {
    runSeed(first + static_cast<uint64_t>(calls));
    calls += 1;
    seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  }
  checkContext[0] = 0;
  printCounts();
  std::printf("%.0f calls in %.1f s\n", calls, seconds);
  if (calls >= 10000) requireEveryAnswer();
  CHECK(checkCounts.failed == 0);
  return finish();
}
