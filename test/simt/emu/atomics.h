// Atomic operations on integers and floats, relaxed as on the device: they order no other memory.
#pragma once

#include <cstring>

#include "simt.h"

namespace simt {

template <class T>
struct Same {
  using Type = T;
};
// Not deduced, so that a literal takes the type of the memory.
template <class T>
using SameType = typename Same<T>::Type;

template <size_t N>
struct Word;
template <>
struct Word<2> {
  using Type = uint16_t;
};
template <>
struct Word<4> {
  using Type = uint32_t;
};
template <>
struct Word<8> {
  using Type = uint64_t;
};

// Replaces *at by update(*at), which it gives back as it was.
template <class T, class Update>
T atomicUpdate(T* at, Update update) {
  using W = typename Word<sizeof(T)>::Type;
  W* word = reinterpret_cast<W*>(at);
  W seen = __atomic_load_n(word, __ATOMIC_RELAXED), wanted;
  T before, after;
  do {
    std::memcpy(&before, &seen, sizeof before);
    after = update(before);
    std::memcpy(&wanted, &after, sizeof wanted);
  } while (
      !__atomic_compare_exchange_n(word, &seen, wanted, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
  return before;
}

}  // namespace simt

#define SIMT_ATOMIC(name, expression)                                          \
  template <class T>                                                           \
  T name(T* at, simt::SameType<T> value) {                                     \
    return simt::atomicUpdate(at, [value](T old) -> T { return expression; }); \
  }
SIMT_ATOMIC(atomicAdd, old + value)
SIMT_ATOMIC(atomicSub, old - value)
SIMT_ATOMIC(atomicMax, old > value ? old : value)
SIMT_ATOMIC(atomicMin, old < value ? old : value)
SIMT_ATOMIC(atomicAnd, old& value)
SIMT_ATOMIC(atomicOr, old | value)
SIMT_ATOMIC(atomicXor, old ^ value)
SIMT_ATOMIC(atomicExch, (static_cast<void>(old), value))
SIMT_ATOMIC(atomicInc, old >= value ? T(0) : T(old + 1))
#undef SIMT_ATOMIC

template <class T>
T atomicCAS(T* at, simt::SameType<T> expected, simt::SameType<T> value) {
  return simt::atomicUpdate(at, [expected, value](T old) { return old == expected ? value : old; });
}
