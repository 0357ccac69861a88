// Which fiber runs next, and what is said when none can.
#include <cstdarg>
#include <cstdio>
#include <cstring>

#include "machine.h"

namespace simt {

Thread* cur;
Machine machine;

namespace {

Stats counts;

Fiber* popFront() {
  Fiber* next = machine.ring[machine.head];
  machine.head = (machine.head + 1) & (machine.ring.size() - 1);
  machine.queued--;
  return next;
}

void pushFront(Fiber* fiber) {
  fiber->state = State::ready;
  machine.head = (machine.head - 1) & (machine.ring.size() - 1);
  machine.ring[machine.head] = fiber;
  machine.queued++;
}

// to == nullptr: the host.
void switchTo(Fiber* me, Fiber* to, bool dying) {
  if (me == to) return;
  counts.switches++;
  cur = to;
  switchContext(me ? &me->context : &machine.host, to ? &to->context : &machine.host, dying);
}

// What this fiber did is before the end of the launch and before the next block of its set.
void releaseEnd(const Fiber* me) {
  const int set = me->block->set;
  releaseTo(&machine.endSync);
  releaseTo(&machine.setSync[set][machine.generation[set] & 1]);
}

Fiber* nextOrStall(Fiber* me) {
  const bool random = options().order == Order::random;
  if (random && !machine.bulk.empty() && randomNumber() % 16 == 0) deliverOne();
  while (!machine.queued) {
    if (!deliverOne()) {
      machine.error = "deadlock:" + stallReport();
      abandon(me);
    }
  }
  return popFront();
}

void finish(Fiber* me) {
  Block* block = me->block;
  Warp& warp = block->warps[me->warp];
  checkCopiesAtReturn(me);
  releaseEnd(me);
  me->state = State::done;
  block->live--;
  machine.live--;
  warp.live &= ~(1u << me->lane);
  for (int lane = 0; lane < 32; lane++)
    if (warp.waiting >> lane & 1) tryWarp(&block->threads[me->warp * 32 + lane], me);
  tryBlockBarrier(block, me);
  if (!block->live) {
    checkCopiesAtEnd(block, me);
    if (machine.live) sealShared(block);
  }
  switchTo(me, machine.live ? nextOrStall(me) : nullptr, true);
  __builtin_unreachable();
}

std::string waitsFor(const Fiber* fiber) {
  static const char* const names[] = {"runnable",
                                      "in a warp operation",
                                      "at __syncthreads",
                                      "at the cluster barrier",
                                      "waiting for an mbarrier",
                                      "spinning",
                                      "finished"};
  if (fiber->state == State::done) return names[static_cast<int>(State::done)];
  std::string out = names[static_cast<int>(fiber->state)];
  if (fiber->state == State::inWarp) {
    char mask[24];
    std::snprintf(mask, sizeof mask, " mask %08x", fiber->call.mask);
    out = operationName(fiber->call.operation) + std::string(mask);
  }
  return out + " at " + where(fiber);
}

}  // namespace

Stats& stats() { return counts; }
const char* lastError() { return machine.error.c_str(); }

uint64_t randomNumber() {  // xorshift64: Marsaglia 2003
  machine.random ^= machine.random << 13;
  machine.random ^= machine.random >> 7;
  machine.random ^= machine.random << 17;
  return machine.random;
}

void pushBack(Fiber* fiber) {
  fiber->state = State::ready;
  machine.ring[(machine.head + machine.queued++) & (machine.ring.size() - 1)] = fiber;
}

void makeReady(Fiber** fibers, int count, bool front) {
  if (options().order == Order::random) {
    for (int i = count - 1; i > 0; i--) {
      const int j = static_cast<int>(randomNumber() % static_cast<uint64_t>(i + 1));
      std::swap(fibers[i], fibers[j]);
    }
    if (front) front = randomNumber() & 1;
  }
  const bool backwards = (options().order == Order::reverse) != front;
  for (int i = 0; i < count; i++) {
    Fiber* fiber = fibers[backwards ? count - 1 - i : i];
    front ? pushFront(fiber) : pushBack(fiber);
  }
}

void blockHere(Fiber* me) { switchTo(me, nextOrStall(me), false); }

void runCluster() { switchTo(nullptr, popFront(), false); }

void abandon(Fiber* me) {
  machine.failed = true;
  if (underTsan) {
    for (Block& block : *machine.blocks)
      for (int i = 0; i < block.count; i++) {
        if (block.threads[i].state == State::done) continue;
        switchTsanFiber(block.threads[i].context.tsanFiber);
        releaseEnd(&block.threads[i]);
      }
    switchTsanFiber(me->context.tsanFiber);
  }
  switchTo(me, nullptr, true);
  __builtin_unreachable();
}

void fail(const char* file, int line, const char* format, ...) {
  char text[512];
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  Fiber* me = self();
  me->file = file;
  me->line = line;
  machine.error = std::string(text) + " at " + where(me) + ", " + who(me);
  abandon(me);
}

void yieldSpin(const char* file, int line) {
  constexpr long long kPatience = 2000000;
  Fiber* me = self();
  me->file = file;
  me->line = line;
  if (++machine.idleSpins > kPatience) {
    machine.error = "no progress while spinning:" + stallReport();
    abandon(me);
  }
  pushBack(me);
  me->state = State::spinning;
  blockHere(me);
}

void fiberMain() {
  const void* stack;
  size_t bytes;
  entered(&stack, &bytes);
  if (!machine.hostStackKnown) {  // only the first one is entered from the host
    machine.hostStackKnown = true;
    machine.host.stack = static_cast<char*>(const_cast<void*>(stack));
    machine.host.stackBytes = bytes;
  }
  Fiber* me = self();
  const int set = me->block->set;
  acquireFrom(&machine.launchSync);
  acquireFrom(&machine.setSync[set][~machine.generation[set] & 1]);  // after its previous block
  (*machine.thread)();
  finish(me);
}

std::string who(const Fiber* fiber) {
  char text[160];
  std::snprintf(text, sizeof text, "block (%u,%u,%u) thread (%u,%u,%u) warp %d lane %d",
                fiber->bid.x, fiber->bid.y, fiber->bid.z, fiber->tid.x, fiber->tid.y, fiber->tid.z,
                fiber->warp, fiber->lane);
  return text;
}

std::string where(const Fiber* fiber) {
  const char* slash = fiber->file ? std::strrchr(fiber->file, '/') : nullptr;
  const char* name = slash ? slash + 1 : fiber->file ? fiber->file : "?";
  return std::string(name) + ":" + std::to_string(fiber->line);
}

std::string stallReport() {
  struct Group {
    std::string what;
    int count;
    std::string first;
  };
  std::vector<Group> groups;
  for (Block& block : *machine.blocks)
    for (int i = 0; i < block.count; i++) {
      const Fiber& fiber = block.threads[i];
      const std::string what = waitsFor(&fiber);
      Group* same = nullptr;
      for (Group& group : groups)
        if (group.what == what) same = &group;
      if (same)
        same->count++;
      else
        groups.push_back({what, 1, who(&fiber)});
    }
  std::string out;
  for (size_t i = 0; i < groups.size() && i < 6; i++)
    out += "\n    " + std::to_string(groups[i].count) + " thread(s) " + groups[i].what +
           ", first: " + groups[i].first;
  return out;
}

}  // namespace simt
