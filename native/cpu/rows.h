// Row work of the CPU engine: what the instruction-set files implement and the loss driver calls.
//
// Everything expensive happens here, one vocabulary row (or the pair of image row and masked-image
// row) at a time on one thread. The formulas are docs/math.md Eq. 1-9; the algorithm stands once in
// vocab_rows-inl.h and is compiled once per instruction set.
#pragma once

#include <cstdint>

#include "engine/dtype.h"
#include "loss/row_types.h"

namespace papo {

// One row, or a pair of rows of the same token. Logits are of one dtype, before temperature.
struct RowPair {
  const void* logits = nullptr;        // [vocabSize]; may be any alignment of the dtype
  const void* maskedLogits = nullptr;  // [vocabSize], or null: one branch
  int64_t vocabSize = 0;
  int64_t token = 0;              // sampled token, 0 <= token < vocabSize
  double inverseTemperature = 1;  // z = logits * inverseTemperature
  bool exactKl = false;           // pair only: compute exactKl and sharedMass
};

// Where the gradient of a pair goes, in the dtype of the logits. Either may be null (not wanted),
// and either may be the logits row itself (in place).
struct RowGradients {
  void* logits = nullptr;
  void* maskedLogits = nullptr;
};

// The functions of one instruction set for one dtype of logits.
struct RowKernels {
  // Each logit is read once from memory.
  void (*statistics)(const RowPair& row, RowStatistics* out);
  // Turns statistics of the same row for another token into those for row.token, to the bit.
  void (*retarget)(const RowPair& row, RowStatistics* statistics);
  // With the statistics of the same row. Logits are read again, from a cache if it follows at once.
  // Returns the sum of squares of what it wrote, before rounding to the dtype, if asked for; 0 else.
  // A NaN or +inf in a row, or nothing but -inf, makes its statistics NaN and so its gradient,
  // unless all slopes that enter it are 0: then it is 0.
  double (*gradient)(const RowPair& row, const RowStatistics& statistics, const RowSlopes& slopes,
                     RowGradients out, bool sumOfSquares);
};

struct InstructionSet {
  const char* name;
  bool (*supported)();             // by this processor
  RowKernels kernels[kRowDTypes];  // by dtype; null functions where a dtype is not handled
  const char* features = "";       // that supported() asks for, with commas
};

// Compiled-in instruction sets, fastest first; "portable" and, last, "reference" are always
// supported. The reference (loss/reference.cpp) is plain loops in double and takes float64 too.
struct InstructionSetList {
  const InstructionSet* const* first;
  int count;
};
InstructionSetList instructionSets();
extern const InstructionSet referenceInstructionSet;
// By name, or the fastest supported one for null; null when there is none of that name here.
const InstructionSet* findInstructionSet(const char* name);

}  // namespace papo
