// Image masking through papo.h: every layout against plain loops, and arguments that would reach
// outside the caller's memory. Arrays have exactly the size they need, for the address sanitizer.
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "check.h"
#include "papo.h"

namespace {

constexpr int64_t kLargest = int64_t{1} << 20;

papo_tensor tensor(void* data, int64_t rows, int64_t columns, int32_t dtype) {
  return {data, rows, columns, columns, dtype, PAPO_CPU};
}

papo_tensor vectorOf(std::vector<uint8_t>& values) {
  return tensor(values.data(), static_cast<int64_t>(values.size()), 1, PAPO_UINT8);
}

papo_engine* openEngine(int threads) {
  papo_engine_options options{};
  options.size = sizeof options;
  options.threads = threads;
  papo_engine* engine = nullptr;
  CHECK(papo_engine_open(&options, &engine) == PAPO_OK);
  return engine;
}

// Refused with this status, naming the argument.
void refused(papo_status actual, papo_status expected, const char* argument) {
  const std::size_t length = std::strlen(argument);
  CHECK(actual == expected);
  CHECK(std::strncmp(papo_last_message(), argument, length) == 0 &&
        papo_last_message()[length] == ':');
}

uint8_t someBit(int64_t i) { return static_cast<uint8_t>((i * 2654435761u >> 13) & 1); }

papo_mask_patches_args maskArgs(int64_t frames, int64_t height, int64_t width, int64_t channels) {
  papo_mask_patches_args args{};
  args.size = sizeof args;
  args.frames = frames;
  args.height = height;
  args.width = width;
  args.channels = channels;
  args.patchSize = args.mergeSize = 1;
  return args;
}

struct ImageCase {
  int64_t frames, height, width, channels, patchSize, mergeSize;
};

void againstLoop(papo_engine* engine, const ImageCase& c, bool planar, bool perFrame) {
  std::snprintf(papo_test::checkContext, sizeof papo_test::checkContext,
                "%lld x %lld x %lld x %lld, patch %lld x %lld, planar %d, per frame %d",
                static_cast<long long>(c.frames), static_cast<long long>(c.height),
                static_cast<long long>(c.width), static_cast<long long>(c.channels),
                static_cast<long long>(c.patchSize), static_cast<long long>(c.mergeSize), planar,
                perFrame);
  const int64_t side = c.patchSize * c.mergeSize;
  const int64_t across = (c.width + side - 1) / side;
  const int64_t cells = (c.height + side - 1) / side * across;
  const int64_t elements = c.frames * c.height * c.width * c.channels;
  std::vector<float> image(static_cast<size_t>(elements)), out(image.size(), -77.0f);
  for (size_t i = 0; i < image.size(); ++i) image[i] = static_cast<float>(i + 1);
  std::vector<uint8_t> mask(static_cast<size_t>(cells * (perFrame ? c.frames : 1)));
  for (size_t i = 0; i < mask.size(); ++i) mask[i] = someBit(static_cast<int64_t>(i));
  std::vector<double> fill(static_cast<size_t>(c.channels));
  for (size_t i = 0; i < fill.size(); ++i) fill[i] = -1.0 - static_cast<double>(i);

  papo_mask_patches_args args = maskArgs(c.frames, c.height, c.width, c.channels);
  args.layout = planar ? PAPO_LAYOUT_PLANAR : PAPO_LAYOUT_INTERLEAVED;
  args.patchSize = c.patchSize;
  args.mergeSize = c.mergeSize;
  const int64_t rows = c.frames * c.height * (planar ? c.channels : 1);
  args.image = tensor(image.data(), rows, elements / rows, PAPO_FLOAT32);
  args.out = tensor(out.data(), rows, elements / rows, PAPO_FLOAT32);
  args.patchMask = vectorOf(mask);
  args.fill = tensor(fill.data(), c.channels, 1, PAPO_FLOAT64);
  if (!CHECK(papo_mask_patches(engine, &args) == PAPO_OK)) return;

  for (int64_t i = 0; i < elements; ++i) {
    const int64_t plane = c.height * c.width;
    const int64_t frame = i / (plane * c.channels), inFrame = i % (plane * c.channels);
    const int64_t channel = planar ? inFrame / plane : inFrame % c.channels;
    const int64_t pixel = planar ? inFrame % plane : inFrame / c.channels;
    const int64_t cell = pixel / c.width / side * across + pixel % c.width / side;
    const bool masked = mask[static_cast<size_t>((perFrame ? frame * cells : 0) + cell)] != 0;
    const float expected = masked ? -1.0f - static_cast<float>(channel) : static_cast<float>(i + 1);
    CHECK(out[static_cast<size_t>(i)] == expected);
  }
  // In place, over the image.
  args.out = args.image;
  CHECK(papo_mask_patches(engine, &args) == PAPO_OK);
  CHECK(std::memcmp(image.data(), out.data(), image.size() * sizeof(float)) == 0);
}

void layouts() {
  const ImageCase cases[] = {
      {1, 1, 1, 1, 14, 1},     {1, 29, 43, 3, 14, 1},
      {2, 17, 33, 4, 8, 2},    {3, 5, 7, 2, 1, 1},
      {1, 3, 4111, 3, 2, 1},   {1, 2, 3, 9001, 1, 2},
      {2, 500, 640, 2, 14, 2}, {1, 4, 4, 3, kLargest, kLargest},
  };
  for (int threads : {1, 3}) {
    papo_engine* engine = openEngine(threads);
    for (const ImageCase& c : cases)
      for (bool planar : {false, true})
        for (bool perFrame : {false, true}) againstLoop(engine, c, planar, perFrame);
    papo_engine_close(engine);
  }
  papo_test::checkContext[0] = 0;
}

// Rows with a stride of their own, and nothing between them is touched.
void stridedRows() {
  papo_engine* engine = openEngine(1);
  std::vector<uint8_t> image(2 * 9 + 6, 9), out(2 * 8 + 6, 77), mask = {1, 0};
  papo_mask_patches_args args = maskArgs(1, 3, 2, 3);
  args.patchSize = 2;
  args.image = {image.data(), 3, 6, 9, PAPO_UINT8, PAPO_CPU};
  args.out = {out.data(), 3, 6, 8, PAPO_UINT8, PAPO_CPU};
  args.patchMask = vectorOf(mask);
  CHECK(papo_mask_patches(engine, &args) == PAPO_OK);
  for (size_t i = 0; i < out.size(); ++i) CHECK(out[i] == (i % 8 >= 6 ? 77 : i / 8 < 2 ? 0 : 9));
  papo_engine_close(engine);
}

void badImages() {
  papo_engine* engine = openEngine(1);
  std::vector<uint8_t> image(24, 9), out(24, 77), mask(6, 1);
  double fill[] = {1, 2};
  papo_mask_patches_args good = maskArgs(1, 2, 3, 4);
  good.image = tensor(image.data(), 2, 12, PAPO_UINT8);
  good.out = tensor(out.data(), 2, 12, PAPO_UINT8);
  good.patchMask = vectorOf(mask);
  const auto with = [&](auto change) {
    papo_mask_patches_args args = good;
    change(args);
    return papo_mask_patches(engine, &args);
  };
  using Args = papo_mask_patches_args;
  refused(papo_mask_patches(nullptr, &good), PAPO_INVALID_ARGUMENT, "engine");
  refused(papo_mask_patches(engine, nullptr), PAPO_INVALID_ARGUMENT, "args");
  refused(with([](Args& a) { a.size = 8; }), PAPO_INVALID_ARGUMENT, "args");
  refused(with([](Args& a) { a.layout = 2; }), PAPO_INVALID_OPTION, "layout");
  refused(with([](Args& a) { a.frames = 0; }), PAPO_INVALID_SHAPE, "frames");
  refused(with([](Args& a) { a.height = kLargest + 1; }), PAPO_INVALID_SHAPE, "height");
  refused(with([](Args& a) { a.width = -1; }), PAPO_INVALID_SHAPE, "width");
  refused(with([](Args& a) { a.channels = INT64_MAX; }), PAPO_INVALID_SHAPE, "channels");
  refused(with([](Args& a) { a.patchSize = 0; }), PAPO_INVALID_OPTION, "patchSize");
  refused(with([](Args& a) { a.mergeSize = kLargest + 1; }), PAPO_INVALID_OPTION, "mergeSize");
  refused(with([](Args& a) { a.frames = a.height = a.width = a.channels = kLargest; }),
          PAPO_INVALID_SHAPE, "image");
  refused(with([](Args& a) {
            a.layout = PAPO_LAYOUT_PLANAR;
            a.frames = a.height = a.channels = kLargest;
            a.width = 12;
            a.image.rows = kLargest * kLargest * kLargest;
          }),
          PAPO_INVALID_SHAPE, "image");
  refused(with([](Args& a) { a.image.data = nullptr; }), PAPO_INVALID_ARGUMENT, "image");
  refused(with([](Args& a) { a.image.rowStride = 11; }), PAPO_INVALID_SHAPE, "image");
  refused(with([](Args& a) { a.image.rowStride = INT64_MAX; }), PAPO_INVALID_SHAPE, "image");
  refused(with([](Args& a) { a.image.dtype = PAPO_INT32; }), PAPO_INVALID_DTYPE, "image");
  refused(with([](Args& a) { a.image.dtype = 99; }), PAPO_INVALID_DTYPE, "image");
  refused(with([](Args& a) { a.out.dtype = PAPO_FLOAT32; }), PAPO_INVALID_DTYPE, "out");
  refused(with([](Args& a) { a.out.rows = 3; }), PAPO_INVALID_SHAPE, "out");
  refused(with([](Args& a) { a.patchMask.rows = 5; }), PAPO_INVALID_SHAPE, "patchMask");
  refused(with([](Args& a) { a.mergeSize = 2; }), PAPO_INVALID_SHAPE, "patchMask");
  refused(with([&](Args& a) { a.fill = tensor(fill, 2, 1, PAPO_FLOAT64); }), PAPO_INVALID_SHAPE,
          "fill");
  refused(with([&](Args& a) { a.fill = tensor(fill, 1, 1, PAPO_FLOAT32); }), PAPO_INVALID_DTYPE,
          "fill");
  for (double value : {-1.0, 256.0, 0.5, std::nan(""), std::numeric_limits<double>::infinity()}) {
    fill[0] = value;
    refused(with([&](Args& a) { a.fill = tensor(fill, 1, 1, PAPO_FLOAT64); }), PAPO_INVALID_OPTION,
            "fill");
  }
  refused(with([&](Args& a) { a.out.data = image.data() + 1; }), PAPO_OVERLAP, "out");
  refused(with([&](Args& a) { a.patchMask.data = out.data() + 18; }), PAPO_INVALID_VALUE,
          "patchMask");
  std::memset(out.data() + 18, 1, 6);
  refused(with([&](Args& a) { a.patchMask.data = out.data() + 18; }), PAPO_OVERLAP, "out");
  std::memset(out.data() + 18, 77, 6);
  mask[5] = 2;
  refused(with([](Args&) {}), PAPO_INVALID_VALUE, "patchMask");
  for (uint8_t value : out) CHECK(value == 77);
  papo_engine_close(engine);
}

// Rows as the processor orders them, by nested loops.
void patchRows(papo_engine* engine, bool perToken) {
  std::vector<int32_t> grids = {1, 4, 6, 3, 2, 8, 2, 100, 400};
  const int64_t m = 2, features = 9;
  std::vector<uint8_t> mask;
  std::vector<bool> expected;
  for (size_t image = 0; image < 3; ++image) {
    const int64_t t = grids[3 * image], h = grids[3 * image + 1], w = grids[3 * image + 2];
    const int64_t first = static_cast<int64_t>(mask.size());
    const int64_t side = perToken ? m : 1;
    for (int64_t i = 0; i < t * h * w / (side * side); ++i) mask.push_back(someBit(first + i));
    for (int64_t group = 0; group < t; ++group)
      for (int64_t top = 0; top < h; top += m)
        for (int64_t left = 0; left < w; left += m)
          for (int64_t y = top; y < top + m; ++y)
            for (int64_t x = left; x < left + m; ++x)
              expected.push_back(
                  mask[static_cast<size_t>(first + (group * (h / side) + y / side) * (w / side) +
                                           x / side)] != 0);
  }
  const int64_t rows = static_cast<int64_t>(expected.size());
  std::vector<double> values(static_cast<size_t>(rows * features), 5), out(values.size(), -77);
  double fill[] = {-1, -2, -3};
  papo_mask_patch_rows_args args{};
  args.size = sizeof args;
  args.unit = perToken ? PAPO_UNIT_TOKEN : PAPO_UNIT_PATCH;
  args.mergeSize = m;
  args.rows = tensor(values.data(), rows, features, PAPO_FLOAT64);
  args.out = tensor(out.data(), rows, features, PAPO_FLOAT64);
  args.gridThw = tensor(grids.data(), 3, 3, PAPO_INT32);
  args.patchMask = vectorOf(mask);
  args.fill = tensor(fill, 3, 1, PAPO_FLOAT64);
  CHECK(papo_mask_patch_rows(engine, &args) == PAPO_OK);
  for (size_t i = 0; i < out.size(); ++i) CHECK(out[i] == (expected[i / 9] ? fill[i % 9 / 3] : 5));
}

void badPatchRows() {
  papo_engine* engine = openEngine(1);
  std::vector<float> values(24 * 6, 5), out(values.size(), -77);
  std::vector<int32_t> grids = {1, 4, 6};
  std::vector<uint8_t> mask(24, 1);
  double fill[] = {1, 2, 3, 4};
  papo_mask_patch_rows_args good{};
  good.size = sizeof good;
  good.mergeSize = 2;
  good.rows = tensor(values.data(), 24, 6, PAPO_FLOAT32);
  good.out = tensor(out.data(), 24, 6, PAPO_FLOAT32);
  good.gridThw = tensor(grids.data(), 1, 3, PAPO_INT32);
  good.patchMask = vectorOf(mask);
  using Args = papo_mask_patch_rows_args;
  const auto with = [&](auto change) {
    Args args = good;
    change(args);
    return papo_mask_patch_rows(engine, &args);
  };
  const auto withGrid = [&](int32_t t, int32_t h, int32_t w) {
    grids = {t, h, w};
    return papo_mask_patch_rows(engine, &good);
  };
  refused(papo_mask_patch_rows(nullptr, &good), PAPO_INVALID_ARGUMENT, "engine");
  refused(with([](Args& a) { a.size = 0; }), PAPO_INVALID_ARGUMENT, "args");
  refused(with([](Args& a) { a.unit = -1; }), PAPO_INVALID_OPTION, "unit");
  refused(with([](Args& a) { a.mergeSize = 0; }), PAPO_INVALID_OPTION, "mergeSize");
  refused(with([](Args& a) { a.mergeSize = 3; }), PAPO_INVALID_SHAPE, "gridThw");
  refused(with([](Args& a) { a.unit = PAPO_UNIT_TOKEN; }), PAPO_INVALID_SHAPE, "patchMask");
  refused(with([](Args& a) { a.rows.rows = 0; }), PAPO_INVALID_SHAPE, "rows");
  refused(with([](Args& a) { a.rows.columns = -1; }), PAPO_INVALID_SHAPE, "rows");
  refused(with([](Args& a) { a.rows.dtype = PAPO_INT32; }), PAPO_INVALID_DTYPE, "rows");
  refused(with([](Args& a) { a.out.columns = 5; }), PAPO_INVALID_SHAPE, "out");
  refused(with([](Args& a) { a.gridThw.rows = 0; }), PAPO_INVALID_SHAPE, "gridThw");
  refused(with([](Args& a) { a.gridThw.columns = 2; }), PAPO_INVALID_SHAPE, "gridThw");
  refused(with([&](Args& a) { a.fill = tensor(fill, 4, 1, PAPO_FLOAT64); }), PAPO_INVALID_SHAPE,
          "fill");
  refused(with([&](Args& a) { a.fill = tensor(fill, 0, 1, PAPO_FLOAT64); }), PAPO_INVALID_SHAPE,
          "fill");
  refused(with([&](Args& a) { a.out.data = values.data() + 6; }), PAPO_OVERLAP, "out");
  refused(withGrid(1, 4, 8), PAPO_INVALID_SHAPE, "gridThw");
  refused(withGrid(1, 2, 6), PAPO_INVALID_SHAPE, "gridThw");
  refused(withGrid(-1, 4, 6), PAPO_INVALID_SHAPE, "gridThw");
  refused(withGrid(INT32_MAX, INT32_MAX - 1, INT32_MAX - 1), PAPO_INVALID_SHAPE, "gridThw");
  for (float value : out) CHECK(value == -77);
  papo_engine_close(engine);
}

void saliency() {
  papo_engine* engine = openEngine(1);
  std::vector<float> values = {1, 5, 3, 5, 2, 5};
  std::vector<uint8_t> mask(6, 77);
  papo_saliency_patch_mask_args good{};
  good.size = sizeof good;
  good.frames = good.mergeSize = 1;
  good.height = 2;
  good.width = 3;
  good.count = 2;
  good.saliency = tensor(values.data(), 2, 3, PAPO_FLOAT32);
  good.patchMask = vectorOf(mask);
  CHECK(papo_saliency_patch_mask(engine, &good) == PAPO_OK);
  CHECK((mask == std::vector<uint8_t>{0, 1, 0, 1, 0, 0}));
  mask.assign(6, 77);
  using Args = papo_saliency_patch_mask_args;
  const auto with = [&](auto change) {
    Args args = good;
    change(args);
    return papo_saliency_patch_mask(engine, &args);
  };
  refused(with([](Args& a) { a.size = 1; }), PAPO_INVALID_ARGUMENT, "args");
  refused(with([](Args& a) { a.frames = 0; }), PAPO_INVALID_SHAPE, "frames");
  refused(with([](Args& a) { a.height = kLargest + 1; }), PAPO_INVALID_SHAPE, "height");
  refused(with([](Args& a) { a.width = 0; }), PAPO_INVALID_SHAPE, "width");
  refused(with([](Args& a) { a.mergeSize = 0; }), PAPO_INVALID_OPTION, "mergeSize");
  refused(with([](Args& a) { a.count = 7; }), PAPO_INVALID_OPTION, "count");
  refused(with([](Args& a) { a.count = -1; }), PAPO_INVALID_OPTION, "count");
  refused(with([](Args& a) { a.saliency.rows = 3; }), PAPO_INVALID_SHAPE, "saliency");
  refused(with([](Args& a) { a.saliency.dtype = PAPO_UINT8; }), PAPO_INVALID_DTYPE, "saliency");
  refused(with([](Args& a) { a.patchMask.rows = 5; }), PAPO_INVALID_SHAPE, "patchMask");
  refused(with([&](Args& a) { a.patchMask.data = values.data(); }), PAPO_OVERLAP, "patchMask");
  values[5] = std::nanf("");
  refused(with([](Args&) {}), PAPO_INVALID_VALUE, "saliency");
  refused(with([](Args& a) { a.count = 0; }), PAPO_INVALID_VALUE, "saliency");
  for (uint8_t value : mask) CHECK(value == 77);
  papo_engine_close(engine);
}

}  // namespace

int main() {
  layouts();
  stridedRows();
  badImages();
  for (int threads : {1, 3}) {
    papo_engine* engine = openEngine(threads);
    for (bool perToken : {false, true}) patchRows(engine, perToken);
    papo_engine_close(engine);
  }
  badPatchRows();
  saliency();
  return papo_test::finish();
}
