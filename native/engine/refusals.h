// The wording of refused values, once for both engines: the CPU finds them while it reads, the CUDA
// engine reports what its kernels found (cuda/device_error.h).
#pragma once

#include <cstdint>

#include "papo.h"

namespace papo {

// All PAPO_INVALID_VALUE. name: the argument; index: of the value in it.
papo_status refuseBinary(const char* name, int64_t got, int64_t index);  // neither 0 nor 1
// what: in the plural; end: the first that is too large.
papo_status refuseRange(const char* name, const char* what, int64_t end, int64_t got,
                        int64_t index);
papo_status refuseNotFinite(const char* name, double got, int64_t index);
papo_status refuseLoneGroup(int64_t group);
papo_status refuseCountedTokens(int64_t got);  // of a whitening over fewer than two
papo_status refuseNanSaliency(int64_t cell, int64_t frame);

}  // namespace papo
