// Gradients of one row or pair, docs/math.md Eq. 8; included by vocab_rows-inl.h.
//
// The exponentials are computed again from the logits, which are still in a cache. Kept ones from
// the statistics were measured: for a float32 pair of 151,936 they made the whole 4 % (AVX-512) to
// 13 % (AVX2) faster in place, no faster out of place and the statistics alone 8 % slower, and they
// take 1.2 MB of memory a thread and a second form of everything here.

namespace papo {
namespace PAPO_SIMD {

// Where the gradient of one branch goes; sampled entries are computed apart, in double.
template <class T>
struct GradientWriter {
  T* out = nullptr;   // null: not wanted
  bool past = false;  // store past the caches; out is aligned to vectors
  float SampledEntry::*element = nullptr;

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
  // Returns the squares of the sampled entries: one may be larger than all other elements together,
  // which would be lost beside it in a lane of float.
  inline double putSampled(int64_t v, EntryRange sampled, Vec gradient, Vec* squares) const {
    if (!out) return 0;
    Vec others = gradient;
    double sampledSquares = 0;
    for (const SampledEntry* entry = sampled.begin; entry != sampled.end; ++entry) {
      const int lane = static_cast<int>(entry->token - v);
      const float value = entry->*element;
      others = withLane(others, lane, 0);
      gradient = withLane(gradient, lane, value);
      sampledSquares += static_cast<double>(value) * value;
    }
    *squares = fma(others, others, *squares);
    write(v, gradient);
    return sampledSquares;
  }
  // The last elements of a row, fewer than a vector.
  double putEdge(int64_t v, int64_t count, EntryRange sampled, Vec gradient) const {
    if (!out) return 0;
    double squares = 0;
    float lane[kLanes];
    T elements[kLanes];
    store(gradient, lane);
    for (const SampledEntry* entry = sampled.begin; entry != sampled.end; ++entry)
      lane[entry->token - v] = entry->*element;
    for (int i = 0; i < count; ++i) squares += static_cast<double>(lane[i]) * lane[i];
    store(load(lane), elements);
    std::memcpy(out + v, elements, static_cast<size_t>(count) * sizeof(T));
    return squares;
  }
};

// One branch of Eq. 8 without the exact KL: dz = p (constant + slope log p), for v that no token
// sampled. log p is clamped where p is 0.
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
  inline double withSampled(int64_t v, EntryRange sampled, Vec* squares) const {
    return writer.putSampled(v, sampled, value(load(x + v)), squares);
  }
  double edge(int64_t v, int64_t count, EntryRange sampled) const {
    return writer.putEdge(v, count, sampled, value(loadPartial(x + v, count)));
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
  inline double withSampled(int64_t v, EntryRange sampled, Vec* squares) const {
    Vec dz, maskedDz;
    values(load(image.x + v), load(masked.x + v), &dz, &maskedDz);
    const double square = image.writer.putSampled(v, sampled, dz, squares);
    return square + masked.writer.putSampled(v, sampled, maskedDz, squares);
  }
  double edge(int64_t v, int64_t count, EntryRange sampled) const {
    Vec dz, maskedDz;
    values(loadPartial(image.x + v, count), loadPartial(masked.x + v, count), &dz, &maskedDz);
    const double squares = image.writer.putEdge(v, count, sampled, dz);
    return squares + masked.writer.putEdge(v, count, sampled, maskedDz);
  }
};

// A part of a row with the entries in it.
struct Block {
  int64_t begin, end;
  EntryRange entries;
};

// The row in blocks from its end to its start: what statistics() read last is still in the cache.
struct BlocksBackwards {
  Block block;
  const SampledEntry* firstEntry;

