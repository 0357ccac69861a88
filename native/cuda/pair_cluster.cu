// Rows of a local objective by thread-block clusters: each logit is read once from memory and each
// gradient written once.
//
// A cluster takes a row after another, in steps of the number of clusters. Its blocks hold the row, or
// the pair of image row and masked-image row, in shared memory (row_slots.cuh):
//   1. every warp: sums of its tiles, as these arrive
//   2. barrier of the cluster; every block gathers the sums of all tiles
//   3. one warp of every block: statistics, token terms, the plan of the gradient (each block for
//      itself, which is sooner there than a second barrier); one warp: the next row that has tokens
//   4. every warp: tile by tile into registers, the next row's into the slot, gradients to memory
// so that memory works during 4, and for the other cluster of the multiprocessor during 2 and 3.
//
// Rows [rows, vocabSize], float32, float16 or bfloat16, in place or not. Tiles, sums and the order of
// the merge are those of row_math.cuh: the same bits as by the kernels of two sweeps, whatever the
// number of blocks, warps and clusters. Rows without tokens become 0 and are not read.
#include "cuda/cluster_occupancy.h"
#include "cuda/local_rows.h"
#include "cuda/row_slots.cuh"
#include "engine/status.h"

namespace papo::cuda {
namespace {

#if PAPO_HAS_BULK_COPIES

// A row to be worked, as its warps need to know it before its statistics.
struct LiveRow {
  int64_t row;    // all rows of the call: none is left
  int64_t token;  // sampled, of a row with one token
  bool isShared;  // by several tokens

  __device__ bool isAny(const RowsCall& call) const { return row < call.rows; }
};

// By a warp: the first row with tokens of first, first + step, ...; looks at 32 at a time, since
// padding may be most of a batch.
__device__ LiveRow findRow(const RowsCall& call, int64_t first, int64_t step) {
  for (;; first += kWarpLanes * step) {
    const int64_t row = smallerOf(first + laneIndex() * step, call.rows);
    const int64_t tokens = row < call.rows ? call.tokens.count(row) : 0;
    const unsigned found = __ballot_sync(kAllLanes, tokens > 0 || row == call.rows);
    if (found == 0) continue;
    const int64_t token = tokens == 1 ? call.tokens.id(call.tokens.at(row, 0)) : -1;
    const int leader = __ffs(static_cast<int>(found)) - 1;
    return {__shfl_sync(kAllLanes, row, leader), __shfl_sync(kAllLanes, token, leader),
            __shfl_sync(kAllLanes, tokens, leader) > 1};
  }
}

// What a block knows of its row beside the tiles. The sampled logits have two places, for rows in turn:
// a slow block reads those of a row while a fast one is at the next.
struct BlockState {
  RowWork work;
  LiveRow next;
  float sampled[2][2];
  float gatheredSampled[2];  // by branch, from the block that has the tile
};

// The sampled logits of a row: from its tiles, or where several tokens share it from memory, since
// then no block writes before all are read.
template <class T>
struct ClusterLogits {
  SampledLogits<T> row;
  const float* gathered;  // null: shared
  __device__ float operator()(int branch, int64_t id) const {
    return gathered ? gathered[branch] : row(branch, id);
  }
};

template <RowKind kKind, class T>
struct ClusterBlock {
  static constexpr int kBranches = kKind == RowKind::kOne ? 1 : 2;

  const RowsCall& call;
  RowScale scale;
  int tiles;     // of a row
  int capacity;  // slots of a block
  RowSlots<T, kBranches> slots;
  TileSums* sums;      // [2][capacity], for rows in turn, as peers still read those of the last
  TileSums* gathered;  // [tiles]
  double* squares;     // [2][capacity]
  BlockState* state;
  int64_t cluster, clusters;

  __device__ ClusterBlock(const RowsCall& rowsCall, unsigned char* memory)
      : call(rowsCall), scale(RowScale::of(rowsCall.inverseTemperature)) {
    const int blocks = static_cast<int>(clusterSize()), rank = static_cast<int>(clusterRank());
    tiles = static_cast<int>(tilesOf(call.vocabSize));
    capacity = (tiles + blocks - 1) / blocks;
    cluster = blockIdx.x / blocks;
    clusters = gridDim.x / blocks;
    T* const slotTiles = reinterpret_cast<T*>(memory);
    sums = reinterpret_cast<TileSums*>(slotTiles + capacity * kBranches * kTileElements);
    gathered = sums + 2 * capacity;
    squares = reinterpret_cast<double*>(gathered + tiles);
    uint64_t* const bars = reinterpret_cast<uint64_t*>(squares + 2 * capacity);
    state = reinterpret_cast<BlockState*>(bars + capacity);
    slots = {&call, slotTiles, bars, (tiles - rank + blocks - 1) / blocks, rank, blocks};
  }

