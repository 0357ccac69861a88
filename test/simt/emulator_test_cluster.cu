#include "cuda/device.cuh"
#include "emulator_cases.h"

using namespace papo::cuda;

namespace emulator_test {
namespace {

constexpr int kHalf = kInts / 2;
constexpr int kSlot = 256;  // ints of a copy
constexpr unsigned kSlotBytes = kSlot * sizeof(int);

// ---- bulk loads ----------------------------------------------------------------------------------

enum LoadFault {
  rightLoad,
  noWait,
  tooManyBytes,
  tooFewBytes,
  noBarrierAfterInit,
  noInit,
  wrongParity,
  noReuseFence,
  noReuseBarrier,
  loadPastEnd,
  misalignedLoad,
  loadOverLoad
};

// Three loads one after the other through one slot and one barrier; everybody reads each of them.
__global__ void loads(int* out, LoadFault fault) {
  PAPO_SHARED_ARRAY(uint64_t, barrier, 1);
  PAPO_SHARED_ARRAY(int4, slotVectors, kSlot / 4);
  int* slot = reinterpret_cast<int*>(slotVectors);
  const int t = threadIdx.x;
  if (t == 0 && fault != noInit) mbarInit(barrier, 1);
  if (fault != noBarrierAfterInit) __syncthreads();
  int sum = 0;
  for (int turn = 0; turn < 3; turn++) {
    if (t == 0) {
      const int extra = fault == tooManyBytes ? 16 : fault == tooFewBytes ? -16 : 0;
      mbarExpect(barrier, kSlotBytes + extra);
      const int* from = out + kHalf + turn * kSlot;
      if (fault == loadPastEnd) from = out + kInts - kSlot + 4;
      if (fault == misalignedLoad) from++;
      bulkLoad(slot, from, kSlotBytes, barrier);
      if (fault == loadOverLoad) bulkLoad(slot, from, kSlotBytes, barrier);
    }
    if (fault != noWait) mbarWait(barrier, (turn + (fault == wrongParity)) & 1);
    sum += slot[(t * 5) % kSlot];
    if (fault == noReuseBarrier) {
      if (t == 0) fenceAsync();
      continue;
    }
    if (fault != noReuseFence) fenceAsync();
    __syncthreads();
  }
  out[blockIdx.x * 128 + t] = sum;
}
bool loadsAreRight(const int* out) {
  return all(out, 128, [](int t) { return 7 * (3 * kHalf + 3 * kSlot + 3 * ((t * 5) % kSlot)); });
}
template <LoadFault fault>
cudaError_t runLoads(int* data) {
  return launch(loads, 2, 128, 0, nullptr, data, fault);
}

// One phase that every thread arrives at.
__global__ void manyArrivals(int* out, int count) {
  PAPO_SHARED_ARRAY(uint64_t, barrier, 1);
  PAPO_SHARED_ARRAY(int, s, 128);
  if (threadIdx.x == 0) mbarInit(barrier, count);
  __syncthreads();
  s[threadIdx.x] = threadIdx.x;
  mbarExpect(barrier, 0);
  mbarWait(barrier, 0);
  out[threadIdx.x] = s[127 - threadIdx.x];
}

// ---- bulk stores ---------------------------------------------------------------------------------

enum StoreFault { rightStore, noFence, noStoreBarrier, overwritten, notWaited, loadOverStore };

__global__ void stores(int* out, StoreFault fault) {
  PAPO_SHARED_ARRAY(uint64_t, barrier, 1);
  PAPO_SHARED_ARRAY(int4, slotVectors, kSlot / 4);
  int* slot = reinterpret_cast<int*>(slotVectors);
  const int t = threadIdx.x;
  if (t == 0) mbarInit(barrier, 1);
  __syncthreads();
  for (int turn = 0; turn < 2; turn++) {
    for (int i = t; i < kSlot; i += 128) slot[i] = turn * 1000 + i;
    if (fault != noFence) fenceAsync();
    if (fault != noStoreBarrier) __syncthreads();
    if (t == 0) {
      bulkStore(out + turn * kSlot, slot, kSlotBytes);
      bulkCommit();
      if (fault == loadOverStore) {
        mbarExpect(barrier, kSlotBytes);
        bulkLoad(slot, out + kHalf, kSlotBytes, barrier);
        mbarWait(barrier, 0);
      }
      if (fault != overwritten && fault != notWaited) bulkWaitRead<0>();
    }
    __syncthreads();
  }
  if (t == 0 && fault != notWaited) bulkWait<0>();
}
bool storesAreRight(const int* out) {
  return all(out, 2 * kSlot, [](int i) { return i / kSlot * 1000 + i % kSlot; });
}
template <StoreFault fault>
cudaError_t runStores(int* data) {
  return launch(stores, 1, 128, 0, nullptr, data, fault);
}

// ---- clusters ------------------------------------------------------------------------------------

enum ClusterFault { rightCluster, noFirstSync, noLastSync };

// Every block reads the memory of the next one.
__global__ void neighbours(int* out, ClusterFault fault) {
  PAPO_SHARED_ARRAY(int, s, 64);
  const unsigned rank = clusterRank(), size = clusterSize();
  const int t = threadIdx.x;
  s[t] = static_cast<int>(blockIdx.x) * 100 + t;
  if (fault != noFirstSync) clusterSync();
  out[blockIdx.x * 64 + t] = clusterPeer(s, (rank + 1) % size)[63 - t];
  if (fault != noLastSync) clusterSync();
}
bool neighboursAreRight(const int* out) {
  return all(out, 8 * 64, [](int i) {
    const int block = i / 64, next = block / 4 * 4 + (block + 1) % 4;
    return next * 100 + 63 - i % 64;
  });
}
template <ClusterFault fault>
cudaError_t runNeighbours(int* data) {
  return launchCluster(neighbours, 8, 64, 4, 0, nullptr, data, fault);
}

__global__ void oneBlockReturns(int* out) {
  if (clusterRank() == 0) return;
  clusterSync();
  out[threadIdx.x] = 1;
}

}  // namespace

std::vector<Case> clusterCases() {
  return {
      {"bulk loads", nowhere, runLoads<rightLoad>, loadsAreRight},
      {"bulk load without a wait", everywhere, runLoads<noWait>, loadsAreRight},
      {"mbarrier that expects too much", everywhere, runLoads<tooManyBytes>, loadsAreRight},
      {"mbarrier that expects too little", everywhere, runLoads<tooFewBytes>, loadsAreRight},
      {"mbarrier without an initialisation", everywhere, runLoads<noInit>, loadsAreRight},
      {"no barrier after the initialisation of an mbarrier", everywhere,
       runLoads<noBarrierAfterInit>, loadsAreRight},
      {"wrong parity", everywhere, runLoads<wrongParity>, loadsAreRight},
      {"no proxy fence before a slot is loaded again", thread, runLoads<noReuseFence>,
       loadsAreRight},
      {"no barrier before a slot is loaded again", everywhere, runLoads<noReuseBarrier>,
       loadsAreRight},
      {"bulk load past the end of memory", everywhere, runLoads<loadPastEnd>, loadsAreRight},
      {"misaligned bulk load", everywhere, runLoads<misalignedLoad>, loadsAreRight},
      {"two bulk loads to one slot", everywhere, runLoads<loadOverLoad>, loadsAreRight},
      {"bulk load on an older device", everywhere, runLoads<rightLoad>, loadsAreRight, 800},
      {"mbarrier of many arrivals", nowhere,
       [](int* d) { return launch(manyArrivals, 1, 128, 0, nullptr, d, 128); },
       [](const int* d) { return all(d, 128, [](int t) { return 127 - t; }); }},
      {"mbarrier of too many arrivals", everywhere,
       [](int* d) { return launch(manyArrivals, 1, 128, 0, nullptr, d, 129); }, nullptr},
      {"mbarrier of too few arrivals", everywhere,
       [](int* d) { return launch(manyArrivals, 1, 128, 0, nullptr, d, 100); },
       [](const int* d) { return all(d, 128, [](int t) { return 127 - t; }); }},
      {"bulk stores", nowhere, runStores<rightStore>, storesAreRight},
      {"bulk store without a proxy fence", thread, runStores<noFence>, storesAreRight},
      {"bulk store without a barrier", everywhere, runStores<noStoreBarrier>, storesAreRight},
      {"source of a bulk store overwritten", everywhere, runStores<overwritten>, storesAreRight},
      {"bulk store that nobody waits for", everywhere, runStores<notWaited>, storesAreRight},
      {"bulk load over a bulk store", everywhere, runStores<loadOverStore>, storesAreRight},
      {"memory of peers", nowhere, runNeighbours<rightCluster>, neighboursAreRight},
      {"missing cluster barrier", everywhere, runNeighbours<noFirstSync>, neighboursAreRight},
      {"memory of a peer that has returned", everywhere, runNeighbours<noLastSync>,
       neighboursAreRight},
      {"cluster barrier after a block returned", everywhere,
       [](int* d) { return launchCluster(oneBlockReturns, 4, 64, 4, 0, nullptr, d); }, nullptr},
      {"cluster on an older device", everywhere, runNeighbours<rightCluster>, neighboursAreRight,
       800},
  };
}

}  // namespace emulator_test
