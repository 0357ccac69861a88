// Gradients of one row or pair, docs/math.md Eq. 8; included by vocab_rows-inl.h.
//
// The exponentials are computed again from the logits, which are still in a cache. Kept ones from
// the statistics were measured: for a float32 pair of 151,936 they made the whole 4 % (AVX-512) to
// 13 % (AVX2) faster in place, no faster out of place and the statistics alone 8 % slower, and they
// take 1.2 MB of memory a thread and a second form of everything here.

namespace papo {
namespace PAPO_SIMD {

// Where the gradient of one branch goes; the token's element is computed apart, in double.
template <class T>
struct GradientWriter {
  T* out = nullptr;   // null: not wanted
  bool past = false;  // store past the caches; out is aligned to vectors
  float token = 0;    // the gradient of the token's logit

  inline void write(int64_t v, Vec gradient) const {
    if (past) {
      stream(gradient, out + v);
    } else {
      store(gradient, out + v);
    }
  }
  inline void put(int64_t v, Vec gradient, Vec* squares) const {
    if (!out) return;
    *squares = fma(gradient, gradient, *squares);
    write(v, gradient);
  }
  // Returns the token's square: it may be larger than all others together, which would be lost
  // beside it in a lane of float.
  inline double putToken(int64_t v, int64_t tokenLane, Vec gradient, Vec* squares) const {
    if (!out) return 0;
    const int lane = static_cast<int>(tokenLane);
    const Vec others = withLane(gradient, lane, 0);
    *squares = fma(others, others, *squares);
    write(v, withLane(gradient, lane, token));
    return static_cast<double>(token) * token;
  }
  // The last elements of a row, fewer than a vector; tokenLane may be outside of them.
  double putEdge(int64_t v, int64_t count, int64_t tokenLane, Vec gradient) const {
    if (!out) return 0;
    double squares = 0;
    float lane[kLanes];
    T elements[kLanes];
    store(gradient, lane);
    if (tokenLane >= 0 && tokenLane < count) lane[tokenLane] = token;
    for (int i = 0; i < count; ++i) squares += static_cast<double>(lane[i]) * lane[i];
    store(load(lane), elements);
    std::memcpy(out + v, elements, static_cast<size_t>(count) * sizeof(T));
    return squares;
  }
};

// One branch of Eq. 8 without the exact KL: dz = p (constant + slope log p), for v other than the
// token. log p is clamped where p is 0.
struct BranchFormula {
  Vec max, inverseTemperature, minusLogSum, constant, slope;

  inline Vec logProbs(Vec x) const { return fma(sub(x, max), inverseTemperature, minusLogSum); }
  inline Vec clamp(Vec logP) const { return atLeast(broadcast(kExpLowest), logP); }
};

template <class T>
struct BranchGradient {
  const T* x;
  BranchFormula formula;
  GradientWriter<T> writer;

  inline Vec value(Vec logits) const {
    const Vec logP = formula.clamp(formula.logProbs(logits));
    return mul(exp(logP), fma(formula.slope, logP, formula.constant));
  }
  inline void whole(int64_t v, Vec* squares) const {
    prefetchAt(x + v, -kBlock);
    writer.put(v, value(load(x + v)), squares);
  }
  inline double withToken(int64_t v, int64_t tokenLane, Vec* squares) const {
    return writer.putToken(v, tokenLane, value(load(x + v)), squares);
  }
  double edge(int64_t v, int64_t count, int64_t tokenLane) const {
    return writer.putEdge(v, count, tokenLane, value(loadPartial(x + v, count)));
  }
};

// Both branches of Eq. 8 with the exact KL, S = {v : x' > -inf}:
//   dz  = p (slope log p + (sharedConstant + d (log p - log p') in S, constant outside))
//   dz' = p' (slope' log p' + constant') - d p 1_S
template <class T>
struct PairGradient {
  BranchGradient<T> image, masked;
  Vec d, sharedConstant;