  __device__ void run() {
    for (int slot = warpIndex(); slot < slots.count; slot += warpCount()) slots.open(slot);
    LiveRow live = findRow(call, cluster, clusters);
    for (int slot = warpIndex(); slot < slots.count && live.isAny(call); slot += warpCount())
      slots.fill(slot, live.row);
    clearRows(cluster, live.row);
    for (int turn = 0; live.isAny(call); turn ^= 1) {
      readTiles(live, turn);
      clusterSync();
      gather(live, turn);
      const LiveRow next = plan(live);
      writeTiles(live, next, turn);
      if (call.sumOfSquares) addSquares(live, turn);
      clearRows(live.row + clusters, next.row);
      live = next;
    }
    clusterSync();  // a peer may still read this block's memory
  }

  // Every block copies the record, and all have it before one writes it back.
  __device__ __forceinline__ void readTiles(const LiveRow& live, int turn) {
    if (warpIndex() == 0) prefetchRecord(call, live.row, &state->work);
    for (int slot = warpIndex(); slot < slots.count; slot += warpCount()) {
      slots.wait(slot, turn);
      const Tile<T> image = slots.load(slot, 0);
      Tile<T> masked = image;
      if constexpr (kKind != RowKind::kOne) masked = slots.load(slot, 1);
      tileSums<kKind>(scale, image, masked, sums + turn * capacity + slot);
      const int64_t place = live.token - slots.startOf(slot);
      if (laneIndex() < kBranches && place >= 0 && place < kTileElements)
        state->sampled[turn][laneIndex()] = toFloat(slots.at(slot, laneIndex())[place]);
    }
    if (warpIndex() == 0) __pipeline_wait_prior(0);
  }

  __device__ __forceinline__ void gather(const LiveRow& live, int turn) {
    const TileSums* const own = sums + turn * capacity;
    for (int i = threadIdx.x; i < 2 * tiles; i += blockDim.x) {
      const int tile = i / 2, rank = tile % slots.blocks;
      const TileSums* const peer = clusterPeer(own + tile / slots.blocks, rank);
      reinterpret_cast<uint4*>(gathered)[i] = reinterpret_cast<const uint4*>(peer)[i % 2];
    }
    if (threadIdx.x < kBranches && !live.isShared) {
      const int rank = static_cast<int>(live.token / kTileElements % slots.blocks);
      state->gatheredSampled[threadIdx.x] = *clusterPeer(&state->sampled[turn][threadIdx.x], rank);
    }
    __syncthreads();
  }

  // Returns the row after this one. A row that tokens share is planned by one block for all, as its
  // entries are in memory.
  __device__ __forceinline__ LiveRow plan(const LiveRow& live) {
    if (warpIndex() == 0 && (!live.isShared || slots.rank == 0)) planRow(live);
    if (warpIndex() == warpCount() - 1) {
      const LiveRow next = findRow(call, live.row + clusters, clusters);
      if (laneIndex() == 0) state->next = next;
    }
    if (live.isShared) {
      clusterSync();
      if (threadIdx.x == 0 && slots.rank != 0)
        state->work.plan = clusterPeer(&state->work, 0)->plan;
    }
    __syncthreads();
    return state->next;
  }

  __device__ __forceinline__ void planRow(const LiveRow& live) {
    const PairSums total =
        mergeTiles<kKind>(scale, tiles, [this](int i) -> const TileSums& { return gathered[i]; });
    const ClusterLogits<T> logit{RowViews<T>::of(call, live.row).sampled(),
                                 live.isShared ? nullptr : state->gatheredSampled};
    rowEpilogue<kKind>(call, scale, live.row, total, logit, slots.rank == 0, &state->work);
  }

