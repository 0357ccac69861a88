// Grids of cells and patches over images, for both engines.
#pragma once

#include <cstdint>

#include "engine/host_device.h"
#include "papo.h"

namespace papo {

// How many cells of side cover so many pixels or patches.
PAPO_HOST_DEVICE int64_t cellsAlong(int64_t length, int64_t side) {
  return (length + side - 1) / side;
}

// An image as planes of pixel rows: one plane a frame, or one a channel of it where planar.
struct Planes {
  explicit Planes(const papo_mask_patches_args& a)
      : planar(a.layout == PAPO_LAYOUT_PLANAR),
        perFrame(planar ? a.channels : 1),
        count(a.frames * perFrame),
        pixelElements(planar ? 1 : a.channels),
        rowElements(a.width * pixelElements),
        side(a.patchSize * a.mergeSize),
        gridRows(cellsAlong(a.height, side)),
        gridColumns(cellsAlong(a.width, side)) {}

  bool planar;
  int64_t perFrame;
  int64_t count;
  int64_t pixelElements;
  int64_t rowElements;
  int64_t side;  // of a cell, in pixels
  int64_t gridRows, gridColumns;

  PAPO_HOST_DEVICE int64_t cells() const { return gridRows * gridColumns; }
};

// Which patch of an image's grid, row-major and width patches across, is in this row of it: rows go
// through t, h / m, w / m, m, m.
PAPO_HOST_DEVICE int64_t patchOfRow(int64_t row, int64_t width, int64_t m) {
  const int64_t token = row / (m * m), inToken = row % (m * m);
  const int64_t tokensAcross = width / m;
  // h / m token rows a frame group: (t, h / m) counts as one index, as m divides h.
  const int64_t y = token / tokensAcross * m + inToken / m;
  const int64_t x = token % tokensAcross * m + inToken % m;
  return y * width + x;
}

// Frames of height x width patches, in cells of mergeSize x mergeSize.
struct CellGrid {
  PAPO_HOST_DEVICE explicit CellGrid(const papo_saliency_patch_mask_args& a)
      : rows(cellsAlong(a.height, a.mergeSize)), columns(cellsAlong(a.width, a.mergeSize)) {}

  int64_t rows, columns;

  PAPO_HOST_DEVICE int64_t cells() const { return rows * columns; }
};

}  // namespace papo
