#include "masking/masking.h"

namespace papo {
namespace {

bool isHeldBy(int32_t dtype, double value) {
  if (dtype == PAPO_UINT8) return value >= 0 && value <= 255 && value == std::floor(value);
  if (dtype == PAPO_FLOAT64) return std::isfinite(value);
  // Beyond the range of float32 the conversion would be undefined.
  if (!(std::fabs(value) <= 3.4028234663852886e38)) return false;
  bool finite = false;
  visitDType(dtype, [&](auto element) {
    finite = std::isfinite(static_cast<double>(toFloat(toElement<decltype(element)>(value))));
  });
  return finite;
}

}  // namespace

papo_status requireFill(const papo_tensor& fill, int64_t channels, int32_t dtype) {
  if (!isPresent(fill)) return PAPO_OK;
  PAPO_TRY(requireVector({"fill", &fill}, fill.rows == 1 ? 1 : channels, dtypeBit(PAPO_FLOAT64)));
  const auto* values = static_cast<const double*>(fill.data);
  for (int64_t i = 0; i < fill.rows; ++i) {
    if (!isHeldBy(dtype, values[i]))
      return fail(PAPO_INVALID_OPTION, "fill: expected a value of dtype %s, got %g",
                  dtypeName(dtype), values[i]);
  }
  return PAPO_OK;
}

}  // namespace papo
