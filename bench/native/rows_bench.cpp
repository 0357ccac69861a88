// Speed of the row kernels beside the memory bandwidth of the same run.
//
//   rows_bench [threads = all] [vocabSize = 151936] [rounds = 7]
//
// Every case goes over so many rows that none is in a cache when its turn comes. Declared bytes:
// each logit read once and each gradient written once. Copy bandwidth counts bytes read + written.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <thread>
#include <vector>

#include "cpu/rows.h"
#include "cpu/thread_pool.h"

namespace {

using namespace papo;

constexpr size_t kColdBytes = size_t{256} << 20;  // of each of the two branches, and of each output

struct Free {
  void operator()(void* p) const { std::free(p); }
};
using Buffer = std::unique_ptr<unsigned char, Free>;

Buffer allocate(size_t bytes) {
  Buffer buffer(
      static_cast<unsigned char*>(std::aligned_alloc(4096, (bytes + 4095) / 4096 * 4096)));
  if (!buffer) {
    std::fprintf(stderr, "out of memory\n");
    std::exit(1);
  }
  return buffer;
}

template <class Run>
double secondsOf(Run run) {
  const auto start = std::chrono::steady_clock::now();
  run();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

template <class Run>
double medianSeconds(int rounds, Run run) {
  std::vector<double> times;
  for (int i = 0; i < rounds; ++i) times.push_back(secondsOf(run));
  std::nth_element(times.begin(), times.begin() + rounds / 2, times.end());
  return times[static_cast<size_t>(rounds) / 2];
}

struct Memory {
  Buffer logits = allocate(kColdBytes), maskedLogits = allocate(kColdBytes);
  Buffer out = allocate(kColdBytes), maskedOut = allocate(kColdBytes);
};

// Sum of all words, so that every cache line is read.
uint64_t readAll(const unsigned char* data, size_t bytes) {
  const uint64_t* words = reinterpret_cast<const uint64_t*>(data);
  uint64_t sum[8] = {};
  for (size_t i = 0; i + 8 <= bytes / 8; i += 8)
    for (size_t j = 0; j < 8; ++j) sum[j] += words[i + j];
  return sum[0] ^ sum[1] ^ sum[2] ^ sum[3] ^ sum[4] ^ sum[5] ^ sum[6] ^ sum[7];
}

struct Bandwidth {
  double copy, read;
};

Bandwidth measureBandwidth(ThreadPool& pool, Memory& memory, int rounds) {
  const int64_t bytes = static_cast<int64_t>(kColdBytes);
  const int64_t share = bytes / pool.threads() / 64 * 64;
  const double copy = medianSeconds(rounds, [&] {
    pool.run(share * pool.threads(), share, [&](int, int64_t begin, int64_t end) {
      std::memcpy(memory.out.get() + begin, memory.logits.get() + begin,
                  static_cast<size_t>(end - begin));
    });
  });
  std::vector<uint64_t> sums(static_cast<size_t>(pool.threads()));
  const double read = medianSeconds(rounds, [&] {
    pool.run(share * pool.threads(), share, [&](int thread, int64_t begin, int64_t end) {
      sums[static_cast<size_t>(thread)] +=
          readAll(memory.logits.get() + begin, static_cast<size_t>(end - begin));
    });
  });
  volatile uint64_t sink = sums[0];
  (void)sink;
  return {2.0 * static_cast<double>(bytes) / copy / 1e9, static_cast<double>(bytes) / read / 1e9};
}

enum Case { kBranch, kPair, kExactPair, kInPlace, kOutOfPlace, kExactInPlace, kExactOutOfPlace };
constexpr const char* kCaseNames[] = {"statistics, one branch",    "statistics, pair",
                                      "statistics, pair, KL",      "+ gradients, in place",
                                      "+ gradients, out of place", "+ KL gradients, in place",
                                      "+ KL gradients, out of pl."};
constexpr int kCases = 7;

struct Bench {
  ThreadPool& pool;
  Memory& memory;
  int64_t vocabSize;
  int rounds;
  Bandwidth bandwidth;

  template <class T>
  void fill(unsigned char* data) const {
    uint32_t state = 1;
    T* logits = reinterpret_cast<T*>(data);
    for (size_t i = 0; i < kColdBytes / sizeof(T); ++i) {
      state = state * 1664525u + 1013904223u;
      fromFloat(static_cast<float>(state >> 8) * (16.0f / (1 << 24)) - 8.0f, logits + i);
    }
  }

  template <class T>
  void row(const RowKernels& kernels, Case which, int64_t index) const {
    const size_t offset = static_cast<size_t>(index * vocabSize) * sizeof(T);
    RowPair pair;
    pair.logits = memory.logits.get() + offset;
    if (which != kBranch) pair.maskedLogits = memory.maskedLogits.get() + offset;
    pair.vocabSize = vocabSize;
    pair.token = index * 7919 % vocabSize;
    pair.exactKl = which == kExactPair || which >= kExactInPlace;
    RowStatistics statistics;
    kernels.statistics(pair, &statistics);
    if (which < kInPlace) return;
    RowSlopes slopes;
    slopes.logProb = -1;
    slopes.entropy = 0.05;
    slopes.maskedLogProb = 0.02;
    slopes.maskedEntropy = 0.05;
    slopes.exactKl = pair.exactKl ? -0.02 : 0;
    const bool inPlace = which == kInPlace || which == kExactInPlace;
    RowGradients out;
    out.logits = (inPlace ? memory.logits.get() : memory.out.get()) + offset;
    out.maskedLogits = (inPlace ? memory.maskedLogits.get() : memory.maskedOut.get()) + offset;
    kernels.gradient(pair, statistics, slopes, out, false);
  }

  template <class T>
  void run(const InstructionSet& set, int dtype) const {
    const int64_t rows =
        static_cast<int64_t>(kColdBytes / sizeof(T)) / vocabSize / pool.threads() * pool.threads();
    for (int which = 0; which < kCases; ++which) {
      fill<T>(memory.logits.get());
      fill<T>(memory.maskedLogits.get());
      const double seconds = medianSeconds(rounds, [&] {
        pool.run(rows, 1, [&](int, int64_t begin, int64_t) {
          row<T>(set.kernels[dtype], static_cast<Case>(which), begin);
        });
      });
      const double touched = which == kBranch ? 1 : which < kInPlace ? 2 : 4;
      const double bytes = touched * static_cast<double>(rows * vocabSize) * sizeof(T);
      const double rate = bytes / seconds / 1e9;
      std::printf("%-9s %-9s %-27s %8.4f ms/row %7.2f GB/s %5.1f %% of copy\n", set.name,
                  dtypeName(dtype), kCaseNames[which],
                  seconds * 1e3 * pool.threads() / static_cast<double>(rows), rate,
                  100 * rate / bandwidth.copy);
      std::fflush(stdout);
    }
  }
};

}  // namespace

int main(int argc, char** argv) {
  const int all = static_cast<int>(std::thread::hardware_concurrency());
  ThreadPool pool(argc > 1 ? std::atoi(argv[1]) : all);
  const int64_t vocabSize = argc > 2 ? std::atoll(argv[2]) : 151936;
  const int rounds = argc > 3 ? std::atoi(argv[3]) : 7;
  Memory memory;
  std::memset(memory.logits.get(), 0, kColdBytes);
  std::memset(memory.out.get(), 0, kColdBytes);
  std::memset(memory.maskedOut.get(), 0, kColdBytes);
  const Bandwidth bandwidth = measureBandwidth(pool, memory, rounds);
  std::printf("%d threads, V = %lld, copy %.1f GB/s, read %.1f GB/s\n", pool.threads(),
              static_cast<long long>(vocabSize), bandwidth.copy, bandwidth.read);
  const Bench bench{pool, memory, vocabSize, rounds, bandwidth};
  const InstructionSetList list = instructionSets();
  for (int i = 0; i < list.count; ++i) {
    const InstructionSet& set = *list.first[i];
    if (!set.supported() || &set == &referenceInstructionSet) continue;
    bench.run<float>(set, PAPO_FLOAT32);
    bench.run<Float16>(set, PAPO_FLOAT16);
    bench.run<BFloat16>(set, PAPO_BFLOAT16);
  }
  return 0;
}
