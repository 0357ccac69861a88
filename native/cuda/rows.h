// Row work of the CUDA engine: what the host side of a call asks the row kernels for. The formulas are
// docs/math.md Eq. 1-9, the algorithm is row_math.cuh.
#pragma once

#include <cstdint>

#include "cuda/context.h"
#include "loss/token_record.h"
#include "loss/token_rows.h"

namespace papo::cuda {

// [rows, vocabSize] of a call's dtype on the device; data null: absent.
struct RowTensor {
  void* data = nullptr;
  int64_t rowStride = 0;
};

// What is computed of a row: one branch, two on their own, or two with the exact KL between them.
enum class RowKind { kOne, kPair, kExactPair };

// Where log-probs go in a call that wants nothing else; each [N] float32, or null.
struct LogProbOutputs {
  float* logProbs = nullptr;
  float* entropies = nullptr;
  float* logSumExps = nullptr;
};

// One call's rows, by value to every kernel. Pointers are device memory.
struct RowsCall {
  RowTensor logits, maskedLogits, logitsGrad, maskedLogitsGrad;
  int32_t dtype = 0;  // papo_dtype: float32, float16, bfloat16
  int64_t rows = 0, vocabSize = 0;
  double inverseTemperature = 1;
  bool exactKl = false;       // statistics of the pair and its gradients
  bool sumOfSquares = false;  // of the gradients, into the record of a row's first token
  bool hasOldLogProbs = false;

  TokenRows tokens;                       // which tokens each row has
  TokenRecord<float>* records = nullptr;  // [N]; null: logProbOutputs instead
  LogProbOutputs logProbOutputs;
  SampledEntry* entries = nullptr;      // [N], with a row index
  RowStatistics* statistics = nullptr;  // [N] by the place of a row, between two sweeps
  TokenObjective<float> objective{};
  const DeviceError* error = nullptr;  // set: no kernel reads or writes anything else

  RowKind kind() const {
    if (!maskedLogits.data) return RowKind::kOne;
    return exactKl ? RowKind::kExactPair : RowKind::kPair;
  }
};

// Statistics of every row that has tokens, into the inputs of their records (or the outputs).
papo_status launchRowStatistics(Context& context, const RowsCall& call);
// Gradients from the slopes in the records; rows without tokens become 0. After the statistics of all
// rows.
papo_status launchRowGradients(Context& context, const RowsCall& call);
// Statistics, terms and gradients of an objective that is local to a token, row by row: in one pass
// where the row fits on chip, else in two sweeps.
papo_status launchLocalRows(Context& context, const RowsCall& call);
// The same in two sweeps by one block a row, whatever the device and the row; the same bits.
papo_status launchLocalRowsInTwoSweeps(Context& context, const RowsCall& call);

}  // namespace papo::cuda
