// Statistics and gradients of a row in plain loops of double: docs/math.md Eq. 1-4 and 8 as they
// stand, for the tests of the row kernels. Written apart from native/loss/reference.cpp on purpose.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "cpu/rows.h"

namespace papo_test {

struct OracleBranch {
  std::vector<double> logP, p;
  double logSumExp = 0, logProb = 0, entropy = 0;

  OracleBranch() = default;
  OracleBranch(const std::vector<double>& logits, double inverseTemperature, int64_t token) {
    double max = -INFINITY, sum = 0;
    for (double x : logits) max = std::max(max, x * inverseTemperature);
    for (double x : logits) sum += std::exp(x * inverseTemperature - max);
    logSumExp = max + std::log(sum);
    for (double x : logits) {
      logP.push_back((x * inverseTemperature - max) - std::log(sum));
      p.push_back(std::exp(logP.back()));
      if (p.back() > 0) entropy -= p.back() * logP.back();
    }
    logProb = logP[static_cast<size_t>(token)];
  }
};

// One element of both gradients, with the size of the terms that it is the sum of: what an error
// is to be held against, since the sum may cancel to anything.
struct OracleElement {
  double image = 0, imageTerms = 0, masked = 0, maskedTerms = 0;
};

struct OraclePair {
  OracleBranch image, masked;
  double exactKl = 0, sharedMass = 1, klTerms = 0;
  int64_t token = 0;
  double inverseTemperature = 1;

  void addKl() {
    sharedMass = 0;
    for (size_t v = 0; v < image.p.size(); ++v) {
      if (masked.logP[v] == -INFINITY) continue;
      sharedMass += image.p[v];
      if (image.p[v] == 0) continue;
      exactKl += image.p[v] * (image.logP[v] - masked.logP[v]);
      klTerms += image.p[v] * (std::fabs(image.logP[v]) + std::fabs(masked.logP[v]));
    }
  }

  OracleElement element(const papo::RowSlopes& s, size_t v) const {
    OracleElement out;
    const double hot = static_cast<int64_t>(v) == token;
    branch(image, s.logProb, s.entropy, hot, v, &out.image, &out.imageTerms);
    if (masked.p.empty()) return scaled(out);
    branch(masked, s.maskedLogProb, s.maskedEntropy, hot, v, &out.masked, &out.maskedTerms);
    const double p = image.p[v], q = masked.p[v], d = s.exactKl;
    if (d == 0) return scaled(out);
    const bool inS = masked.logP[v] > -INFINITY;
    if (p > 0) {
      const double ratio = inS ? image.logP[v] - masked.logP[v] + 1 : 0;
      const double parts = inS ? std::fabs(image.logP[v]) + std::fabs(masked.logP[v]) + 1 : 0;
      out.image += d * (p * ratio - p * (exactKl + sharedMass));
      out.imageTerms += std::fabs(d) * p * (parts + klTerms + sharedMass);
    }
    out.masked += d * (sharedMass * q - (inS ? p : 0));
    out.maskedTerms += std::fabs(d) * (q + p);
    return scaled(out);
  }

 private:
  static void branch(const OracleBranch& b, double g, double h, double hot, size_t v, double* value,
                     double* terms) {
    const double p = b.p[v];
    *value = g * (hot - p);
    *terms = std::fabs(g) * (hot == 1 ? 1 - p : p);
    if (p == 0) return;
    *value -= h * p * (b.logP[v] + b.entropy);
    *terms += std::fabs(h) * p * (std::fabs(b.logP[v]) + b.entropy);
  }
  OracleElement scaled(OracleElement e) const {
    for (double* x : {&e.image, &e.imageTerms, &e.masked, &e.maskedTerms}) *x *= inverseTemperature;
    return e;
  }
};

}  // namespace papo_test
