// Image masking on the emulated device against the CPU, bit for bit: every dtype and layout,
// strides, addresses, in place, and what a device refuses.
#include <cmath>
#include <limits>

#include "../native/sanitizers.h"
#include "two_engines.h"

namespace {

using papo_test::Call;
using papo_test::Random;
using papo_test::TwoEngines;
using Bytes = std::vector<uint8_t>;

struct Result {
  papo_status status = PAPO_INTERNAL;
  std::string message;
  Bytes out;
};

Result finished(Call* call, papo_status status, size_t bytes, size_t back) {
  Result result;
  result.status = status == PAPO_OK ? papo_engine_synchronize(call->engine()) : status;
  if (result.status != PAPO_OK) result.message = papo_last_message();
  result.out.resize(bytes);
  call->read(result.out.data(), back);
  return result;
}

Bytes randomBytes(size_t count, uint64_t seed) {
  Random random(seed);
  Bytes bytes(count);
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random.next() >> 20);
  return bytes;
}

Bytes randomMask(int64_t count, uint64_t seed) {
  Bytes mask = randomBytes(static_cast<size_t>(count), seed);
  // Long runs of the same value as well as changes at every cell.
  for (size_t i = 0; i < mask.size(); ++i) mask[i] = i % 64 < 32 ? mask[i] & 1 : mask[i / 64] & 1;
  return mask;
}

// A view of so many rows, and the bytes under it.
struct View {
  int64_t rows, columns, stride;
  int32_t dtype;
  size_t offset;  // of its address, in bytes

  size_t bytes() const {
    return static_cast<size_t>((rows - 1) * stride + columns) * Call::bytesOf(dtype);
  }
  papo_tensor tensor(Call* call, const Bytes& values) const {
    return call->tensor(values.data(), rows, columns, stride, dtype, offset);
  }
};

std::vector<double> fillOf(int64_t channels) {
  std::vector<double> fill;
  for (int64_t i = 0; i < channels; ++i) fill.push_back(static_cast<double>(i % 250 + 3));
  return fill;
}

papo_tensor hostVector(std::vector<double>& values) {
  return {values.empty() ? nullptr : values.data(),
          static_cast<int64_t>(values.size()),
          1,
          1,
          PAPO_FLOAT64,
          PAPO_CPU};
}

// --- papo_mask_patches ---------------------------------------------------------------------------

struct ImageCase {
  int64_t frames, height, width, channels, patchSize, mergeSize;
  int32_t dtype = PAPO_UINT8;
  bool planar = false, perFrame = false, inPlace = false;
  int64_t fills = 0;  // none, 1 or channels
  int64_t padding = 0, outPadding = 0;
  size_t offset = 0, outOffset = 0;  // in elements

  int64_t cells() const {
    const int64_t side = patchSize * mergeSize;
    return ((height + side - 1) / side) * ((width + side - 1) / side);
  }
};

Result mask(papo_engine* engine, const ImageCase& c, const Bytes& patchMask) {
  const size_t width = Call::bytesOf(c.dtype);
  const int64_t rows = c.frames * c.height * (c.planar ? c.channels : 1);
  const int64_t columns = c.width * (c.planar ? 1 : c.channels);
  const View image{rows, columns, columns + c.padding, c.dtype, c.offset * width};
  const View out{rows, columns, columns + c.outPadding, c.dtype, c.outOffset * width};
  std::vector<double> fill = fillOf(c.fills);
  Call call(engine);
  papo_mask_patches_args args{};
  args.size = sizeof args;
  args.layout = c.planar ? PAPO_LAYOUT_PLANAR : PAPO_LAYOUT_INTERLEAVED;
  args.frames = c.frames;
  args.height = c.height;
  args.width = c.width;
  args.channels = c.channels;
  args.patchSize = c.patchSize;
  args.mergeSize = c.mergeSize;
  args.fill = hostVector(fill);
  args.patchMask = call.vectorOf(patchMask, PAPO_UINT8);
  args.image = image.tensor(&call, randomBytes(image.bytes(), 3));
  args.out = c.inPlace ? args.image : out.tensor(&call, Bytes(out.bytes(), 77));
  const papo_status status = papo_mask_patches(engine, &args);
  return finished(&call, status, (c.inPlace ? image : out).bytes(), 0);
}