  inline void values(Vec x, Vec maskedX, Vec* dz, Vec* maskedDz) const {
    const BranchFormula& f = image.formula;
    const BranchFormula& m = masked.formula;
    const Vec lowest = broadcast(-INFINITY);
    const Vec logP = f.clamp(f.logProbs(x));
    const Vec maskedRaw = m.logProbs(maskedX);
    const Vec maskedLogP = m.clamp(maskedRaw);
    const Vec p = exp(logP);
    const Vec difference = sub(logP, atLeast(broadcast(kVeryLow), maskedRaw));
    const Vec inside = fma(d, difference, sharedConstant);
    const Vec constant = chooseGreater(maskedX, lowest, inside, f.constant);
    *dz = mul(p, fma(f.slope, logP, constant));
    const Vec sharedP = chooseGreater(maskedX, lowest, p, broadcast(0));
    const Vec own = mul(exp(maskedLogP), fma(m.slope, maskedLogP, m.constant));
    *maskedDz = fma(sub(broadcast(0), d), sharedP, own);
  }
  inline void whole(int64_t v, Vec* squares) const {
    Vec dz, maskedDz;
    prefetchAt(image.x + v, -kBlock);
    prefetchAt(masked.x + v, -kBlock);
    values(load(image.x + v), load(masked.x + v), &dz, &maskedDz);
    image.writer.put(v, dz, squares);
    masked.writer.put(v, maskedDz, squares);
  }
  inline double withToken(int64_t v, int64_t tokenLane, Vec* squares) const {
    Vec dz, maskedDz;
    values(load(image.x + v), load(masked.x + v), &dz, &maskedDz);
    const double square = image.writer.putToken(v, tokenLane, dz, squares);
    return square + masked.writer.putToken(v, tokenLane, maskedDz, squares);
  }
  double edge(int64_t v, int64_t count, int64_t tokenLane) const {
    Vec dz, maskedDz;
    values(loadPartial(image.x + v, count), loadPartial(masked.x + v, count), &dz, &maskedDz);
    const double squares = image.writer.putEdge(v, count, tokenLane, dz);
    return squares + masked.writer.putEdge(v, count, tokenLane, maskedDz);
  }
};

template <class Gradient>
double gradientBlock(const Gradient& gradient, int64_t token, int64_t begin, int64_t end) {
  Vec squares = broadcast(0);
  double edgeSquares = 0;
  int64_t v = begin;
  while (v < end) {
    const bool ahead = token >= v && token < end;
    const int64_t stop = ahead ? v + (token - v) / kLanes * kLanes : end;
    for (; v + kLanes <= stop; v += kLanes) gradient.whole(v, &squares);
    if (v + kLanes <= end) {
      edgeSquares += gradient.withToken(v, token - v, &squares);
    } else if (v < end) {
      edgeSquares += gradient.edge(v, end - v, token - v);
    }
    v += kLanes;
  }
  return static_cast<double>(sumOf(squares)) + edgeSquares;
}

// The row in blocks from its end to its start: what statistics() read last is still in the cache.
struct BlocksBackwards {
  int64_t begin, end;

