// The scalar formulas of a row, docs/math.md Eq. 1-5 and 8: what both engines do once a row, once a
// block of it or once a sampled entry. The work on its elements is each engine's own.
//
// Included inside a namespace, after PAPO_ROW_FUNCTION (how a function is declared there) and
// shiftFactor(double), e^x for the shift of a maximum. On the CPU every instruction set has its own
// copies: functions compiled for one must not be merged with those of another by the linker. For the
// same reason there are no include guards, headers, lambdas or constructors here.

// ---- sums of a part of a row ---------------------------------------------------------------------

// Sums of one branch relative to a maximum, t = (x - max) * inverseTemperature.
struct BranchSums {
  float max = -FLT_MAX;
  double sum = 0;       // sum_v e^t
  double weighted = 0;  // sum_v e^t t
};

// Sums of both branches and between them; S = {v : z'_v > -inf}.
struct PairSums {
  BranchSums image, masked;
  double shared = 0;  // sum over S of e^t
  double cross = 0;   // sum over S of e^t (t - t')
};

// Eq. 5: makes the sums relative to newMax; returns the shift of t.
PAPO_ROW_FUNCTION double moveBranch(BranchSums* sums, float newMax, double inverseTemperature) {
  const double shift = (static_cast<double>(sums->max) - newMax) * inverseTemperature;
  if (shift == 0) return 0;
  const double factor = shiftFactor(shift);
  sums->weighted = factor * (sums->weighted + shift * sums->sum);
  sums->sum *= factor;
  sums->max = newMax;
  return shift;
}

PAPO_ROW_FUNCTION void movePair(PairSums* sums, float imageMax, float maskedMax,
                                double inverseTemperature) {
  const double shift = moveBranch(&sums->image, imageMax, inverseTemperature);
  const double maskedShift = moveBranch(&sums->masked, maskedMax, inverseTemperature);
  if (shift == 0 && maskedShift == 0) return;
  const double factor = shiftFactor(shift);
  sums->cross = factor * (sums->cross + (shift - maskedShift) * sums->shared);
  sums->shared *= factor;
}

// Of sums relative to the same maxima.
PAPO_ROW_FUNCTION void addSums(const PairSums& part, PairSums* total) {
  total->image.sum += part.image.sum;
  total->image.weighted += part.image.weighted;
  total->masked.sum += part.masked.sum;
  total->masked.weighted += part.masked.weighted;
  total->shared += part.shared;
  total->cross += part.cross;
}

PAPO_ROW_FUNCTION void mergeSums(PairSums part, double inverseTemperature, PairSums* total) {
  const float imageMax = part.image.max > total->image.max ? part.image.max : total->image.max;
  const float maskedMax = part.masked.max > total->masked.max ? part.masked.max : total->masked.max;
  movePair(&part, imageMax, maskedMax, inverseTemperature);
  movePair(total, imageMax, maskedMax, inverseTemperature);
  addSums(part, total);
}

// ---- statistics of a row -------------------------------------------------------------------------

// Eq. 2.
PAPO_ROW_FUNCTION double tokenLogProb(float tokenLogit, float max, double logSum,
                                      double inverseTemperature) {
  return (static_cast<double>(tokenLogit) - max) * inverseTemperature - logSum;
}

