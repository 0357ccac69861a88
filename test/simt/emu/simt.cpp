// The scheduler of the SIMT emulator. Compile WITHOUT -fsanitize (its own accesses must stay
// invisible), but with -DSIMT_ASAN or -DSIMT_TSAN to match the kernels' build.
#include <sys/mman.h>
#include <unistd.h>

#include <csignal>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <string>
#include <vector>

#include "cuda_runtime.h"
#if defined(SIMT_UCONTEXT) || !defined(__x86_64__)
#include <ucontext.h>
#define SIMT_USE_UCONTEXT 1
#endif

extern "C" {
#ifdef SIMT_ASAN
void __sanitizer_start_switch_fiber(void**, const void*, size_t);
void __sanitizer_finish_switch_fiber(void*, const void**, size_t*);
void __asan_poison_memory_region(void const volatile*, size_t);
void __asan_unpoison_memory_region(void const volatile*, size_t);
#endif
#ifdef SIMT_TSAN
void* __tsan_get_current_fiber();
void* __tsan_create_fiber(unsigned);
void __tsan_switch_to_fiber(void*, unsigned);
void __tsan_acquire(void*);
void __tsan_release(void*);
static int tsan_reports;  // must live in uninstrumented code: TSan holds its lock here
void __tsan_on_report(void*) { tsan_reports++; }
#endif
}