  __device__ __forceinline__ void writeTiles(const LiveRow& live, const LiveRow& next, int turn) {
    const RowPlan& plan = state->work.plan;
    const RowViews<T> out = RowViews<T>::of(call, live.row);
    for (int slot = warpIndex(); slot < slots.count; slot += warpCount()) {
      const int64_t start = slots.startOf(slot);
      Tile<T> image = emptyTile<T>(), masked = image;
      if (plan.isTogether || plan.flowsToImage) image = slots.load(slot, 0);
      if constexpr (kKind != RowKind::kOne) {
        if (plan.isTogether || plan.flowsToMasked) masked = slots.load(slot, 1);
      }
      if (next.isAny(call)) slots.fill(slot, next.row);
      const double square = gradientOfTile<kKind>(plan, start, &image, &masked);
      if (plan.writesImage) out.imageGrad.store(start, call.vocabSize, image);
      if constexpr (kKind != RowKind::kOne) {
        if (plan.writesMasked) out.maskedGrad.store(start, call.vocabSize, masked);
      }
      if (plan.sumOfSquares && laneIndex() == 0) squares[turn * capacity + slot] = square;
    }
  }

  __device__ __forceinline__ void addSquares(const LiveRow& live, int turn) {
    clusterSync();
    if (slots.rank != 0 || warpIndex() != 0) return;
    double* const row = reinterpret_cast<double*>(gathered);
    for (int i = laneIndex(); i < tiles; i += kWarpLanes)
      row[i] = *clusterPeer(squares + turn * capacity + i / slots.blocks, i % slots.blocks);
    const double sum = mergeSquares(row, tiles);
    if (laneIndex() == 0) call.records[call.tokens.at(live.row, 0)].sumOfSquares = sum;
  }

  __device__ __forceinline__ void clearRows(int64_t first, int64_t end) {
    for (int64_t row = first; row < end; row += clusters) {
      const RowViews<T> out = RowViews<T>::of(call, row);
      for (int slot = warpIndex(); slot < slots.count; slot += warpCount()) {
        const int64_t start = slots.startOf(slot);
        if (out.imageGrad.data) out.imageGrad.store(start, call.vocabSize, emptyTile<T>());
        if (out.maskedGrad.data) out.maskedGrad.store(start, call.vocabSize, emptyTile<T>());
      }
    }
  }
};

#endif

template <RowKind kKind, class T>
__global__ void __launch_bounds__(kResidentThreads, 1)
    pairClusterKernel(const __grid_constant__ RowsCall call) {
#if PAPO_HAS_BULK_COPIES
  if (call.error->key != 0) return;
  PAPO_SHARED_DYNAMIC(unsigned char, memory);
  static_assert(sizeof(BlockState) <= kBlockStateBytes, "told to the host");
  ClusterBlock<kKind, T>(call, memory).run();
#endif
}

using Kernel = void (*)(RowsCall);

template <RowKind kKind>
Kernel kernelOfKind(int32_t dtype) {
  if (dtype == PAPO_FLOAT32) return pairClusterKernel<kKind, float>;
  return dtype == PAPO_FLOAT16 ? pairClusterKernel<kKind, __half>
                               : pairClusterKernel<kKind, __nv_bfloat16>;
}

Kernel kernelOf(const RowsCall& call) {
  switch (call.kind()) {
    case RowKind::kOne:
      return kernelOfKind<RowKind::kOne>(call.dtype);
    case RowKind::kPair:
      return kernelOfKind<RowKind::kPair>(call.dtype);
    default:
      return kernelOfKind<RowKind::kExactPair>(call.dtype);
  }
}

}  // namespace

papo_status launchRowsInClusters(Context& context, const RowsCall& call, const RowLaunch& launch,
                                 bool* launched) {
  *launched = call.rows == 0;
  if (*launched) return PAPO_OK;
  const Kernel kernel = kernelOf(call);
  int active = 0;
  PAPO_CUDA_TRY("loss rows", activeClusters(context.device(), reinterpret_cast<const void*>(kernel),
                                            launch, &active));
  if (active == 0) return PAPO_OK;
  const unsigned blocks = static_cast<unsigned>(clusterGrid(launch, active, call.rows));
  PAPO_CUDA_TRY("loss rows",
                launchCluster(kernel, dim3(blocks), dim3(static_cast<unsigned>(launch.threads)),
                              static_cast<unsigned>(launch.clusterSize),
                              static_cast<size_t>(launch.sharedBytes), context.stream(), call));
  *launched = true;
  return PAPO_OK;
}

}  // namespace papo::cuda
