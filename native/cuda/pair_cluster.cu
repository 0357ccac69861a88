// Rows of a local objective by thread-block clusters: each logit is read once from memory and each
// gradient written once.
//
// A cluster takes a row after another, in steps of the number of clusters. Its blocks hold the row,
// or the pair of image row and masked-image row, in shared memory (row_slots.cuh):
//   1. every warp: sums of its tiles, as these arrive
//   2. barrier of the cluster; every block gathers the sums of all tiles
//   3. one warp of every block: statistics, token terms, the plan of the gradient (each block for
//      itself, which is sooner there than a second barrier); one warp: the next row that has tokens
//   4. every warp: tile by tile into registers, the next row's into the slot, gradients to memory
// so that memory works during 4, and for the other cluster of the multiprocessor during 2 and 3.
//
// Rows [rows, vocabSize], float32, float16 or bfloat16, in place or not. Tiles, sums and the order
// of the merge are those of row_math.cuh: the same bits as by the kernels of two sweeps, whatever
// the number of blocks, warps and clusters. Rows without tokens become 0 and are not read.
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
};

// By a warp: the first row with tokens of first, first + step, ...; looks at 32 at a time, since
// padding may be most of a batch.
__device__ LiveRow findRow(const RowsCall& call, int64_t first, int step) {
#pragma unroll 1
  for (;; first += kWarpLanes * static_cast<int64_t>(step)) {
    const int64_t row = smallerOf(first + laneIndex() * static_cast<int64_t>(step), call.rows);
    const int64_t tokens = row < call.rows ? call.tokens.count(row) : 0;
    const unsigned found = __ballot_sync(kAllLanes, tokens > 0 || row == call.rows);
    if (found == 0) continue;
    const int64_t token = tokens == 1 ? call.tokens.id(call.tokens.at(row, 0)) : -1;
    const int leader = __ffs(static_cast<int>(found)) - 1;
    return {__shfl_sync(kAllLanes, row, leader), __shfl_sync(kAllLanes, token, leader),
            __shfl_sync(kAllLanes, tokens, leader) > 1};
  }
}

