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

// Not inlined: it is rare, and would take registers from the loops around it.
__attribute__((noinline)) void merge(const PairSums& block, double inverseTemperature,
                                     PairSums* total) {
  mergeSums(block, inverseTemperature, total);
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

template <class T>
void retarget(const RowPair& row, RowStatistics* statistics) {
  const float logit = toFloat(static_cast<const T*>(row.logits)[row.token]);
  retargetBranch(logit, row.inverseTemperature, &statistics->image);
  if (!row.maskedLogits) return;
  const float maskedLogit = toFloat(static_cast<const T*>(row.maskedLogits)[row.token]);
  retargetBranch(maskedLogit, row.inverseTemperature, &statistics->masked);
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
  setExactKl(total, out);
}

}  // namespace PAPO_SIMD
}  // namespace papo
