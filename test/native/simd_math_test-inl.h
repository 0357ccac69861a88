// The tests of simd_math_test.cpp, once per instruction set.

namespace papo {
namespace PAPO_SIMD {

inline void expOf(const float* in, float* out) { store(exp(load(in)), out); }

// Steps of 251 floats from 0 to kExpLowest; error in units of the last place of the true value.
inline void testExp(const char* name) {
  float in[kLanes], out[kLanes];
  double worst = 0;
  for (uint32_t bits = 0x80000000u; bitsToFloat(bits) >= kExpLowest; bits += 251 * kLanes) {
    for (int i = 0; i < kLanes; ++i) in[i] = bitsToFloat(bits + 251u * static_cast<uint32_t>(i));
    expOf(in, out);
    for (int i = 0; i < kLanes; ++i) {
      if (!(in[i] > -86.98f)) continue;
      const double exact = std::exp(static_cast<double>(in[i]));
      const double unit = std::ldexp(1.0, std::ilogb(exact) - 23);
      const double error = std::fabs(out[i] - exact) / unit;
      if (!(error <= worst)) worst = error;
    }
  }
  std::printf("%-9s exp: %.3f ulp\n", name, worst);
  CHECK(worst <= 2);
}

inline void testExpEdges() {
  const float cases[] = {0.0f, -0.0f, kExpLowest, -87.1f, NAN, -FLT_MIN, 88.0f, 1.0f};
  float in[kLanes], out[kLanes];
  for (float value : cases) {
    for (int i = 0; i < kLanes; ++i) in[i] = value;
    expOf(in, out);
    for (int i = 0; i < kLanes; ++i) {
      if (std::isnan(value)) CHECK(std::isnan(out[i]));
      if (value == 0 || value == -FLT_MIN) CHECK(out[i] == 1);
      if (value < -86.99) CHECK(out[i] == 0);
      if (value > 0) CHECK(std::fabs(out[i] / std::exp(static_cast<double>(value)) - 1) <= 2.4e-7);
    }
  }
  // No denormal anywhere on the way down.
  for (float x = -86.5f; x >= kExpLowest; x -= 1e-5f) {
    for (int i = 0; i < kLanes; ++i) in[i] = x;
    expOf(in, out);
    CHECK(out[0] == 0 || out[0] >= FLT_MIN);
  }
}

// Loads of all patterns and rounding of stores give the bits of the scalar conversions.
template <class T>
inline void testConversions() {
  T elements[kLanes], stored[kLanes];
  float values[kLanes];
  for (uint32_t first = 0; first < 65536; first += kLanes) {
    for (int i = 0; i < kLanes; ++i) elements[i].bits = static_cast<uint16_t>(first + i);
    store(load(elements), values);
    for (int i = 0; i < kLanes; ++i) {
      const float expected = toFloat(elements[i]);
      CHECK(std::isnan(expected) ? std::isnan(values[i])
                                 : floatToBits(values[i]) == floatToBits(expected));
    }
  }
  for (uint64_t first = 0; first < (uint64_t{1} << 32); first += 4099 * kLanes) {
    for (int i = 0; i < kLanes; ++i)
      values[i] = bitsToFloat(static_cast<uint32_t>(first + 4099u * static_cast<uint64_t>(i)));
    store(load(values), stored);
    for (int i = 0; i < kLanes; ++i) {
      T expected;
      fromFloat(values[i], &expected);
      const uint32_t magnitude = floatToBits(values[i]) & 0x7fffffffu;
      const bool isPlainNan = magnitude >= 0x7fc00000u && magnitude <= 0x7fff8000u;
      if (std::isnan(values[i]) && !isPlainNan) continue;  // no kernel makes it: simd_portable.h
      CHECK(std::isnan(values[i]) ? std::isnan(toFloat(stored[i]))
                                  : stored[i].bits == expected.bits);
    }
  }
}

inline void testSelections() {
  float out[kLanes];
  store(atLeast(broadcast(-3), broadcast(NAN)), out);
  CHECK(std::isnan(out[0]));
  store(atLeast(broadcast(-3), broadcast(-INFINITY)), out);
  CHECK(out[kLanes - 1] == -3);
  store(atLeast(broadcast(-3), broadcast(2)), out);
  CHECK(out[0] == 2);
  const float pairs[][3] = {{1, 0, 1}, {0, 0, 0}, {-1, 0, 0}, {NAN, 0, 0}, {0, -INFINITY, 1}};
  for (const float* pair : pairs) {
    store(chooseGreater(broadcast(pair[0]), broadcast(pair[1]), broadcast(1), broadcast(0)), out);
    for (int i = 0; i < kLanes; ++i) CHECK(out[i] == pair[2]);
  }
}

inline void testAll(const char* name) {
  testExp(name);
  testExpEdges();
  testConversions<Float16>();
  testConversions<BFloat16>();
  testSelections();
}

}  // namespace PAPO_SIMD
}  // namespace papo
