// Statistics of one row or pair, docs/math.md Eq. 1-4; included by vocab_rows-inl.h.
//
// Each block gets its own maximum and sums relative to it, which are then moved to the maximum of
// the row in double: no exponential waits for a running maximum, and each logit is read from memory
// once, since the second look at a block finds it in the L1 cache.

namespace papo {
namespace PAPO_SIMD {

// Largest of n elements, at least -FLT_MAX: a block of nothing but -inf then has exponentials 0,
// not NaN. A NaN may be lost here; the exponentials bring it back.
template <class T>
float blockMaximum(const T* x, int64_t n) {
  Vec a = broadcast(-FLT_MAX), b = a;
  int64_t v = 0;
  for (; v + 2 * kLanes <= n; v += 2 * kLanes) {
    a = atLeast(load(x + v), a);
    b = atLeast(load(x + v + kLanes), b);
  }
  for (; v < n; v += kLanes) a = atLeast(loadPartial(x + v, smaller(kLanes, n - v)), a);
  return maximumOf(atLeast(a, b));
}

// Sums of one branch relative to a maximum, t = (x - max) * inverseTemperature.
struct BranchSums {
  float max = -FLT_MAX;
  double sum = 0;       // sum_v e^t
  double weighted = 0;  // sum_v e^t t

  // Makes the sums relative to newMax; returns the shift of t.
  double moveTo(float newMax, double inverseTemperature) {
    const double shift = (static_cast<double>(max) - newMax) * inverseTemperature;
    if (shift == 0) return 0;
    const double factor = std::exp(shift);
    weighted = factor * (weighted + shift * sum);
    sum *= factor;
    max = newMax;
    return shift;
  }
};

// Sums of both branches and between them; S = {v : z'_v > -inf}.
struct PairSums {
  BranchSums image, masked;
  double shared = 0;  // sum over S of e^t
  double cross = 0;   // sum over S of e^t (t - t')

  void moveTo(float imageMax, float maskedMax, double inverseTemperature) {
    const double shift = image.moveTo(imageMax, inverseTemperature);
    const double maskedShift = masked.moveTo(maskedMax, inverseTemperature);
    if (shift == 0 && maskedShift == 0) return;
    const double factor = std::exp(shift);
    cross = factor * (cross + (shift - maskedShift) * shared);
    shared *= factor;
  }
};

__attribute__((noinline)) void merge(PairSums block, double inverseTemperature, PairSums* total) {
  const float imageMax = block.image.max > total->image.max ? block.image.max : total->image.max;
  const float maskedMax =
      block.masked.max > total->masked.max ? block.masked.max : total->masked.max;
  block.moveTo(imageMax, maskedMax, inverseTemperature);
  total->moveTo(imageMax, maskedMax, inverseTemperature);
  total->image.sum += block.image.sum;
  total->image.weighted += block.image.weighted;
  total->masked.sum += block.masked.sum;
  total->masked.weighted += block.masked.weighted;
  total->shared += block.shared;
  total->cross += block.cross;
}

// Elements summed into the lanes before those are added to the sum of the block: 32 roundings in a
// row. Where a row has few distinct values, as float16 logits of -1e4, roundings do not average out
// and the log of a sum of 512 a lane was off by 7e-6.
constexpr int64_t kRun = 32 * kLanes;

// A sum over a block: of the present run, and of those before it.
struct RunningSum {
  Vec run, total;

  RunningSum() : run(broadcast(0)), total(broadcast(0)) {}
  inline void endRun() {
    total = add(total, run);
    run = broadcast(0);
  }
};

// Lane sums of one block of one branch.
struct BranchLanes {
  Vec max, inverseTemperature;
  RunningSum sum, weighted;

  BranchLanes(float blockMax, float inverse)
      : max(broadcast(blockMax)), inverseTemperature(broadcast(inverse)) {}

  // Clamping takes -inf to kExpLowest, whose exponential is 0, so that e t is 0 as well.
  inline void take(Vec t, Vec* clamped, Vec* e) {
    *clamped = atLeast(broadcast(kExpLowest), t);
    *e = exp(*clamped);
    sum.run = add(sum.run, *e);
    weighted.run = fma(*e, *clamped, weighted.run);
  }
  inline Vec relative(Vec x) const { return mul(sub(x, max), inverseTemperature); }
  inline void take(Vec x) {
    Vec clamped, e;
    take(relative(x), &clamped, &e);
  }
  inline void endRun() {
    sum.endRun();
    weighted.endRun();
  }
  void finish(BranchSums* out) const {
    out->sum = sumOf(sum.total);
    out->weighted = sumOf(weighted.total);
  }
};

template <class T>
void sumBlock(const T* x, int64_t n, float inverseTemperature, BranchSums* out) {
  out->max = blockMaximum(x, n);
  BranchLanes lanes(out->max, inverseTemperature);
  for (int64_t v = 0; v < n;) {
    const int64_t stop = smaller(n, v + kRun);
    for (; v + kLanes <= stop; v += kLanes) {
      prefetchAt(x + v, kBlock);
      lanes.take(load(x + v));
    }
    if (v < stop) lanes.take(loadPartial(x + v, n - v));
    v = stop;
    lanes.endRun();
  }
  lanes.finish(out);
}

struct PairLanes {
  BranchLanes image, masked;
  RunningSum shared, cross;

