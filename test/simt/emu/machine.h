// The emulated machine: one cluster of blocks at a time, its threads as fibers, and the queue of
// those that can run.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "fiber.h"
#include "simt.h"

namespace simt {

enum class State : uint8_t { ready, inWarp, inBlock, inCluster, inMbarrier, spinning, done };

struct Block;

struct Fiber : Thread {
  Context context;
  State state;
  Block* block;
  int warp;
  WarpCall call;                    // while inWarp
  int barrierKind;                  // while inBlock
  unsigned blockTurn, clusterTurn;  // barriers of the block and of the cluster that it has met
  uint64_t* mbarrier;               // while inMbarrier
  const char* file;                 // of the last meeting point
  int line;
  struct Copy {
    AsyncCopy copy;
    int group;
  };
  std::vector<Copy> copies;   // cp.async under way
  int copyGroup, storeGroup;  // open ones
};

struct Warp {
  struct Value {
    alignas(16) unsigned char bytes[16];
  };
  uint32_t live, waiting;  // lanes
  uint64_t sync[32];       // of __syncwarp by its lowest lane, for ThreadSanitizer
  Value in[32], out[32];
};

struct SharedArray {
  const void* key;
  size_t offset, bytes;
};

struct Mbarrier {
  uint64_t* at;
  int count, left;  // arrivals of a phase
  long long bytes;  // expected and not come, or less than 0
  int phase;        // parity of the one under way
};

// A bulk copy under way.
struct BulkCopy {
  Block* block;
  void* to;
  const void* from;
  uint32_t bytes;
  uint64_t* barrier;  // of a load; null: a store
  Fiber* owner;       // of a store
  int group;
};

struct Block {
  std::vector<Fiber> threads;
  std::vector<Warp> warps;
  int count, live;                           // threads
  int atBarrier, sumOf, allOf, anyOf;        // of the barrier under way
  int results[4];                            // of the last one, by BarrierKind
  int set;                                   // of fibers: ThreadSanitizer orders blocks of one set
  char* arena = nullptr;                     // shared memory, in front of it the dynamic part
  bool sealed = false;                       // the block is over, its cluster is not
  size_t used, dynamicBytes, declaredBytes;  // of the arena; without the gaps between arrays
  std::vector<SharedArray> arrays;
  std::vector<Mbarrier> mbarriers;
  void* asyncFiber = nullptr;  // which ThreadSanitizer takes bulk copies for
  uint64_t asyncSync;          // what fenceAsync releases to them
  // Of barriers in turn: who leaves one late must not be ordered behind who has come to the next.
  uint64_t barrierSync[2];
};

constexpr size_t kArena = 512 << 10;

// Sets of fibers in rotation, so that a race between blocks of one launch is one.
#ifdef SIMT_TSAN
constexpr int kSets = 3;
#else
constexpr int kSets = 1;
#endif

struct Machine {
  std::vector<std::vector<Block>> sets;
  std::vector<Block>* blocks = nullptr;  // the cluster that runs
  Context host;
  bool hostStackKnown = false;
  const std::function<void()>* thread = nullptr;
  std::vector<Fiber*> ring;  // the queue
  size_t head = 0, queued = 0;
  int live = 0, atCluster = 0;  // threads of the cluster
  std::vector<BulkCopy> bulk;
  bool failed = false;
  std::string error;
  uint64_t random = 1;
  long long idleSpins = 0;
  uint64_t launchSync, endSync, clusterSync[2], setSync[kSets][2], generation[kSets] = {};
};
extern Machine machine;

inline Fiber* self() { return static_cast<Fiber*>(cur); }
uint64_t randomNumber();

// ---- scheduler.cpp -------------------------------------------------------------------------------

void pushBack(Fiber* fiber);
// Makes them runnable, in the order under test; front: before those that already are.
void makeReady(Fiber** fibers, int count, bool front);
// Gives the processor away; comes back when this fiber is runnable again.
void blockHere(Fiber* me);
void runCluster();  // from the host, until it is over or has failed
// Ends the launch with machine.error; every fiber stays where it is, so that what is still on its
// stack is never destroyed.
[[noreturn]] void abandon(Fiber* me);
void fiberMain();

std::string who(const Fiber* fiber);
std::string where(const Fiber* fiber);
std::string stallReport();  // waiting threads, grouped by what they wait for
const char* operationName(Operation operation);

// ---- meeting points: what happens when a thread returns ------------------------------------------

void tryWarp(Fiber* waiting, Fiber* cause);
void tryBlockBarrier(Block* block, Fiber* cause);
void checkCopiesAtReturn(Fiber* me);
void checkCopiesAtEnd(Block* block, Fiber* me);

// ---- shared.cpp ----------------------------------------------------------------------------------

void createShared(Block* block);
void beginShared(Block* block, size_t dynamicBytes);
// Nobody may touch it: the block is over while peers run.
void sealShared(Block* block);
// Whether one array of the block holds all the bytes.
bool inShared(const Block* block, const void* at, size_t bytes);

// ---- async.cpp, bulk.cpp -------------------------------------------------------------------------

// Fails where the source of a copy is not memory that the device has.
void checkSource(const void* from, size_t bytes, const char* file, int line);
void beginBulk();  // once, before fibers run: nothing here may allocate on one
// Delivers one bulk copy, as late as it can be: nothing else can run. False: there is none.
bool deliverOne();

}  // namespace simt
