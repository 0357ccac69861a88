// The oracle: row statistics and row gradients in double, in plain loops, formula by formula.
//
// Written for reading, not for speed, and independent of the SIMD code: two passes over the row, the
// textbook softmax, every gradient as Eq. 8 of docs/math.md states it. The engines are tested against
// it, and it against the numbers of the authors' code.
#include <cmath>

#include "cpu/rows.h"

namespace papo {
namespace {

inline double toDouble(double x) { return x; }
template <class T>
double toDouble(T x) {
  return static_cast<double>(toFloat(x));
}
inline void fromDouble(double value, double* out) { *out = value; }
template <class T>
void fromDouble(double value, T* out) {
  fromFloat(static_cast<float>(value), out);
}

// One branch of a row: z_v and log p_v on demand.
template <class T>
class Branch {
 public:
  Branch(const void* logits, const RowPair& row)
      : logits_(static_cast<const T*>(logits)), inverseTemperature_(row.inverseTemperature) {}

  double z(int64_t v) const { return toDouble(logits_[v]) * inverseTemperature_; }

  BranchStatistics statistics(int64_t vocabSize, int64_t token) const {
    BranchStatistics s;
    s.max = -INFINITY;
    for (int64_t v = 0; v < vocabSize; ++v)
      if (!(z(v) <= s.max)) s.max = z(v);  // a NaN is taken, and stays unless a later z is larger
    for (int64_t v = 0; v < vocabSize; ++v) s.sumExp += std::exp(z(v) - s.max);
    s.logSum = std::log(s.sumExp);
    s.logProb = logProb(s, token);
    for (int64_t v = 0; v < vocabSize; ++v) s.entropy -= timesLog(s, v);
    return s;
  }

  double logProb(const BranchStatistics& s, int64_t v) const { return (z(v) - s.max) - s.logSum; }
  double prob(const BranchStatistics& s, int64_t v) const { return std::exp(logProb(s, v)); }
  // p log p, 0 where p is 0.
  double timesLog(const BranchStatistics& s, int64_t v) const {
    const double p = prob(s, v);
    return p == 0 ? 0 : p * logProb(s, v);
  }

 private:
  const T* logits_;
  double inverseTemperature_;
};

template <class T>
void statistics(const RowPair& row, RowStatistics* out) {
  *out = RowStatistics{};
  const Branch<T> image(row.logits, row);
  out->image = image.statistics(row.vocabSize, row.token);
  if (!row.maskedLogits) return;
  const Branch<T> masked(row.maskedLogits, row);
  out->masked = masked.statistics(row.vocabSize, row.token);
  if (!row.exactKl) return;
  out->sharedMass = 0;
  for (int64_t v = 0; v < row.vocabSize; ++v) {
    const double p = image.prob(out->image, v);
    if (p == 0 || masked.z(v) == -INFINITY) continue;
    out->sharedMass += p;
    out->exactKl += p * (image.logProb(out->image, v) - masked.logProb(out->masked, v));
  }
}

template <class T>
void retarget(const RowPair& row, RowStatistics* s) {
  s->image.logProb = Branch<T>(row.logits, row).logProb(s->image, row.token);
  if (row.maskedLogits)
    s->masked.logProb = Branch<T>(row.maskedLogits, row).logProb(s->masked, row.token);
}

// The part of the log-probs, g (1[v=o] - p) of every token of the row.
double logProbPart(const RowPair& row, const RowSlopes& slopes, double slope,
                   double SampledEntry::*entrySlope, int64_t v, double p) {
  if (!slopes.entries) return slope * ((v == row.token ? 1 : 0) - p);
  double sum = 0;
  for (int64_t i = 0; i < slopes.entryCount; ++i)
    sum += slopes.entries[i].*entrySlope * ((v == slopes.entries[i].token ? 1 : 0) - p);
  return sum;
}

// Derivatives of one vocabulary entry by Eq. 8: of the image row first, of the masked row second.
template <class T>
struct EntryGradients {
  double image = 0, masked = 0;

  EntryGradients(const RowPair& row, const RowStatistics& s, const RowSlopes& slopes,
                 const Branch<T>& image_, const Branch<T>& masked_, int64_t v) {
    const double p = image_.prob(s.image, v);
    image = logProbPart(row, slopes, slopes.logProb, &SampledEntry::slope, v, p);
    if (slopes.entropy != 0)
      image -= slopes.entropy * (image_.timesLog(s.image, v) + p * s.image.entropy);
    if (row.maskedLogits) addMasked(row, s, slopes, image_, masked_, v, p);
    image *= row.inverseTemperature;
    masked *= row.inverseTemperature;
  }

 private:
  void addMasked(const RowPair& row, const RowStatistics& s, const RowSlopes& slopes,
                 const Branch<T>& image_, const Branch<T>& masked_, int64_t v, double p) {
    const double q = masked_.prob(s.masked, v);
    masked = logProbPart(row, slopes, slopes.maskedLogProb, &SampledEntry::maskedSlope, v, q);
    if (slopes.maskedEntropy != 0)
      masked -= slopes.maskedEntropy * (masked_.timesLog(s.masked, v) + q * s.masked.entropy);
    if (!row.exactKl || slopes.exactKl == 0) return;
    double shared = 0, sharedLogRatio = 0;  // p and p (log p - log p') where p' can be positive
    if (!(masked_.z(v) == -INFINITY)) {
      shared = p;
      if (p != 0) sharedLogRatio = p * (image_.logProb(s.image, v) - masked_.logProb(s.masked, v));
    }
    image += slopes.exactKl * (sharedLogRatio + shared - p * (s.exactKl + s.sharedMass));
    masked += slopes.exactKl * (s.sharedMass * q - shared);
  }
};

template <class T>
double gradient(const RowPair& row, const RowStatistics& s, const RowSlopes& slopes,
                RowGradients out, bool sumOfSquares) {
  const Branch<T> image(row.logits, row);
  const Branch<T> masked(row.maskedLogits, row);
  double sum = 0;
  for (int64_t v = 0; v < row.vocabSize; ++v) {
    const EntryGradients<T> g(row, s, slopes, image, masked, v);
    if (out.logits) {
      fromDouble(g.image, static_cast<T*>(out.logits) + v);
      sum += g.image * g.image;
    }
    if (out.maskedLogits) {
      fromDouble(g.masked, static_cast<T*>(out.maskedLogits) + v);
      sum += g.masked * g.masked;
    }
  }
  return sumOfSquares ? sum : 0;
}

}  // namespace

const InstructionSet referenceInstructionSet = {
    "reference",
    [] { return true; },
    {{statistics<float>, retarget<float>, gradient<float>},
     {statistics<Float16>, retarget<Float16>, gradient<Float16>},
     {statistics<BFloat16>, retarget<BFloat16>, gradient<BFloat16>},
     {statistics<double>, retarget<double>, gradient<double>}}};

}  // namespace papo
