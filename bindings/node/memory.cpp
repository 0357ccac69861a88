#include <napi.h>

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include "operations.h"

namespace papo::node {

// New gradients of 39 MB each cost more in page faults of 4 KiB than in arithmetic: a pair of them at
// V = 151,936 and 64 tokens took four times as long as into touched memory. Where the system leaves
// huge pages to the program (Linux "madvise"), asking for them takes most of that back. A hint: its
// failure changes nothing.
Napi::Value preferHugePages(const Napi::CallbackInfo& info) {
#if defined(__linux__)
  constexpr uintptr_t kHugePage = uintptr_t{1} << 21;
  if (info[0].IsTypedArray()) {
    napi_typedarray_type kind{};
    size_t length = 0;
    void* data = nullptr;
    napi_get_typedarray_info(info.Env(), info[0], &kind, &length, &data, nullptr, nullptr);
    const uintptr_t first = reinterpret_cast<uintptr_t>(data);
    const uintptr_t end = first + info[0].As<Napi::TypedArray>().ByteLength();
    const uintptr_t begin = (first + kHugePage - 1) / kHugePage * kHugePage;
    if (data && begin < end)
      madvise(reinterpret_cast<void*>(begin), (end - begin) / kHugePage * kHugePage, MADV_HUGEPAGE);
  }
#endif
  return info.Env().Undefined();
}

}  // namespace papo::node
