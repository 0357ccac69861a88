// Row kernels of every instruction set and dtype against plain loops in double: values, hard rows,
// memory outside the outputs, and that the same row gives the same bits wherever it lies.
#include <cfloat>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "check.h"
#include "cpu/rows.h"
#include "rows_oracle.h"

namespace {

using namespace papo;
using namespace papo_test;

enum Kind { kRandom, kPeaked, kAllNegative, kFar, kHoles, kEmptyBlocks, kEqualBranches, kFlat };
constexpr int kKinds = 8;

// Largest error over tolerance and largest error, by dtype; printed at the end.
struct Worst {
  double ratio = 0, error = 0;
  void note(double difference, double tolerance) {
    ratio = std::max(ratio, difference / tolerance);
    error = std::max(error, difference);
  }
};
struct WorstOf {
  Worst logProb, entropy, kl, gradient, squares;
} worst[kRowDTypes];

bool within(double got, double expected, double tolerance, Worst* record) {
  if (got == expected) return true;  // infinities
  const double difference = std::fabs(got - expected);
  record->note(difference, tolerance);
  return !(!(difference <= tolerance));
}

// Elements at a chosen distance from a 64-byte boundary, between sentinels.
template <class T>
struct Placed {
  static constexpr size_t kGuard = 64;
  std::vector<unsigned char> memory;
  size_t count;
  T* data;

  Placed(size_t elements, size_t shift)
      : memory((elements + 3 * kGuard) * sizeof(T) + 64, 0xa5), count(elements) {
    const uintptr_t start = reinterpret_cast<uintptr_t>(memory.data());
    data = reinterpret_cast<T*>((start + 63) / 64 * 64 + (kGuard + shift) * sizeof(T));
  }
  bool guardsIntact() const {
    const unsigned char* first = reinterpret_cast<const unsigned char*>(data);
    const unsigned char* last = first + count * sizeof(T);
    for (const unsigned char* c = memory.data(); c < first; ++c)
      if (*c != 0xa5) return false;
    for (const unsigned char* c = last; c < memory.data() + memory.size(); ++c)
      if (*c != 0xa5) return false;
    return true;
  }
  void set(const std::vector<T>& values) { std::memcpy(data, values.data(), count * sizeof(T)); }
  bool equals(const Placed& other) const {
    return std::memcmp(data, other.data, count * sizeof(T)) == 0;
  }
};

template <class T>
struct Case {
  std::vector<T> logits, maskedLogits;
  OraclePair oracle;
  int dtype;
  bool pair;