  explicit BlocksBackwards(int64_t vocabSize) : begin(vocabSize), end(vocabSize) {}
  bool next() {
    if (begin == 0) return false;
    end = begin;
    begin = (end - 1) / kBlock * kBlock;
    return true;
  }
};

// The numbers of Eq. 8 that are the same for all elements of a row, temperature not yet applied,
// and the elements of the token, where 1 - p_o is needed and p_o may be close to 1. All in double.
struct GradientTerms {
  double constant, sharedConstant, token;
  double maskedConstant, maskedToken;
};

// 1 - e^logProb without loss of digits; expm1 only where it is needed.
inline double oneMinus(double p, double logProb) { return p < 0.5 ? 1 - p : -std::expm1(logProb); }

// p f; 0 where p is 0 whatever f is, NaN where p is NaN.
inline double massTimes(double p, double f) { return p == 0 ? 0 : p * f; }

inline GradientTerms gradientTerms(const RowStatistics& statistics, const RowSlopes& slopes) {
  const BranchStatistics& image = statistics.image;
  const BranchStatistics& masked = statistics.masked;
  const double g = slopes.logProb, h = slopes.entropy, d = slopes.exactKl;
  const double maskedG = slopes.maskedLogProb, maskedH = slopes.maskedEntropy;
  const bool hasMaskedSlopes = maskedG != 0 || maskedH != 0 || d != 0;
  const double p = std::exp(image.logProb),
               maskedP = hasMaskedSlopes ? std::exp(masked.logProb) : 0;
  GradientTerms terms;
  terms.constant = -g - h * image.entropy;
  terms.maskedConstant = -maskedG - maskedH * masked.entropy;
  double tokenFactor = -h * (image.logProb + image.entropy);
  terms.maskedToken = hasMaskedSlopes
                          ? maskedG * oneMinus(maskedP, masked.logProb) -
                                massTimes(maskedP, maskedH * (masked.logProb + masked.entropy))
                          : 0;
  terms.sharedConstant = terms.constant;
  if (d != 0) {
    const bool shared = masked.logProb > -INFINITY;
    const double outside = -d * (statistics.exactKl + statistics.sharedMass);
    terms.sharedConstant += d + outside;
    terms.constant += outside;
    terms.maskedConstant += d * statistics.sharedMass;
    tokenFactor += shared ? d * (image.logProb - masked.logProb) + (d + outside) : outside;
    terms.maskedToken += d * (statistics.sharedMass * maskedP - (shared ? p : 0));
  }
  terms.token = g * oneMinus(p, image.logProb) + massTimes(p, tokenFactor);
  return terms;
}

// A NaN becomes the plain one, as store() of bfloat16 wants it: a caller's advantage may have any.
inline float product(double a, double b) {
  const float x = static_cast<float>(a * b);
  return x == x ? x : NAN;
}
inline Vec broadcastProduct(double a, double b) { return broadcast(product(a, b)); }

template <class T>
BranchGradient<T> branchGradient(const void* x, void* out, const BranchStatistics& statistics,
                                 double inverseTemperature) {
  BranchGradient<T> gradient;
  gradient.x = static_cast<const T*>(x);
  gradient.formula.max = broadcastProduct(statistics.max, 1 / inverseTemperature);
  gradient.formula.inverseTemperature = broadcastProduct(inverseTemperature, 1);
  gradient.formula.minusLogSum = broadcastProduct(statistics.logSum, -1);
  gradient.writer.out = static_cast<T*>(out);
  return gradient;
}

template <class T>
PairGradient<T> pairGradient(const RowPair& row, const RowStatistics& statistics,
                             const RowSlopes& slopes, const RowGradients& out) {
  const GradientTerms terms = gradientTerms(statistics, slopes);
  const double inverse = row.inverseTemperature;
  PairGradient<T> pair;
  pair.image = branchGradient<T>(row.logits, out.logits, statistics.image, inverse);
  pair.image.formula.constant = broadcastProduct(terms.constant, inverse);
  pair.image.formula.slope = broadcastProduct(-slopes.entropy, inverse);
  pair.image.writer.token = product(terms.token, inverse);
  pair.masked = branchGradient<T>(row.maskedLogits, out.maskedLogits, statistics.masked, inverse);
  pair.masked.formula.constant = broadcastProduct(terms.maskedConstant, inverse);
  pair.masked.formula.slope = broadcastProduct(-slopes.maskedEntropy, inverse);
  pair.masked.writer.token = product(terms.maskedToken, inverse);
  pair.d = broadcastProduct(slopes.exactKl, inverse);
  pair.sharedConstant = broadcastProduct(terms.sharedConstant, inverse);
  return pair;
}

// Both branches vector by vector, so that neither row is overwritten before both were read.
template <class T>
double gradientTogether(const PairGradient<T>& pair, int64_t token, int64_t vocabSize) {
  double squares = 0;
  BlocksBackwards blocks(vocabSize);
  while (blocks.next()) squares += gradientBlock(pair, token, blocks.begin, blocks.end);
  return squares;
}

// The blocks of a branch: none where its gradient is not wanted or, being 0 because all slopes are,
// is written here, whatever the row holds. Out of place and aligned, it is stored past the caches:
// for a float32 pair 1.28 instead of 1.50 ns an element with AVX-512. In place the lines are in the
// cache already; with the exact KL, where two outputs alternate, AVX2 became 15 % slower by it.
template <class T>
BlocksBackwards branchBlocks(BranchGradient<T>& branch, bool slopes, int64_t vocabSize) {
  T* const out = branch.writer.out;
  if (out && !slopes) std::memset(out, 0, static_cast<size_t>(vocabSize) * sizeof(T));
  branch.writer.past =
      out != branch.x && reinterpret_cast<uintptr_t>(out) % (kLanes * sizeof(T)) == 0;
  return BlocksBackwards(out && slopes ? vocabSize : 0);
}

// Branches apart, but alternating by block, as statistics() left them in the cache.
template <class T>
double gradientApart(PairGradient<T> pair, const RowSlopes& slopes, int64_t token,
                     int64_t vocabSize) {
  BlocksBackwards image =
      branchBlocks(pair.image, slopes.logProb != 0 || slopes.entropy != 0, vocabSize);
  BlocksBackwards masked =
      branchBlocks(pair.masked, slopes.maskedLogProb != 0 || slopes.maskedEntropy != 0, vocabSize);
  double squares = 0;
  for (;;) {
    const bool moreImage = image.next(), moreMasked = masked.next();
    if (!moreImage && !moreMasked) return squares;
    if (moreImage) squares += gradientBlock(pair.image, token, image.begin, image.end);
    if (moreMasked) squares += gradientBlock(pair.masked, token, masked.begin, masked.end);
  }
}

template <class T>
double gradient(const RowPair& row, const RowStatistics& statistics, const RowSlopes& slopes,
                RowGradients out, bool sumOfSquares) {
  const PairGradient<T> pair = pairGradient<T>(row, statistics, slopes, out);
  // A row alone has no such slope, but a loss scale beyond float32 makes even that one NaN.
  const double squares = row.exactKl && slopes.exactKl != 0
                             ? gradientTogether(pair, row.token, row.vocabSize)
                             : gradientApart(pair, slopes, row.token, row.vocabSize);
  finishStreams();
  return sumOfSquares ? squares : 0;
}

}  // namespace PAPO_SIMD
}  // namespace papo
