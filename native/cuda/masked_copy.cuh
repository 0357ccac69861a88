// Copies rows of which some elements are filled instead: every byte is written once and, where it
// is kept, read once, in pieces of 16 bytes wherever both rows are aligned alike. In place, what is
// kept is neither read nor written. Elements are bits of 1, 2, 4 or 8 bytes, whatever their dtype.
#pragma once

#include <cstring>

#include "cuda/device.cuh"
#include "masking/masking.h"

namespace papo::cuda {

template <size_t kBytes>
struct ElementBits;
template <>
struct ElementBits<1> {
  using Type = uint8_t;
};
template <>
struct ElementBits<2> {
  using Type = uint16_t;
};
template <>
struct ElementBits<4> {
  using Type = uint32_t;
};
template <>
struct ElementBits<8> {
  using Type = uint64_t;
};

// --- fill ----------------------------------------------------------------------------------------

// The fill of some channels, by value in the parameters of a kernel, which hold 4 KB in all: an
// image of more channels takes a launch for each slice of them.
template <class Bits>
struct FillSlice {
  static constexpr int64_t kCapacity = 2048 / sizeof(Bits);

  uint4 splat;            // 16 bytes of values[0]
  int64_t channels = 1;   // 1: one value for all
  int64_t runLength = 1;  // elements of a channel that follow each other in a row
  int64_t first = 0;      // channel of values[0]
  int64_t count = 1;      // channels of this slice
  Bits values[kCapacity];

  __host__ __device__ bool isWhole() const { return count == channels; }
};

// Calls launchSlice(slice) for all channels. T: the element type that Bits are those of.
template <class T, class Launch>
papo_status forEachFillSlice(const Fill& fill, int64_t runLength, const Launch& launchSlice) {
  using Bits = typename ElementBits<sizeof(T)>::Type;
  FillSlice<Bits> slice;
  slice.channels = fill.count();
  slice.runLength = runLength;
  for (slice.first = 0; slice.first < slice.channels; slice.first += slice.count) {
    slice.count = std::min(slice.channels - slice.first, slice.kCapacity);
    for (int64_t i = 0; i < slice.count; ++i) {
      const T element = toElement<T>(fill.at(slice.first + i));
      std::memcpy(&slice.values[i], &element, sizeof element);
    }
    for (size_t at = 0; at < sizeof slice.splat; at += sizeof(Bits))
      std::memcpy(reinterpret_cast<char*>(&slice.splat) + at, slice.values, sizeof(Bits));
    PAPO_TRY(launchSlice(slice));
  }
  return PAPO_OK;
}

// Goes through the channels of the elements of a row.
template <class Bits>
class ChannelWalk {
 public:
  // firstChannel: of the row's first element.
  __device__ ChannelWalk(const FillSlice<Bits>& fill, int64_t firstChannel, int64_t element)
      : fill_(fill) {
    if (fill.channels == 1) return;
    inRun_ = element % fill.runLength;
    channel_ = (element / fill.runLength + firstChannel) % fill.channels;
  }

  __device__ bool isOfSlice() const {
    return channel_ >= fill_.first && channel_ < fill_.first + fill_.count;
  }
  // isOfSlice() only.
  __device__ Bits value() const { return fill_.values[channel_ - fill_.first]; }
  __device__ void next() {
    if (fill_.channels == 1 || ++inRun_ < fill_.runLength) return;
    inRun_ = 0;
    if (++channel_ == fill_.channels) channel_ = 0;
  }