void compareImage(const TwoEngines& engines, const ImageCase& c) {
  std::snprintf(papo_test::checkContext, sizeof papo_test::checkContext,
                "%lld x %lld x %lld x %lld, side %lld, dtype %d, planar %d, in place %d, fill %lld",
                static_cast<long long>(c.frames), static_cast<long long>(c.height),
                static_cast<long long>(c.width), static_cast<long long>(c.channels),
                static_cast<long long>(c.patchSize * c.mergeSize), c.dtype, c.planar, c.inPlace,
                static_cast<long long>(c.fills));
  const Bytes patchMask = randomMask(c.cells() * (c.perFrame ? c.frames : 1), 9);
  const Result expected = mask(engines.cpu, c, patchMask), got = mask(engines.device, c, patchMask);
  CHECK(expected.status == PAPO_OK && got.status == PAPO_OK);
  CHECK(got.out == expected.out);
}

void images(const TwoEngines& engines) {
  const ImageCase shapes[] = {
      {1, 1, 1, 1, 14, 1},   {1, 29, 43, 3, 14, 1}, {2, 17, 33, 4, 8, 2},
      {3, 5, 7, 2, 1, 1},    {1, 3, 4111, 3, 2, 1}, {2, 6, 64, 3, 4, 1},
      {1, 2, 3, 9001, 1, 2}, {1, 5, 40, 300, 3, 1}, {1, 4, 4, 3, 1 << 20, 1 << 20},
  };
  const int32_t dtypes[] = {PAPO_UINT8, PAPO_FLOAT32, PAPO_FLOAT16, PAPO_BFLOAT16, PAPO_FLOAT64};
  uint64_t variant = 0;
  for (const ImageCase& shape : shapes) {
    for (const bool planar : {false, true}) {
      for (const bool inPlace : {false, true}) {
        for (const int64_t fills : {int64_t{0}, int64_t{1}, shape.channels}) {
          ++variant;
          if (papo_test::kThreadSanitized && variant % 5 != 0) continue;
          ImageCase c = shape;
          c.planar = planar;
          c.inPlace = inPlace;
          c.fills = fills;
          c.dtype = dtypes[(variant + variant / 5) % 5];
          c.perFrame = variant % 2;
          c.padding = variant % 3 == 0 ? 5 : 0;
          c.outPadding = variant % 4 == 0 ? 3 : 0;
          c.offset = variant % 7 == 0 ? 1 : variant % 7 == 1 ? 16 : 0;
          c.outOffset = variant % 5 == 0 ? 3 : variant % 5 == 1 ? 16 : 0;
          compareImage(engines, c);
        }
      }
    }
  }
}

// More warps of work than the grid has.
void manyRows(const TwoEngines& engines) {
  ImageCase c{1, 40000, 16, 1, 7, 1};
  c.fills = 1;
  compareImage(engines, c);
}

// Rows further than 2^31 bytes from the first; most of the memory is never touched.
void farRows(const TwoEngines& engines) {
  papo_engine* engine = engines.device;
  constexpr int64_t kRows = 3, kColumns = 32, kStride = (int64_t{1} << 30) + 16;
  constexpr size_t kBytes = static_cast<size_t>((kRows - 1) * kStride + kColumns);
  const papo_test::Memory memory(engine, kBytes);
  const papo_test::Memory patchMask(engine, 2);
  uint8_t* data = static_cast<uint8_t*>(memory.data());
  const uint8_t mask[] = {0, 1}, before[kColumns] = {1};
  uint8_t after[kColumns];
  papo_memory_copy(engine, patchMask.data(), mask, sizeof mask);
  for (int64_t y = 0; y < kRows; ++y)
    papo_memory_copy(engine, data + y * kStride, before, sizeof before);
  std::vector<double> fill = {7};
  papo_mask_patches_args args{};
  args.size = sizeof args;
  args.frames = args.channels = args.mergeSize = 1;
  args.height = kRows;
  args.width = kColumns;
  args.patchSize = 16;
  args.image = args.out = {data, kRows, kColumns, kStride, PAPO_UINT8, papo_test::kDevice};
  args.patchMask = {patchMask.data(), 2, 1, 1, PAPO_UINT8, papo_test::kDevice};
  args.fill = hostVector(fill);
  CHECK(papo_mask_patches(engine, &args) == PAPO_OK);
  for (int64_t y = 0; y < kRows; ++y) {
    papo_memory_copy(engine, after, data + y * kStride, sizeof after);
    CHECK(papo_engine_synchronize(engine) == PAPO_OK);
    CHECK(after[0] == 1 && after[15] == 0 && after[16] == 7 && after[31] == 7);
  }
}

