#include "loss/loss_checks.h"

#include "engine/refusals.h"

namespace papo {
namespace {

long long printable(int64_t value) { return static_cast<long long>(value); }

papo_status requireAbsent(NamedTensor argument, const char* why) {
  if (!isPresent(*argument.tensor)) return PAPO_OK;
  return fail(PAPO_INVALID_ARGUMENT, "%s: expected none %s, got a tensor", argument.name, why);
}

papo_status requirePresent(NamedTensor argument, const char* why) {
  if (isPresent(*argument.tensor)) return PAPO_OK;
  return fail(PAPO_INVALID_ARGUMENT, "%s: expected a tensor %s, got none", argument.name, why);
}

papo_status checkOptionalVector(NamedTensor argument, int64_t rows, unsigned dtypes) {
  return isPresent(*argument.tensor) ? requireVector(argument, rows, dtypes) : PAPO_OK;
}

papo_status checkPerTokenOrResponse(NamedTensor argument, const Responses& r, unsigned dtypes) {
  if (!isPresent(*argument.tensor)) return PAPO_OK;
  const int64_t rows = argument.tensor->rows;
  if (rows != r.rows && rows != r.count)
    return fail(PAPO_INVALID_SHAPE,
                "%s: expected one value per response (%lld) or per token (%lld), got %lld",
                argument.name, printable(r.count), printable(r.rows), printable(rows));
  return requireVector(argument, rows, dtypes);
}

papo_status checkBranches(const papo_loss_args& a) {
  if (isPresent(a.logits) == isPresent(a.logProbs))
    return fail(PAPO_INVALID_ARGUMENT, "logits: expected either logits or logProbs, got %s",
                isPresent(a.logits) ? "both" : "neither");
  if (isPresent(a.maskedLogits) && isPresent(a.maskedLogProbs))
    return fail(PAPO_INVALID_ARGUMENT,
                "maskedLogits: expected either maskedLogits or maskedLogProbs, got both");
  if (isPresent(a.logits)) {
    PAPO_TRY(requirePresent({"tokens", &a.tokens}, "with logits"));
    PAPO_TRY(requireAbsent({"entropies", &a.entropies}, "with logits, which give them"));
    PAPO_TRY(requireAbsent({"exactPerceptionKl", &a.exactPerceptionKl}, "with logits"));
  } else {
    PAPO_TRY(requireAbsent({"maskedLogits", &a.maskedLogits}, "with logProbs"));
    PAPO_TRY(requireAbsent({"rowIndex", &a.rowIndex}, "with logProbs"));
    PAPO_TRY(requireAbsent({"logitsGrad", &a.logitsGrad}, "with logProbs"));
  }
  if (isPresent(a.maskedLogits))
    PAPO_TRY(requireAbsent({"maskedEntropies", &a.maskedEntropies}, "with maskedLogits"));
  else
    PAPO_TRY(requireAbsent({"maskedLogitsGrad", &a.maskedLogitsGrad}, "without maskedLogits"));
  return PAPO_OK;
}

// What the objective weighs must be given: a missing input would silently drop its term.
papo_status checkObjectiveInputs(const papo_loss_args& a) {
  const papo_objective& o = *a.objective;
  const bool hasLogits = isPresent(a.logits), hasMaskedLogits = isPresent(a.maskedLogits);
  const bool exactKl = o.perceptionKlEstimator == PAPO_PERCEPTION_KL_ESTIMATOR_EXACT;
  const bool exactEntropy = o.entropyEstimator == PAPO_ENTROPY_ESTIMATOR_EXACT;
  if (!hasMaskedLogits && (o.perceptionKlCoef != 0 || o.maskedEntropyCoef != 0))
    PAPO_TRY(requirePresent({hasLogits ? "maskedLogits" : "maskedLogProbs", &a.maskedLogProbs},
                            "because perceptionKlCoef or maskedEntropyCoef is not 0"));
  if (exactKl && o.perceptionKlCoef != 0 && !hasMaskedLogits)
    PAPO_TRY(requirePresent({hasLogits ? "maskedLogits" : "exactPerceptionKl",
                             hasLogits ? &a.maskedLogits : &a.exactPerceptionKl},
                            "because perceptionKlEstimator is exact"));
  if (!hasLogits && ((exactEntropy && o.entropyCoef != 0) || o.topEntropyFraction < 1))
    PAPO_TRY(
        requirePresent({"entropies", &a.entropies}, "because the objective needs exact entropies"));
  if (!hasMaskedLogits && exactEntropy && o.maskedEntropyCoef != 0)
    PAPO_TRY(requirePresent({"maskedEntropies", &a.maskedEntropies},
                            "because entropyEstimator is exact"));
  if (o.sftCoef != 0) PAPO_TRY(requirePresent({"sftMask", &a.sftMask}, "because sftCoef is not 0"));
  return PAPO_OK;
}

// With a row index the tokens say how many there are, else the rows of logits.
int64_t tokenCount(const papo_loss_args& a) {
  if (!isPresent(a.logits)) return a.logProbs.rows;
  return isPresent(a.rowIndex) ? a.tokens.rows : a.logits.rows;
}

papo_status checkLogits(const papo_engine& engine, const papo_loss_args& a) {
  if (!isPresent(a.logits)) return PAPO_OK;
  const unsigned dtypes = kLogitsDTypes | (engine.isReference() ? dtypeBit(PAPO_FLOAT64) : 0u);
  const int64_t rows = a.logits.rows, vocabSize = a.logits.columns;
  if (vocabSize < 1)
    return fail(PAPO_INVALID_SHAPE, "logits: expected a vocabulary of at least 1, got %lld",
                printable(vocabSize));
  if (isPresent(a.rowIndex) && rows < 1)
    return fail(PAPO_INVALID_SHAPE, "logits: expected at least one row, got %lld", printable(rows));
  PAPO_TRY(requireMatrix({"logits", &a.logits}, rows, vocabSize, dtypes));
  const NamedTensor others[] = {{"maskedLogits", &a.maskedLogits},
                                {"logitsGrad", &a.logitsGrad},
                                {"maskedLogitsGrad", &a.maskedLogitsGrad}};
  for (const NamedTensor& other : others) {
    if (isPresent(*other.tensor))
      PAPO_TRY(
          requireMatrix(other, rows, vocabSize, dtypeBit(static_cast<papo_dtype>(a.logits.dtype))));
  }
  return requireVector({"tokens", &a.tokens}, tokenCount(a), dtypeBit(PAPO_INT32));
}

// --- every tensor of a call, once ------------------------------------------------------------------

enum class Shape { matrix, perToken, perTokenOrResponse, metrics };
enum class Role { input, output };

struct Field {
  const char* name;
  papo_tensor papo_loss_args::*tensor;
  Shape shape;
  Role role;
};

#define PAPO_INPUT(name, shape) \
  { #name, &papo_loss_args::name, Shape::shape, Role::input }
#define PAPO_OUTPUT(name, shape) \
  { #name, &papo_loss_args::name, Shape::shape, Role::output }
constexpr Field kFields[] = {
    PAPO_INPUT(logits, matrix),
    PAPO_INPUT(maskedLogits, matrix),
    PAPO_INPUT(logProbs, perToken),
    PAPO_INPUT(maskedLogProbs, perToken),
    PAPO_INPUT(entropies, perToken),
    PAPO_INPUT(maskedEntropies, perToken),
    PAPO_INPUT(exactPerceptionKl, perToken),
    PAPO_INPUT(tokens, perToken),
    PAPO_INPUT(rowIndex, perToken),
    PAPO_INPUT(responseMask, perToken),
    PAPO_INPUT(oldLogProbs, perToken),
    PAPO_INPUT(refLogProbs, perToken),
    PAPO_INPUT(advantages, perTokenOrResponse),
    PAPO_INPUT(tokenWeights, perTokenOrResponse),
    PAPO_INPUT(perceptionWeights, perTokenOrResponse),
    PAPO_INPUT(sftMask, perTokenOrResponse),
    PAPO_OUTPUT(metrics, metrics),
    PAPO_OUTPUT(logitsGrad, matrix),
    PAPO_OUTPUT(maskedLogitsGrad, matrix),
    PAPO_OUTPUT(outLogProbs, perToken),
    PAPO_OUTPUT(outMaskedLogProbs, perToken),
    PAPO_OUTPUT(outEntropies, perToken),
    PAPO_OUTPUT(outMaskedEntropies, perToken),
    PAPO_OUTPUT(ratios, perToken),
    PAPO_OUTPUT(refKlPerToken, perToken),
    PAPO_OUTPUT(perceptionKlPerToken, perToken),
    PAPO_OUTPUT(logProbsGrad, perToken),
    PAPO_OUTPUT(maskedLogProbsGrad, perToken),
    PAPO_OUTPUT(entropiesGrad, perToken),
    PAPO_OUTPUT(maskedEntropiesGrad, perToken),
    PAPO_OUTPUT(exactPerceptionKlGrad, perToken),
};
#undef PAPO_INPUT
#undef PAPO_OUTPUT

unsigned dtypesOf(const papo_engine& engine, const Field& field) {
  if (field.tensor == &papo_loss_args::tokens || field.tensor == &papo_loss_args::rowIndex)
    return dtypeBit(PAPO_INT32);
  if (field.tensor == &papo_loss_args::responseMask || field.tensor == &papo_loss_args::sftMask)
    return dtypeBit(PAPO_UINT8);
  return dtypeBit(engine.isReference() ? PAPO_FLOAT64 : PAPO_FLOAT32);
}

papo_status checkVectors(const papo_engine& engine, const papo_loss_args& a, const Responses& r) {
  for (const Field& field : kFields) {
    const NamedTensor argument{field.name, &(a.*field.tensor)};
    if (field.shape == Shape::perToken)
      PAPO_TRY(checkOptionalVector(argument, r.rows, dtypesOf(engine, field)));
    else if (field.shape == Shape::perTokenOrResponse)
      PAPO_TRY(checkPerTokenOrResponse(argument, r, dtypesOf(engine, field)));
  }
  PAPO_TRY(requirePresent({"advantages", &a.advantages}, "for every loss"));
  return requireVector({"metrics", &a.metrics}, PAPO_METRIC_COUNT, dtypeBit(PAPO_FLOAT64));
}

// All memory of a call but its workspace.
struct Memory {
  static constexpr size_t kCapacity = sizeof kFields / sizeof kFields[0] + 2;

  explicit Memory(const papo_loss_args& a)
      : objective(bytesView(a.objective, sizeof *a.objective)),
        cuSeqlens(
            bytesView(a.cuSeqlens, static_cast<size_t>(a.responses + 1) * sizeof *a.cuSeqlens)) {
    inputs[inputCount++] = {"objective", &objective};
    inputs[inputCount++] = {"cuSeqlens", &cuSeqlens};
    for (const Field& field : kFields)
      (field.role == Role::input ? inputs[inputCount++] : outputs[outputCount++]) = {
          field.name, &(a.*field.tensor)};
  }

  TensorList inputList() const { return {inputs, inputCount}; }
  TensorList outputList() const { return {outputs, outputCount}; }

  papo_tensor objective, cuSeqlens;
  NamedTensor inputs[kCapacity], outputs[kCapacity];
  size_t inputCount = 0, outputCount = 0;
};

papo_status checkOverlap(const papo_loss_args& a) {
  const Memory memory(a);
  return requireDisjoint(memory.inputList(), memory.outputList(),
                         {{&a.logits, &a.logitsGrad}, {&a.maskedLogits, &a.maskedLogitsGrad}});
}

}  // namespace

papo_status requireOwnWorkspace(const papo_loss_args& args, const void* workspace, size_t bytes) {
  const Memory memory(args);
  const papo_tensor view = bytesView(workspace, bytes);
  const NamedTensor argument{"workspace", &view};
  PAPO_TRY(requireDisjoint(memory.inputList(), {&argument, 1}, {}));
  return requireDisjoint(memory.outputList(), {&argument, 1}, {});
}

papo_status checkLossArguments(const papo_engine& engine, const papo_loss_args& args,
                               Responses* responses) {
  PAPO_TRY(papo_objective_validate(args.objective));
  PAPO_TRY(checkBranches(args));
  PAPO_TRY(checkObjectiveInputs(args));
  PAPO_TRY(checkLogits(engine, args));
  PAPO_TRY(requireResponses(args.cuSeqlens, args.responses, tokenCount(args), responses));
  PAPO_TRY(checkVectors(engine, args, *responses));
  return checkOverlap(args);
}

papo_status readMask(NamedTensor argument, int64_t i, bool* value) {
  const uint8_t stored = static_cast<const uint8_t*>(argument.tensor->data)[i];
  *value = stored != 0;
  if (stored <= 1) return PAPO_OK;
  return refuseBinary(argument.name, stored, i);
}

}  // namespace papo