  inline void take(Vec x, Vec maskedX) {
    Vec t, e, maskedClamped, maskedE;
    image.take(image.relative(x), &t, &e);
    const Vec maskedT = masked.relative(maskedX);
    masked.take(maskedT, &maskedClamped, &maskedE);
    const Vec sharedE = chooseGreater(maskedX, broadcast(-INFINITY), e, broadcast(0));
    const Vec difference = sub(t, atLeast(broadcast(kVeryLow), maskedT));
    shared.run = add(shared.run, sharedE);
    cross.run = fma(sharedE, difference, cross.run);
  }
  inline void endRun() {
    image.endRun();
    masked.endRun();
    shared.endRun();
    cross.endRun();
  }
};

template <class T>
void sumPairBlock(const T* x, const T* maskedX, int64_t n, float inverseTemperature,
                  PairSums* out) {
  out->image.max = blockMaximum(x, n);
  out->masked.max = blockMaximum(maskedX, n);
  PairLanes lanes{
      {out->image.max, inverseTemperature}, {out->masked.max, inverseTemperature}, {}, {}};
  for (int64_t v = 0; v < n;) {
    const int64_t stop = smaller(n, v + kRun);
    for (; v + kLanes <= stop; v += kLanes) {
      prefetchAt(x + v, kBlock);
      prefetchAt(maskedX + v, kBlock);
      lanes.take(load(x + v), load(maskedX + v));
    }
    if (v < stop) lanes.take(loadPartial(x + v, n - v), loadPartial(maskedX + v, n - v));
    v = stop;
    lanes.endRun();
  }
  lanes.image.finish(&out->image);
  lanes.masked.finish(&out->masked);
  out->shared = sumOf(lanes.shared.total);
  out->cross = sumOf(lanes.cross.total);
}

// Eq. 2.
inline double tokenLogProb(float tokenLogit, float max, double logSum, double inverseTemperature) {
  return (static_cast<double>(tokenLogit) - max) * inverseTemperature - logSum;
}

// Eq. 1-3. A NaN or +inf in the row and a row of nothing but -inf give NaN throughout.
inline BranchStatistics branchStatistics(const BranchSums& sums, float tokenLogit,
                                         double inverseTemperature) {
  BranchStatistics out;
  if (!(sums.sum > 0)) {
    out.max = out.sumExp = out.logSum = out.logProb = out.entropy = NAN;
    return out;
  }
  out.max = sums.max * inverseTemperature;
  out.sumExp = sums.sum;
  out.logSum = std::log(sums.sum);
  out.entropy = out.logSum - sums.weighted / sums.sum;
  out.logProb = tokenLogProb(tokenLogit, sums.max, out.logSum, inverseTemperature);
  return out;
}

// The maximum before the temperature is a float, which rounding brings back from the product.
inline float rawMaximum(const BranchStatistics& branch, double inverseTemperature) {
  return static_cast<float>(branch.max / inverseTemperature);
}

template <class T>
void retargetBranch(const void* logits, const RowPair& row, BranchStatistics* branch) {
  const float max = rawMaximum(*branch, row.inverseTemperature);
  const float logit = toFloat(static_cast<const T*>(logits)[row.token]);
  branch->logProb = tokenLogProb(logit, max, branch->logSum, row.inverseTemperature);
}

template <class T>
void retarget(const RowPair& row, RowStatistics* statistics) {
  retargetBranch<T>(row.logits, row, &statistics->image);
  if (row.maskedLogits) retargetBranch<T>(row.maskedLogits, row, &statistics->masked);
}

template <class T>
void statistics(const RowPair& row, RowStatistics* out) {
  const T* const x = static_cast<const T*>(row.logits);
  const T* const maskedX = static_cast<const T*>(row.maskedLogits);
  const float inverse = static_cast<float>(row.inverseTemperature);
  PairSums total;
  for (int64_t v = 0; v < row.vocabSize; v += kBlock) {
    const int64_t n = smaller(kBlock, row.vocabSize - v);
    PairSums block;
    PairSums& sums = v == 0 ? total : block;  // most small rows are one block, and need no merge
    if (maskedX && row.exactKl) {
      sumPairBlock(x + v, maskedX + v, n, inverse, &sums);
    } else {
      sumBlock(x + v, n, inverse, &sums.image);
      if (maskedX) sumBlock(maskedX + v, n, inverse, &sums.masked);
    }
    if (v != 0) merge(block, row.inverseTemperature, &total);
  }
  *out = RowStatistics();
  out->image = branchStatistics(total.image, toFloat(x[row.token]), row.inverseTemperature);
  if (!maskedX) return;
  out->masked = branchStatistics(total.masked, toFloat(maskedX[row.token]), row.inverseTemperature);
  if (!row.exactKl) return;
  // log p - log p' = (t - t') - (log s - log s'): Eq. 4.
  out->sharedMass = total.shared / total.image.sum;
  out->exactKl =
      total.cross / total.image.sum - out->sharedMass * (out->image.logSum - out->masked.logSum);
}

}  // namespace PAPO_SIMD
}  // namespace papo