// --- papo_mask_patch_rows ------------------------------------------------------------------------

struct RowsCase {
  std::vector<int32_t> gridThw;
  int64_t features, mergeSize;
  int32_t unit = PAPO_UNIT_PATCH, dtype = PAPO_FLOAT32;
  int64_t fills = 0;
  bool inPlace = false;
  int64_t padding = 0;
  size_t offset = 0;

  int64_t rows() const {
    int64_t sum = 0;
    for (size_t i = 0; i < gridThw.size(); i += 3)
      sum += int64_t{gridThw[i]} * gridThw[i + 1] * gridThw[i + 2];
    return sum;
  }
};

Result maskRows(papo_engine* engine, const RowsCase& c, const Bytes& patchMask) {
  const View rows{c.rows(), c.features, c.features + c.padding, c.dtype,
                  c.offset * Call::bytesOf(c.dtype)};
  std::vector<double> fill = fillOf(c.fills);
  std::vector<int32_t> gridThw = c.gridThw;
  Call call(engine);
  papo_mask_patch_rows_args args{};
  args.size = sizeof args;
  args.unit = c.unit;
  args.mergeSize = c.mergeSize;
  args.gridThw = {gridThw.data(), static_cast<int64_t>(gridThw.size() / 3), 3, 3, PAPO_INT32,
                  PAPO_CPU};
  args.fill = hostVector(fill);
  args.patchMask = call.vectorOf(patchMask, PAPO_UINT8);
  args.rows = rows.tensor(&call, randomBytes(rows.bytes(), 5));
  args.out = c.inPlace ? args.rows : rows.tensor(&call, Bytes(rows.bytes(), 77));
  return finished(&call, papo_mask_patch_rows(engine, &args), rows.bytes(), 0);
}

void compareRows(const TwoEngines& engines, const RowsCase& c) {
  std::snprintf(papo_test::checkContext, sizeof papo_test::checkContext,
                "%lld x %lld, merge %lld, unit %d, dtype %d, fill %lld",
                static_cast<long long>(c.rows()), static_cast<long long>(c.features),
                static_cast<long long>(c.mergeSize), c.unit, c.dtype,
                static_cast<long long>(c.fills));
  const int64_t perValue = c.unit == PAPO_UNIT_TOKEN ? c.mergeSize * c.mergeSize : 1;
  const Bytes patchMask = randomMask(c.rows() / perValue, 4);
  const Result expected = maskRows(engines.cpu, c, patchMask);
  const Result got = maskRows(engines.device, c, patchMask);
  CHECK(expected.status == PAPO_OK && got.status == PAPO_OK);
  CHECK(got.out == expected.out);
}

