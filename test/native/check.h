// Assertions of the C++ tests: CHECK counts and names the failing line, finish() is main's result.
#pragma once

#include <cstdio>

namespace papo_test {

struct CheckCounts {
  long passed = 0;
  long failed = 0;
};
inline CheckCounts checkCounts;

// What is being tested, printed with a failure: set it with snprintf.
inline char checkContext[128] = "";

constexpr long kPrintedFailures = 50;  // a broken kernel fails in every element

inline bool check(bool condition, const char* text, const char* file, int line) {
  if (condition) {
    ++checkCounts.passed;
  } else if (++checkCounts.failed <= kPrintedFailures) {
    std::printf("%s:%d: failed: %s  %s\n", file, line, text, checkContext);
  }
  return condition;
}

// The exit status: 0 only if something was checked and nothing failed.
inline int finish() {
  std::printf("%ld passed, %ld failed\n", checkCounts.passed, checkCounts.failed);
  return checkCounts.failed == 0 && checkCounts.passed > 0 ? 0 : 1;
}

}  // namespace papo_test

#define CHECK(condition) ::papo_test::check((condition), #condition, __FILE__, __LINE__)