  BlocksBackwards(int64_t vocabSize, EntryRange entries)
      : block{vocabSize, vocabSize, {entries.end, entries.end}}, firstEntry(entries.begin) {}
  bool next() {
    if (block.begin == 0) return false;
    block.end = block.begin;
    block.begin = (block.end - 1) / kBlock * kBlock;
    EntryRange& entries = block.entries;
    entries.end = entries.begin;
    while (entries.begin != firstEntry && entries.begin[-1].token >= block.begin) --entries.begin;
    return true;
  }
};

template <class Gradient>
double gradientBlock(const Gradient& gradient, const Block& block) {
  Vec squares = broadcast(0);
  double edgeSquares = 0;
  const int64_t end = block.end;
  EntryRange ahead = block.entries;
  int64_t v = block.begin;
  while (v < end) {
    const bool isLast = ahead.begin == ahead.end;
    const int64_t stop = isLast ? end : v + (ahead.begin->token - v) / kLanes * kLanes;
    for (; v + kLanes <= stop; v += kLanes) gradient.whole(v, &squares);
    EntryRange here{ahead.begin, ahead.begin};
    while (here.end != ahead.end && here.end->token < v + kLanes) ++here.end;
    if (v + kLanes <= end) {
      edgeSquares += gradient.withSampled(v, here, &squares);
    } else if (v < end) {
      edgeSquares += gradient.edge(v, end - v, here);
    }
    ahead.begin = here.end;
    v += kLanes;
  }
  return static_cast<double>(sumOf(squares)) + edgeSquares;
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
                             const RowSlopes& slopes, const GradientTerms& terms,
                             const RowGradients& out) {
  const double inverse = row.inverseTemperature;
  PairGradient<T> pair;
  pair.image = branchGradient<T>(row.logits, out.logits, statistics.image, inverse);
  pair.image.formula.constant = broadcastProduct(terms.constant, inverse);
  pair.image.formula.slope = broadcastProduct(-slopes.entropy, inverse);
  pair.image.writer.element = &SampledEntry::element;
  pair.masked = branchGradient<T>(row.maskedLogits, out.maskedLogits, statistics.masked, inverse);
  pair.masked.formula.constant = broadcastProduct(terms.maskedConstant, inverse);
  pair.masked.formula.slope = broadcastProduct(-slopes.maskedEntropy, inverse);
  pair.masked.writer.element = &SampledEntry::maskedElement;
  pair.d = broadcastProduct(slopes.exactKl, inverse);
  pair.sharedConstant = broadcastProduct(terms.sharedConstant, inverse);
  return pair;
}

// Both branches vector by vector, so that neither row is overwritten before both were read.
template <class T>
double gradientTogether(const PairGradient<T>& pair, EntryRange entries, int64_t vocabSize) {
  double squares = 0;
  BlocksBackwards blocks(vocabSize, entries);
  while (blocks.next()) squares += gradientBlock(pair, blocks.block);
  return squares;
}

// The blocks of a branch: none where its gradient is not wanted or, being 0 because all slopes are,
// is written here, whatever the row holds. Out of place and aligned, it is stored past the caches:
// for a float32 pair 1.28 instead of 1.50 ns an element with AVX-512. In place the lines are in the
// cache already; with the exact KL, where two outputs alternate, AVX2 became 15 % slower by it.
template <class T>
BlocksBackwards branchBlocks(BranchGradient<T>& branch, bool flows, EntryRange entries,
                             int64_t vocabSize) {
  T* const out = branch.writer.out;
  if (out && !flows) std::memset(out, 0, static_cast<size_t>(vocabSize) * sizeof(T));
  branch.writer.past =
      out != branch.x && reinterpret_cast<uintptr_t>(out) % (kLanes * sizeof(T)) == 0;
  return BlocksBackwards(out && flows ? vocabSize : 0, entries);
}

// Branches apart, but alternating by block, as statistics() left them in the cache.
template <class T>
double gradientApart(PairGradient<T>& pair, const GradientTerms& terms, EntryRange entries,
                     int64_t vocabSize) {
  BlocksBackwards image = branchBlocks(pair.image, terms.flowsToImage, entries, vocabSize);
  BlocksBackwards masked = branchBlocks(pair.masked, terms.flowsToMasked, entries, vocabSize);
  double squares = 0;
  for (;;) {
    const bool moreImage = image.next(), moreMasked = masked.next();
    if (!moreImage && !moreMasked) return squares;
    if (moreImage) squares += gradientBlock(pair.image, image.block);
    if (moreMasked) squares += gradientBlock(pair.masked, masked.block);
  }
}

template <class T>
double gradient(const RowPair& row, const RowStatistics& statistics, const RowSlopes& slopes,
                RowGradients out, bool sumOfSquares) {
  SampledEntry own = ownEntry(row.token, statistics, slopes);
  SampledEntry* const first = slopes.entries ? slopes.entries : &own;
  const EntryRange entries{first, first + (slopes.entries ? slopes.entryCount : 1)};
  const GradientTerms terms = gradientTerms(statistics, slopes, entries);
  for (SampledEntry* entry = first; entry != entries.end; ++entry)
    setElements(statistics, slopes, terms, row.inverseTemperature, entry);
  PairGradient<T> pair = pairGradient<T>(row, statistics, slopes, terms, out);
  // A row alone has no such slope, but a loss scale beyond float32 makes even that one NaN.
  const double squares = row.exactKl && slopes.exactKl != 0
                             ? gradientTogether(pair, entries, row.vocabSize)
                             : gradientApart(pair, terms, entries, row.vocabSize);
  finishStreams();
  return sumOfSquares ? squares : 0;
}

}  // namespace PAPO_SIMD
}  // namespace papo
