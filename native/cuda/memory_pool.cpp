#include "cuda/memory_pool.h"

#include <map>
#include <mutex>
#include <new>

#include "cuda/context.h"
#include "engine/status.h"

namespace papo::cuda {
namespace {

struct SharedPool {
  cudaMemPool_t pool = nullptr;
  int users = 0;
};

// Never destroyed: engines may be closed by destructors that run at the end of the process.
struct Pools {
  std::mutex mutex;
  std::map<int, SharedPool> ofDevice;
};
Pools& pools() {
  static Pools* const all = new Pools;
  return *all;
}

papo_status createPool(int device, cudaMemPool_t* pool) {
  constexpr const char* kWhat = "cudaMemPoolCreate";
  int supported = 0;
  PAPO_CUDA_TRY(kWhat, cudaDeviceGetAttribute(&supported, cudaDevAttrMemoryPoolsSupported, device));
  if (!supported) return PAPO_OK;
  cudaMemPoolProps properties = {};
  properties.allocType = cudaMemAllocationTypePinned;
  properties.handleTypes = cudaMemHandleTypeNone;
  properties.location.type = cudaMemLocationTypeDevice;
  properties.location.id = device;
  PAPO_CUDA_TRY(kWhat, cudaMemPoolCreate(pool, &properties));
  uint64_t threshold = UINT64_MAX;
  PAPO_CUDA_TRY(kWhat, cudaMemPoolSetAttribute(*pool, cudaMemPoolAttrReleaseThreshold, &threshold));
  return PAPO_OK;
}

}  // namespace

papo_status acquirePool(int device, cudaMemPool_t* pool) try {
  const std::lock_guard<std::mutex> lock(pools().mutex);
  SharedPool& shared = pools().ofDevice[device];
  if (shared.users == 0) PAPO_TRY(createPool(device, &shared.pool));
  ++shared.users;
  *pool = shared.pool;
  return PAPO_OK;
} catch (const std::bad_alloc&) {
  return fail(PAPO_OUT_OF_MEMORY, "engine: out of memory");
}

// What was allocated and not freed by then stays valid: the driver destroys the pool after it.
void releasePool(int device) {
  const std::lock_guard<std::mutex> lock(pools().mutex);
  SharedPool& shared = pools().ofDevice[device];
  if (--shared.users > 0) return;
  if (shared.pool) cudaMemPoolDestroy(shared.pool);
  shared.pool = nullptr;
}

}  // namespace papo::cuda
