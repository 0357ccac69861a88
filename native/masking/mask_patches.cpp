// Masked images: every byte is read and written once, whatever the mask.
#include "masking/masking.h"

namespace papo {
namespace {

papo_status checkSizes(const papo_mask_patches_args& a) {
  if (a.layout != PAPO_LAYOUT_INTERLEAVED && a.layout != PAPO_LAYOUT_PLANAR)
    return fail(PAPO_INVALID_OPTION, "layout: expected a papo_image_layout, got %d", a.layout);
  PAPO_TRY(requireSize("frames", a.frames, PAPO_INVALID_SHAPE));
  PAPO_TRY(requireSize("height", a.height, PAPO_INVALID_SHAPE));
  PAPO_TRY(requireSize("width", a.width, PAPO_INVALID_SHAPE));
  PAPO_TRY(requireSize("channels", a.channels, PAPO_INVALID_SHAPE));
  PAPO_TRY(requireSize("patchSize", a.patchSize, PAPO_INVALID_OPTION));
  return requireSize("mergeSize", a.mergeSize, PAPO_INVALID_OPTION);
}

papo_status checkMaskPatches(const papo_engine* engine, const papo_mask_patches_args* a) {
  PAPO_TRY(requireArgs(engine, a));
  PAPO_TRY(checkSizes(*a));
  const Planes planes(*a);
  const int64_t rows = planes.count * a->height;
  PAPO_TRY(requireMatrix({"image", &a->image}, rows, planes.rowElements, kImageDTypes));
  PAPO_TRY(requireMatrix({"out", &a->out}, rows, planes.rowElements,
                         1u << static_cast<unsigned>(a->image.dtype)));
  const bool isShared = a->patchMask.rows == planes.cells();
  PAPO_TRY(requireVector({"patchMask", &a->patchMask}, planes.cells() * (isShared ? 1 : a->frames),
                         dtypeBit(PAPO_UINT8)));
  PAPO_TRY(requireBinaryHere(engine, {"patchMask", &a->patchMask}));
  PAPO_TRY(requireFill(a->fill, a->channels, a->image.dtype));
  return requireDisjoint({{"image", &a->image}, {"patchMask", &a->patchMask}, {"fill", &a->fill}},
                         {{"out", &a->out}}, {{&a->image, &a->out}});
}

// A vector extension that GCC and Clang share.
using Bytes = uint8_t __attribute__((vector_size(16)));
constexpr int64_t kVector = sizeof(Bytes);

inline Bytes load(const uint8_t* from) {
  Bytes bytes;
  std::memcpy(&bytes, from, sizeof bytes);
  return bytes;
}
inline void store(Bytes bytes, uint8_t* to) { std::memcpy(to, &bytes, sizeof bytes); }

// out = in where keep, else pattern, whose other bytes are 0; null: all are. in may be out.
void select(const uint8_t* in, const uint8_t* keep, const uint8_t* pattern, uint8_t* out,
            int64_t bytes) {
  int64_t i = 0;
  if (pattern)
    for (; i + kVector <= bytes; i += kVector)
      store((load(in + i) & load(keep + i)) | load(pattern + i), out + i);
  else
    for (; i + kVector <= bytes; i += kVector) store(load(in + i) & load(keep + i), out + i);
  for (; i < bytes; ++i)
    out[i] = static_cast<uint8_t>((in[i] & keep[i]) | (pattern ? pattern[i] : 0));
}

constexpr int64_t kTileBytes =
    16384;  // keep and pattern of a tile stay in the second cache at worst

// What is kept of some elements of a pixel row, and what takes the place of the rest.
struct alignas(64) Tile {
  uint8_t keep[kTileBytes + kVector];  // whole vectors are written
  uint8_t pattern[kTileBytes];
};

// Elements [first, first + count) of a pixel row under this row of the mask.
void buildKeep(const uint8_t* maskRow, int64_t cellElements, int64_t first, int64_t count,
               int64_t elementBytes, uint8_t* keep) {
  const int64_t end = count * elementBytes, cellBytes = cellElements * elementBytes;
  int64_t cell = first / cellElements;
  int64_t until = ((cell + 1) * cellElements - first) * elementBytes;
  for (int64_t at = 0; at < end; ++cell, until += cellBytes) {
    const uint8_t byte = maskRow[cell] ? 0 : 0xff;
    const Bytes bytes = byte - Bytes{};
    // The last vector runs into the next cell, which is written after it.
    const int64_t stop = std::min(until, end);
    for (int64_t i = at; i < stop; i += kVector) store(bytes, keep + i);
    at = stop;
  }
}

// The fill of elements [first, first + count) of a pixel row, where they are not kept.
template <class T>
void buildPattern(const Fill& fill, const Planes& planes, int64_t plane, int64_t first,
                  int64_t count, Tile* tile) {
  auto* elements = reinterpret_cast<T*>(tile->pattern);
  const int64_t channels = planes.pixelElements;
  const int64_t ofPlane = planes.planar ? plane % planes.perFrame : 0;
  int64_t done = std::min(channels, count);
  for (int64_t i = 0; i < done; ++i)
    elements[i] = toElement<T>(fill.at(ofPlane + (first + i) % channels));
  while (done < count) {  // whole pixels, twice as many each time
    const int64_t more = std::min(done, count - done);
    std::memcpy(elements + done, elements, static_cast<size_t>(more) * sizeof(T));
    done += more;
  }
  for (int64_t i = 0; i < count * static_cast<int64_t>(sizeof(T)); ++i)
    tile->pattern[i] = static_cast<uint8_t>(tile->pattern[i] & ~tile->keep[i]);
}

// The pixel rows of one plane under one row of the grid.
template <class T>
void maskBand(const papo_mask_patches_args& a, const Planes& planes, const Fill& fill,
              int64_t band) {
  constexpr int64_t kElementBytes = sizeof(T), kTileElements = kTileBytes / kElementBytes;
  const int64_t plane = band / planes.gridRows, gridRow = band % planes.gridRows;
  const int64_t frame = plane / planes.perFrame;
  const int64_t maskFrame = a.patchMask.rows == planes.cells() ? 0 : frame;
  const auto* maskRow = static_cast<const uint8_t*>(a.patchMask.data) +
                        (maskFrame * planes.gridRows + gridRow) * planes.gridColumns;
  const int64_t top = gridRow * planes.side;
  const int64_t row = plane * a.height + top, rows = std::min(planes.side, a.height - top);
  const auto* in = static_cast<const T*>(a.image.data) + row * a.image.rowStride;
  auto* out = static_cast<T*>(a.out.data) + row * a.out.rowStride;
  Tile tile;
  for (int64_t first = 0; first < planes.rowElements; first += kTileElements) {
    const int64_t count = std::min(kTileElements, planes.rowElements - first);
    buildKeep(maskRow, planes.side * planes.pixelElements, first, count, kElementBytes, tile.keep);
    if (!fill.isZero()) buildPattern<T>(fill, planes, plane, first, count, &tile);
    for (int64_t y = 0; y < rows; ++y)
      select(reinterpret_cast<const uint8_t*>(in + y * a.image.rowStride + first), tile.keep,
             fill.isZero() ? nullptr : tile.pattern,
             reinterpret_cast<uint8_t*>(out + y * a.out.rowStride + first), count * kElementBytes);
  }
}

template <class T>
void maskPatches(papo_engine* engine, const papo_mask_patches_args& a) {
  const Planes planes(a);
  const Fill fill(a.fill);
  const int64_t bandElements = std::min(planes.side, a.height) * planes.rowElements;
  const int64_t bandBytes = bandElements * static_cast<int64_t>(sizeof(T));
  forEachPart(engine, planes.count * planes.gridRows, bandBytes, [&](int64_t begin, int64_t end) {
    for (int64_t band = begin; band < end; ++band) maskBand<T>(a, planes, fill, band);
  });
}

}  // namespace
}  // namespace papo

extern "C" papo_status papo_mask_patches(papo_engine* engine, const papo_mask_patches_args* args) {
  using namespace papo;
  PAPO_TRY(checkMaskPatches(engine, args));
#if defined(PAPO_WITH_CUDA)
  if (engine->isCuda()) return cuda::maskPatches(*engine->cuda, *args);
#endif
  visitImageDType(args->image.dtype,
                  [&](auto element) { maskPatches<decltype(element)>(engine, *args); });
  return PAPO_OK;
}
