// Members of each group, in the order of their indices, from group ids of any values and order.
#pragma once

#include <cstdint>

#include "engine/arena.h"

namespace papo {

struct GroupIndex {
  int64_t groups = 0;
  // [responses] of its own: ids lead to indices, and the caller's may change during the call where
  // another thread shares them.
  int32_t* ids = nullptr;
  int64_t* order = nullptr;    // [responses] indices, group after group
  int64_t* offsets = nullptr;  // [groups + 1] into order

  static GroupIndex layOut(Arena* arena, int64_t responses);
  void build(const int32_t* given, int64_t responses);  // responses >= 1

 private:
  void orderByCounting(int64_t first, int64_t count, int64_t responses);
  void orderBySorting(int64_t responses);
  void findGroups(int64_t responses);
};

}  // namespace papo
