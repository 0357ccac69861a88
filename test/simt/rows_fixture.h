// Rows with their memory and their oracle, for the tests of the row kernels on the emulator, where
// memory of the device is memory of this process. Buffers end where the last row does, so that the
// sanitizer of addresses sees what a kernel does behind it; padding between rows must stay as it is.
#pragma once

#include <cmath>
#include <cstring>
#include <memory>
#include <new>
#include <random>
#include <vector>

#include "../native/rows_oracle.h"
#include "cuda/rows.h"
#include "engine/dtype.h"

namespace papo_test {

enum class Logits { kRandom, kPeaked, kAllNegative, kFar, kHoles, kEmptyTiles, kEqual, kFlat };
constexpr int kLogitKinds = 8;

struct RowsShape {
  int64_t rows = 1, vocabSize = 1;
  int64_t padding = 0;  // elements between rows
  int64_t offset = 0;   // elements between 64-byte alignment and the first row
  papo::cuda::RowKind kind = papo::cuda::RowKind::kOne;
  Logits logits = Logits::kRandom;
  double inverseTemperature = 1;

  bool isPair() const { return kind != papo::cuda::RowKind::kOne; }
  int64_t stride() const { return vocabSize + padding; }
};

inline float drawLogit(const RowsShape& shape, bool masked, int64_t v, std::mt19937& random) {
  const float noise = std::normal_distribution<float>(0, 2)(random);
  const unsigned draw = random() % 10;
  switch (shape.logits) {
    case Logits::kPeaked:
      return v == shape.vocabSize / 2 ? 40 : noise;
    case Logits::kAllNegative:
      return -1e4f + noise;
    case Logits::kFar:
      return draw % 2 ? 1e4f : -1e4f;
    case Logits::kHoles:
      return draw < (masked ? 3u : 2u) ? -INFINITY : noise;
    case Logits::kEmptyTiles:
      return v / 1024 % 3 == (masked ? 1 : 0) ? -INFINITY : noise;
    case Logits::kFlat:
      return masked ? -3.0f : 0.25f;
    default:
      return noise;
  }
}

// A tensor [rows, vocabSize] with padding, on the heap.
template <class T>
class Matrix {
 public:
  explicit Matrix(const RowsShape& shape)
      : shape_(shape),
        count_(static_cast<size_t>((shape.rows - 1) * shape.stride() + shape.vocabSize)),
        memory_(static_cast<unsigned char*>(::operator new[](
            (static_cast<size_t>(shape.offset) + count_) * sizeof(T), kAlignment))),
        data_(reinterpret_cast<T*>(memory_.get()) + shape.offset) {
    std::memset(static_cast<void*>(data_), 0xa5, count_ * sizeof(T));
  }
  Matrix(const Matrix& other) : Matrix(other.shape_) { *this = other; }
  Matrix& operator=(const Matrix& other) {
    for (int64_t row = 0; row < shape_.rows; ++row)
      std::memcpy(static_cast<void*>(at(row)), other.at(row), rowBytes());
    return *this;
  }

  T* at(int64_t row) const { return data_ + row * shape_.stride(); }
  void set(int64_t row, int64_t v, float value) { papo::fromFloat(value, at(row) + v); }
  float get(int64_t row, int64_t v) const { return papo::toFloat(at(row)[v]); }
  papo::cuda::RowTensor tensor() const { return {data_, shape_.stride()}; }

  // The rows alone: their places in memory may differ.
  bool sameRows(const Matrix& other) const {
    for (int64_t row = 0; row < shape_.rows; ++row)
      if (std::memcmp(at(row), other.at(row), rowBytes()) != 0) return false;
    return true;
  }
  bool isPaddingIntact() const {
    for (int64_t row = 0; row + 1 < shape_.rows; ++row) {
      const auto* first = reinterpret_cast<const unsigned char*>(at(row) + shape_.vocabSize);
      const auto* end = reinterpret_cast<const unsigned char*>(at(row + 1));
      for (; first != end; ++first)
        if (*first != 0xa5) return false;
    }
    return true;
  }

 private:
  static constexpr std::align_val_t kAlignment{64};
  struct Free {
    void operator()(unsigned char* memory) const { ::operator delete[](memory, kAlignment); }
  };
  size_t rowBytes() const { return static_cast<size_t>(shape_.vocabSize) * sizeof(T); }

  RowsShape shape_;
  size_t count_;
  std::unique_ptr<unsigned char[], Free> memory_;
  T* data_;
};

// Ids by token, and, where rows are shared, the row of each.
struct Tokens {
  std::vector<int32_t> ids;       // -1: not read
  std::vector<int32_t> rowIndex;  // empty: token i has row i

