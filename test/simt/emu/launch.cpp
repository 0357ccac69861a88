// A launch: its shape is checked as a device would, then cluster after cluster runs.
#include <unistd.h>

#include <cfloat>
#include <cmath>
#include <csignal>
#include <cstring>

#include "machine.h"
#include "runtime.h"

namespace simt {
namespace {

constexpr unsigned kMostThreads = 1024, kMostClusterBlocks = 8, kMostGridYZ = 65535;

struct Launch {
  LaunchShape shape;
  std::function<void()> thread;
  int threads() const { return static_cast<int>(shape.block.x * shape.block.y * shape.block.z); }
  long long blocks() const {
    return static_cast<long long>(shape.grid.x) * shape.grid.y * shape.grid.z;
  }
};

cudaError_t refuse(cudaError_t error, const char* why) {
  machine.error = why;
  return error;
}

cudaError_t checkShape(const void* kernel, const LaunchShape& shape) {
  const dim3 b = shape.block, g = shape.grid;
  const unsigned long long threads = 1ull * b.x * b.y * b.z;
  if (threads < 1 || threads > kMostThreads || b.z > 64)
    return refuse(cudaErrorInvalidConfiguration, "a block has 1 to 1024 threads");
  if (!g.x || !g.y || !g.z || g.x > 0x7fffffffu || g.y > kMostGridYZ || g.z > kMostGridYZ)
    return refuse(cudaErrorInvalidConfiguration, "a grid has at most 2^31-1, 65535, 65535 blocks");
  if (shape.cluster < 1 || shape.cluster > kMostClusterBlocks || g.x % shape.cluster)
    return refuse(cudaErrorInvalidConfiguration,
                  "a cluster has 1 to 8 blocks and divides the grid");
  if (shape.cluster > 1 && !architecture().clusters)
    return refuse(cudaErrorNotSupported, "clusters need compute capability 9.0");
  if (shape.sharedBytes > dynamicSharedLimit(kernel))
    return refuse(cudaErrorInvalidValue,
                  "more dynamic shared memory than cudaFuncSetAttribute allowed the kernel");
  return cudaSuccess;
}

// Blocks of one set follow each other on the same fibers.
void ensureBlocks(unsigned cluster, int threads, long long clusters) {
  if (machine.sets.empty()) machine.sets.resize(kSets);
  for (int set = 0; set < kSets && set < clusters; set++) {
    auto& blocks = machine.sets[set];
    if (blocks.size() < cluster) blocks.resize(cluster);
    for (Block& block : blocks) {
      if (!block.arena) createShared(&block);
      const size_t before = block.threads.size();
      if (before < static_cast<size_t>(threads)) block.threads.resize(threads);
      for (size_t i = before; i < block.threads.size(); i++) createStack(&block.threads[i].context);
    }
  }
}

void beginThread(Fiber* fiber, const Launch& launch, Block* block, int index) {
  const dim3 shape = launch.shape.block;
  const auto i = static_cast<unsigned>(index);
  fiber->tid = make_uint3(i % shape.x, i / shape.x % shape.y, i / (shape.x * shape.y));
  fiber->bdim = shape;
  fiber->gdim = launch.shape.grid;
  fiber->linear = index;
  fiber->lane = index & 31;
  fiber->warp = index >> 5;
  fiber->block = block;
  fiber->clusterSize = static_cast<int>(launch.shape.cluster);
  fiber->file = nullptr;
  fiber->line = 0;
  fiber->copies.clear();
  fiber->blockTurn = fiber->clusterTurn = 0;
  fiber->copyGroup = fiber->storeGroup = 0;
  prepare(&fiber->context, fiberMain, static_cast<size_t>(index) * 192);
}

void beginBlock(Block* block, const Launch& launch, long long id, int rank) {
  const int threads = launch.threads();
  const dim3 grid = launch.shape.grid;
  const long long plane = static_cast<long long>(grid.x) * grid.y;
  const uint3 place =
      make_uint3(static_cast<unsigned>(id % grid.x), static_cast<unsigned>(id / grid.x % grid.y),
                 static_cast<unsigned>(id / plane));
  block->count = block->live = threads;
  block->atBarrier = block->sumOf = block->anyOf = 0;
  block->allOf = 1;
  beginShared(block, launch.shape.sharedBytes);
  block->warps.resize(static_cast<size_t>(threads + 31) / 32);
  for (size_t w = 0; w < block->warps.size(); w++) {
    const int lanes = threads - static_cast<int>(w) * 32;
    block->warps[w].waiting = 0;
    block->warps[w].live = lanes >= 32 ? ~0u : (1u << lanes) - 1;
  }
  for (int i = 0; i < threads; i++) {
    Fiber* fiber = &block->threads[i];
    beginThread(fiber, launch, block, i);
    fiber->bid = place;
    fiber->clusterRank = rank;
  }
}

void runGroup(const Launch& launch, long long group, int set) {
  const unsigned cluster = launch.shape.cluster;
  machine.blocks = &machine.sets[set];
  machine.generation[set]++;
  machine.atCluster = 0;
  machine.head = machine.queued = 0;
  machine.idleSpins = 0;
  std::vector<Fiber*> all;
  for (size_t rank = 0; rank < machine.blocks->size(); rank++) {
    Block* block = &(*machine.blocks)[rank];
    block->count = 0;
    if (rank >= cluster) continue;
    block->set = set;
    beginBlock(block, launch, group * cluster + static_cast<long long>(rank),
               static_cast<int>(rank));
    for (int i = 0; i < block->count; i++) all.push_back(&block->threads[i]);
  }
  machine.live = static_cast<int>(all.size());
  beginBulk();
  makeReady(all.data(), machine.live, false);
  stats().blocks += cluster;
  runCluster();
}

// The order of the clusters: an odd stride that shares no factor with their number visits each once.
long long placeOf(long long turn, long long count) {
  if (options().order == Order::forward) return turn;
  if (options().order == Order::reverse) return count - 1 - turn;
  long long stride = static_cast<long long>(options().seed * 2654435761u % 1000003u) | 1;
  const auto divides = [&](long long a) {
    long long b = count;
    while (a) {
      const long long rest = b % a;
      b = a;
      a = rest;
    }
    return b != 1;
  };
  while (divides(stride % count ? stride % count : 1)) stride += 2;
  return static_cast<long long>(
      (static_cast<unsigned __int128>(turn) * (stride % count ? stride % count : 1)) % count);
}

#if !defined(SIMT_ASAN) && !defined(SIMT_TSAN)
void crash(int signal) {
  if (cur) {
    const std::string text = "simt: signal " + std::to_string(signal) +
                             " (an address that is no memory, memory of a block that has returned, "
                             "or a full stack) in " +
                             who(self()) + ", last barrier or warp operation at " + where(self()) +
                             "\n";
    if (write(2, text.data(), text.size()) < 0) _exit(1);
  }
  std::signal(signal, SIG_DFL);
  raise(signal);
}

// Names the thread, unless the program has a handler of its own.
void installCrashReport() {
  static char stackOfHandler[64 << 10];
  stack_t stack = {};
  stack.ss_sp = stackOfHandler;
  stack.ss_size = sizeof stackOfHandler;
  sigaltstack(&stack, nullptr);
  for (const int signal : {SIGSEGV, SIGBUS, SIGFPE}) {
    struct sigaction known = {};
    sigaction(signal, nullptr, &known);
    if (known.sa_handler != SIG_DFL) continue;
    struct sigaction action = {};
    action.sa_handler = crash;
    action.sa_flags = SA_ONSTACK;
    sigaction(signal, &action, nullptr);
  }
}
#else
void installCrashReport() {}
#endif

cudaError_t run(const Launch& launch) {
  static const bool installed = (installCrashReport(), true);
  (void)installed;
  const unsigned cluster = launch.shape.cluster;
  machine.error.clear();
  machine.failed = false;
  machine.random = options().seed * 0x9e3779b97f4a7c15ull | 1;
  machine.thread = &launch.thread;
  machine.hostStackKnown = false;
  machine.host.tsanFiber = currentTsanFiber();
  size_t capacity = 1;
  while (capacity < static_cast<size_t>(launch.threads()) * cluster + 1) capacity <<= 1;
  machine.ring.resize(capacity);
  const long long clusters = launch.blocks() / cluster;
  ensureBlocks(cluster, launch.threads(), clusters);
  const long long from = options().firstBlock / cluster;
  const long long to =
      options().lastBlock < 0
          ? clusters
          : std::min(clusters, (options().lastBlock + cluster) / static_cast<long long>(cluster));
  releaseTo(&machine.launchSync);
  for (long long turn = 0; turn < to - from && !machine.failed; turn++)
    runGroup(launch, from + placeOf(turn, to - from), static_cast<int>(turn % kSets));
  acquireFrom(&machine.endSync);
  cur = nullptr;
  return machine.failed ? cudaErrorLaunchFailure : cudaSuccess;
}

}  // namespace

// Another value for another seed, but for the same value always the same, as on a device.
float noisy(float y) {
  const int noise = options().ulpNoise;
  if (!noise || !(std::fabs(y) >= FLT_MIN && std::fabs(y) < 3e38f)) return y;
  uint64_t mixed = (bits<uint32_t>(y) ^ options().seed << 32) * 0x9e3779b97f4a7c15u;
  mixed ^= mixed >> 32;
  const auto range = static_cast<uint64_t>(2 * noise + 1);
  return bits<float>(bits<uint32_t>(y) + static_cast<uint32_t>(mixed % range) -
                     static_cast<uint32_t>(noise));
}

cudaError_t submit(const void* kernel, const LaunchShape& shape, std::function<void()> thread) {
  return call("launch", [&] {
    const cudaError_t error = checkShape(kernel, shape);
    if (error != cudaSuccess) return error;
    return enqueue(shape.stream,
                   [launch = Launch{shape, std::move(thread)}] { return run(launch); });
  });
}

}  // namespace simt
