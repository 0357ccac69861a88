// The tiles of a row that a thread-block cluster holds in shared memory, and their way there.
//
// Tile t of a row (1,024 elements, the last one shorter) belongs to block t mod clusterSize and has
// a slot in it, which one warp fills, reads and fills again with the same tile of the next row: no
// other thread touches a slot, so that no barrier of the block is needed around a copy. Whole 16
// bytes come by bulk copies that complete on the slot's mbarrier; what is left over at the end of a
// row, and rows that are not aligned to 16 bytes, by loads of the warp. Nothing beyond a row's end
// is read.
#pragma once

#include "cuda/launch_config.h"
#include "cuda/row_sweeps.cuh"

#if PAPO_HAS_BULK_COPIES

namespace papo::cuda {

static_assert(kSlotElements == kTileElements && kMergedTiles == kGroupTiles, "told to the host");
static_assert(kWarp == kWarpLanes && kTileSumsBytes == sizeof(TileSums), "told to the host");

// Where a block is and what it has to do. In shared memory, as is all that kernels of clusters know
// for longer than a step: registers are for tiles.
struct ClusterPlace {
  int rank, blocks;       // of the block in its cluster
  int cluster, clusters;  // of the grid
  int tiles;              // of a row
  int capacity;           // slots of any block
  int count;              // of this block, that have a tile

  __device__ static ClusterPlace of(int64_t vocabSize) {
    ClusterPlace place;
    place.rank = static_cast<int>(clusterRank());
    place.blocks = static_cast<int>(clusterSize());
    place.cluster = static_cast<int>(blockIdx.x) / place.blocks;
    place.clusters = static_cast<int>(gridDim.x) / place.blocks;
    place.tiles = static_cast<int>(tilesOf(vocabSize));
    place.capacity = (place.tiles + place.blocks - 1) / place.blocks;
    place.count = (place.tiles - place.rank + place.blocks - 1) / place.blocks;
    return place;
  }
};

template <class T, int kBranches>
struct RowSlots {
  const RowsCall& call;
  const ClusterPlace& place;
  T* tiles;  // [capacity][kBranches][kTileElements], aligned to 128 bytes, and the barriers

  __device__ __forceinline__ T* end() const {
    return tiles + place.capacity * kBranches * kTileElements;
  }
  __device__ __forceinline__ uint64_t* bar(int slot) const {
    return reinterpret_cast<uint64_t*>(end()) + slot;
  }
  __device__ __forceinline__ int tileOf(int slot) const { return slot * place.blocks + place.rank; }
  __device__ __forceinline__ int64_t startOf(int slot) const {
    return static_cast<int64_t>(tileOf(slot)) * kTileElements;
  }
  __device__ __forceinline__ int elements(int slot) const {
    const int64_t left = call.vocabSize - startOf(slot);
    return static_cast<int>(left < kTileElements ? left : kTileElements);
  }
  __device__ __forceinline__ T* at(int slot, int branch) const {
    return tiles + (slot * kBranches + branch) * kTileElements;
  }
  __device__ __forceinline__ const T* source(int slot, int branch, int64_t row) const {
    const RowTensor& tensor = branch == 0 ? call.logits : call.maskedLogits;
    return static_cast<const T*>(tensor.data) + row * tensor.rowStride + startOf(slot);
  }
  // Elements of a tile that a bulk copy can bring.
  __device__ __forceinline__ static int bulkElements(const T* from, int elements) {
    return isVectorAligned(from) ? elements / kVectorElements<T> * kVectorElements<T> : 0;
  }

  // One arrival completes a phase, with the bytes that it announces.
  __device__ __forceinline__ void open(int slot) const {
    if (laneIndex() == 0) mbarInit(bar(slot), 1);
    fenceAsync();
    __syncwarp();
  }

  // Brings a tile of a row, when all lanes of the warp have read what was there: the fence orders
  // these reads, and the stores of leftovers, before the writes of the copy engine.
  __device__ __forceinline__ void fill(int slot, int64_t row) const {
    fenceAsync();
    __syncwarp();
    if (laneIndex() == 0) startCopies(slot, row);
#pragma unroll
    for (int branch = 0; branch < kBranches; ++branch) {
      const T* const from = source(slot, branch, row);
      const int end = elements(slot);
#pragma unroll 1
      for (int i = bulkElements(from, end) + laneIndex(); i < end; i += kWarpLanes)
        at(slot, branch)[i] = from[i];
    }
  }

  __device__ __forceinline__ void startCopies(int slot, int64_t row) const {
    unsigned bytes[kBranches], total = 0;
#pragma unroll
    for (int branch = 0; branch < kBranches; ++branch) {
      const int elementsOfBulk = bulkElements(source(slot, branch, row), elements(slot));
      bytes[branch] = static_cast<unsigned>(elementsOfBulk * sizeof(T));
      total += bytes[branch];
    }
    mbarExpect(bar(slot), total);
#pragma unroll
    for (int branch = 0; branch < kBranches; ++branch)
      if (bytes[branch] > 0)
        bulkLoad(at(slot, branch), source(slot, branch, row), bytes[branch], bar(slot));
  }

  // Until the slot holds what it was last filled with.
  __device__ __forceinline__ void wait(int slot, int parity) const {
    mbarWait(bar(slot), parity);
    __syncwarp();
  }
  __device__ __forceinline__ Tile<T> load(int slot, int branch) const {
    return loadTile<T>(at(slot, branch), elements(slot), true, Reuse::kSoon);
  }
};

}  // namespace papo::cuda

#endif
