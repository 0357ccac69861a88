// Shared memory of a block: the dynamic part, then its arrays with gaps between them, all of it ones
// before it is written. Between the arrays AddressSanitizer sees every byte.
#include <sys/mman.h>

#include <new>

#include "machine.h"
#include "runtime.h"

namespace simt {
namespace {

constexpr size_t kGap = 64;
constexpr size_t kStaticLimit = 48 << 10;

void* declare(Block* block, const void* key, size_t bytes, size_t align) {
  if (align < 16) align = 16;
  const size_t offset = (block->used + kGap + align - 1) / align * align;
  block->declaredBytes += bytes;
  const size_t limit = architecture().sharedPerBlock;
  if (block->declaredBytes > limit || block->declaredBytes - block->dynamicBytes > kStaticLimit)
    fail("kernel", 0, "%zu bytes of shared memory, of them %zu dynamic; a block has %zu",
         block->declaredBytes, block->dynamicBytes, limit);
  block->used = offset + bytes;
  block->arrays.push_back({key, offset, bytes});
  unpoison(block->arena + offset, bytes);
  return block->arena + offset;
}

void* find(Block* block, const void* key) {
  for (const SharedArray& array : block->arrays)
    if (array.key == key) return block->arena + array.offset;
  return nullptr;
}

}  // namespace

void createShared(Block* block) {
  void* memory = mmap(nullptr, kArena, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  block->arena = static_cast<char*>(memory);
  block->used = block->dynamicBytes = 0;
  block->arrays.reserve(64);
  block->mbarriers.reserve(256);
  block->asyncFiber = createTsanFiber();
}

void beginShared(Block* block, size_t dynamicBytes) {
  if (block->sealed && !underAsan) mprotect(block->arena, kArena, PROT_READ | PROT_WRITE);
  block->sealed = false;
  unpoison(block->arena, kArena);
  size_t touched = (block->used > dynamicBytes ? block->used : dynamicBytes) + 4096;
  if (touched > kArena) touched = kArena;
  auto* words = reinterpret_cast<volatile uint64_t*>(block->arena);
  for (size_t i = 0; i < touched / sizeof *words; i++) words[i] = ~uint64_t{0};  // NaN, -1
  poison(block->arena, kArena);
  unpoison(block->arena, dynamicBytes);
  block->used = block->dynamicBytes = block->declaredBytes = dynamicBytes;
  block->arrays.clear();
  block->mbarriers.clear();
}

// A page that cannot be touched tells less than AddressSanitizer, but tells it in every build.
void sealShared(Block* block) {
  block->sealed = true;
  if (underAsan)
    poison(block->arena, kArena);
  else
    mprotect(block->arena, kArena, PROT_NONE);
}

bool inShared(const Block* block, const void* at, size_t bytes) {
  const auto offset = static_cast<size_t>(static_cast<const char*>(at) - block->arena);
  if (offset < block->dynamicBytes) return bytes <= block->dynamicBytes - offset;
  for (const SharedArray& array : block->arrays)
    if (offset >= array.offset && offset < array.offset + array.bytes)
      return bytes <= array.offset + array.bytes - offset;
  return false;
}

void* sharedSlot(const void* key, size_t bytes, size_t align) {
  Block* block = self()->block;
  void* known = find(block, key);
  return known ? known : declare(block, key, bytes, align);
}

void* dynamicShared() { return self()->block->arena; }

void* clusterMap(const void* address, unsigned rank, const char* file, int line) {
  Block* mine = self()->block;
  if (rank >= clusterSize()) fail(file, line, "rank %u in a cluster of %u", rank, clusterSize());
  Block* peer = &(*machine.blocks)[rank];
  if (!inShared(mine, address, 1)) fail(file, line, "%p is not in shared memory", address);
  if (peer->sealed) fail(file, line, "block %u of the cluster has returned", rank);
  const auto offset = static_cast<size_t>(static_cast<const char*>(address) - mine->arena);
  if (offset < mine->dynamicBytes) return peer->arena + offset;
  for (const SharedArray& array : mine->arrays) {
    if (offset < array.offset || offset >= array.offset + array.bytes) continue;
    void* base = find(peer, array.key);
    if (!base) base = declare(peer, array.key, array.bytes, 128);
    return static_cast<char*>(base) + (offset - array.offset);
  }
  return nullptr;
}

}  // namespace simt
