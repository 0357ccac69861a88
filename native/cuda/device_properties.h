// What the choice of a launch configuration depends on, of one device.
#pragma once

#include <cstdint>

namespace papo::cuda {

struct DeviceProperties {
  int major = 0, minor = 0;  // compute capability
  int multiprocessors = 0;
  int64_t sharedPerBlock = 0;  // bytes a block may have when it asks (opt-in)
  int64_t sharedPerMultiprocessor = 0;
  int64_t l2Bytes = 0;

  bool hasClusters() const { return major >= 9; }
};

}  // namespace papo::cuda