// Eq. 1-3. A NaN or +inf in the row and a row of nothing but -inf give NaN throughout.
PAPO_ROW_FUNCTION BranchStatistics branchStatistics(const BranchSums& sums, float tokenLogit,
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

// Eq. 4: log p - log p' = (t - t') - (log s - log s').
PAPO_ROW_FUNCTION void setExactKl(const PairSums& sums, RowStatistics* out) {
  out->sharedMass = sums.shared / sums.image.sum;
  out->exactKl =
      sums.cross / sums.image.sum - out->sharedMass * (out->image.logSum - out->masked.logSum);
}

// The maximum before the temperature is a float, which rounding brings back from the product.
PAPO_ROW_FUNCTION float rawMaximum(const BranchStatistics& branch, double inverseTemperature) {
  return static_cast<float>(branch.max / inverseTemperature);
}

// Statistics of the same row for the token whose logit this is, to the bit.
PAPO_ROW_FUNCTION void retargetBranch(float tokenLogit, double inverseTemperature,
                                      BranchStatistics* branch) {
  const float max = rawMaximum(*branch, inverseTemperature);
  branch->logProb = tokenLogProb(tokenLogit, max, branch->logSum, inverseTemperature);
}

// ---- gradients of a row --------------------------------------------------------------------------

// Sampled entries of a row or of a part of it, by ascending token.
struct EntryRange {
  const SampledEntry* begin;
  const SampledEntry* end;
};

// The numbers of Eq. 8 that are the same for all elements of a row, temperature not yet applied.
struct GradientTerms {
  double constant, sharedConstant, maskedConstant;
  double outside;                    // of constant, the part of the exact KL
  bool flowsToImage, flowsToMasked;  // false: no slope enters the gradient, which is 0
};

PAPO_ROW_FUNCTION GradientTerms gradientTerms(const RowStatistics& statistics,
                                              const RowSlopes& slopes, EntryRange entries) {
  const double d = slopes.exactKl;
  GradientTerms terms;
  terms.constant = -slopes.logProb - slopes.entropy * statistics.image.entropy;
  terms.maskedConstant = -slopes.maskedLogProb - slopes.maskedEntropy * statistics.masked.entropy;
  terms.sharedConstant = terms.constant;
  terms.outside = 0;
  terms.flowsToImage = slopes.entropy != 0 || d != 0;
  terms.flowsToMasked = slopes.maskedEntropy != 0 || d != 0;
  for (const SampledEntry* entry = entries.begin; entry != entries.end; ++entry) {
    terms.flowsToImage |= entry->slope != 0;  // where their sum may be
    terms.flowsToMasked |= entry->maskedSlope != 0;
  }
  if (d == 0) return terms;
  terms.outside = -d * (statistics.exactKl + statistics.sharedMass);
  terms.sharedConstant += d + terms.outside;
  terms.constant += terms.outside;
  terms.maskedConstant += d * statistics.sharedMass;
  return terms;
}

// 1 - e^logProb without loss of digits; expm1 only where it is needed.
PAPO_ROW_FUNCTION double oneMinus(double p, double logProb) {
  return p < 0.5 ? 1 - p : -std::expm1(logProb);
}

// p f; 0 where p is 0 whatever f is, NaN where p is NaN.
PAPO_ROW_FUNCTION double massTimes(double p, double f) { return p == 0 ? 0 : p * f; }

// A NaN becomes the plain one, as the stores of bfloat16 want it: a caller's advantage may have any.
PAPO_ROW_FUNCTION float product(double a, double b) {
  const float x = static_cast<float>(a * b);
  return x == x ? x : NAN;
}

// The elements of a sampled entry, where 1 - p is needed and p may be close to 1. In double.
PAPO_ROW_FUNCTION void setElements(const RowStatistics& statistics, const RowSlopes& slopes,
                                   const GradientTerms& terms, double inverseTemperature,
                                   SampledEntry* entry) {
  const double l = entry->logProb, maskedL = entry->maskedLogProb, d = slopes.exactKl;
  const double p = std::exp(l), maskedP = terms.flowsToMasked ? std::exp(maskedL) : 0;
  double factor = -slopes.entropy * (l + statistics.image.entropy);
  double masked = 0;
  if (terms.flowsToMasked) {
    const double maskedFactor = slopes.maskedEntropy * (maskedL + statistics.masked.entropy);
    masked = entry->maskedSlope * oneMinus(maskedP, maskedL) -
             massTimes(maskedP, maskedFactor + entry->otherMaskedSlopes);
  }
  if (d != 0) {
    const bool shared = maskedL > -INFINITY;
    factor += shared ? d * (l - maskedL) + (d + terms.outside) : terms.outside;
    masked += d * (statistics.sharedMass * maskedP - (shared ? p : 0));
  }
  const double image = entry->slope * oneMinus(p, l) + massTimes(p, factor - entry->otherSlopes);
  entry->element = product(image, inverseTemperature);
  entry->maskedElement = product(masked, inverseTemperature);
}

// The entry of a row with one token. An aggregate: a constructor would be shared with other files,
// which may not have this instruction set.
PAPO_ROW_FUNCTION SampledEntry ownEntry(int64_t token, const RowStatistics& statistics,
                                        const RowSlopes& slopes) {
  return {token, statistics.image.logProb, statistics.masked.logProb, slopes.logProb,
          slopes.maskedLogProb};
}