 private:
  const FillSlice<Bits>& fill_;
  int64_t inRun_ = 0, channel_ = 0;
};

// --- rows ----------------------------------------------------------------------------------------

template <class Bits>
struct MaskedRow {
  const Bits* in;
  Bits* out;  // or in
  int64_t elements;
  int64_t firstChannel;
};

// Elements up to end are all masked, or all kept.
struct MaskRun {
  bool masked;
  int64_t end;
};

template <class Bits>
union Piece {
  static constexpr int kElements = 16 / sizeof(Bits);
  uint4 vector;
  Bits elements[kElements];
  __device__ Piece() {}
};

template <class Bits, class RunAt>
__device__ __forceinline__ void maskElements(const MaskedRow<Bits>& row,
                                             const FillSlice<Bits>& fill, int64_t first,
                                             int64_t end, const RunAt& runAt) {
  ChannelWalk<Bits> walk(fill, row.firstChannel, first);
  MaskRun run = runAt(first);
  for (int64_t i = first; i < end; ++i, walk.next()) {
    if (i >= run.end) run = runAt(i);
    if (!walk.isOfSlice()) continue;
    if (run.masked)
      row.out[i] = walk.value();
    else if (row.in != row.out)
      row.out[i] = row.in[i];
  }
}

template <class Bits>
__device__ __forceinline__ uint4 fillPiece(const MaskedRow<Bits>& row, const FillSlice<Bits>& fill,
                                           int64_t first) {
  if (fill.channels == 1) return fill.splat;
  ChannelWalk<Bits> walk(fill, row.firstChannel, first);
  Piece<Bits> piece;
#pragma unroll
  for (int i = 0; i < Piece<Bits>::kElements; ++i, walk.next()) piece.elements[i] = walk.value();
  return piece.vector;
}

// 16 aligned bytes of both rows, in which kept and masked elements may meet.
template <class Bits, class RunAt>
__device__ __forceinline__ void maskPiece(const MaskedRow<Bits>& row, const FillSlice<Bits>& fill,
                                          int64_t first, const RunAt& runAt) {
  constexpr int kElements = Piece<Bits>::kElements;
  MaskRun run = runAt(first);
  const bool isMixed = run.end < first + kElements;
  if (isMixed && row.in == row.out) return maskElements(row, fill, first, first + kElements, runAt);
  if (!isMixed && !run.masked && row.in == row.out) return;
  Piece<Bits> piece, filled;
  if (isMixed || !run.masked) piece.vector = *reinterpret_cast<const uint4*>(row.in + first);
  if (isMixed || run.masked) filled.vector = fillPiece(row, fill, first);
  if (!isMixed && run.masked) piece.vector = filled.vector;
  if (isMixed) {
#pragma unroll
    for (int i = 0; i < kElements; ++i) {
      if (first + i >= run.end) run = runAt(first + i);
      if (run.masked) piece.elements[i] = filled.elements[i];
    }
  }
  *reinterpret_cast<uint4*>(row.out + first) = piece.vector;
}

// The work of a warp: so many bytes of a row, counted from where 16 bytes of out begin.
constexpr int kSegmentPieces = 128;

template <class Bits>
int64_t segmentsOf(int64_t elements) {
  const int64_t perSegment = kSegmentPieces * int64_t{Piece<Bits>::kElements};
  return (elements + Piece<Bits>::kElements - 1 + perSegment - 1) / perSegment;
}

template <class Bits, class RunAt>
__device__ __forceinline__ void maskSegment(const MaskedRow<Bits>& row, const FillSlice<Bits>& fill,
                                            int64_t segment, const RunAt& runAt) {
  constexpr int kElements = Piece<Bits>::kElements;
  const uintptr_t in = reinterpret_cast<uintptr_t>(row.in);
  const uintptr_t out = reinterpret_cast<uintptr_t>(row.out);
  const int64_t before = static_cast<int64_t>(out % 16 / sizeof(Bits));
  const bool isVector = in % 16 == out % 16 && fill.isWhole();
  for (int i = static_cast<int>(threadIdx.x % 32); i < kSegmentPieces; i += 32) {
    const int64_t first = (segment * kSegmentPieces + i) * kElements - before;
    if (first >= row.elements) return;
    const int64_t end = first + kElements;
    if (isVector && first >= 0 && end <= row.elements)
      maskPiece(row, fill, first, runAt);
    else
      maskElements(row, fill, first < 0 ? 0 : first, end < row.elements ? end : row.elements,
                   runAt);
  }
}

}  // namespace papo::cuda
