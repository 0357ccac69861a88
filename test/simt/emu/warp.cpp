// Operations of a warp and barriers of blocks and clusters.
#include "warp.h"

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "machine.h"

namespace simt {
namespace {

bool isShuffle(Operation operation) { return operation < opBallot; }

// Reductions and votes: one value for every member.
uint32_t combine(Operation operation, uint32_t a, uint32_t b) {
  const auto signedA = static_cast<int32_t>(a), signedB = static_cast<int32_t>(b);
  switch (operation) {
    case opAny:
    case opOr:
      return a | b;
    case opAll:
    case opAnd:
      return a & b;
    case opXor:
      return a ^ b;
    case opAdd:
      return a + b;
    case opMinSigned:
      return signedB < signedA ? b : a;
    case opMaxSigned:
      return signedB > signedA ? b : a;
    case opMinUnsigned:
      return b < a ? b : a;
    default:
      return b > a ? b : a;
  }
}

uint32_t reduce(const Warp& warp, Operation operation, uint32_t members) {
  uint32_t result = 0;
  bool first = true;
  for (uint32_t rest = members; rest; rest &= rest - 1) {
    const int lane = __builtin_ctz(rest);
    uint32_t value;
    std::memcpy(&value, warp.in[lane].bytes, sizeof value);
    if (operation == opBallot) {
      result |= (value != 0 ? 1u : 0u) << lane;
      continue;
    }
    if (operation == opAny || operation == opAll) value = value != 0;
    result = first ? value : combine(operation, result, value);
    first = false;
  }
  return result;
}

bool sameBytes(const Warp::Value& a, const Warp::Value& b, size_t bytes) {
  for (size_t i = 0; i < bytes; i++)
    if (a.bytes[i] != b.bytes[i]) return false;
  return true;
}

uint32_t lanesAlike(const Warp& warp, int lane, uint32_t members, size_t bytes) {
  uint32_t alike = 0;
  for (uint32_t rest = members; rest; rest &= rest - 1) {
    const int other = __builtin_ctz(rest);
    if (sameBytes(warp.in[other], warp.in[lane], bytes)) alike |= 1u << other;
  }
  return alike;
}

// The lane whose value this one receives; segments as in the CUDA C++ Programming Guide, warp
// shuffle functions.
int sourceLane(const WarpCall& call, int lane) {
  const int segment = 32 - call.width;
  const int low = lane & segment, high = low | (31 & ~segment);
  int source = 0;
  switch (call.operation) {
    case opShuffle:
      return low | (call.argument & ~segment & 31);
    case opShuffleUp:
      source = lane - call.argument;
      return source < low ? lane : source;
    case opShuffleDown:
      source = lane + call.argument;
      return source > high ? lane : source;
    default:
      source = lane ^ call.argument;
      return source > high ? lane : source;
  }
}

void shuffle(Warp& warp, const Fiber* threads, uint32_t members, Fiber* cause) {
  for (uint32_t rest = members; rest; rest &= rest - 1) {
    const int lane = __builtin_ctz(rest);
    const Fiber& fiber = threads[lane];
    const int source = sourceLane(fiber.call, lane);
    if (source < 0 || source > 31 || !(members >> source & 1)) {
      char text[160];
      std::snprintf(text, sizeof text,
                    "%s: lane %d reads lane %d, which takes no part (members %08x) at ",
                    operationName(fiber.call.operation), lane, source, members);
      machine.error = text + where(&fiber) + ", " + who(&fiber);
      abandon(cause);
    }
    warp.out[lane] = warp.in[source];
  }
}

// All members are here: every lane's result.
void execute(Warp& warp, const Fiber* threads, uint32_t members, Fiber* cause) {
  const WarpCall& call = threads[__builtin_ctz(members)].call;
  if (call.operation == opSyncwarp) return;
  if (isShuffle(call.operation)) return shuffle(warp, threads, members, cause);
  const uint32_t common = call.operation == opMatchAny ? 0 : reduce(warp, call.operation, members);
  for (uint32_t rest = members; rest; rest &= rest - 1) {
    const int lane = __builtin_ctz(rest);
    const uint32_t result =
        call.operation == opMatchAny ? lanesAlike(warp, lane, members, call.bytes) : common;
    std::memcpy(warp.out[lane].bytes, &result, sizeof result);
  }
}

// The lanes of a mask must agree; those that come agree with the first one there.
void checkAgreement(const Warp& warp, const WarpCall& call, const char* file, int line) {
  const Fiber* me = self();
  if (!(call.mask >> me->lane & 1))
    fail(file, line, "%s: lane %d is not in its own mask %08x", operationName(call.operation),
         me->lane, call.mask);
  if (call.width < 1 || call.width > 32 || (call.width & (call.width - 1)))
    fail(file, line, "%s: width %d", operationName(call.operation), call.width);
  const uint32_t there = warp.waiting & call.mask;
  if (!there) return;
  const Fiber& first = me->block->threads[me->warp * 32 + __builtin_ctz(there)];
  const bool sameSite = first.line == line && first.file == file;
  if (first.call.operation == call.operation && first.call.mask == call.mask &&
      (sameSite || !options().sameCallSite))
    return;
  char text[200];
  std::snprintf(text, sizeof text, "%s mask %08x, but lane %d is in %s mask %08x at ",
                operationName(call.operation), call.mask, first.lane,
                operationName(first.call.operation), first.call.mask);
  Fiber* last = self();
  last->file = file;
  last->line = line;
  machine.error = std::string("divergent warp operation: ") + text + where(&first) + "; at " +
                  where(last) + ", " + who(last);
  abandon(last);
}

void openBlockBarrier(Block* block) {
  stats().barriers++;
  block->results[barrierCount] = block->sumOf;
  block->results[barrierAnd] = block->allOf;
  block->results[barrierOr] = block->anyOf;
  block->atBarrier = block->sumOf = block->anyOf = 0;
  block->allOf = 1;
  std::vector<int> order(block->warps.size());
  for (size_t i = 0; i < order.size(); i++) order[i] = static_cast<int>(i);
  if (options().order == Order::reverse) std::reverse(order.begin(), order.end());
  if (options().order == Order::random)
    for (size_t i = order.size(); i > 1; i--) std::swap(order[i - 1], order[randomNumber() % i]);
  for (const int warp : order) {
    Fiber* lanes[32];
    int count = 0;
    for (int i = warp * 32; i < block->count && i < warp * 32 + 32; i++)
      if (block->threads[i].state == State::inBlock) lanes[count++] = &block->threads[i];
    makeReady(lanes, count, false);
  }
}

void openClusterBarrier() {
  machine.atCluster = 0;
  std::vector<Fiber*> waiting;
  for (Block& block : *machine.blocks)
    for (int i = 0; i < block.count; i++)
      if (block.threads[i].state == State::inCluster) waiting.push_back(&block.threads[i]);
  makeReady(waiting.data(), static_cast<int>(waiting.size()), false);
}

}  // namespace

const char* operationName(Operation operation) {
  static const char* const names[] = {"__shfl_sync",       "__shfl_up_sync",    "__shfl_down_sync",
                                      "__shfl_xor_sync",   "__ballot_sync",     "__any_sync",
                                      "__all_sync",        "__match_any_sync",  "__reduce_add_sync",
                                      "__reduce_min_sync", "__reduce_min_sync", "__reduce_max_sync",
                                      "__reduce_max_sync", "__reduce_and_sync", "__reduce_or_sync",
                                      "__reduce_xor_sync", "__syncwarp"};
  return names[operation];
}

// A lane waits; can its group go on?
void tryWarp(Fiber* waiting, Fiber* cause) {
  Warp& warp = waiting->block->warps[waiting->warp];
  const uint32_t needed = waiting->call.mask & warp.live;
  if (needed & ~warp.waiting) return;
  stats().warpOps++;
  Fiber* threads = &waiting->block->threads[waiting->warp * 32];
  execute(warp, threads, needed, cause);
  warp.waiting &= ~needed;
  Fiber* lanes[32];
  int count = 0;
  for (uint32_t rest = needed; rest; rest &= rest - 1)
    lanes[count++] = threads + __builtin_ctz(rest);
  makeReady(lanes, count, true);
}

void warpOperation(const WarpCall& call, const void* value, void* result, const char* file,
                   int line) {
  Fiber* me = self();
  Warp& warp = me->block->warps[me->warp];
  checkAgreement(warp, call, file, line);
  me->call = call;
  me->file = file;
  me->line = line;
  copyBytes(warp.in[me->lane].bytes, value, call.bytes);
  me->state = State::inWarp;
  warp.waiting |= 1u << me->lane;
  // Shuffles and votes order no memory, as on the device.
  void* sync = call.operation == opSyncwarp ? &warp.sync[__builtin_ctz(call.mask)] : nullptr;
  if (sync) releaseTo(sync);
  tryWarp(me, me);
  blockHere(me);
  if (sync) return acquireFrom(sync);
  copyBytes(result, warp.out[me->lane].bytes, isShuffle(call.operation) ? call.bytes : 4);
}

void tryBlockBarrier(Block* block, Fiber* cause) {
  if (!block->atBarrier || block->atBarrier != block->live) return;
  const Fiber* first = nullptr;
  for (int i = 0; i < block->count; i++) {
    const Fiber& fiber = block->threads[i];
    if (fiber.state != State::inBlock) continue;
    if (!first) first = &fiber;
    const bool sameSite = fiber.line == first->line && fiber.file == first->file &&
                          fiber.barrierKind == first->barrierKind;
    if (options().sameCallSite && !sameSite) {
      machine.error = "divergent __syncthreads: " + who(first) + " at " + where(first) + ", " +
                      who(&fiber) + " at " + where(&fiber);
      abandon(cause);
    }
  }
  if (block->live != block->count && !options().exitCountsAtBarrier) {
    machine.error = "__syncthreads after other threads of the block returned:" + stallReport();
    abandon(cause);
  }
  openBlockBarrier(block);
}

int blockBarrier(BarrierKind kind, int predicate, const char* file, int line) {
  Fiber* me = self();
  Block* block = me->block;
  me->file = file;
  me->line = line;
  me->state = State::inBlock;
  me->barrierKind = kind;
  block->atBarrier++;
  block->sumOf += predicate != 0;
  block->allOf &= predicate != 0;
  block->anyOf |= predicate != 0;
  const void* const sync = &block->barrierSync[me->blockTurn++ % 2];
  releaseTo(sync);
  tryBlockBarrier(block, me);
  blockHere(me);
  acquireFrom(sync);
  return block->results[kind];
}

void clusterSync(const char* file, int line) {
  Fiber* me = self();
  me->file = file;
  me->line = line;
  me->state = State::inCluster;
  const void* const sync = &machine.clusterSync[me->clusterTurn++ % 2];
  releaseTo(sync);
  if (++machine.atCluster == machine.live) openClusterBarrier();
  blockHere(me);
  acquireFrom(sync);
}

}  // namespace simt