// What a block knows beside its tiles. Of two places rows use one in turn: a slow block may still
// read what belongs to a row when a fast one is at the next.
struct BlockState {
  RowWork work;
  ClusterPlace place;
  RowScale scale;
  LiveRow rows[2];
  int turn;
  float sampled[2][2];       // logits, by branch, of the block that has the tile
  float gatheredSampled[2];  // from that block
};
static_assert(sizeof(BlockState) <= kBlockStateBytes, "told to the host");

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
  BlockState* state;
  RowSlots<T, kBranches> slots;

  __device__ ClusterBlock(const RowsCall& rowsCall, unsigned char* memory)
      : call(rowsCall),
        state(reinterpret_cast<BlockState*>(memory)),
        slots{rowsCall, state->place, reinterpret_cast<T*>(memory + kBlockStateBytes)} {}

  // Behind slots and barriers: squares and sums of the block's own tiles, for rows in turn, and the
  // sums of all tiles, which are copied 16 bytes at a time.
  __device__ __forceinline__ double* squares(int turn) const {
    return reinterpret_cast<double*>(slots.bar(state->place.capacity * (1 + turn)));
  }
  __device__ __forceinline__ TileSums* sums(int turn) const {
    const int doubles = (3 * state->place.capacity + 1) / 2 * 2;
    return reinterpret_cast<TileSums*>(slots.bar(doubles)) + turn * state->place.capacity;
  }
  __device__ __forceinline__ TileSums* gathered() const { return sums(2); }
  __device__ __forceinline__ bool isLastWarp() const { return warpIndex() == warpCount() - 1; }
  __device__ __forceinline__ bool hasRow(int turn) const {
    return state->rows[turn].row < call.rows;
  }

  __device__ void run() {
    start();
    for (int turn = 0; hasRow(turn); turn ^= 1) {
      readTiles(turn);
      clusterSync();
      gather(turn);
      turn = plan(turn);
      writeTiles(turn);
      if (call.sumOfSquares) addSquares(turn);
      clearRows(state->rows[turn].row + state->place.clusters, state->rows[turn ^ 1].row);
    }
    clusterSync();  // a peer may still read this block's memory
  }

  __device__ __forceinline__ void start() {
    if (threadIdx.x == 0) {
      state->place = ClusterPlace::of(call.vocabSize);
      state->scale = RowScale::of(call.inverseTemperature);
    }
    __syncthreads();
    if (isLastWarp()) findNext(state->place.cluster, 0);
    __syncthreads();
#pragma unroll 1
    for (int slot = warpIndex(); slot < state->place.count; slot += warpCount()) {
      slots.open(slot);
      if (hasRow(0)) slots.fill(slot, state->rows[0].row);
    }
    clearRows(state->place.cluster, state->rows[0].row);
  }

  __device__ __forceinline__ void findNext(int64_t first, int turn) {
    const LiveRow next = findRow(call, first, state->place.clusters);
    if (laneIndex() != 0) return;
    state->rows[turn] = next;
    state->turn = turn ^ 1;
  }

  // Every block copies the record, and all have it before one writes it back.
  __device__ __forceinline__ void readTiles(int turn) {
    if (warpIndex() == 0) prefetchRecord(call, state->rows[turn].row, &state->work);
#pragma unroll 1
    for (int slot = warpIndex(); slot < state->place.count; slot += warpCount()) {
      slots.wait(slot, turn);
      const Tile<T> image = slots.load(slot, 0);
      Tile<T> masked = image;
      if constexpr (kKind != RowKind::kOne) masked = slots.load(slot, 1);
      tileSums<kKind>(state->scale, image, masked, sums(turn) + slot);
      const int64_t place = state->rows[turn].token - slots.startOf(slot);
      if (laneIndex() < kBranches && place >= 0 && place < kTileElements)
        state->sampled[turn][laneIndex()] = toFloat(slots.at(slot, laneIndex())[place]);
    }
    if (warpIndex() == 0) __pipeline_wait_prior(0);
  }

  __device__ __forceinline__ void gather(int turn) {
    const int blocks = state->place.blocks;
    const uint4* const own = reinterpret_cast<const uint4*>(sums(turn));
    uint4* const all = reinterpret_cast<uint4*>(gathered());
#pragma unroll 1
    for (int i = threadIdx.x; i < 2 * state->place.tiles; i += blockDim.x)
      all[i] = *clusterPeer(own + (i / 2 / blocks * 2 + i % 2), i / 2 % blocks);
    if (threadIdx.x < kBranches && !state->rows[turn].isShared) {
      const int rank = static_cast<int>(state->rows[turn].token / kTileElements) % blocks;
      state->gatheredSampled[threadIdx.x] = *clusterPeer(&state->sampled[turn][threadIdx.x], rank);
    }
    __syncthreads();
  }

  // A row that tokens share is planned by one block for all, as its entries are in memory. Returns
  // turn, which would be spilled if it stayed in a register meanwhile.
  __device__ __forceinline__ int plan(int turn) {
    const bool isShared = state->rows[turn].isShared;
    const bool isFirst = state->place.rank == 0;
    if (warpIndex() == 0 && (isFirst || !isShared)) planRow(turn);
    if (isLastWarp()) findNext(state->rows[turn].row + state->place.clusters, turn ^ 1);
    if (isShared) {
      clusterSync();
      if (threadIdx.x == 0 && !isFirst) state->work.plan = clusterPeer(&state->work, 0)->plan;
    }
    __syncthreads();
    return state->turn;
  }

  __device__ __forceinline__ void planRow(int turn) {
    const LiveRow live = state->rows[turn];
    const TileSums* const tiles = gathered();
    const PairSums total = mergeTiles<kKind>(
        state->scale, state->place.tiles, [tiles](int i) -> const TileSums& { return tiles[i]; });
    const ClusterLogits<T> logit{RowViews<T>::of(call, live.row).sampled(),
                                 live.isShared ? nullptr : state->gatheredSampled};
    rowEpilogue<kKind>(call, state->scale, live.row, total, logit, state->place.rank == 0,
                       &state->work);
  }

  __device__ __forceinline__ void writeTiles(int turn) {
    const RowPlan& plan = state->work.plan;
#pragma unroll 1
    for (int slot = warpIndex(); slot < state->place.count; slot += warpCount()) {
      Tile<T> image = emptyTile<T>(), masked = image;
      if (plan.isTogether || plan.flowsToImage) image = slots.load(slot, 0);
      if constexpr (kKind != RowKind::kOne) {
        if (plan.isTogether || plan.flowsToMasked) masked = slots.load(slot, 1);
      }
      if (hasRow(turn ^ 1)) slots.fill(slot, state->rows[turn ^ 1].row);
      const double square = gradientOfTile<kKind>(plan, slots.startOf(slot), &image, &masked);
      if (plan.writesImage) store(call.logitsGrad, turn, slot, image);
      if constexpr (kKind != RowKind::kOne) {
        if (plan.writesMasked) store(call.maskedLogitsGrad, turn, slot, masked);
      }
      if (plan.sumOfSquares && laneIndex() == 0) squares(turn)[slot] = square;
    }
  }

  __device__ __forceinline__ void store(const RowTensor& tensor, int turn, int slot,
                                        const Tile<T>& tile) const {
    RowView<T>::of(tensor, state->rows[turn].row).store(slots.startOf(slot), call.vocabSize, tile);
  }

  __device__ __forceinline__ void addSquares(int turn) {
    clusterSync();
    const int blocks = state->place.blocks, tiles = state->place.tiles;
    if (state->place.rank != 0 || warpIndex() != 0) return;
    double* const all = reinterpret_cast<double*>(gathered());
#pragma unroll 1
    for (int i = laneIndex(); i < tiles; i += kWarpLanes)
      all[i] = *clusterPeer(squares(turn) + i / blocks, i % blocks);
    const double sum = mergeSquares(all, tiles);
    if (laneIndex() == 0) call.records[call.tokens.at(state->rows[turn].row, 0)].sumOfSquares = sum;
  }

  __device__ __forceinline__ void clearRows(int64_t first, int64_t end) {
#pragma unroll 1
    for (int64_t row = first; row < end; row += state->place.clusters) {
      const RowViews<T> out = RowViews<T>::of(call, row);
#pragma unroll 1
      for (int slot = warpIndex(); slot < state->place.count; slot += warpCount()) {
        const int64_t start = slots.startOf(slot);
        if (out.imageGrad.data) out.imageGrad.store(start, call.vocabSize, emptyTile<T>());
        if (out.maskedGrad.data) out.maskedGrad.store(start, call.vocabSize, emptyTile<T>());
      }
    }
  }
};

#endif

template <RowKind kKind, class T>
__global__ void __launch_bounds__(residentThreads(sizeof(T), kKind == RowKind::kOne ? 1 : 2), 1)
    pairClusterKernel(const __grid_constant__ RowsCall call) {
#if PAPO_HAS_BULK_COPIES
  if (call.error->key != 0) return;
  PAPO_SHARED_DYNAMIC(unsigned char, memory);
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
