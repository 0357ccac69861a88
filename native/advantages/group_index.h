// Members of each group, in the order of their indices, from group ids of any values and order.
#pragma once

#include <cstdint>

#include "engine/arena.h"

namespace papo {

struct GroupIndex {
  int64_t groups = 0;
  int64_t* order = nullptr;    // [responses] indices, group after group
  int64_t* offsets = nullptr;  // [groups + 1] into order

  static GroupIndex layOut(Arena* arena, int64_t responses);
  void build(const int32_t* ids, int64_t responses);
};

}  // namespace papo