void patchRows(const TwoEngines& engines) {
  std::vector<int32_t> many;  // more images than a launch takes
  for (int32_t i = 0; i < 150; ++i) many.insert(many.end(), {1 + i % 2, 2 + 2 * (i % 3), 2});
  const RowsCase cases[] = {
      {{1, 4, 6}, 12, 2}, {{1, 4, 6, 2, 2, 8}, 1176, 2}, {{3, 3, 5}, 7, 1},
      {many, 24, 2},      {{1, 2, 2}, 9000, 1},          {{2, 9, 6, 1, 3, 3}, 48, 3},
  };
  uint64_t variant = 0;
  for (const RowsCase& given : cases) {
    for (const int32_t unit : {PAPO_UNIT_PATCH, PAPO_UNIT_TOKEN}) {
      for (const int64_t fills : {int64_t{0}, int64_t{1}, given.features, given.features / 4}) {
        RowsCase c = given;
        c.unit = unit;
        c.fills = fills != 0 && given.features % fills == 0 ? fills : 0;
        c.dtype = static_cast<int32_t>(++variant % 4);
        c.inPlace = variant % 3 == 0;
        c.padding = variant % 2 ? 0 : 4;
        c.offset = variant % 5 == 0 ? 1 : 0;
        compareRows(engines, c);
      }
    }
  }
}

// --- masks ---------------------------------------------------------------------------------------

Result draw(papo_engine* engine, int64_t patches, double ratio, size_t offset) {
  Call call(engine);
  papo_random_patch_mask_args args{};
  args.size = sizeof args;
  args.seed = 0x123456789abcdef0;
  args.prompt = 0xfedcba9876543210;
  args.image = 7;
  args.ratio = ratio;
  const Bytes before(static_cast<size_t>(patches), 77);
  args.patchMask = call.vectorOf(before, PAPO_UINT8, offset);
  return finished(&call, papo_random_patch_mask(engine, &args), before.size(), 0);
}

void drawn(const TwoEngines& engines) {
  std::vector<int64_t> sizes = {1, 3, 4, 5, 1023, 1025};
  if (!papo_test::kThreadSanitized) sizes.insert(sizes.end(), {256 * 1024, 4096 * 1024 + 7});
  for (const int64_t patches : sizes)
    for (const double ratio : {0.0, 0.6, 1.0})
      for (const size_t offset : {0, 1})
        if (patches < 2000 || (ratio == 0.6 && offset == 0)) {
          const Result expected = draw(engines.cpu, patches, ratio, offset);
          const Result got = draw(engines.device, patches, ratio, offset);
          CHECK(got.status == PAPO_OK && got.out == expected.out);
        }
}

struct SaliencyCase {
  int64_t frames, height, width, mergeSize, count;
  int32_t dtype = PAPO_FLOAT32;
  int64_t levels = 0;  // few: many equal cells; 0: any value
  bool hasNan = false;
};

Bytes saliencyValues(const SaliencyCase& c, int64_t stride) {
  Random random(17);
  const size_t count = static_cast<size_t>((c.frames * c.height - 1) * stride + c.width);
  const size_t width = Call::bytesOf(c.dtype);
  Bytes bytes(count * width);
  for (size_t i = 0; i < count; ++i) {
    const double real =
        c.levels ? static_cast<double>(random.below(c.levels) - 1) : random.real() * 8 - 4;
    const double value = i == 0 && c.levels ? -0.0 : real;
    const bool isNan = c.hasNan && (i == count - 1 || i == count / 2);
    const float single = static_cast<float>(value);
    uint32_t word;
    std::memcpy(&word, &single, sizeof word);
    // The upper half is a bfloat16; halves are any finite bits.
    const uint16_t half =
        static_cast<uint16_t>(c.dtype == PAPO_BFLOAT16 ? word >> 16
                              : c.levels               ? (word >> 31 << 15) + (word >> 23 & 3) * 256
                                                       : word >> 8 & 0xfbff);
    if (isNan)
      std::memset(&bytes[i * width], 0xff, width);
    else
      std::memcpy(&bytes[i * width],
                  width == 8   ? static_cast<const void*>(&value)
                  : width == 4 ? static_cast<const void*>(&single)
                               : static_cast<const void*>(&half),
                  width);
  }
  return bytes;
}

