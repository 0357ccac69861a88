// The numeric contract: each rule a test, on every instruction set, through the C interface.
#include <sys/mman.h>

#include <cmath>
#include <cstdio>

#include "check.h"
#include "loss_case.h"

using namespace papo_test;
using papo::BFloat16;

namespace {

const int64_t kVocabSizes[] = {1, 3, 37, 1031, 8003, 50257, 128256, 151936, 152064};

template <class T>
bool sameBits(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

// Any vocabulary size: log-probs, entropies and gradients against the reference.
void anyVocabularySize(const std::string& name) {
  Engine engine = openEngine(name.c_str(), 2), oracle = openEngine("reference", 2);
  for (int64_t vocabSize : kVocabSizes) {
    const LossInputs in = LossInputs::random(static_cast<unsigned>(vocabSize), 1, 2, vocabSize);
    const LossRun<float, float> run(engine.get(), in, profile("papoExact"));
    const LossRun<double, double> exact(oracle.get(), in, profile("papoExact"));
    for (size_t i = 0; i < run.logProbs.size(); ++i) {
      CHECK(std::fabs(run.logProbs[i] - exact.logProbs[i]) <= 5e-6);
      CHECK(std::fabs(run.entropies[i] - exact.entropies[i]) <= 5e-6 + 1e-6 * exact.entropies[i]);
    }
    for (size_t i = 0; i < run.logitsGrad.size(); ++i) {
      CHECK(std::fabs(run.logitsGrad[i] - exact.logitsGrad[i]) <=
            1e-6 + 1e-4 * std::fabs(exact.logitsGrad[i]));
      CHECK(std::fabs(run.maskedLogitsGrad[i] - exact.maskedLogitsGrad[i]) <=
            1e-6 + 1e-4 * std::fabs(exact.maskedLogitsGrad[i]));
    }
  }
}

// A padded vocabulary is neither counted nor written.
void paddedVocabularyIsExcluded(const std::string& name) {
  Engine engine = openEngine(name.c_str());
  const LossInputs in = LossInputs::random(3, 3, 4, 61);
  const LossRun<float, float> dense(engine.get(), in, profile("papoExact"));
  const LossRun<float, float> padded(engine.get(), in, profile("papoExact"), false, 3);
  CHECK(dense.loss() == padded.loss());
  for (int64_t row = 0; row < in.rows(); ++row) {
    for (int64_t v = 0; v < in.vocabSize; ++v) CHECK(dense.gradAt(row, v) == padded.gradAt(row, v));
    for (int64_t v = 61; v < 64; ++v) CHECK(padded.gradAt(row, v) == 7.0f);
  }
}

// Rows further apart than 2^31 elements: a sparse mapping, touched only where the rows are.
void offsetsBeyond32Bits(const std::string& name) {
  Engine engine = openEngine(name.c_str());
  constexpr int64_t kStride = (int64_t{1} << 31) + 5, kRows = 3, kVocabSize = 1031;
  const size_t bytes = static_cast<size_t>(kStride * (kRows - 1) + kVocabSize) * sizeof(BFloat16);
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  CHECK(memory != MAP_FAILED);
  if (memory == MAP_FAILED) return;
  auto* logits = static_cast<BFloat16*>(memory);
  const LossInputs in = LossInputs::random(9, kRows, 1, kVocabSize);
  const std::vector<BFloat16> dense = convert<BFloat16>(in.logits);
  for (int64_t row = 0; row < kRows; ++row)
    std::memcpy(logits + row * kStride, &dense[static_cast<size_t>(row * kVocabSize)],
                kVocabSize * sizeof(BFloat16));
  const auto scores = [&](papo_tensor view_) {
    std::vector<float> logProbs(kRows);
    papo_token_log_probs_args args{};
    args.size = sizeof args;
    args.temperature = 1;
    args.logits = view_;
    args.tokens = view(in.tokens.data(), kRows, 1, 1, PAPO_INT32);
    args.logProbs = vectorView(logProbs);
    size_t size = 0;
    CHECK(papo_token_log_probs_workspace(engine.get(), &args, &size) == PAPO_OK);
    Workspace workspace;
    CHECK(papo_token_log_probs(engine.get(), &args, workspace.ofSize(size), size) == PAPO_OK);
    return logProbs;
  };
  CHECK(sameBits(scores(view(logits, kRows, kVocabSize, kStride, PAPO_BFLOAT16)),
                 scores(view(dense.data(), kRows, kVocabSize, kVocabSize, PAPO_BFLOAT16))));

  LossInputs rows = in;
  rows.responseMask.assign(kRows, 1);
  const papo_objective grpo = profile("grpo");
  const LossRun<BFloat16, float> expected(engine.get(), rows, profile("grpo"));
  std::vector<float> advantages = convert<float>(in.advantages),
                     old = convert<float>(in.oldLogProbs), ref = convert<float>(in.refLogProbs),
                     weights = convert<float>(in.tokenWeights);
  double metrics[PAPO_METRIC_COUNT];
  papo_loss_args args{};
  args.size = sizeof args;
  args.objective = &grpo;
  args.responses = kRows;
  args.logits = args.logitsGrad = view(logits, kRows, kVocabSize, kStride, PAPO_BFLOAT16);
  args.tokens = view(in.tokens.data(), kRows, 1, 1, PAPO_INT32);
  args.advantages = vectorView(advantages);
  args.oldLogProbs = vectorView(old);
  args.refLogProbs = vectorView(ref);
  args.tokenWeights = vectorView(weights);
  args.metrics = view(metrics, PAPO_METRIC_COUNT, 1, 1, PAPO_FLOAT64);
  size_t size = 0;
  CHECK(papo_loss_workspace(engine.get(), &args, &size) == PAPO_OK);
  Workspace workspace;
  CHECK(papo_loss(engine.get(), &args, workspace.ofSize(size), size) == PAPO_OK);
  CHECK(metrics[PAPO_METRIC_loss] == expected.loss());
  for (int64_t row = 0; row < kRows; ++row)
    CHECK(std::memcmp(logits + row * kStride,
                      &expected.logitsGrad[static_cast<size_t>(row * kVocabSize)],
                      kVocabSize * sizeof(BFloat16)) == 0);
  munmap(memory, bytes);
}

// -inf on other tokens, in either branch or both: probability 0, gradient exactly 0, all finite.
void negativeInfinity(const std::string& name) {
  Engine engine = openEngine(name.c_str());
  LossInputs in = LossInputs::random(4, 2, 6, 5003);
  for (int64_t row = 0; row < in.rows(); ++row) {
    for (int64_t v = 0; v < in.vocabSize; ++v) {
      if (v == in.tokens[static_cast<size_t>(row)]) continue;
      const auto at = static_cast<size_t>(row * in.vocabSize + v);
      if (v % 3 == 0 || (v >= 1000 && v < 4200)) in.logits[at] = -INFINITY;
      if (v % 3 == 0 || v % 7 == 0) in.maskedLogits[at] = -INFINITY;
    }
  }
  const LossRun<float, float> run(engine.get(), in, profile("papoExact"));
  CHECK(std::isfinite(run.loss()));
  CHECK(std::isfinite(run.metrics[PAPO_METRIC_meanEntropy]));
  CHECK(std::isfinite(run.metrics[PAPO_METRIC_perceptionKlMean]));
  CHECK(run.metrics[PAPO_METRIC_nonFiniteRows] == 0);
  for (size_t i = 0; i < in.logits.size(); ++i) {
    CHECK(std::isfinite(run.logitsGrad[i]) && std::isfinite(run.maskedLogitsGrad[i]));
    if (in.logits[i] == -INFINITY) CHECK(run.logitsGrad[i] == 0);
    if (in.maskedLogits[i] == -INFINITY) CHECK(run.maskedLogitsGrad[i] == 0);
  }
}

// All-negative, huge and peaked rows against the reference.
void hardRows(const std::string& name) {
  Engine engine = openEngine(name.c_str()), oracle = openEngine("reference");
  for (int kind = 0; kind < 3; ++kind) {
    LossInputs in = LossInputs::random(6, 2, 4, 2503);
    for (std::vector<double>* logits : {&in.logits, &in.maskedLogits})
      for (size_t i = 0; i < logits->size(); ++i) {
        double& z = (*logits)[i];
        if (kind == 0) z -= 1e4;
        if (kind == 1) z = i % 2 ? 1e4 : -1e4;
        if (kind == 2 && i % 2503 == 17) z += 60;
      }
    const LossRun<float, float> run(engine.get(), in, profile("papoExact"));
    const LossRun<float, double> exact(oracle.get(), in, profile("papoExact"));
    CHECK(std::isfinite(run.loss()));
    const double tolerance = kind == 2 ? 2e-6 : 2e-3;  // one ulp of 1e4 is 1e-3
    CHECK(std::fabs(run.loss() - exact.loss()) <= tolerance + 1e-5 * std::fabs(exact.loss()));
    for (size_t i = 0; i < run.logitsGrad.size(); ++i)
      CHECK(std::fabs(run.logitsGrad[i] - exact.logitsGrad[i]) <= (kind == 2 ? 1e-6 : 1e-4));
  }
}

// NaN in a row that counts reaches the loss and is counted; in one that does not, changes nothing.
void notANumber(const std::string& name) {
  Engine engine = openEngine(name.c_str());
  for (const char* profileName : {"papoExact", "papoG", "gspo"}) {
    LossInputs in = LossInputs::random(8, 3, 4, 301);
    in.responseMask.assign(static_cast<size_t>(in.rows()), 1);
    in.responseMask[5] = 0;
    const LossRun<float, float> clean(engine.get(), in, profile(profileName));
    LossInputs spoiled = in;
    for (int64_t v = 0; v < in.vocabSize; ++v) {
      spoiled.logits[static_cast<size_t>(5 * in.vocabSize + v)] = NAN;
      spoiled.maskedLogits[static_cast<size_t>(5 * in.vocabSize + v)] = NAN;
    }
    spoiled.oldLogProbs[5] = spoiled.refLogProbs[5] = spoiled.tokenWeights[5] = NAN;
    spoiled.tokens[5] = -100;
    const LossRun<float, float> run(engine.get(), spoiled, profile(profileName));
    CHECK(run.status == PAPO_OK);
    CHECK(run.loss() == clean.loss());
    CHECK(sameBits(run.logitsGrad, clean.logitsGrad));
    CHECK(sameBits(run.maskedLogitsGrad, clean.maskedLogitsGrad));
    for (int64_t v = 0; v < in.vocabSize; ++v)
      CHECK(run.gradAt(5, v) == 0 && run.maskedGradAt(5, v) == 0);
    spoiled.responseMask[5] = 1;
    spoiled.tokens[5] = 2;
    const LossRun<float, float> counted(engine.get(), spoiled, profile(profileName));
    CHECK(std::isnan(counted.loss()));
    CHECK(counted.metrics[PAPO_METRIC_nonFiniteRows] == 1);
  }
}

// Ratios that would overflow are clamped first.
void forwardNeverOverflows(const std::string& name) {
  Engine engine = openEngine(name.c_str());
  LossInputs in = LossInputs::random(2, 2, 4, 37);
  for (size_t i = 0; i < in.oldLogProbs.size(); ++i) in.oldLogProbs[i] = i % 2 ? -3e4 : 3e4;
  for (size_t i = 0; i < in.refLogProbs.size(); ++i) in.refLogProbs[i] = i % 2 ? 3e4 : -3e4;
  for (const char* profileName : {"papoG", "papoExact", "papoPaper", "drGrpo", "gspo", "cispo"}) {
    papo_objective o = profile(profileName);
    o.maxLength = 4;
    o.clipRatioHigh = 100;
    const LossRun<float, float> run(engine.get(), in, o);
    CHECK(std::isfinite(run.loss()));
    for (float gradient : run.logitsGrad) CHECK(std::isfinite(gradient));
  }
}

// The same bits for 1, 2 and 7 threads, in place and not, run after run.
void sameBitsForAnyThreads(const std::string& name) {
  const LossInputs in = LossInputs::random(12, 4, 6, 8003);
  for (const char* profileName : {"papoExact", "papoG", "gspo"}) {
    Engine one = openEngine(name.c_str(), 1);
    const LossRun<BFloat16, float> expected(one.get(), in, profile(profileName));
    for (int threads : {1, 2, 7}) {
      Engine engine = openEngine(name.c_str(), threads);
      CHECK(papo_engine_threads(engine.get()) == threads || name == "cuda");
      for (bool inPlace : {false, true}) {
        const LossRun<BFloat16, float> run(engine.get(), in, profile(profileName), inPlace);
        CHECK(std::memcmp(run.metrics, expected.metrics, sizeof run.metrics) == 0);
        CHECK(sameBits(run.logitsGrad, expected.logitsGrad));
        CHECK(sameBits(run.maskedLogitsGrad, expected.maskedLogitsGrad));
      }
    }
  }
}

LossInputs slice(const LossInputs& in, int64_t firstResponse, int64_t responses) {
  LossInputs part = in;
  part.responses = responses;
  const auto cut = [&](auto* values, int64_t perResponse) {
    const auto begin = values->begin() + firstResponse * perResponse;
    *values = {begin, begin + responses * perResponse};
  };
  const int64_t length = in.length;
  cut(&part.logits, length * in.vocabSize);
  cut(&part.maskedLogits, length * in.vocabSize);
  for (auto* v : {&part.oldLogProbs, &part.refLogProbs, &part.tokenWeights}) cut(v, length);
  for (auto* v : {&part.advantages, &part.perceptionWeights}) cut(v, 1);
  cut(&part.tokens, length);
  cut(&part.responseMask, length);
  cut(&part.sftMask, 1);
  return part;
}

// A response alone has the bits it has in the batch, given the batch's denominators; and
// micro-batches with the global denominators add up to the gradient of the whole.
void batchInvariance(const std::string& name) {
  Engine engine = openEngine(name.c_str(), 2);
  const LossInputs in = LossInputs::random(21, 6, 5, 1031);
  double tokens = 0;
  for (uint8_t m : in.responseMask) tokens += m;
  for (int32_t reduction :
       {PAPO_REDUCTION_TOKEN, PAPO_REDUCTION_SEQUENCE, PAPO_REDUCTION_CONSTANT}) {
    papo_objective o = profile("papoExact");
    o.reduction = reduction;
    o.maxLength = 5;
    const double own[] = {tokens, 6, 30};
    o.normalizer = own[reduction];
    o.tokenNormalizer = tokens;
    const LossRun<float, float> whole(engine.get(), in, o);
    double sum = 0;
    for (int64_t b = 0; b < 6; ++b) {
      const LossRun<float, float> part(engine.get(), slice(in, b, 1), o);
      sum += part.loss();
      const size_t count = part.logitsGrad.size();
      CHECK(std::memcmp(&whole.logitsGrad[static_cast<size_t>(b) * count], part.logitsGrad.data(),
                        count * sizeof(float)) == 0);
      CHECK(std::memcmp(&whole.maskedLogitsGrad[static_cast<size_t>(b) * count],
                        part.maskedLogitsGrad.data(), count * sizeof(float)) == 0);
    }
    CHECK(std::fabs(sum - whole.loss()) <= 1e-12);
  }
}

// Extra memory depends on the tokens and not on the vocabulary.
void workspaceIsPerToken(const std::string& name) {
  Engine engine = openEngine(name.c_str(), 2);
  for (const char* profileName : {"papoExact", "gspo"}) {
    const auto bytes = [&](int64_t vocabSize) {
      const LossInputs in = LossInputs::random(1, 4, 4, vocabSize);
      return LossRun<float, float>(engine.get(), in, profile(profileName), true).workspaceBytes;
    };
    CHECK(bytes(3) > 0);
    CHECK(bytes(3) == bytes(8003));
    CHECK(bytes(3) <= 16 * 1024);
  }
}

// All rows masked: loss 0, gradients 0, no token counted.
void allRowsMasked(const std::string& name) {
  Engine engine = openEngine(name.c_str());
  LossInputs in = LossInputs::random(1, 2, 3, 37);
  in.responseMask.assign(6, 0);
  for (const char* profileName : {"papoG", "papoExact", "gspo", "papoPaper"}) {
    const LossRun<float, float> run(engine.get(), in, profile(profileName));
    CHECK(run.status == PAPO_OK);
    CHECK(run.loss() == 0);
    CHECK(run.metrics[PAPO_METRIC_tokenCount] == 0);
    for (float gradient : run.logitsGrad) CHECK(gradient == 0);
  }
}

}  // namespace

int main() {
  for (const std::string& name : instructionSetNames()) {
    std::printf("%s\n", name.c_str());
    if (name == "reference") continue;
    anyVocabularySize(name);
    paddedVocabularyIsExcluded(name);
    if (name != "cuda") offsetsBeyond32Bits(name);  // a mapping of the host's
    negativeInfinity(name);
    hardRows(name);
    notANumber(name);
    forwardNeverOverflows(name);
    sameBitsForAnyThreads(name);
    batchInvariance(name);
    workspaceIsPerToken(name);
    allRowsMasked(name);
  }
  return finish();
}
