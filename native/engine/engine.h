// The engine behind the opaque handle: one device, with an instruction set and a thread pool on the
// CPU, with a stream on CUDA.
#pragma once

#include <cstdint>

#include "cpu/rows.h"
#include "cpu/thread_pool.h"
#include "papo.h"

namespace papo::cuda {
class Context;  // cuda/context.h
}

struct papo_engine {
  papo_engine(const papo::InstructionSet* set, int threads) : instructionSet(set), pool(threads) {}
  explicit papo_engine(int32_t cudaDevice);
  papo_engine(const papo_engine&) = delete;
  papo_engine& operator=(const papo_engine&) = delete;
  ~papo_engine();

  const papo::InstructionSet* instructionSet;  // without kernels on CUDA
  papo::ThreadPool pool;                       // of the calling thread alone on CUDA
  int32_t device = PAPO_CPU;                   // papo_device_kind + 16 * index
  papo::cuda::Context* cuda = nullptr;         // owned; null on the CPU

  bool isCuda() const { return cuda != nullptr; }
  // The reference computes in double and takes float64 per-token values; the others float32.
  bool isReference() const { return instructionSet == &papo::referenceInstructionSet; }
};

namespace papo {

// What the functions of papo.h for the memory of a device ask for.
papo_status requireCudaEngine(const papo_engine* engine);

// Calls body(row) for every row, on as many threads as the amount of work is worth. Below
// about 32k logits waking a second thread costs more than it saves.
template <class Body>
void forEachRow(papo_engine* engine, int64_t rows, int64_t columns, Body&& body) {
  constexpr int64_t kGrain = 1 << 14;
  const int64_t perChunk = columns >= kGrain ? 1 : kGrain / columns;
  const int64_t grain = rows * columns <= 2 * kGrain ? rows : perChunk;
  engine->pool.run(rows, grain, [&](int, int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) body(row);
  });
}

}  // namespace papo
