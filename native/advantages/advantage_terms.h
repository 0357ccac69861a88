// The formulas of advantages (docs/math.md Eq. 17-21), in double, of both engines.
//
// Sources: GRPO arXiv 2402.03300, Dr. GRPO 2503.20783, RLOO 2402.14740, ReMax 2310.10505,
// REINFORCE++ 2501.03262; constants as in the authors' core_algos.py.
#pragma once

#include <cmath>
#include <cstdint>

#include "engine/host_device.h"
#include "papo.h"

namespace papo {

// Not fused with an addition behind it, which would give a device other bits than the CPU.
PAPO_HOST_DEVICE double product(double a, double b) {
#if defined(__CUDA_ARCH__)
  return __dmul_rn(a, b);
#else
  return a * b;
#endif
}

PAPO_HOST_DEVICE double squaredDifference(double value, double mean) {
  return product(value - mean, value - mean);
}

// --- groups --------------------------------------------------------------------------------------

struct Moments {
  double mean = 0, deviation = 0;  // unbiased; 0 where all values are equal
};

PAPO_HOST_DEVICE double meanOf(double sum, int64_t count) {
  return sum / static_cast<double>(count);
}

PAPO_HOST_DEVICE double deviationOf(double squares, int64_t count) {
  return sqrt(squares / static_cast<double>(count - 1));
}

struct AdvantageOptions {
  int32_t estimator = 0;  // papo_advantage_estimator
  int32_t scale = 0;      // papo_advantage_scale
  double epsilon = 0;
};

// The advantage of a value is (value - mean) * factor / divisor.
struct GroupScale {
  double mean = 0, factor = 1, divisor = 1;
};

PAPO_HOST_DEVICE GroupScale scaleOf(const AdvantageOptions& options, const Moments& moments,
                                    int64_t members, double batchDeviation) {
  GroupScale scale;
  scale.mean = moments.mean;
  if (options.estimator == PAPO_ADVANTAGE_RLOO) {
    scale.factor = static_cast<double>(members);
    scale.divisor = static_cast<double>(members - 1);
  } else if (options.estimator != PAPO_ADVANTAGE_DR_GRPO && options.scale != PAPO_SCALE_NONE) {
    const double divisor =
        (options.scale == PAPO_SCALE_BATCH ? batchDeviation : moments.deviation) + options.epsilon;
    // Without a deviation and epsilon every value is the mean, whose advantage is 0.
    if (divisor > 0) scale.divisor = divisor;
  }
  return scale;
}

PAPO_HOST_DEVICE double advantageOf(const GroupScale& scale, double value) {
  return product(value - scale.mean, scale.factor) / scale.divisor;
}

// --- per token -----------------------------------------------------------------------------------

// R_t = r_t + discount c_{t+1}
PAPO_HOST_DEVICE double returnOf(double reward, double discount, double carried) {
  return reward + product(discount, carried);
}

// c_t = R_t m_t
PAPO_HOST_DEVICE double carriedOf(double tokenReturn, uint8_t mask) {
  return product(tokenReturn, static_cast<double>(mask));
}

// Whitened over counted tokens: (R - mean) / sqrt(var + epsilon), var unbiased. The authors' masked
// mean divides by count + 1e-8.
constexpr double kCountEpsilon = 1e-8;

PAPO_HOST_DEVICE double countedMean(double sum, double count) {
  return sum / (count + kCountEpsilon);
}

PAPO_HOST_DEVICE double whiteningScale(double squares, double count, double epsilon) {
  const double variance = product(squares / (count + kCountEpsilon), count) / (count - 1);
  return 1 / sqrt(variance + epsilon);
}

PAPO_HOST_DEVICE double whitened(double tokenReturn, double mean, double scale) {
  return product(tokenReturn - mean, scale);
}

}  // namespace papo
