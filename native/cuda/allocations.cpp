#include "cuda/allocations.h"

#include <map>
#include <mutex>
#include <new>

#include "engine/status.h"

namespace papo::cuda {
namespace {

struct Entry {
  Allocation allocation;
  int64_t count = 0;  // of imports; else 1
};

// Never destroyed: memory may be freed by destructors that run at the end of the process.
struct Registry {
  std::mutex mutex;
  std::map<const void*, Entry> entries;
};
Registry& registry() {
  static Registry* const all = new Registry;
  return *all;
}

const char* giverOf(Origin origin) {
  switch (origin) {
    case Origin::allocated:
      return "papo_memory_allocate";
    case Origin::pinned:
      return "papo_memory_allocate_pinned";
    case Origin::shareable:
      return "papo_memory_allocate_shareable";
    case Origin::imported:
      break;
  }
  return "papo_ipc_open";
}

}  // namespace

papo_status remember(void* data, const Allocation& allocation) try {
  const std::lock_guard<std::mutex> lock(registry().mutex);
  Entry& entry = registry().entries[data];
  entry.allocation = allocation;
  ++entry.count;
  return PAPO_OK;
} catch (const std::bad_alloc&) {
  return fail(PAPO_OUT_OF_MEMORY, "out of memory on the host");
}

papo_status forget(void* data, Origin origin, int device, Allocation* allocation) {
  const std::lock_guard<std::mutex> lock(registry().mutex);
  const auto at = registry().entries.find(data);
  if (at == registry().entries.end())
    return fail(PAPO_INVALID_ARGUMENT,
                "data: expected what %s gave, got an address that is not, or not any more",
                giverOf(origin));
  const Allocation& found = at->second.allocation;
  if (found.origin != origin)
    return fail(PAPO_INVALID_ARGUMENT, "data: expected what %s gave, got what %s gave",
                giverOf(origin), giverOf(found.origin));
  if (found.device != device && origin != Origin::pinned)
    return fail(PAPO_INVALID_ARGUMENT, "data: expected memory of cuda:%d, got memory of cuda:%d",
                device, found.device);
  *allocation = found;
  if (--at->second.count == 0) registry().entries.erase(at);
  return PAPO_OK;
}

bool isFrom(const void* data, Origin origin) {
  const std::lock_guard<std::mutex> lock(registry().mutex);
  const auto at = registry().entries.find(data);
  return at != registry().entries.end() && at->second.allocation.origin == origin;
}

}  // namespace papo::cuda