  int64_t count() const { return static_cast<int64_t>(ids.size()); }
  int64_t row(int64_t token) const {
    return rowIndex.empty() ? token : rowIndex[static_cast<size_t>(token)];
  }
};

template <class T>
struct Rows {
  RowsShape shape;
  Tokens tokens;
  Matrix<T> logits, maskedLogits;
  std::vector<unsigned char> tokenMemory;

  Rows(const RowsShape& s, Tokens t) : shape(s), tokens(std::move(t)), logits(s), maskedLogits(s) {
    std::mt19937 random(static_cast<unsigned>(s.vocabSize * 31) + static_cast<unsigned>(s.logits));
    for (int64_t row = 0; row < s.rows; ++row)
      for (int branch = 0; branch < 2; ++branch)
        for (int64_t v = 0; v < s.vocabSize; ++v) fill(row, branch, v, random);
    for (int64_t i = 0; i < tokens.count(); ++i) keepFinite(tokens.row(i), tokens.ids[size_t(i)]);
  }

  // Token i of row i; every row has one.
  static Rows ofEach(const RowsShape& s) {
    Tokens tokens;
    for (int64_t row = 0; row < s.rows; ++row)
      tokens.ids.push_back(static_cast<int32_t>(row * 7919 % s.vocabSize));
    return Rows(s, tokens);
  }

  OraclePair oracle(int64_t token) const {
    OraclePair out;
    out.token = tokens.ids[static_cast<size_t>(token)];
    out.inverseTemperature = shape.inverseTemperature;
    out.image = OracleBranch(values(logits, tokens.row(token)), out.inverseTemperature, out.token);
    if (!shape.isPair()) return out;
    out.masked =
        OracleBranch(values(maskedLogits, tokens.row(token)), out.inverseTemperature, out.token);
    if (shape.kind == papo::cuda::RowKind::kExactPair) out.addKl();
    return out;
  }

  // All but outputs and records; valid as long as this.
  papo::cuda::RowsCall call(int32_t dtype, const papo::cuda::DeviceError* error) {
    papo::cuda::RowsCall call;
    call.logits = logits.tensor();
    if (shape.isPair()) call.maskedLogits = maskedLogits.tensor();
    call.dtype = dtype;
    call.rows = shape.rows;
    call.vocabSize = shape.vocabSize;
    call.inverseTemperature = shape.inverseTemperature;
    call.exactKl = shape.kind == papo::cuda::RowKind::kExactPair;
    call.objective.maskedGradient = true;
    call.tokens = tokenRows(dtype);
    call.error = error;
    return call;
  }

 private:
  void fill(int64_t row, int branch, int64_t v, std::mt19937& random) {
    const float x = drawLogit(shape, branch == 1, v, random);
    if (branch == 0)
      logits.set(row, v, x);
    else
      maskedLogits.set(row, v, shape.logits == Logits::kEqual ? logits.get(row, v) : x);
  }
  void keepFinite(int64_t row, int32_t id) {
    if (id < 0) return;
    if (std::isinf(logits.get(row, id))) logits.set(row, id, 1);
    if (std::isinf(maskedLogits.get(row, id))) maskedLogits.set(row, id, 1);
  }
  std::vector<double> values(const Matrix<T>& from, int64_t row) const {
    std::vector<double> out;
    for (int64_t v = 0; v < shape.vocabSize; ++v)
      out.push_back(static_cast<double>(from.get(row, v)));
    return out;
  }
  papo::TokenRows tokenRows(int32_t dtype) {
    const papo_tensor matrix{logits.at(0), shape.rows, shape.vocabSize, shape.stride(), dtype, 0};
    const papo_tensor ids{tokens.ids.data(), tokens.count(), 1, 1, PAPO_INT32, 0};
    papo_tensor rowIndex{};
    if (!tokens.rowIndex.empty())
      rowIndex = {tokens.rowIndex.data(), tokens.count(), 1, 1, PAPO_INT32, 0};
    const papo::TokenArguments args{matrix, ids, rowIndex};
    papo::Arena sizes(nullptr);
    papo::TokenRows::layOut(&sizes, args);
    tokenMemory.resize(sizes.used());
    papo::Arena arena(tokenMemory.data());
    papo::TokenRows rows = papo::TokenRows::layOut(&arena, args);
    rows.read(args, [this](int64_t i) { return tokens.ids[static_cast<size_t>(i)] >= 0; });
    return rows;
  }
};

}  // namespace papo_test
