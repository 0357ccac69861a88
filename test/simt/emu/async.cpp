// cp.async: the data of a thread's copies comes when that thread waits for it, or at once.
#include "machine.h"
#include "runtime.h"

namespace simt {
namespace {

void deliver(const AsyncCopy& copy) {
  unpoison(copy.to, copy.bytes);
  copyBytes(copy.to, copy.from, copy.bytes - copy.zeros);
  auto* rest = static_cast<unsigned char*>(copy.to) + copy.bytes - copy.zeros;
  for (size_t i = 0; i < copy.zeros; i++) rest[i] = 0;
  tsanWrite(copy.to, copy.bytes);
}

}  // namespace

void checkSource(const void* from, size_t bytes, const char* file, int line) {
  if (insideAllocation(from, bytes) && !isPoisoned(from, bytes)) return;
  fail(file, line, "an asynchronous copy reads %zu bytes at %p, past the end of an allocation",
       bytes, from);
}

void asyncCopy(const AsyncCopy& copy, const char* file, int line) {
  Fiber* me = self();
  const size_t n = copy.bytes;
  if ((n != 4 && n != 8 && n != 16) || reinterpret_cast<uintptr_t>(copy.to) % n ||
      reinterpret_cast<uintptr_t>(copy.from) % n || copy.zeros > n)
    fail(file, line, "cp.async of %zu bytes from %p to %p", n, copy.from, copy.to);
  if (!inShared(me->block, copy.to, n)) fail(file, line, "cp.async to memory that is not shared");
  checkSource(copy.from, n - copy.zeros, file, line);
  tsanRead(copy.from, n - copy.zeros);
  tsanWrite(copy.to, n);
  if (!options().lazyCopies) return deliver(copy);
  auto* to = static_cast<unsigned char*>(copy.to);
  for (size_t i = 0; i < n; i++) to[i] = 0xff;  // neither the old data nor the new
  if (n >= 8) poison(copy.to, n);
  me->copies.push_back({copy, me->copyGroup});
}

void asyncCommit() { self()->copyGroup++; }

void asyncWait(int pending) {
  Fiber* me = self();
  size_t kept = 0;
  for (size_t i = 0; i < me->copies.size(); i++) {
    const Fiber::Copy one = me->copies[i];
    if (one.group < me->copyGroup - pending)
      deliver(one.copy);
    else
      me->copies[kept++] = one;
  }
  me->copies.resize(kept);
}

}  // namespace simt
