// The same calls for libFuzzer, which mutates the bytes of the corpus: see CONTRIBUTING.md.
#include <cstdio>
#include <cstdlib>

#include "operations.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  papo_fuzz::onProblem = [](const char* text) {
    std::fprintf(stderr, "problem: %s\n", text);
    std::abort();
  };
  papo_fuzz::fuzzOnce(data, size);
  return 0;
}
