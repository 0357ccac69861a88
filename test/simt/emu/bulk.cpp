// Bulk copies and the mbarriers that loads report to. A load comes when nothing else can run (in
// random order sometimes before), a store reads its source when its thread waits for it. While a
// load is under way its destination is neither old nor new and AddressSanitizer forbids it.
//
// To ThreadSanitizer a copy is done by a fiber of its own, which is ordered only after what
// fenceAsync released: ordinary accesses before a copy need that fence as well as a barrier.
#include "machine.h"
#include "runtime.h"

namespace simt {
namespace {

constexpr size_t kMostCopies = 4096;

void requireHopper(const char* what, const char* file, int line) {
  if (options().arch < 900)
    fail(file, line, "%s needs compute capability 9.0; this device has %d.%d", what,
         options().arch / 100, options().arch / 10 % 10);
}

Mbarrier* find(Block* block, const uint64_t* at) {
  for (Mbarrier& one : block->mbarriers)
    if (one.at == at) return &one;
  return nullptr;
}

Mbarrier* initialised(uint64_t* at, const char* file, int line) {
  requireHopper("an mbarrier", file, line);
  Mbarrier* one = find(self()->block, at);
  if (!one) fail(file, line, "an mbarrier is used before its initialisation");
  tsanRead(at, sizeof *at);
  return one;
}

void completePhase(Block* block, Mbarrier* barrier) {
  if (barrier->left || barrier->bytes) return;
  barrier->phase ^= 1;
  barrier->left = barrier->count;
  for (int i = 0; i < block->count; i++) {
    Fiber* fiber = &block->threads[i];
    if (fiber->state == State::inMbarrier && fiber->mbarrier == barrier->at)
      makeReady(&fiber, 1, true);  // before those that have not arrived
  }
}

void deliver(size_t index) {
  const BulkCopy copy = machine.bulk[index];
  machine.bulk[index] = machine.bulk.back();
  machine.bulk.pop_back();
  if (copy.barrier) unpoison(copy.to, copy.bytes);
  copyBytes(copy.to, copy.from, copy.bytes);
  Mbarrier* barrier = copy.barrier ? find(copy.block, copy.barrier) : nullptr;
  if (!barrier) return;
  barrier->bytes -= copy.bytes;
  completePhase(copy.block, barrier);
}

bool overlap(const void* a, size_t bytesA, const void* b, size_t bytesB) {
  const auto beginA = reinterpret_cast<uintptr_t>(a), beginB = reinterpret_cast<uintptr_t>(b);
  return beginA < beginB + bytesB && beginB < beginA + bytesA;
}

// Of the copies under way, those of this block that use the same shared memory.
void checkConflicts(const BulkCopy& wanted, const char* file, int line) {
  for (const BulkCopy& other : machine.bulk) {
    if (other.block != wanted.block || (!other.barrier && !wanted.barrier)) continue;
    const void* mine = wanted.barrier ? wanted.to : wanted.from;
    const void* its = other.barrier ? other.to : other.from;
    if (overlap(mine, wanted.bytes, its, other.bytes))
      fail(file, line, "a bulk %s uses shared memory that a bulk %s under way uses",
           wanted.barrier ? "load" : "store", other.barrier ? "load" : "store");
  }
}

void check(const BulkCopy& copy, const char* file, int line) {
  const char* what = copy.barrier ? "bulk load" : "bulk store";
  requireHopper(what, file, line);
  if (reinterpret_cast<uintptr_t>(copy.to) % 16 || reinterpret_cast<uintptr_t>(copy.from) % 16 ||
      copy.bytes % 16 || !copy.bytes)
    fail(file, line, "%s of %u bytes from %p to %p: expected multiples of 16", what, copy.bytes,
         copy.from, copy.to);
  if (!inShared(copy.block, copy.barrier ? copy.to : copy.from, copy.bytes))
    fail(file, line, "%s: not in one array of this block's shared memory", what);
  checkSource(copy.from, copy.bytes, file, line);
  if (!copy.barrier && (!insideAllocation(copy.to, copy.bytes) || isPoisoned(copy.to, copy.bytes)))
    fail(file, line, "bulk store past the end of an allocation");
  checkConflicts(copy, file, line);
  if (machine.bulk.size() == kMostCopies) fail(file, line, "too many bulk copies under way");
}

// The accesses of the copy, first by the fiber that only fences order, then by the one that issues.
void announce(const BulkCopy& copy) {
  if (!underTsan) return;
  Block* block = copy.block;
  const int set = block->set;
  uint64_t issued;
  switchTsanFiber(block->asyncFiber);
  acquireFrom(&machine.launchSync);
  acquireFrom(&machine.setSync[set][~machine.generation[set] & 1]);
  acquireFrom(&block->asyncSync);
  for (int pass = 0; pass < 2; pass++) {
    tsanRead(copy.from, copy.bytes);
    tsanWrite(copy.to, copy.bytes);
    if (pass) break;
    releaseTo(&issued);
    switchTsanFiber(self()->context.tsanFiber);
    acquireFrom(&issued);
  }
  releaseTo(&block->asyncSync);  // copies are ordered among themselves
  if (copy.barrier) releaseTo(copy.barrier);
}

void issue(const BulkCopy& copy, const char* file, int line) {
  check(copy, file, line);
  announce(copy);
  machine.bulk.push_back(copy);
  if (!options().lazyCopies) return deliver(machine.bulk.size() - 1);
  if (!copy.barrier) return;
  auto* words = static_cast<uint64_t*>(copy.to);
  for (size_t i = 0; i < copy.bytes / sizeof *words; i++) words[i] = ~uint64_t{0};
  poison(copy.to, copy.bytes);
}

}  // namespace

void beginBulk() {
  machine.bulk.clear();
  machine.bulk.reserve(kMostCopies);
}

bool deliverOne() {
  const size_t count = machine.bulk.size();
  const Order order = options().order;
  const size_t first = order == Order::random ? randomNumber() % (count ? count : 1) : 0;
  for (size_t i = 0; i < count; i++) {
    const size_t index = order == Order::reverse ? count - 1 - i : (first + i) % count;
    if (!machine.bulk[index].barrier) continue;
    deliver(index);
    return true;
  }
  return false;
}

void mbarInit(uint64_t* at, int count, const char* file, int line) {
  requireHopper("an mbarrier", file, line);
  Block* block = self()->block;
  if (reinterpret_cast<uintptr_t>(at) % 8 || !inShared(block, at, sizeof *at))
    fail(file, line, "an mbarrier is 8 aligned bytes of shared memory");
  if (count < 1 || count >= 1 << 20) fail(file, line, "an mbarrier of %d arrivals", count);
  tsanWrite(at, sizeof *at);
  Mbarrier* known = find(block, at);
  if (known && (known->left != known->count || known->bytes))
    fail(file, line, "an mbarrier is initialised again in the middle of a phase");
  const Mbarrier fresh{at, count, count, 0, 0};
  if (known)
    *known = fresh;
  else if (block->mbarriers.size() == block->mbarriers.capacity())
    fail(file, line, "too many mbarriers");
  else
    block->mbarriers.push_back(fresh);
}

void mbarExpect(uint64_t* at, unsigned bytes, const char* file, int line) {
  Mbarrier* barrier = initialised(at, file, line);
  releaseTo(at);
  barrier->bytes += bytes;
  barrier->left--;
  completePhase(self()->block, barrier);
}

void mbarWait(uint64_t* at, int parity, const char* file, int line) {
  Fiber* me = self();
  me->file = file;
  me->line = line;
  if (parity != 0 && parity != 1) fail(file, line, "mbarWait: parity %d", parity);
  while (initialised(at, file, line)->phase == parity) {
    me->state = State::inMbarrier;
    me->mbarrier = at;
    blockHere(me);
  }
  acquireFrom(at);
}

void bulkLoad(void* to, const void* from, unsigned bytes, uint64_t* at, const char* file,
              int line) {
  initialised(at, file, line);
  issue({self()->block, to, from, bytes, at, nullptr, 0}, file, line);
}

void bulkStore(void* to, const void* from, unsigned bytes, const char* file, int line) {
  Fiber* me = self();
  issue({me->block, to, from, bytes, nullptr, me, me->storeGroup}, file, line);
}

void bulkCommit(const char* file, int line) {
  requireHopper("a bulk store", file, line);
  self()->storeGroup++;
}

void bulkWaitGroups(int pending, bool, const char* file, int line) {
  requireHopper("a bulk store", file, line);
  const Fiber* me = self();
  for (size_t i = machine.bulk.size(); i-- > 0;) {
    const BulkCopy copy = machine.bulk[i];
    if (copy.owner != me || copy.group >= me->storeGroup - pending) continue;
    tsanRead(copy.from, copy.bytes);
    deliver(i);
  }
}

void fenceAsync(const char* file, int line) {
  requireHopper("fence.proxy.async", file, line);
  releaseTo(&self()->block->asyncSync);
}

void checkCopiesAtReturn(Fiber* me) {
  if (!me->copies.empty()) {
    machine.error = "cp.async is under way when its thread returns: " + who(me);
    abandon(me);
  }
  for (const BulkCopy& copy : machine.bulk)
    if (copy.owner == me) {
      machine.error = "a bulk store is under way when its thread returns: " + who(me);
      abandon(me);
    }
}

void checkCopiesAtEnd(Block* block, Fiber* me) {
  for (const BulkCopy& copy : machine.bulk)
    if (copy.block == block) {
      machine.error = "a bulk load is under way when its block ends: " + who(me);
      abandon(me);
    }
  for (const Mbarrier& barrier : block->mbarriers)
    if (barrier.bytes) {
      machine.error = "an mbarrier still expects " + std::to_string(barrier.bytes) +
                      " bytes when its block ends: " + who(me);
      abandon(me);
    }
}

}  // namespace simt
