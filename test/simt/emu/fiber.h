// Switching between fibers, and what the sanitizers have to be told about it. The emulator itself is
// compiled without -fsanitize; SIMT_ASAN or SIMT_TSAN says with which the kernels were.
#pragma once

#include <cstddef>

#if defined(SIMT_UCONTEXT) || !defined(__x86_64__)
#include <ucontext.h>
#define SIMT_USE_UCONTEXT 1
#endif

namespace simt {

struct Context {
#ifdef SIMT_USE_UCONTEXT
  ucontext_t saved;
#else
  void* stackPointer = nullptr;
#endif
  char* stack = nullptr;  // of the host's context: known once a fiber was entered from it
  size_t stackBytes = 0;
  void* fakeStack = nullptr;  // of AddressSanitizer
  void* tsanFiber = nullptr;
};

void createStack(Context* fiber);
// The next switch to the fiber enters `main`; `stagger` spreads stacks over the sets of the cache.
void prepare(Context* fiber, void (*main)(), size_t stagger);
// dying: `from` is never continued.
void switchContext(Context* from, Context* to, bool dying);
// First thing on a fresh fiber; tells the stack of the context that entered it.
void entered(const void** stack, size_t* bytes);

// ---- ThreadSanitizer: who is ordered after whom; nothing in other builds -------------------------

void* createTsanFiber();
void* currentTsanFiber();
void switchTsanFiber(void* fiber);  // orders nothing by itself
void releaseTo(const void* sync);
void acquireFrom(const void* sync);
void tsanRead(const void* at, size_t bytes);
void tsanWrite(const void* at, size_t bytes);
extern const bool underTsan;

// ---- AddressSanitizer ----------------------------------------------------------------------------

void poison(const void* at, size_t bytes);
void unpoison(const void* at, size_t bytes);
bool isPoisoned(const void* at, size_t bytes);
extern const bool underAsan;

// The sanitizers intercept memcpy, which would be an access of the fiber that happens to run.
inline void copyBytes(void* to, const void* from, size_t bytes) {
  auto* out = static_cast<unsigned char*>(to);
  const auto* in = static_cast<const unsigned char*>(from);
  for (size_t i = 0; i < bytes; i++) out[i] = in[i];
}

}  // namespace simt
