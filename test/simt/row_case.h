// Rows of a local objective with their memory, for tests of the row kernels on the emulator, where
// memory of the device is memory of this process. Buffers end where the last row ends, so that the
// sanitizer of addresses sees a kernel that reads or writes beyond it.
#pragma once

#include <cmath>
#include <cstring>
#include <memory>
#include <random>
#include <vector>

#include "cuda/rows.h"
#include "engine/dtype.h"

namespace papo_test {

struct RowOptions {
  int32_t dtype = PAPO_BFLOAT16;
  int64_t vocabSize = 1, rows = 1;
  int branches = 2;
  bool exactKl = false, maskedGradient = true, inPlace = false, squares = false;
  bool hasExclusions = false;  // logits of -inf
  bool hasSkipped = false;     // every third row has no token, and holds NaN
  bool isShared = false;       // rows with several tokens
  int64_t padding = 0;         // of the stride, elements
  int offset = 0;              // of the first row from an address aligned to 16 bytes, elements
};

// What a launch left behind; a NaN is a NaN, whatever its bits.
struct RowResults {
  std::vector<float> gradients;  // the whole buffers, padding too
  std::vector<double> records;

  static bool isSame(double a, double b) {
    return (std::isnan(a) && std::isnan(b)) || (a == b && std::signbit(a) == std::signbit(b));
  }
  template <class V>
  static bool isSame(const V& a, const V& b) {
    if (a.size() != b.size()) return false;
    for (size_t i = 0; i < a.size(); ++i)
      if (!isSame(a[i], b[i])) return false;
    return true;
  }
  bool operator==(const RowResults& o) const {
    return isSame(gradients, o.gradients) && isSame(records, o.records);
  }
};

class RowCase {
 public:
  RowCase(const RowOptions& options, const papo_objective& objective)
      : options_(options), objective_(objective), random_(static_cast<unsigned>(options.vocabSize)) {
    size_ = dtypeBytes(options.dtype);
    stride_ = options.vocabSize + options.padding;
    elements_ = options.offset + (options.rows - 1) * stride_ + options.vocabSize;
    tokens_ = options.isShared ? 2 * options.rows + 1 : options.rows;
    drawTokens();
    logits_ = draw();
    maskedLogits_ = draw();
  }

  // launch(call) on a fresh copy of everything.
  template <class Launch>
  RowResults run(Launch&& launch) {
    Buffer logits = copy(logits_), masked = copy(maskedLogits_), grad = blank(), maskedGrad = blank();
    std::vector<papo::TokenRecord<float>> records = freshRecords();
    std::vector<papo::SampledEntry> entries(static_cast<size_t>(tokens_));
    papo::cuda::RowsCall call = this->call();
    call.logits = tensor(logits);
    call.logitsGrad = tensor(options_.inPlace ? logits : grad);
    if (options_.branches == 2) {
      call.maskedLogits = tensor(masked);
      call.maskedLogitsGrad = tensor(options_.inPlace ? masked : maskedGrad);
    }
    call.records = records.data();
    call.entries = options_.isShared ? entries.data() : nullptr;
    launch(call);
    RowResults results;
    for (const Buffer* buffer : {&logits, &masked, &grad, &maskedGrad}) append(*buffer, &results);
    for (const papo::TokenRecord<float>& record : records) append(record, &results);
    return results;
  }

 private:
  using Buffer = std::unique_ptr<unsigned char[]>;

  size_t bytes() const { return static_cast<size_t>(elements_) * size_; }
  Buffer blank() const {
    Buffer buffer(new unsigned char[bytes()]);
    std::memset(buffer.get(), 0x47, bytes());
    return buffer;
  }
  Buffer copy(const std::vector<unsigned char>& from) const {
    Buffer buffer(new unsigned char[bytes()]);
    std::memcpy(buffer.get(), from.data(), bytes());
    return buffer;
  }
  papo::cuda::RowTensor tensor(const Buffer& buffer) const {
    return {buffer.get() + static_cast<size_t>(options_.offset) * size_, stride_};
  }

  bool isSkipped(int64_t row) const { return options_.hasSkipped && row % 3 != 0; }

  void drawTokens() {
    std::uniform_int_distribution<int64_t> id(0, options_.vocabSize - 1);
    for (int64_t token = 0; token < tokens_; ++token) {
      ids_.push_back(static_cast<int32_t>(id(random_)));
      // Row 0 has three tokens or more, of which two sampled the same.
      rowIndex_.push_back(static_cast<int32_t>(token < 3 ? 0 : token % options_.rows));
    }
    if (tokens_ > 1) ids_[1] = ids_[0];
  }

