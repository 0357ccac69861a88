#include "cuda/findings.h"

#include <cstring>

#include "engine/refusals.h"
#include "engine/status.h"

namespace papo::cuda {
namespace {

double asDouble(long long bits) {
  static_assert(sizeof(double) == sizeof bits, "a double in the record");
  double value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

}  // namespace

papo_status refuseFinding(const DeviceError& found) {
  const unsigned long long place = ~found.key;
  const auto index = static_cast<int64_t>(place & ((1ull << kFindingIndexBits) - 1));
  switch (static_cast<Finding>(place >> kFindingIndexBits)) {
    case Finding::responseMask:
      return refuseBinary("responseMask", found.got, index);
    case Finding::sftMask:
      return refuseBinary("sftMask", found.got, index);
    case Finding::tokens:
      return refuseRange("tokens", "ids", found.limit, found.got, index);
    case Finding::rowIndex:
      return refuseRange("rowIndex", "rows", found.limit, found.got, index);
    case Finding::patchMask:
      return refuseBinary("patchMask", found.got, index);
    case Finding::rewards:
      return refuseNotFinite("rewards", asDouble(found.got), index);
    case Finding::baselines:
      return refuseNotFinite("baselines", asDouble(found.got), index);
    case Finding::rewardMask:
      return refuseBinary("responseMask", found.got, index);
    case Finding::countedTokens:
      return refuseCountedTokens(found.got);
    case Finding::groupIds:
      return refuseLoneGroup(found.got);
    case Finding::saliency:  // limit: cells of a frame
      return refuseNanSaliency(index % found.limit, index / found.limit);
  }
  return fail(PAPO_INTERNAL, "a kernel reported what nobody knows: %llx", found.key);
}

}  // namespace papo::cuda