  size_t size() const { return logits.size(); }
  RowPair row(const T* x, const T* maskedX, bool exactKl) const {
    RowPair out;
    out.logits = x;
    out.maskedLogits = pair ? maskedX : nullptr;
    out.vocabSize = static_cast<int64_t>(size());
    out.token = oracle.token;
    out.inverseTemperature = oracle.inverseTemperature;
    out.exactKl = exactKl;
    return out;
  }
  RowPair row(bool exactKl) const { return row(logits.data(), maskedLogits.data(), exactKl); }
};

float logit(Kind kind, bool masked, size_t v, size_t size, std::mt19937& random) {
  const float noise = std::normal_distribution<float>(0, 2)(random);
  const unsigned draw = random() % 10;
  switch (kind) {
    case kPeaked:
      return v == size / 2 ? 40 : noise;
    case kAllNegative:
      return -1e4f + noise;
    case kFar:
      return draw % 2 ? 1e4f : -1e4f;
    case kHoles:
      return draw < (masked ? 3u : 2u) ? -INFINITY : noise;
    case kEmptyBlocks:
      return v / 2048 % 3 == (masked ? 1 : 0) ? -INFINITY : noise;
    case kFlat:
      return masked ? -3.0f : 0.25f;
    default:
      return noise;
  }
}

template <class T>
Case<T> makeCase(Kind kind, size_t size, bool pair, double inverseTemperature, int64_t token,
                 int dtype) {
  std::mt19937 random(static_cast<unsigned>(size * 31 + kind));
  Case<T> c;
  c.dtype = dtype;
  c.pair = pair;
  c.oracle.token = token;
  c.oracle.inverseTemperature = inverseTemperature;
  std::vector<double> values[2];
  for (int branch = 0; branch < 2; ++branch) {
    std::vector<T>& out = branch ? c.maskedLogits : c.logits;
    for (size_t v = 0; v < size; ++v) {
      float x = logit(kind, branch == 1, v, size, random);
      if (static_cast<int64_t>(v) == token && x == -INFINITY) x = 1;
      T element;
      fromFloat(x, &element);
      if (kind == kEqualBranches && branch) element = c.logits[v];
      out.push_back(element);
      values[branch].push_back(toFloat(element));
    }
  }
  c.oracle.image = OracleBranch(values[0], inverseTemperature, token);
  if (!pair) return c;
  c.oracle.masked = OracleBranch(values[1], inverseTemperature, token);
  c.oracle.addKl();
  return c;
}

// Sums in float32 lanes with short runs: a few units of 2^-24 relative to the sums.
void checkBranch(const BranchStatistics& got, const OracleBranch& expected, WorstOf* record) {
  const double size = std::fabs(expected.logProb);
  CHECK(within(got.logProb, expected.logProb, 5e-7 + 1e-12 * size, &record->logProb));
  CHECK(within(got.max + got.logSum, expected.logSumExp,
               5e-7 + 1e-12 * std::fabs(expected.logSumExp), &record->logProb));
  CHECK(within(got.entropy, expected.entropy, 5e-7 + 5e-7 * expected.entropy, &record->entropy));
  CHECK(std::fabs(std::log(got.sumExp) - got.logSum) <= 1e-12);
}

template <class T>
RowStatistics statisticsOf(const RowKernels& kernels, const RowPair& row) {
  RowStatistics statistics;
  kernels.statistics(row, &statistics);
  return statistics;
}

bool sameBits(const RowStatistics& a, const RowStatistics& b) {
  return std::memcmp(&a, &b, sizeof a) == 0;
}

template <class T>
void checkStatistics(const RowKernels& kernels, const Case<T>& c) {
  WorstOf& record = worst[c.dtype];
  const RowStatistics got = statisticsOf<T>(kernels, c.row(c.pair));
  checkBranch(got.image, c.oracle.image, &record);
  CHECK(sameBits(got, statisticsOf<T>(kernels, c.row(c.pair))));
  if (!c.pair) return;
  checkBranch(got.masked, c.oracle.masked, &record);
  CHECK(within(got.exactKl, c.oracle.exactKl, 5e-7 + 5e-7 * c.oracle.klTerms, &record.kl));
  CHECK(within(got.sharedMass, c.oracle.sharedMass, 5e-7, &record.kl));
  // The branches have the same bits whether they come together, with or without the KL, or alone.
  RowStatistics apart = statisticsOf<T>(kernels, c.row(false));
  CHECK(apart.exactKl == 0 && apart.sharedMass == 1);
  apart.exactKl = got.exactKl;
  apart.sharedMass = got.sharedMass;
  CHECK(sameBits(apart, got));
  RowPair alone = c.row(c.maskedLogits.data(), nullptr, false);
  alone.maskedLogits = nullptr;
  const RowStatistics maskedAlone = statisticsOf<T>(kernels, alone);
  CHECK(std::memcmp(&maskedAlone.image, &got.masked, sizeof got.masked) == 0);
}

double roundingOf(int dtype, double value) {
  const double size = std::fabs(value);
  if (dtype == PAPO_FLOAT16) return std::max(std::ldexp(size, -11), std::ldexp(1, -25));
  if (dtype == PAPO_BFLOAT16) return std::ldexp(size, -8);
  return std::ldexp(size, -24);
}

// p = e^logP has the relative error of logP, which is rounded to float32; below e^-86 it may be 0.
template <class T>
bool gradientWithin(const Case<T>& c, T element, double expected, double terms, double logP) {
  const double got = toFloat(element);
  if (expected == 0 && terms == 0) return got == 0;
  const double far = std::max(logP, -90.0);
  const double tolerance =
      (2e-6 + 2.5e-7 * -far) * terms + 1.01 * roundingOf(c.dtype, expected) + 1e-36;
  return within(got, expected, tolerance, &worst[c.dtype].gradient);
}

template <class T>
struct Gradients {
  Placed<T> image, masked;
  double squares = 0;
  Gradients(size_t size, size_t shift, size_t maskedShift)
      : image(size, shift), masked(size, maskedShift) {}
};

// In place, unaligned and one at a time: the same bits.
template <class T>
void checkPlaces(const RowKernels& kernels, const Case<T>& c, const RowSlopes& slopes,
                 const RowStatistics& statistics, const Gradients<T>& expected) {
  for (size_t shift : {size_t{0}, size_t{1}, size_t{7}}) {
    Gradients<T> inPlace(c.size(), shift, 3 * shift), out(c.size(), 2 * shift, shift);
    inPlace.image.set(c.logits);
    inPlace.masked.set(c.maskedLogits);
    const RowPair row = c.row(inPlace.image.data, inPlace.masked.data, slopes.exactKl != 0);
    CHECK(sameBits(statisticsOf<T>(kernels, row), statistics));
    RowGradients target{out.image.data, c.pair ? out.masked.data : nullptr};
    out.squares = kernels.gradient(row, statistics, slopes, target, true);
    CHECK(out.image.equals(expected.image) && out.squares == expected.squares);
    CHECK(!c.pair || out.masked.equals(expected.masked));
    CHECK(out.image.guardsIntact() && out.masked.guardsIntact());
    if (c.pair) {
      Gradients<T> single(c.size(), shift, shift);
      kernels.gradient(row, statistics, slopes, {single.image.data, nullptr}, false);
      kernels.gradient(row, statistics, slopes, {nullptr, single.masked.data}, false);
      CHECK(single.image.equals(expected.image) && single.masked.equals(expected.masked));
    }
    target = {inPlace.image.data, c.pair ? inPlace.masked.data : nullptr};
    inPlace.squares = kernels.gradient(row, statistics, slopes, target, true);
    CHECK(inPlace.image.equals(expected.image) && inPlace.squares == expected.squares);
    CHECK(!c.pair || inPlace.masked.equals(expected.masked));
    CHECK(inPlace.image.guardsIntact() && inPlace.masked.guardsIntact());
  }
}

template <class T>
void checkGradients(const RowKernels& kernels, const Case<T>& c, const RowSlopes& slopes) {
  const RowPair row = c.row(slopes.exactKl != 0);
  const RowStatistics statistics = statisticsOf<T>(kernels, row);
  Gradients<T> out(c.size(), 0, 0);
  RowGradients target{out.image.data, c.pair ? out.masked.data : nullptr};
  out.squares = kernels.gradient(row, statistics, slopes, target, true);
  CHECK(out.image.guardsIntact() && out.masked.guardsIntact());
  double squares = 0, terms = 0;
  bool right = true;
  for (size_t v = 0; v < c.size(); ++v) {
    const OracleElement e = c.oracle.element(slopes, v);
    const double logP = c.oracle.image.logP[v];
    right = right && gradientWithin(c, out.image.data[v], e.image, e.imageTerms, logP);
    squares += e.image * e.image;
    terms += std::fabs(e.image) * e.imageTerms + std::fabs(e.masked) * e.maskedTerms;
    if (!c.pair) continue;
    const double far = std::min(logP, c.oracle.masked.logP[v]);
    right = right && gradientWithin(c, out.masked.data[v], e.masked, e.maskedTerms, far);
    squares += e.masked * e.masked;
  }
  CHECK(right);
  CHECK(
      within(out.squares, squares, 1e-5 * squares + 1e-5 * terms + 1e-30, &worst[c.dtype].squares));
  if (c.size() < 10000 || slopes.entropy != 0) checkPlaces(kernels, c, slopes, statistics, out);
}

std::vector<RowSlopes> slopeSets(bool pair) {
  const RowSlopes some[] = {{-1.5, 0, 0, 0, 0}, {0.75, 0.5, 0, 0, 0},
                            {0, 0, 0, 0, 0},    {-1.5, 0.25, 0.5, -0.75, 0},
                            {0, 0, 0, 0, -1},   {-1.5, 0.25, 0.5, -0.75, -0.5},
                            {0, 0, 0.5, 0, 0}};
  if (!pair) return {some[0], some[1], some[2]};
  return {some, some + 7};
}

template <class T>
void values(const InstructionSet& set, int dtype, size_t size) {
  const RowKernels& kernels = set.kernels[dtype];
  const int64_t last = static_cast<int64_t>(size) - 1;
  for (int kind = 0; kind < kKinds; ++kind) {
    for (bool pair : {false, true}) {
      const double inverse = kind % 2 == 0 ? 1 : kind % 4 == 1 ? 1 / 0.7 : 0.5;
      const int64_t token = kind % 3 == 0 ? last / 2 : kind % 3 == 1 ? last : 0;
      const Case<T> c = makeCase<T>(static_cast<Kind>(kind), size, pair, inverse, token, dtype);
      std::snprintf(checkContext, sizeof checkContext, "%s %s V %zu kind %d %s", set.name,
                    dtypeName(dtype), size, kind, pair ? "pair" : "one branch");
      checkStatistics(kernels, c);
      for (const RowSlopes& slopes : slopeSets(pair)) checkGradients(kernels, c, slopes);
    }
  }
}

bool allNan(const BranchStatistics& s) {
  return std::isnan(s.max) && std::isnan(s.sumExp) && std::isnan(s.logSum) &&
         std::isnan(s.logProb) && std::isnan(s.entropy);
}

// A NaN or +inf anywhere, or -inf everywhere, in the branches named by which (1 image, 2 masked).
template <class T>
void notFinite(const InstructionSet& set, int dtype, float value, int which) {
  for (size_t size : {size_t{1}, size_t{17}, size_t{2049}, size_t{8003}}) {
    for (size_t place : {size_t{0}, size / 2, size - 1}) {
      Case<T> c = makeCase<T>(kRandom, size, true, 1, 0, dtype);
      for (size_t v = 0; v < size; ++v) {
        if (v != place && value != -INFINITY) continue;
        if (which & 1) fromFloat(value, &c.logits[v]);
        if (which & 2) fromFloat(value, &c.maskedLogits[v]);
      }
      const RowKernels& kernels = set.kernels[dtype];
      const RowStatistics got = statisticsOf<T>(kernels, c.row(true));
      CHECK(allNan(got.image) == ((which & 1) != 0));
      CHECK(allNan(got.masked) == ((which & 2) != 0));
      CHECK(std::isnan(got.exactKl));
      Gradients<T> out(size, 0, 0);
      const RowGradients target{out.image.data, out.masked.data};
      for (double d : {0.0, 0.5}) {
        const RowSlopes slopes{1, 0.5, 1, 0.5, d};
        kernels.gradient(c.row(true), got, slopes, target, false);
        bool right = true;
        for (size_t v = 0; v < size; ++v) {
          right = right && std::isnan(toFloat(out.image.data[v])) == (d != 0 || (which & 1) != 0);
          right = right && std::isnan(toFloat(out.masked.data[v])) == (d != 0 || (which & 2) != 0);
        }
        CHECK(right);
      }
      kernels.gradient(c.row(true), got, RowSlopes(), target, false);
      bool zero = true;
      for (size_t v = 0; v < size; ++v)
        zero = zero && toFloat(out.image.data[v]) == 0 && toFloat(out.masked.data[v]) == 0;
      CHECK(zero);
    }
  }
}

// A slope that is NaN, of any payload, makes every element of its gradient NaN.
template <class T>
void nanSlope(const InstructionSet& set, int dtype) {
  for (uint64_t bits : {0x7ff8000000000000u, 0x7fffffffffffffffu, 0xffffffffffffffffu}) {
    double nan;
    std::memcpy(&nan, &bits, sizeof nan);
    const Case<T> c = makeCase<T>(kRandom, 100, true, 1, 7, dtype);
    const RowStatistics statistics = statisticsOf<T>(set.kernels[dtype], c.row(true));
    for (const RowSlopes& slopes :
         {RowSlopes{nan, 0, nan, 0, 0}, RowSlopes{0, nan, 0, nan, 0}, RowSlopes{0, 0, 0, 0, nan}}) {
      Gradients<T> out(100, 0, 0);
      set.kernels[dtype].gradient(c.row(true), statistics, slopes,
                                  {out.image.data, out.masked.data}, false);
      for (size_t v = 0; v < 100; ++v)
        CHECK(std::isnan(toFloat(out.image.data[v])) && std::isnan(toFloat(out.masked.data[v])));
    }
  }
}

// The sampled token itself excluded by the masked branch: it is outside S, and nothing is NaN.
template <class T>
void excludedToken(const InstructionSet& set, int dtype) {
  Case<T> c = makeCase<T>(kRandom, 100, true, 1, 42, dtype);
  fromFloat(-INFINITY, &c.maskedLogits[42]);
  std::vector<double> x, maskedX;
  for (size_t v = 0; v < 100; ++v) x.push_back(toFloat(c.logits[v]));
  for (size_t v = 0; v < 100; ++v) maskedX.push_back(toFloat(c.maskedLogits[v]));
  c.oracle = OraclePair();
  c.oracle.token = 42;
  c.oracle.image = OracleBranch(x, 1, 42);
  c.oracle.masked = OracleBranch(maskedX, 1, 42);
  c.oracle.addKl();
  CHECK(c.oracle.sharedMass < 1);
  checkStatistics(set.kernels[dtype], c);
  checkGradients(set.kernels[dtype], c, {1, 0.5, 0, 0.25, 0.5});
}

// The oracle's gradient against central differences of its own statistics.
void oracleDifferences() {
  const Case<float> c = makeCase<float>(kHoles, 23, true, 1 / 0.7, 5, PAPO_FLOAT32);
  const RowSlopes s{-1.5, 0.25, 0.5, -0.75, -0.5};
  std::vector<double> x[2];
  for (float v : c.logits) x[0].push_back(v);
  for (float v : c.maskedLogits) x[1].push_back(v);
  const auto loss = [&] {
    OraclePair o;
    o.image = OracleBranch(x[0], 1 / 0.7, 5);
    o.masked = OracleBranch(x[1], 1 / 0.7, 5);
    o.addKl();
    return s.logProb * o.image.logProb + s.entropy * o.image.entropy +
           s.maskedLogProb * o.masked.logProb + s.maskedEntropy * o.masked.entropy +
           s.exactKl * o.exactKl;
  };
  CHECK(c.oracle.sharedMass < 0.999);
  for (int branch = 0; branch < 2; ++branch) {
    for (size_t v = 0; v < 23; ++v) {
      const double kept = x[branch][v], step = 1e-5;
      x[branch][v] = kept + step;
      const double above = loss();
      x[branch][v] = kept - step;
      const double below = loss();
      x[branch][v] = kept;
      const OracleElement e = c.oracle.element(s, v);
      CHECK(std::fabs((above - below) / (2 * step) - (branch ? e.masked : e.image)) <= 1e-9);
    }
  }
}

// An emulated processor needs more than ten minutes for all sizes; it may be told where to stop.
size_t largestVocabulary() {
  const char* limit = std::getenv("PAPO_TEST_LARGEST_VOCABULARY");
  return limit ? std::strtoull(limit, nullptr, 10) : SIZE_MAX;
}

template <class T>
void everything(const InstructionSet& set, int dtype) {
  for (size_t size : {1,   2,    3,    7,    8,    9,    15,    16,     17,     31,    37,
                      255, 1031, 2047, 2048, 2049, 8003, 50257, 128256, 151936, 152064})
    if (size <= largestVocabulary()) values<T>(set, dtype, size);
  for (int which = 1; which <= 3; ++which) {
    notFinite<T>(set, dtype, NAN, which);
    notFinite<T>(set, dtype, INFINITY, which);
    notFinite<T>(set, dtype, -INFINITY, which);
  }
  nanSlope<T>(set, dtype);
  excludedToken<T>(set, dtype);
}

void printWorst() {
  for (int dtype = 0; dtype < 3; ++dtype) {
    const WorstOf& w = worst[dtype];
    const struct {
      const char* name;
      Worst worst;
    } lines[] = {{"logProb", w.logProb},
                 {"entropy", w.entropy},
                 {"exactKl", w.kl},
                 {"gradient", w.gradient},
                 {"squares", w.squares}};
    for (const auto& line : lines)
      std::printf("%-9s %-9s largest error %.3g, %.3f of its tolerance\n", dtypeName(dtype),
                  line.name, line.worst.error, line.worst.ratio);
  }
}

}  // namespace

int main() {
  oracleDifferences();
  const InstructionSetList list = instructionSets();
  if (largestVocabulary() < SIZE_MAX)
    std::printf("only vocabularies up to %zu\n", largestVocabulary());
  CHECK(findInstructionSet("portable") && findInstructionSet("portable")->supported());
  CHECK(findInstructionSet("no such") == nullptr);
  for (int i = 0; i < list.count; ++i) {
    const InstructionSet& set = *list.first[i];
    CHECK(findInstructionSet(set.name) == &set);
    if (!set.supported() || &set == &referenceInstructionSet) continue;
    std::printf("%s\n", set.name);
    everything<float>(set, PAPO_FLOAT32);
    everything<Float16>(set, PAPO_FLOAT16);
    everything<BFloat16>(set, PAPO_BFLOAT16);
  }
  printWorst();
  return finish();
}