Result select(papo_engine* engine, const SaliencyCase& c) {
  const View view{c.frames * c.height, c.width, c.width + 2, c.dtype, 0};
  Call call(engine);
  papo_saliency_patch_mask_args args{};
  args.size = sizeof args;
  args.frames = c.frames;
  args.height = c.height;
  args.width = c.width;
  args.mergeSize = c.mergeSize;
  args.count = c.count;
  args.saliency = view.tensor(&call, saliencyValues(c, view.stride));
  const int64_t m = c.mergeSize;
  const int64_t cells = c.frames * ((c.height + m - 1) / m) * ((c.width + m - 1) / m);
  const Bytes before(static_cast<size_t>(cells), 77);
  args.patchMask = call.vectorOf(before, PAPO_UINT8);
  return finished(&call, papo_saliency_patch_mask(engine, &args), before.size(), 0);
}

void salient(const TwoEngines& engines) {
  const SaliencyCase cases[] = {
      {1, 1, 1, 1, 1},     {1, 1, 1, 1, 0},      {2, 5, 7, 1, 12},     {3, 16, 16, 2, 40},
      {1, 37, 41, 3, 100}, {1, 60, 70, 1, 2100}, {2, 60, 70, 2, 1050},
  };
  int32_t dtype = 0;
  for (const SaliencyCase& given : cases) {
    for (const int64_t levels : {0, 1, 3}) {
      for (int i = 0; i < 2; ++i) {
        SaliencyCase c = given;
        c.levels = levels;
        c.dtype = ++dtype % 4;
        const Result expected = select(engines.cpu, c), got = select(engines.device, c);
        std::snprintf(papo_test::checkContext, sizeof papo_test::checkContext,
                      "%lld frames of %lld x %lld, levels %lld, dtype %d",
                      static_cast<long long>(c.frames), static_cast<long long>(c.height),
                      static_cast<long long>(c.width), static_cast<long long>(levels), c.dtype);
        CHECK(expected.status == PAPO_OK && got.status == PAPO_OK);
        CHECK(got.out == expected.out);
      }
    }
  }
}

// --- refusals ------------------------------------------------------------------------------------

void refused(const Result& got, const Result& expected, const Bytes& before) {
  CHECK(expected.status == PAPO_INVALID_VALUE && got.status == PAPO_INVALID_VALUE);
  if (!CHECK(!got.message.empty() && got.message == expected.message))
    std::printf("  got      %s\n  expected %s\n", got.message.c_str(), expected.message.c_str());
  CHECK(got.out == before);
}

void badMasks(const TwoEngines& engines) {
  const ImageCase image{1, 40, 50, 3, 1, 1};
  Bytes patchMask = randomMask(image.cells(), 2);
  patchMask[1999] = 9;
  patchMask[1300] = 2;
  refused(mask(engines.device, image, patchMask), mask(engines.cpu, image, patchMask),
          Bytes(6000, 77));
  compareImage(engines, image);

  const RowsCase rows{{1, 40, 40}, 3, 2, PAPO_UNIT_PATCH, PAPO_UINT8};
  patchMask = randomMask(rows.rows(), 2);
  patchMask[1599] = 2;
  refused(maskRows(engines.device, rows, patchMask), maskRows(engines.cpu, rows, patchMask),
          Bytes(4800, 77));

  SaliencyCase saliency{3, 30, 31, 2, 5};
  saliency.hasNan = true;
  refused(select(engines.device, saliency), select(engines.cpu, saliency), Bytes(3 * 15 * 16, 77));
}

}  // namespace

int main() {
  const TwoEngines engines;
  images(engines);
  if (!papo_test::kThreadSanitized) {  // minutes, of the same code
    manyRows(engines);
    farRows(engines);
  }
  patchRows(engines);
  drawn(engines);
  salient(engines);
  papo_test::inEveryOrder([&] {
    ImageCase c{2, 17, 33, 4, 3, 2};
    c.fills = 4;
    compareImage(engines, c);
    compareRows(engines, {{1, 4, 6, 2, 2, 8}, 1176, 2, PAPO_UNIT_PATCH, PAPO_FLOAT32, 3});
    const SaliencyCase saliency{2, 40, 41, 1, 400, PAPO_FLOAT32, 3};
    CHECK(select(engines.device, saliency).out == select(engines.cpu, saliency).out);
    badMasks(engines);
  });
  return papo_test::finish();
}
