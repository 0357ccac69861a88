// The tiles of a row that a thread-block cluster holds in shared memory, and their way there.
//
// Tile t of a row (1,024 elements, the last one shorter) belongs to block t mod clusterSize and has a
// slot in it, which one warp fills, reads and fills again with the same tile of the next row: no other
// thread touches a slot, so that no barrier of the block is needed around a copy. Whole 16 bytes come
// by bulk copies that complete on the slot's mbarrier; what is left over at the end of a row, and
// rows that are not aligned to 16 bytes, by loads of the warp. Nothing beyond a row's end is read.
#pragma once

#include "cuda/device.cuh"
#include "cuda/launch_config.h"
#include "cuda/rows.h"

#if PAPO_HAS_BULK_COPIES

namespace papo::cuda {

// Where this thread is.
struct ClusterPlace {
  unsigned rank = clusterRank(), blocks = clusterSize();
  int warp = threadIdx.x / kWarp, warps = blockDim.x / kWarp, lane = threadIdx.x % kWarp;
};

template <class T>
__device__ __forceinline__ T* rowOf(const RowTensor& tensor, int64_t row) {
  return static_cast<T*>(tensor.data) + row * tensor.rowStride;
}

template <class T>
__device__ __forceinline__ bool isAligned(const T* p) {
  return reinterpret_cast<uintptr_t>(p) % 16 == 0;
}

template <class T, int kBranches>
struct RowSlots {
  static constexpr int kTile = static_cast<int>(kTileElements);

  const RowsCall& call;
  ClusterPlace place;
  T* tiles;        // [slots][kBranches][kTile], aligned to 128 bytes
  uint64_t* bars;  // [slots]
  int slots;       // of this block that have a tile

  __device__ __forceinline__ int64_t tileOf(int slot) const {
    return static_cast<int64_t>(slot) * place.blocks + place.rank;
  }
  __device__ __forceinline__ int countOf(int slot) const {
    const int64_t left = call.vocabSize - tileOf(slot) * kTile;
    return static_cast<int>(left < kTile ? left : kTile);
  }
  __device__ __forceinline__ T* tile(int slot, int branch) const {
    return tiles + (static_cast<int64_t>(slot) * kBranches + branch) * kTile;
  }
  __device__ __forceinline__ const T* source(int slot, int branch, int64_t row) const {
    return rowOf<const T>(branch == 0 ? call.logits : call.maskedLogits, row) +
           tileOf(slot) * kTile;
  }
  // Elements of a tile that a bulk copy can bring.
  __device__ __forceinline__ int bulkCount(const T* from, int count) const {
    constexpr int kUnit = 16 / sizeof(T);
    return isAligned(from) ? count / kUnit * kUnit : 0;
  }

  // One arrival completes a phase, with the bytes that it announces.
  __device__ __forceinline__ void openBarriers() const {
    if (place.lane == 0)
      for (int slot = place.warp; slot < slots; slot += place.warps) mbarInit(bars + slot, 1);
    fenceAsync();
    __syncwarp();
  }

  // By the warp of the slot, when all its lanes have read what was there. The fence orders these
  // reads, and the stores of leftovers, before the writes of the copy engine.
  __device__ __forceinline__ void fill(int slot, int64_t row) const {
    fenceAsync();
    __syncwarp();
    if (place.lane == 0) startCopies(slot, row);
#pragma unroll
    for (int branch = 0; branch < kBranches; ++branch) {
      const T* const from = source(slot, branch, row);
      const int count = countOf(slot);
      for (int i = bulkCount(from, count) + place.lane; i < count; i += kWarp)
        tile(slot, branch)[i] = from[i];
    }
  }

  __device__ __forceinline__ void startCopies(int slot, int64_t row) const {
    const T* from[kBranches];
    unsigned bytes[kBranches], total = 0;
#pragma unroll
    for (int branch = 0; branch < kBranches; ++branch) {
      from[branch] = source(slot, branch, row);
      bytes[branch] = bulkCount(from[branch], countOf(slot)) * sizeof(T);
      total += bytes[branch];
    }
    mbarExpect(bars + slot, total);
#pragma unroll
    for (int branch = 0; branch < kBranches; ++branch)
      if (bytes[branch]) bulkLoad(tile(slot, branch), from[branch], bytes[branch], bars + slot);
  }

  // Until the slot holds the row that it was last filled with.
  __device__ __forceinline__ void wait(int slot, int parity) const {
    mbarWait(bars + slot, parity);
    __syncwarp();
  }
};

}  // namespace papo::cuda

#endif
