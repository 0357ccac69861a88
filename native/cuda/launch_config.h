// How the rows of a local objective are launched: held on chip by a cluster of thread blocks, or
// read twice. Pure functions of device and shape, so that every choice can be printed and tested
// without a GPU. Results do not depend on it: every kernel works the same tiles (row_math.cuh).
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "cuda/device_properties.h"

namespace papo::cuda {

// ---- what a block of the cluster kernel keeps in shared memory ---------------------------------
// Tile t of a row belongs to block t mod clusterSize, which has a slot for it and its counterpart
// in the other branch.
constexpr int64_t kSlotElements = 1024;
constexpr int64_t kSlotStateBytes = 96;     // sums and squares for two rows, a barrier, padding
constexpr int64_t kTileSumsBytes = 32;      // of every tile of the row, gathered from all blocks
constexpr int64_t kBlockStateBytes = 1024;  // what else is known of the row
// Rows of more tiles are merged in groups of so many, which only the kernels of two sweeps do.
constexpr int64_t kMergedTiles = 1024;
// The driver keeps 1 KiB of each resident block for itself.
constexpr int64_t kReservedBytes = 1024;

// ---- limits ------------------------------------------------------------------------------------
constexpr int kClusterSizes[] = {1, 2, 4, 8};  // 8: the largest that every such device takes
// The kernels are compiled to fill the register file of a multiprocessor with so many threads, in
// one block or in several: of 128 registers, and of more where the tiles of a warp take 64 of them.
constexpr int kMostThreads = 512;
constexpr int residentThreads(int elementBytes, int branches) {
  return elementBytes * branches > 4 ? 256 : kMostThreads;
}
constexpr int kWarp = 32;

struct RowShape {
  int64_t vocabSize = 0;
  int elementBytes = 0;  // of the logits
  int branches = 1;      // 2: a pair

  int64_t tiles() const { return (vocabSize + kSlotElements - 1) / kSlotElements; }
  int64_t slotBytes() const { return kSlotElements * elementBytes * branches; }
  int residentThreads() const { return papo::cuda::residentThreads(elementBytes, branches); }
};

struct RowLaunch {
  int clusterSize = 0;  // blocks that hold a row together; 0: it is read twice, by another kernel
  int threads = 0;      // a block
  int blocksPerMultiprocessor = 0;
  int64_t slots = 0;  // a block
  int64_t sharedBytes = 0;

  bool isCluster() const { return clusterSize > 0; }
};

// For measuring: what PAPO_KERNELS_CUDA_CLUSTER and PAPO_KERNELS_CUDA_THREADS ask for.
struct RowLaunchOverride {
  int clusterSize = -1;  // 0: two sweeps; -1: not asked for
  int threads = 0;       // 0: not asked for
};

inline int64_t clusterSharedBytes(const RowShape& shape, int64_t slots) {
  return slots * (shape.slotBytes() + kSlotStateBytes) + shape.tiles() * kTileSumsBytes +
         kBlockStateBytes;
}

inline int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

// A row by clusters of this size, at least so many blocks a multiprocessor; clusterSize 0 where
// that does not fit.
inline RowLaunch clusterLaunch(const DeviceProperties& device, const RowShape& shape,
                               int clusterSize, int blocks, int threads = 0) {
  RowLaunch launch;
  launch.slots = (shape.tiles() + clusterSize - 1) / clusterSize;
  launch.sharedBytes = clusterSharedBytes(shape, launch.slots);
  const int64_t fit = device.sharedPerMultiprocessor / (launch.sharedBytes + kReservedBytes);
  if (shape.tiles() > kMergedTiles || launch.sharedBytes > device.sharedPerBlock || fit < blocks)
    return RowLaunch();
  // A warp works its slots alone: more warps than slots would only wait.
  const int64_t resident = shape.residentThreads();
  const int64_t wanted = threads ? smaller(threads, resident) : resident / blocks;
  launch.threads = static_cast<int>(smaller(wanted, launch.slots * kWarp));
  launch.blocksPerMultiprocessor = static_cast<int>(smaller(fit, resident / launch.threads));
  launch.clusterSize = clusterSize;
  return launch;
}

// The smallest cluster of which two blocks fit a multiprocessor: while the blocks of one row wait
// for each other between its sweeps, those of the other row move data. Else the smallest that fits
// at all; a row too long for the largest cluster is read twice. Small clusters, as a row's blocks
// wait for the slowest, and because fewer of the larger ones find room in the 16 to 18
// multiprocessors of a GPC.
inline RowLaunch chooseRowLaunch(const DeviceProperties& device, const RowShape& shape,
                                 const RowLaunchOverride& asked = {}) {
  if (!device.hasClusters() || asked.clusterSize == 0) return RowLaunch();
  for (int blocks = 2; blocks > 0; --blocks) {
    for (int clusterSize : kClusterSizes) {
      if (asked.clusterSize > 0 && asked.clusterSize != clusterSize) continue;
      const RowLaunch launch = clusterLaunch(device, shape, clusterSize, blocks, asked.threads);
      if (launch.isCluster()) return launch;
    }
  }
  return RowLaunch();
}

// Blocks of the grid. activeClusters: that the device can hold at once, as its driver says; each
// takes a row after another, in steps of the number of clusters.
inline int64_t clusterGrid(const RowLaunch& launch, int64_t activeClusters, int64_t rows) {
  return smaller(activeClusters > 0 ? activeClusters : 1, rows) * launch.clusterSize;
}

// ---- for people --------------------------------------------------------------------------------
inline void describe(const RowLaunch& launch, char* text, size_t size) {
  if (!launch.isCluster()) {
    std::snprintf(text, size, "two sweeps");
    return;
  }
  std::snprintf(text, size,
                "cluster of %d x %d threads, %lld slots and %lld bytes a block, %d blocks a "
                "multiprocessor",
                launch.clusterSize, launch.threads, static_cast<long long>(launch.slots),
                static_cast<long long>(launch.sharedBytes), launch.blocksPerMultiprocessor);
}

// Values of the two variables, null or empty where one is not set; false: not a value of it.
inline bool parseClusterSize(const char* text, int* clusterSize) {
  if (!text || !*text) return true;
  const bool isDigit = text[0] >= '0' && text[0] <= '8' && text[1] == '\0';
  const int value = text[0] - '0';
  if (!isDigit || (value & (value - 1)) != 0) return false;
  *clusterSize = value;
  return true;
}
inline bool parseThreads(const char* text, int* threads) {
  if (!text || !*text) return true;
  char* end = nullptr;
  const long value = std::strtol(text, &end, 10);
  if (*end != '\0' || value < kWarp || value > kMostThreads || value % kWarp != 0) return false;
  *threads = static_cast<int>(value);
  return true;
}

}  // namespace papo::cuda