  std::vector<unsigned char> draw() {
    std::normal_distribution<float> normal(0, 3);
    std::vector<unsigned char> out(bytes());
    for (int64_t i = 0; i < elements_; ++i) {
      const int64_t at = i - options_.offset;
      const int64_t row = at < 0 ? 0 : at / stride_, v = at < 0 ? -1 : at % stride_;
      float value = normal(random_);
      if (options_.hasExclusions && random_() % 4 == 0) value = -INFINITY;
      if (v < 0 || v >= options_.vocabSize || isSkipped(row)) value = NAN;
      papo::visitDType(options_.dtype, [&](auto element) {
        papo::fromFloat(value, &element);
        std::memcpy(out.data() + static_cast<size_t>(i) * sizeof element, &element, sizeof element);
      });
    }
    return out;
  }

  papo::cuda::RowsCall call() {
    papo::cuda::RowsCall call;
    call.dtype = options_.dtype;
    call.rows = options_.rows;
    call.vocabSize = options_.vocabSize;
    call.inverseTemperature = 1 / objective_.temperature;
    call.exactKl = options_.exactKl;
    call.sumOfSquares = options_.squares;
    call.hasOldLogProbs = true;
    objective_.perceptionGradient = options_.maskedGradient;
    call.objective = papo::tokenObjective<float>(objective_);
    call.tokens = layOutTokens();
    return call;
  }

  papo::TokenRows layOutTokens() {
    papo_tensor logits{nullptr, options_.rows, options_.vocabSize, stride_, options_.dtype, 0};
    const papo_tensor ids{ids_.data(), tokens_, 1, 1, PAPO_INT32, 0};
    papo_tensor rowIndex{rowIndex_.data(), tokens_, 1, 1, PAPO_INT32, 0};
    if (!options_.isShared) rowIndex = papo_tensor();
    const papo::TokenArguments args{logits, ids, rowIndex};
    papo::Arena counting(nullptr);
    papo::TokenRows::layOut(&counting, args);
    tokenMemory_.resize(counting.used() / sizeof(double) + 1);
    papo::Arena arena(tokenMemory_.data());
    papo::TokenRows rows = papo::TokenRows::layOut(&arena, args);
    rows.read(args, [this](int64_t token) {
      return !isSkipped(options_.isShared ? rowIndex_[static_cast<size_t>(token)] : token);
    });
    return rows;
  }

  std::vector<papo::TokenRecord<float>> freshRecords() const {
    std::vector<papo::TokenRecord<float>> records(static_cast<size_t>(tokens_));
    for (size_t i = 0; i < records.size(); ++i) {
      papo::TokenRecord<float>& record = records[i];
      record.counts = record.contributes = true;
      record.inputs.hasMasked = options_.branches == 2;
      record.inputs.advantage = i % 2 ? -0.7f : 1.3f;
      record.inputs.oldLogProb = -9.5f + 0.1f * static_cast<float>(i % 5);
      record.shares.policy = record.shares.entropy = 0.25f;
      if (record.inputs.hasMasked) record.shares.perception = record.shares.maskedEntropy = 0.5f;
    }
    return records;
  }

  void append(const Buffer& buffer, RowResults* out) const {
    papo::visitDType(options_.dtype, [&](auto element) {
      for (int64_t i = 0; i < elements_; ++i) {
        std::memcpy(&element, buffer.get() + static_cast<size_t>(i) * sizeof element, sizeof element);
        out->gradients.push_back(papo::toFloat(element));
      }
    });
  }
  static void append(const papo::TokenRecord<float>& r, RowResults* out) {
    for (float x : {r.inputs.logProb, r.inputs.maskedLogProb, r.inputs.entropy,
                    r.inputs.maskedEntropy, r.inputs.exactKl, r.inputs.advantage,
                    r.terms.policy.loss, r.terms.perceptionKl.value, r.terms.entropy, r.terms.ratio,
                    r.slopes.logProb, r.slopes.maskedLogProb, r.slopes.entropy,
                    r.slopes.maskedEntropy, r.slopes.exactKl})
      out->records.push_back(static_cast<double>(x));
    out->records.push_back(r.sumOfSquares);
  }
  static size_t dtypeBytes(int32_t dtype) { return papo::dtypeBytes(dtype); }

  RowOptions options_;
  papo_objective objective_;
  std::mt19937 random_;
  size_t size_ = 0;
  int64_t stride_ = 0, elements_ = 0, tokens_ = 0;
  std::vector<int32_t> ids_, rowIndex_;
  std::vector<unsigned char> logits_, maskedLogits_;
  std::vector<double> tokenMemory_;
};

}  // namespace papo_test
