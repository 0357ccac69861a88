// Small kernels, right and wrong, each with the builds in which the emulator must find it.
#pragma once

#include <cuda_runtime_api.h>

#include <vector>

namespace emulator_test {

enum Build : unsigned { plain = 1, address = 2, thread = 4, everywhere = 7, nowhere = 0 };

constexpr int kInts = 4096;

struct Case {
  const char* name;
  unsigned foundBy;                  // exactly these; nowhere: a right program
  cudaError_t (*launch)(int* data);  // kInts of device memory: 7 i in the second half, else 0
  bool (*isRight)(const int* data);  // afterwards; null: anything is
  int arch = 900;
};

// Of blocks and warps; of asynchronous copies and clusters.
std::vector<Case> blockCases();
std::vector<Case> clusterCases();

// Whether the first n are value(i).
template <class Value>
bool all(const int* data, int n, Value&& value) {
  for (int i = 0; i < n; i++)
    if (data[i] != value(i)) return false;
  return true;
}

}  // namespace emulator_test
