// The row algorithm of the CUDA engine, for the kernels that move the data (docs/math.md Eq. 1-8).
//
// A row is cut into tiles of 1,024 elements that a warp holds in registers (row_tile.cuh). Per row:
//   1. tileSums of every tile into shared memory, any warp, any order          row_sums.cuh
//   2. mergeTiles, one warp
//   3. prefetchRecord (early), then rowEpilogue: tokens' terms, the row's plan  row_plan.cuh
//   4. gradientOfTile of every tile, any warp, any order                       row_gradient.cuh
// What a row becomes depends on its values, their number and dtype, and nothing else: no formula
// here knows addresses, threads, blocks or other rows. Rounding is fixed as well: products in the
// hot formulas are written as __fmul_rn and __fmaf_rn, which the compiler may not fuse or split.
#pragma once

#include "cuda/row_gradient.cuh"
#include "cuda/row_plan.cuh"
#include "cuda/row_sums.cuh"
#include "cuda/row_tile.cuh"