namespace simt {
Thread* cur;
namespace {
struct Fiber;
void leave(Fiber*);

#ifdef SIMT_TSAN
void rel(void* p) { __tsan_release(p); }
void acq(void* p) { __tsan_acquire(p); }
constexpr int kSets = 3;  // fiber sets in rotation: blocks of one launch stay unordered
#else
void rel(void*) {}
void acq(void*) {}
constexpr int kSets = 1;
#endif

#ifdef SIMT_USE_UCONTEXT
struct Ctx {
  ucontext_t u;
};
#else
struct Ctx {
  void* sp;
};
extern "C" void simt_switch(void** save, void* to);
asm(R"(
.text
.globl simt_switch
.hidden simt_switch
.type simt_switch,@function
simt_switch:
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
.size simt_switch,.-simt_switch
)");
#endif

enum State : uint8_t { ready, in_warp, in_block, in_cluster, spinning, done };
struct Block;
struct Fiber : Thread {
  Ctx ctx;
  State state;
  Block* blk;
  int warp;
  Op op;
  uint32_t mask;
  int arg, width;
  size_t bytes;
  const char* file;
  int line;
  int pred, barrier_kind;
  char* stack;
  size_t stack_size;
  void *fake, *tsan;
  struct Copy {
    void* d;
    const void* s;
    size_t n, z;
    int group;
  };
  std::vector<Copy> copies;
  int group;
};
struct Slot {
  alignas(16) unsigned char b[16];
};
struct Warp {
  uint32_t live, waiting;
  uint64_t sync[32];
  Slot in[32], out[32];
};
struct SharedSlot {
  const void* key;
  size_t off, bytes;
};
struct Mbar {
  uint64_t* at;
  int count, left;
  long long tx;
  int phase;
};
struct Bulk {
  void* d;
  const void* s;
  uint32_t n;
  uint64_t* bar;
};
struct Block {
  std::vector<Fiber> t;
  std::vector<Warp> w;
  int n, live, at_barrier, acc_count, acc_and, acc_or;
  int result[4];
  int rank;
  char* arena;
  size_t used, dyn;
  std::vector<SharedSlot> slots;
  std::vector<Mbar> mbars;
  std::vector<Bulk> bulk;
};

constexpr size_t kArena = 256 << 10;
#if defined(SIMT_ASAN) || defined(SIMT_TSAN)
constexpr size_t kStack = 128 << 10;
#else
constexpr size_t kStack = 64 << 10;
#endif

struct Machine {
  std::vector<std::vector<Block>> sets;
  Ctx main;
  void *main_fake = nullptr, *main_tsan = nullptr;
  const void* main_stack = nullptr;
  size_t main_stack_size = 0;
  void (*entry)(void*);
  void* ctx;
  size_t smem;
  std::vector<Fiber*> ring;
  size_t head = 0, count = 0;
  int live = 0, at_cluster = 0;
  bool failed = false;
  uint64_t rng = 1;
  std::vector<Block>* blocks = nullptr;
  uint64_t launch_sync, end_sync, cluster_sync, set_sync[kSets][2], set_gen[kSets] = {};
  long long idle_spins = 0;
} M;
Options opt;
Stats stat;
std::string error;
std::mutex big_lock;

uint64_t rnd() {
  M.rng ^= M.rng << 13;
  M.rng ^= M.rng >> 7;
  M.rng ^= M.rng << 17;
  return M.rng;
}
void push_back(Fiber* f) {
  f->state = ready;
  M.ring[(M.head + M.count++) & (M.ring.size() - 1)] = f;
}
void push_front(Fiber* f) {
  f->state = ready;
  M.head = (M.head - 1) & (M.ring.size() - 1);
  M.ring[M.head] = f;
  M.count++;
}
// Makes a list runnable, in the order of the schedule under test.
void release(Fiber** f, int n, bool front) {
  if (opt.order == Order::random) {
    for (int i = n - 1; i > 0; i--) std::swap(f[i], f[rnd() % (i + 1)]);
    if (front) front = rnd() & 1;
  }
  const bool rev = opt.order == Order::reverse;
  for (int i = 0; i < n; i++) {
    int j = (rev != front) ? n - 1 - i : i;
    if (front)
      push_front(f[j]);
    else
      push_back(f[j]);
  }
}

Fiber* self() { return static_cast<Fiber*>(cur); }
void jump(Ctx& from, Ctx& to) {
#ifdef SIMT_USE_UCONTEXT
  swapcontext(&from.u, &to.u);
#else
  simt_switch(&from.sp, to.sp);
#endif
}
void landed(Fiber* me) {
#ifdef SIMT_ASAN
  __sanitizer_finish_switch_fiber(me ? me->fake : M.main_fake, nullptr, nullptr);
#else
  (void)me;
#endif
}
// to == nullptr: back to the host thread.
void switch_to(Fiber* me, Fiber* to, bool dying = false) {
  if (me == to) return;
  stat.switches++;
  cur = to;
#ifdef SIMT_ASAN
  __sanitizer_start_switch_fiber(dying ? nullptr
                                 : me  ? &me->fake
                                       : &M.main_fake,
                                 to ? to->stack : (const char*)M.main_stack,
                                 to ? to->stack_size : M.main_stack_size);
#endif
#ifdef SIMT_TSAN
  __tsan_switch_to_fiber(to ? to->tsan : M.main_tsan, 1 /* no synchronisation */);
#endif
  (void)dying;
  jump(me ? me->ctx : M.main, to ? to->ctx : M.main);
  landed(me);
}
const char* state_name(State s) {
  static const char* n[] = {"runnable",         "in a warp operation",
                            "at __syncthreads", "at cluster barrier",
                            "spinning",         "finished"};
  return n[s];
}
const char* op_name(Op o) {
  static const char* n[] = {"__shfl_sync",       "__shfl_up_sync",    "__shfl_down_sync",
                            "__shfl_xor_sync",   "__ballot_sync",     "__any_sync",
                            "__all_sync",        "__match_any_sync",  "__reduce_add_sync",
                            "__reduce_min_sync", "__reduce_min_sync", "__reduce_max_sync",
                            "__reduce_max_sync", "__reduce_and_sync", "__reduce_or_sync",
                            "__reduce_xor_sync", "__syncwarp"};
  return n[o];
}
std::string who(Fiber* f) {
  char b[160];
  snprintf(b, sizeof b, "block (%u,%u,%u) thread (%u,%u,%u) warp %d lane %d", f->bid.x, f->bid.y,
           f->bid.z, f->tid.x, f->tid.y, f->tid.z, f->warp, f->lane);
  return b;
}
std::string where(Fiber* f) {
  const char* s = f->file ? strrchr(f->file, '/') : nullptr;
  s = s ? s + 1 : f->file ? f->file : "?";
  return std::string(s) + ":" + std::to_string(f->line);
}
void leave(Fiber* f) {
  const int s = f->blk->rank >> 16;
  (void)s;
  rel(&M.end_sync);
  rel(&M.set_sync[s][M.set_gen[s] & 1]);
}
[[noreturn]] void abandon(Fiber* me) {  // leaves every fiber where it is
  M.failed = true;
#ifdef SIMT_TSAN
  for (Block& b : *M.blocks)
    for (int i = 0; i < b.n; i++)
      if (b.t[i].state != done) {
        __tsan_switch_to_fiber(b.t[i].tsan, 1);
        leave(&b.t[i]);
      }
  __tsan_switch_to_fiber(me->tsan, 1);
  leave(me);
#endif
  switch_to(me, nullptr, true);
  __builtin_unreachable();
}
std::string stall_report() {  // groups the waiting threads by what they wait for
  std::string r;
  int shown = 0;
  struct G {
    std::string what;
    int n;
    std::string first;
  };
  std::vector<G> gs;
  for (Block& b : *M.blocks)
    for (int i = 0; i < b.n; i++) {
      Fiber& f = b.t[i];
      std::string w = state_name(f.state);
      if (f.state == in_warp) {
        char m[16];
        snprintf(m, sizeof m, "%08x", f.mask);
        w = std::string(op_name(f.op)) + " mask " + m;
      }
      if (f.state != done) w += " at " + where(&f);
      bool hit = false;
      for (G& g : gs)
        if (g.what == w) {
          g.n++;
          hit = true;
          break;
        }
      if (!hit) gs.push_back({w, 1, who(&f)});
    }
  for (G& g : gs) {
    if (shown++ == 6) break;
    r += "\n    " + std::to_string(g.n) + " thread(s) " + g.what + ", first: " + g.first;
  }
  return r;
}
// Gives the processor to the next runnable thread; comes back when this one is runnable again.
void block_here(Fiber* me) {
  if (!M.count) {
    error = "deadlock:" + stall_report();
    abandon(me);
  }
  Fiber* nx = M.ring[M.head];
  M.head = (M.head + 1) & (M.ring.size() - 1);
  M.count--;
  switch_to(me, nx);
}

void open_block_barrier(Block* b) {
  stat.barriers++;
  b->result[0] = 0;
  b->result[1] = b->acc_count;
  b->result[2] = b->acc_and;
  b->result[3] = b->acc_or;
  b->at_barrier = 0;
  b->acc_count = 0;
  b->acc_and = 1;
  b->acc_or = 0;
  static std::vector<Fiber*> l;
  l.clear();
  if (opt.order == Order::random) {  // whole warps in random order, lanes in random order
    std::vector<int> ws(b->w.size());
    for (size_t i = 0; i < ws.size(); i++) ws[i] = (int)i;
    for (int i = (int)ws.size() - 1; i > 0; i--) std::swap(ws[i], ws[rnd() % (i + 1)]);
    for (int w : ws) {
      l.clear();
      for (int i = w * 32; i < b->n && i < w * 32 + 32; i++)
        if (b->t[i].state == in_block) l.push_back(&b->t[i]);
      release(l.data(), (int)l.size(), false);
    }
    return;
  }
  for (int i = 0; i < b->n; i++)
    if (b->t[i].state == in_block) l.push_back(&b->t[i]);
  release(l.data(), (int)l.size(), false);
}
void try_block_barrier(Block* b, Fiber* cause) {
  if (!b->at_barrier || b->at_barrier != b->live) return;
  Fiber* first = nullptr;
  for (int i = 0; i < b->n; i++) {
    Fiber& f = b->t[i];
    if (f.state != in_block) continue;
    if (!first)
      first = &f;
    else if (opt.same_call_site && (f.line != first->line || f.file != first->file ||
                                    f.barrier_kind != first->barrier_kind)) {
      error = "divergent __syncthreads: " + who(first) + " at " + where(first) + ", " + who(&f) +
              " at " + where(&f);
      abandon(cause);
    }
  }
  if (b->live != b->n && !opt.exit_counts_at_barrier) {
    error = "__syncthreads after other threads of the block returned:" + stall_report();
    abandon(cause);
  }
  open_block_barrier(b);
}
// All members have arrived: compute every lane's result.
void execute(Warp& w, Fiber* t, uint32_t members, Fiber* cause) {
  const Op op = t[__builtin_ctz(members)].op;
  uint32_t u = 0, v;
  bool first = true;
  if (op >= op_ballot && op != op_match_any && op != op_syncwarp)
    for (uint32_t o = members; o; o &= o - 1) {
      const int j = __builtin_ctz(o);
      memcpy(&v, w.in[j].b, 4);
      if (op <= op_all) v = v != 0;
      if (op == op_ballot) {
        u |= v << j;
        continue;
      }
      if (first) {
        u = v;
        first = false;
        continue;
      }
      switch (op) {
        case op_any:
        case op_or:
          u |= v;
          break;
        case op_all:
        case op_and:
          u &= v;
          break;
        case op_xor:
          u ^= v;
          break;
        case op_add:
          u += v;
          break;
        case op_min_s:
          if ((int)v < (int)u) u = v;
          break;
        case op_max_s:
          if ((int)v > (int)u) u = v;
          break;
        case op_min_u:
          if (v < u) u = v;
          break;
        default:
          if (v > u) u = v;
          break;
      }
    }
  for (uint32_t o = members; o; o &= o - 1) {
    const int i = __builtin_ctz(o);
    Fiber& f = t[i];
    if (op == op_syncwarp) continue;
    if (op == op_match_any) {
      u = 0;
      for (uint32_t q = members; q; q &= q - 1) {
        const int j = __builtin_ctz(q);
        if (!__builtin_memcmp(w.in[j].b, w.in[i].b, f.bytes)) u |= 1u << j;
      }
    }
    if (op >= op_ballot) {
      __builtin_memcpy(w.out[i].b, &u, 4);
      continue;
    }
    const int seg = 32 - f.width, lo = i & seg, hi = lo | (31 & ~seg);
    int j;
    if (op == op_shfl)
      j = lo | (f.arg & ~seg & 31);
    else if (op == op_shfl_up) {
      j = i - f.arg;
      if (j < lo) j = i;
    } else if (op == op_shfl_down) {
      j = i + f.arg;
      if (j > hi) j = i;
    } else {
      j = i ^ f.arg;
      if (j > hi) j = i;
    }
    if (j < 0 || j > 31 || !(members >> j & 1)) {
      char b[160];
      snprintf(b, sizeof b, "%s: lane %d reads lane %d, which takes no part (members %08x) at ",
               op_name(op), i, j, members);
      error = b + where(&f) + ", " + who(&f);
      abandon(cause);
    }
    w.out[i] = w.in[j];
  }
}
void try_warp(Fiber* f, Fiber* cause) {  // f waits; can its group go?
  Warp& w = f->blk->w[f->warp];
  const uint32_t need = f->mask & w.live;
  if (need & ~w.waiting) return;
  stat.warp_ops++;
  Fiber* t = &f->blk->t[f->warp * 32];
  execute(w, t, need, cause);
  w.waiting &= ~need;
  Fiber* l[32];
  int n = 0;
  for (uint32_t o = need; o; o &= o - 1) l[n++] = t + __builtin_ctz(o);
  release(l, n, true);
}
void finish(Fiber* me) {
  Block* b = me->blk;
  Warp& w = b->w[me->warp];
  leave(me);
  if (!me->copies.empty()) {
    error = "cp.async still in flight at the end of " + who(me);
    abandon(me);
  }
  if (b->live == 1 && !b->bulk.empty()) {
    error = "bulk copy still in flight at the end of the block of " + who(me);
    abandon(me);
  }
  me->state = done;
  b->live--;
  M.live--;
  w.live &= ~(1u << me->lane);
  if (w.waiting)
    for (int j = 0; j < 32; j++)
      if (w.waiting >> j & 1) try_warp(&b->t[me->warp * 32 + j], me);
  try_block_barrier(b, me);
  if (!M.live) {
    switch_to(me, nullptr, true);
  }
  if (!M.count) {
    error = "deadlock:" + stall_report();
    abandon(me);
  }
  Fiber* nx = M.ring[M.head];
  M.head = (M.head + 1) & (M.ring.size() - 1);
  M.count--;
  switch_to(me, nx, true);
  __builtin_unreachable();
}
void fiber_main() {
  Fiber* me = self();
#ifdef SIMT_ASAN
  const void* b;
  size_t s;
  __sanitizer_finish_switch_fiber(nullptr, &b, &s);
  if (!M.main_stack) {
    M.main_stack = b;
    M.main_stack_size = s;
  }
#endif
  acq(&M.launch_sync);
  {
    const int s = me->blk->rank >> 16;
    acq(&M.set_sync[s][~M.set_gen[s] & 1]);
  }  // after the set's previous block
  M.entry(M.ctx);
  finish(me);
}
void prepare(Fiber* f) {
#ifdef SIMT_ASAN
  __asan_unpoison_memory_region(f->stack, f->stack_size);
#endif
#ifdef SIMT_USE_UCONTEXT
  getcontext(&f->ctx.u);
  f->ctx.u.uc_stack.ss_sp = f->stack;
  f->ctx.u.uc_stack.ss_size = f->stack_size;
  f->ctx.u.uc_link = nullptr;
  makecontext(&f->ctx.u, fiber_main, 0);
#else
  // Stacks start at different cache sets.
  uintptr_t top = (uintptr_t)f->stack + f->stack_size - ((f->linear * 192u) & 4095u);
  top &= ~(uintptr_t)63;
  void** sp = (void**)top;
  *--sp = nullptr;
  *--sp = (void*)fiber_main;  // entry: rsp = 16n + 8
  for (int i = 0; i < 6; i++) *--sp = nullptr;
  f->ctx.sp = sp;
#endif
}
void ensure(int set, int cluster, int n) {
  auto& bs = M.sets[set];
  if ((int)bs.size() < cluster) bs.resize(cluster);
  for (int r = 0; r < cluster; r++) {
    Block& b = bs[r];
    if (!b.arena)
      b.arena = (char*)mmap(nullptr, kArena, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if ((int)b.t.size() < n) {
      size_t old = b.t.size();
      b.t.resize(n);
      char* s = (char*)mmap(nullptr, (n - old) * kStack, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
      for (int i = (int)old; i < n; i++) {
        b.t[i].stack = s + (i - old) * kStack;
        b.t[i].stack_size = kStack;
        mprotect(b.t[i].stack, 4096, PROT_NONE);
        b.t[i].stack += 4096;
        b.t[i].stack_size -= 4096;
#ifdef SIMT_TSAN
        b.t[i].tsan = __tsan_create_fiber(0);
#endif
      }
    }
    b.w.resize((n + 31) / 32);
  }
}
}  // namespace

Options& options() { return opt; }
float noisy(float y) {
  if (!opt.ulp_noise || !(y > -3e38f && y < 3e38f) || y == 0) return y;
  uint32_t u;
  memcpy(&u, &y, 4);
  u += (int)(rnd() % (2 * opt.ulp_noise + 1)) - opt.ulp_noise;
  memcpy(&y, &u, 4);
  return y;
}
int race_reports(bool reset) {
#ifdef SIMT_TSAN
  int n = tsan_reports;
  if (reset) tsan_reports = 0;
  return n;
#else
  (void)reset;
  return 0;
#endif
}
Stats& stats() { return stat; }
const char* last_error() { return error.c_str(); }

void fail(const char* f, int l, const char* fmt, ...) {
  char b[512];
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(b, sizeof b, fmt, ap);
  va_end(ap);
  Fiber* me = self();
  me->file = f;
  me->line = l;
  error = std::string(b) + " at " + where(me) + ", " + who(me);
  abandon(me);
}

int block_barrier(int kind, int pred, const char* f, int l) {
  Fiber* me = self();
  Block* b = me->blk;
  me->file = f;
  me->line = l;
  me->state = in_block;
  me->barrier_kind = kind;
  b->at_barrier++;
  b->acc_count += pred != 0;
  b->acc_and &= pred != 0;
  b->acc_or |= pred != 0;
  rel(&b->at_barrier);
  try_block_barrier(b, me);
  block_here(me);
  acq(&b->at_barrier);
  return b->result[kind];
}
void cluster_barrier(const char* f, int l) {
  Fiber* me = self();
  me->file = f;
  me->line = l;
  me->state = in_cluster;
  rel(&M.cluster_sync);
  if (++M.at_cluster == M.live) {
    M.at_cluster = 0;
    std::vector<Fiber*> v;
    for (Block& b : *M.blocks)
      for (int i = 0; i < b.n; i++)
        if (b.t[i].state == in_cluster) v.push_back(&b.t[i]);
    release(v.data(), (int)v.size(), false);
  }
  block_here(me);
  acq(&M.cluster_sync);
}
void yield_spin(const char* f, int l) {
  Fiber* me = self();
  me->file = f;
  me->line = l;
  if (++M.idle_spins > 2000000) {
    error = "no progress while spinning:" + stall_report();
    abandon(me);
  }
  push_back(me);
  block_here(me);
}
void warp_op(Op op, uint32_t mask, const void* v, void* r, size_t n, int arg, int width,
             const char* f, int l) {
  Fiber* me = self();
  Warp& w = me->blk->w[me->warp];
  if (!(mask >> me->lane & 1))
    fail(f, l, "%s: lane %d is not in its own mask %08x", op_name(op), me->lane, mask);
  if (width < 1 || width > 32 || (width & (width - 1)))
    fail(f, l, "%s: width %d", op_name(op), width);
  if (uint32_t o =
          w.waiting & mask) {  // everybody named must do the same; the others agree with the first
    Fiber* q = &me->blk->t[me->warp * 32 + __builtin_ctz(o)];
    if (q->op != op || q->mask != mask || (opt.same_call_site && (q->line != l || q->file != f)))
      fail(f, l, "divergent warp operation: %s mask %08x, but lane %d is in %s mask %08x at %s",
           op_name(op), mask, q->lane, op_name(q->op), q->mask, where(q).c_str());
  }
  me->op = op;
  me->mask = mask;
  me->arg = arg;
  me->width = width;
  me->bytes = n;
  me->file = f;
  me->line = l;
  unsigned char* d = w.in[me->lane].b;
  for (size_t i = 0; i < n; i++) d[i] = ((const unsigned char*)v)[i];
  me->state = in_warp;
  w.waiting |= 1u << me->lane;
  void* sync = &w.sync[__builtin_ctz(mask)];
  if (op == op_syncwarp) rel(sync);  // shuffles and votes order no memory, as on the device
  try_warp(me, me);
  block_here(me);
  if (op == op_syncwarp) acq(sync);
  if (op >= op_ballot) n = op == op_syncwarp ? 0 : 4;
  for (size_t i = 0; i < n; i++) ((unsigned char*)r)[i] = w.out[me->lane].b[i];
}

// ---- shared memory -----------------------------------------------------------------------------
static void* carve(Block* b, const void* key, size_t bytes, size_t align) {
  if (align < 16) align = 16;
  size_t off = (b->used + 63 + align) / align * align;  // a gap of at least 64 bytes: red zone
  if (off + bytes + 64 > kArena) fail("shared", 0, "out of shared memory");
  b->used = off + bytes;
  b->slots.push_back({key, off, bytes});
#ifdef SIMT_ASAN
  __asan_unpoison_memory_region(b->arena + off, bytes);
#endif
  return b->arena + off;
}
void* shared_slot(const void* key, size_t bytes, size_t align) {
  Block* b = self()->blk;
  for (auto& s : b->slots)
    if (s.key == key) return b->arena + s.off;
  return carve(b, key, bytes, align);
}
void* dynamic_shared(size_t* bytes) {
  Block* b = self()->blk;
  if (bytes) *bytes = b->dyn;
  return b->arena;
}
void* cluster_map(const void* p, int rank) {
  Block* b = self()->blk;
  ptrdiff_t off = (const char*)p - b->arena;
  if (off < 0 || off >= (ptrdiff_t)kArena || rank < 0 || rank >= cur->csize)
    fail("cluster", 0, "cluster map of rank %d", rank);
  Block& o = (*M.blocks)[rank];
  for (auto& s : b->slots)
    if (off >= (ptrdiff_t)s.off && off <= (ptrdiff_t)(s.off + s.bytes))
      for (auto& t : o.slots)
        if (t.key == s.key) return o.arena + t.off + (off - s.off);
  if (off <= (ptrdiff_t)b->dyn) return o.arena + off;
  fail("cluster", 0, "the peer block has no such shared array yet");
}

// ---- asynchronous copies -----------------------------------------------------------------------
static void do_copy(void* d, const void* s, size_t n, size_t z) {
  memcpy(d, s, n - z);
  memset((char*)d + n - z, 0, z);
}
void async_copy(void* d, const void* s, size_t n, size_t z, const char* f, int l) {
  if ((n != 4 && n != 8 && n != 16) || (uintptr_t)d % n || (uintptr_t)s % n)
    fail(f, l, "cp.async of %zu bytes, misaligned or of a wrong size", n);
  if (!opt.lazy_async_copy) {
    do_copy(d, s, n, z);
    return;
  }
  self()->copies.push_back({d, s, n, z, self()->group});
}
void async_commit() { self()->group++; }
void async_wait(int pending) {
  Fiber* me = self();
  size_t k = 0;
  for (auto& c : me->copies) {
    if (c.group < me->group - pending)
      do_copy(c.d, c.s, c.n, c.z);
    else
      me->copies[k++] = c;
  }
  me->copies.resize(k);
}
static Mbar* mbar(uint64_t* p, const char* f, int l) {
  for (Block& b : *M.blocks)
    for (auto& m : b.mbars)
      if (m.at == p) return &m;
  fail(f, l, "mbarrier used before its initialisation");
}
static void mbar_step(Mbar* m) {
  if (m->left == 0 && m->tx == 0) {
    m->phase ^= 1;
    m->left = m->count;
  }
}
void mbar_init(uint64_t* p, int count, const char* f, int l) {
  if ((uintptr_t)p % 8) fail(f, l, "misaligned mbarrier");
  Block* b = self()->blk;
  for (auto& m : b->mbars)
    if (m.at == p) {
      m = {p, count, count, 0, 0};
      return;
    }
  b->mbars.push_back({p, count, count, 0, 0});
}
void mbar_expect_arrive(uint64_t* p, uint32_t bytes, const char* f, int l) {
  Mbar* m = mbar(p, f, l);
  if (!m->left) fail(f, l, "more arrivals at an mbarrier than its count");
  rel(p);
  m->tx += bytes;
  m->left--;
  mbar_step(m);
}
static void deliver(Block* b, const Bulk& c) {
  memcpy(c.d, c.s, c.n);
  rel(c.bar);
  for (auto& m : b->mbars)
    if (m.at == c.bar) {
      m.tx -= c.n;
      mbar_step(&m);
    }
}
// Lazily: the data comes in when somebody has waited for a full turn of the queue.
void mbar_wait(uint64_t* p, int parity, const char* f, int l) {
  Block* b = self()->blk;
  for (int turn = 0; mbar(p, f, l)->phase == parity; turn++) {
    if (turn) {
      size_t k = 0;
      for (auto& c : b->bulk) {
        if (c.bar == p)
          deliver(b, c);
        else
          b->bulk[k++] = c;
      }
      b->bulk.resize(k);
    }
    if (mbar(p, f, l)->phase == parity) yield_spin(f, l);
  }
  M.idle_spins = 0;
  acq(p);
}
void bulk_copy(void* d, const void* s, uint32_t bytes, uint64_t* p, const char* f, int l) {
  if ((uintptr_t)d % 16 || (uintptr_t)s % 16 || bytes % 16 || !bytes)
    fail(f, l, "cp.async.bulk needs 16-byte alignment and size (%p, %p, %u)", d, s, bytes);
  mbar(p, f, l);
  Bulk c{d, s, bytes, p};
  Block* b = self()->blk;
  rel(p);
  if (opt.lazy_async_copy)
    b->bulk.push_back(c);
  else
    deliver(b, c);
}

// ---- launch ------------------------------------------------------------------------------------
#if !defined(SIMT_ASAN) && !defined(SIMT_TSAN)
static void crash(int sig) {
  if (cur) {
    std::string m = "simt: signal " + std::to_string(sig) +
                    " (bad or misaligned address, or stack overflow) in " + who(self()) +
                    ", last barrier or warp operation at " + where(self()) + "\n";
    if (write(2, m.data(), m.size())) {
    }
  }
  signal(sig, SIG_DFL);
  raise(sig);
}
static void install_crash_report() {
  static char alt[64 << 10];
  stack_t st = {};
  st.ss_sp = alt;
  st.ss_size = sizeof alt;
  sigaltstack(&st, nullptr);
  struct sigaction sa = {};
  sa.sa_handler = crash;
  sa.sa_flags = SA_ONSTACK;
  sigaction(SIGSEGV, &sa, nullptr);
  sigaction(SIGBUS, &sa, nullptr);
  sigaction(SIGFPE, &sa, nullptr);
}
#else
static void install_crash_report() {}
#endif
int run(void (*entry)(void*), void* ctx, dim3 grid, dim3 block, unsigned cluster, size_t smem) {
  std::lock_guard<std::mutex> hold(big_lock);
  const int n = (int)(block.x * block.y * block.z);
  const long long total = (long long)grid.x * grid.y * grid.z;
  error.clear();
  M.failed = false;
  M.rng = opt.seed * 0x9e3779b97f4a7c15ull | 1;
  if (n < 1 || n > 1024 || block.z > 64 || total < 1 || grid.y > 65535 || grid.z > 65535 ||
      grid.x > 0x7fffffffu || smem > 227 * 1024 || cluster < 1 || cluster > 8 || grid.x % cluster) {
    error = "invalid launch configuration";
    return 9 /* cudaErrorInvalidConfiguration */;
  }
  if (M.sets.empty()) {
    M.sets.resize(kSets);
    if (getenv("SIMT_CRASH_REPORT")) install_crash_report();
  }
  for (int s = 0; s < kSets; s++) ensure(s, (int)cluster, n);
  size_t cap = 1;
  while (cap < (size_t)n * cluster + 1) cap <<= 1;
  M.ring.resize(cap);
  M.head = M.count = 0;
  M.entry = entry;
  M.ctx = ctx;
  M.smem = smem;
#ifdef SIMT_TSAN
  M.main_tsan = __tsan_get_current_fiber();
#endif
  rel(&M.launch_sync);
  const long long ngroups = total / cluster;
  const long long lo = opt.first_block / cluster,
                  hi = opt.last_block < 0 ? ngroups : (opt.last_block + cluster) / cluster;
  for (long long g0 = lo; g0 < hi && g0 < ngroups; g0++) {
    const long long g =
        opt.order == Order::reverse ? lo + (hi < ngroups ? hi : ngroups) - 1 - g0 : g0;
    const int set = (int)(g0 % kSets);
    auto& bs = M.sets[set];
    M.blocks = &bs;
    M.set_gen[set]++;
    if ((unsigned)bs.size() != cluster) {
      for (size_t r = cluster; r < bs.size(); r++) bs[r].n = 0;
    }
    M.live = 0;
    M.at_cluster = 0;
    M.head = M.count = 0;
    M.idle_spins = 0;
    std::vector<Fiber*> l;
    for (unsigned r = 0; r < cluster; r++) {
      Block& b = bs[r];
      const long long id = g * cluster + r;
      b.n = b.live = n;
      b.at_barrier = 0;
      b.acc_count = 0;
      b.acc_and = 1;
      b.acc_or = 0;
      b.rank = (set << 16) | (int)r;
      const size_t touched = b.used > b.dyn ? b.used : b.dyn;
      b.slots.clear();
      b.mbars.clear();
      b.bulk.clear();
      b.dyn = smem;
      b.used = smem;
#ifdef SIMT_ASAN
      __asan_unpoison_memory_region(b.arena, kArena);
#endif
      {
        const size_t top = (touched > smem ? touched : smem) + 4096;
        volatile uint64_t* p = (volatile uint64_t*)b.arena;
        for (size_t i = 0; i < (top < kArena ? top : kArena) / 8; i++) p[i] = ~0ull;
      }  // NaN, -1
#ifdef SIMT_ASAN
      __asan_poison_memory_region(b.arena, kArena);
      __asan_unpoison_memory_region(b.arena, smem);
#endif
      dim3 bid(id % grid.x, id / grid.x % grid.y, id / ((long long)grid.x * grid.y));
      for (size_t w = 0; w < b.w.size(); w++) {
        b.w[w].waiting = 0;
        int k = n - (int)w * 32;
        b.w[w].live = k >= 32 ? ~0u : (1u << k) - 1;
      }
      for (int i = 0; i < n; i++) {
        Fiber& f = b.t[i];
        f.tid = make_uint3(i % block.x, i / block.x % block.y, i / (block.x * block.y));
        f.bid = make_uint3(bid.x, bid.y, bid.z);
        f.bdim = block;
        f.gdim = grid;
        f.linear = i;
        f.lane = i & 31;
        f.warp = i >> 5;
        f.blk = &b;
        f.crank = (int)r;
        f.csize = (int)cluster;
        f.file = nullptr;
        f.line = 0;
        f.copies.clear();
        f.group = 0;
        f.fake = nullptr;
        prepare(&f);
        M.live++;
        l.push_back(&f);
      }
    }
    release(l.data(), (int)l.size(), false);
    stat.blocks += cluster;
    Fiber* nx = M.ring[M.head];
    M.head = (M.head + 1) & (M.ring.size() - 1);
    M.count--;
    switch_to(nullptr, nx);
    if (M.failed) break;
  }
  acq(&M.end_sync);
  cur = nullptr;
  return M.failed ? 719 /* cudaErrorLaunchFailure */ : 0;
}
}  // namespace simt

// ---- the runtime API, so that host code links without libcudart ----------------------------------
extern "C" {
cudaError_t cudaMalloc(void** p, size_t n) {  // exact size: ASan sees the first byte past it
  size_t m = n ? n : 1;
  if (posix_memalign(p, 256, m)) return cudaErrorMemoryAllocation;
  memset(*p, 0xff, m);
  return cudaSuccess;
}
cudaError_t cudaFree(void* p) {
  free(p);
  return cudaSuccess;
}
cudaError_t cudaMemcpy(void* d, const void* s, size_t n, cudaMemcpyKind) {
  memcpy(d, s, n);
  return cudaSuccess;
}
cudaError_t cudaMemcpyAsync(void* d, const void* s, size_t n, cudaMemcpyKind, cudaStream_t) {
  memcpy(d, s, n);
  return cudaSuccess;
}
cudaError_t cudaMemset(void* d, int v, size_t n) {
  memset(d, v, n);
  return cudaSuccess;
}
cudaError_t cudaMemsetAsync(void* d, int v, size_t n, cudaStream_t) {
  memset(d, v, n);
  return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t) { return cudaSuccess; }
cudaError_t cudaDeviceSynchronize(void) { return cudaSuccess; }
cudaError_t cudaGetLastError(void) {
  return simt::last_error()[0] ? cudaErrorLaunchFailure : cudaSuccess;
}
const char* cudaGetErrorString(cudaError_t e) {
  return e == cudaSuccess ? "no error" : simt::last_error()[0] ? simt::last_error() : "CUDA error";
}
}
