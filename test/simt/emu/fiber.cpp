#include "fiber.h"

#include <sys/mman.h>

#include <cstdint>
#include <new>

#include "options.h"

extern "C" {
#ifdef SIMT_ASAN
void __sanitizer_start_switch_fiber(void**, const void*, size_t);
void __sanitizer_finish_switch_fiber(void*, const void**, size_t*);
void __asan_poison_memory_region(void const volatile*, size_t);
void __asan_unpoison_memory_region(void const volatile*, size_t);
void* __asan_region_is_poisoned(void*, size_t);
#endif
#ifdef SIMT_TSAN
void* __tsan_get_current_fiber();
void* __tsan_create_fiber(unsigned);
void __tsan_switch_to_fiber(void*, unsigned);
void __tsan_acquire(void*);
void __tsan_release(void*);
void __tsan_read_range(void*, unsigned long);
void __tsan_write_range(void*, unsigned long);
// In uninstrumented code, since ThreadSanitizer holds its lock here.
static int tsanReports;
void __tsan_on_report(void*) { tsanReports++; }
#endif

#ifndef SIMT_USE_UCONTEXT
// Saves what a called function must keep, exchanges the stacks, and continues there.
void simtSwitch(void** save, void* to);
asm(R"(
.text
.globl simtSwitch
.hidden simtSwitch
.type simtSwitch,@function
simtSwitch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  popq %rcx
  jmp *%rcx
.size simtSwitch,.-simtSwitch
)");
#endif
}

namespace simt {
namespace {

constexpr size_t kPage = 4096;
#if defined(SIMT_ASAN) || defined(SIMT_TSAN)
constexpr size_t kStack = 128 << 10;
#else
constexpr size_t kStack = 64 << 10;
#endif

}  // namespace

// Below the stack lies a page that cannot be touched.
void createStack(Context* fiber) {
  void* memory = mmap(nullptr, kStack + kPage, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  mprotect(memory, kPage, PROT_NONE);
  fiber->stack = static_cast<char*>(memory) + kPage;
  fiber->stackBytes = kStack;
  fiber->tsanFiber = createTsanFiber();
}

void prepare(Context* fiber, void (*main)(), size_t stagger) {
  unpoison(fiber->stack, fiber->stackBytes);
  fiber->fakeStack = nullptr;
#ifdef SIMT_USE_UCONTEXT
  (void)stagger;
  getcontext(&fiber->saved);
  fiber->saved.uc_stack.ss_sp = fiber->stack;
  fiber->saved.uc_stack.ss_size = fiber->stackBytes;
  fiber->saved.uc_link = nullptr;
  makecontext(&fiber->saved, main, 0);
#else
  auto top = reinterpret_cast<uintptr_t>(fiber->stack) + fiber->stackBytes - (stagger & 4095u);
  auto** pointer = reinterpret_cast<void**>(top & ~uintptr_t{63});
  *--pointer = nullptr;
  *--pointer = reinterpret_cast<void*>(main);  // entered with the stack pointer at 16n + 8
  for (int i = 0; i < 6; i++) *--pointer = nullptr;
  fiber->stackPointer = pointer;
#endif
}

void switchContext(Context* from, Context* to, bool dying) {
#ifdef SIMT_ASAN
  __sanitizer_start_switch_fiber(dying ? nullptr : &from->fakeStack, to->stack, to->stackBytes);
#else
  (void)dying;
#endif
  switchTsanFiber(to->tsanFiber);
#ifdef SIMT_USE_UCONTEXT
  swapcontext(&from->saved, &to->saved);
#else
  simtSwitch(&from->stackPointer, to->stackPointer);
#endif
#ifdef SIMT_ASAN
  __sanitizer_finish_switch_fiber(from->fakeStack, nullptr, nullptr);
#endif
}

void entered(const void** stack, size_t* bytes) {
#ifdef SIMT_ASAN
  __sanitizer_finish_switch_fiber(nullptr, stack, bytes);
#else
  *stack = nullptr;
  *bytes = 0;
#endif
}

#ifdef SIMT_TSAN
const bool underTsan = true;
void* createTsanFiber() { return __tsan_create_fiber(0); }
void* currentTsanFiber() { return __tsan_get_current_fiber(); }
void switchTsanFiber(void* fiber) { __tsan_switch_to_fiber(fiber, 1); }
void releaseTo(const void* sync) { __tsan_release(const_cast<void*>(sync)); }
void acquireFrom(const void* sync) { __tsan_acquire(const_cast<void*>(sync)); }
void tsanRead(const void* at, size_t bytes) { __tsan_read_range(const_cast<void*>(at), bytes); }
void tsanWrite(const void* at, size_t bytes) { __tsan_write_range(const_cast<void*>(at), bytes); }

int raceReports(bool reset) {
  const int reports = tsanReports;
  if (reset) tsanReports = 0;
  return reports;
}
#else
const bool underTsan = false;
void* createTsanFiber() { return nullptr; }
void* currentTsanFiber() { return nullptr; }
void switchTsanFiber(void*) {}
void releaseTo(const void*) {}
void acquireFrom(const void*) {}
void tsanRead(const void*, size_t) {}
void tsanWrite(const void*, size_t) {}
int raceReports(bool) { return 0; }
#endif

#ifdef SIMT_ASAN
const bool underAsan = true;
void poison(const void* at, size_t bytes) { __asan_poison_memory_region(at, bytes); }
void unpoison(const void* at, size_t bytes) { __asan_unpoison_memory_region(at, bytes); }
bool isPoisoned(const void* at, size_t bytes) {
  return __asan_region_is_poisoned(const_cast<void*>(at), bytes) != nullptr;
}
#else
const bool underAsan = false;
void poison(const void*, size_t) {}
void unpoison(const void*, size_t) {}
bool isPoisoned(const void*, size_t) { return false; }
#endif

}  // namespace simt
