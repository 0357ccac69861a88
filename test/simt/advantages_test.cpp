// papo_group_advantages on the emulated device against the CPU: the same bits wherever sums go
// through the members of a group, and 1e-12 of them where they go through the whole call in another
// order.
#include <algorithm>
#include <cmath>
#include <limits>

#include "two_engines.h"

namespace {

using papo_test::Call;
using papo_test::Random;
using papo_test::TwoEngines;

struct Case {
  int32_t estimator = PAPO_ADVANTAGE_GRPO;
  int32_t scale = PAPO_SCALE_GROUP;
  double epsilon = 1e-6, discount = 0.97;
  int32_t dtype = PAPO_FLOAT64;
  std::vector<double> rewards, baselines;
  std::vector<int32_t> groupIds;
  std::vector<uint8_t> mask;
  std::vector<int64_t> cuSeqlens;
  int64_t responses = 0;

  int64_t count() const { return static_cast<int64_t>(rewards.size()); }
  bool isPerToken() const { return estimator == PAPO_ADVANTAGE_REINFORCE_PLUS_PLUS; }
};

struct Result {
  papo_status status = PAPO_INTERNAL;
  std::string message;
  std::vector<double> advantages, returns;
};

constexpr double kUntouched = -777;

std::vector<double> asDoubles(const std::vector<uint8_t>& bytes, int32_t dtype) {
  std::vector<double> values(bytes.size() / Call::bytesOf(dtype));
  for (size_t i = 0; i < values.size(); ++i) {
    float single = 0;
    if (dtype == PAPO_FLOAT64) {
      std::memcpy(&values[i], &bytes[8 * i], 8);
    } else {
      std::memcpy(&single, &bytes[4 * i], 4);
      values[i] = static_cast<double>(single);
    }
  }
  return values;
}

papo_tensor reals(Call* call, const std::vector<double>& values, int32_t dtype) {
  if (dtype == PAPO_FLOAT64) return call->vectorOf(values, dtype);
  std::vector<float> singles;
  for (const double value : values) singles.push_back(static_cast<float>(value));
  return call->vectorOf(singles, dtype);
}

Result run(papo_engine* engine, const Case& c) {
  Call call(engine);
  papo_advantages_args args{};
  args.size = sizeof args;
  args.estimator = c.estimator;
  args.scale = c.scale;
  args.epsilon = c.epsilon;
  args.discount = c.discount;
  args.rewards = reals(&call, c.rewards, c.dtype);
  if (!c.groupIds.empty()) args.groupIds = call.vectorOf(c.groupIds, PAPO_INT32);
  if (!c.baselines.empty()) args.baselines = reals(&call, c.baselines, c.dtype);
  if (!c.mask.empty()) args.responseMask = call.vectorOf(c.mask, PAPO_UINT8);
  args.cuSeqlens = c.cuSeqlens.empty() ? nullptr : c.cuSeqlens.data();
  args.responses = c.responses;
  size_t bytes = 0;
  Result result;
  const std::vector<double> before(c.rewards.size(), kUntouched);
  args.advantages = reals(&call, before, c.dtype);
  if (c.isPerToken()) args.returns = reals(&call, before, c.dtype);
  CHECK(papo_advantages_workspace(engine, &args, &bytes) == PAPO_OK);
  result.status = papo_group_advantages(engine, &args, call.workspace(bytes), bytes);
  if (result.status == PAPO_OK) result.status = papo_engine_synchronize(engine);
  if (result.status != PAPO_OK) result.message = papo_last_message();
  std::vector<uint8_t> out(c.rewards.size() * Call::bytesOf(c.dtype));
  if (c.isPerToken()) {
    call.read(out.data(), 1);
    result.returns = asDoubles(out, c.dtype);
  }
  call.read(out.data(), c.isPerToken() ? 2 : 1);
  result.advantages = asDoubles(out, c.dtype);
  return result;
}

bool isSame(const std::vector<double>& a, const std::vector<double>& b) {
  const size_t bytes = a.size() * sizeof(double);
  return a.size() == b.size() && (bytes == 0 || std::memcmp(a.data(), b.data(), bytes) == 0);
}

bool isNear(const std::vector<double>& a, const std::vector<double>& b, int32_t dtype) {
  const double tolerance = dtype == PAPO_FLOAT64 ? 1e-12 : 2e-7;
  for (size_t i = 0; i < a.size(); ++i)
    if (!(std::fabs(a[i] - b[i]) <= tolerance * (1 + std::fabs(b[i])))) return false;
  return a.size() == b.size();
}

void compare(const TwoEngines& engines, const Case& c) {
  std::snprintf(papo_test::checkContext, sizeof papo_test::checkContext,
                "%lld values, estimator %d, scale %d, dtype %d, epsilon %g",
                static_cast<long long>(c.count()), c.estimator, c.scale, c.dtype, c.epsilon);
  const Result expected = run(engines.cpu, c), got = run(engines.device, c);
  CHECK(expected.status == PAPO_OK && got.status == PAPO_OK);
  const bool sumsAll = c.isPerToken() || c.scale == PAPO_SCALE_BATCH;
  CHECK(sumsAll ? isNear(got.advantages, expected.advantages, c.dtype)
                : isSame(got.advantages, expected.advantages));
  CHECK(isSame(got.returns, expected.returns));
}

// Groups of 2 to 2 + spread members, ids anywhere in int32, interleaved.
Case grouped(int64_t count, int64_t spread, uint64_t seed) {
  Random random(seed);
  Case c;
  for (int64_t left = count; left > 0;) {
    const int64_t members = std::min(left, 2 + random.below(spread + 1));
    const int64_t taken = left - members == 1 ? left : members;
    const int32_t ids[] = {INT32_MIN, INT32_MAX, -1, 0, static_cast<int32_t>(random.next())};
    const int32_t id = left == count      ? ids[0]
                       : left - taken < 1 ? ids[1]
                                          : ids[static_cast<size_t>(random.below(5))];
    c.groupIds.insert(c.groupIds.end(), static_cast<size_t>(taken), id);
    left -= taken;
  }
  for (size_t i = c.groupIds.size(); i-- > 1;)
    std::swap(c.groupIds[i], c.groupIds[static_cast<size_t>(random.below(int64_t(i) + 1))]);
  const bool isBinary = seed % 2 == 0;  // groups without variance are frequent then
  for (int64_t i = 0; i < count; ++i)
    c.rewards.push_back(isBinary ? static_cast<double>(random.below(2)) : random.real() * 7 - 3);
  return c;
}

void groups(const TwoEngines& engines) {
  const int64_t counts[] = {2, 3, 31, 32, 33, 63, 64, 65, 700, 4095, 4096, 4097, 8193, 13000};
  uint64_t seed = 1;
  for (const int64_t count : counts) {
    for (const int64_t spread : {int64_t{0}, int64_t{6}, int64_t{70}, count}) {
      if (count > 1000 && (spread == 0 || spread == 70)) continue;  // minutes under sanitizers
      Case c = grouped(count, spread, ++seed);
      c.dtype = seed % 3 ? PAPO_FLOAT64 : PAPO_FLOAT32;
      for (int32_t scale = 0; scale < 3; ++scale) {
        c.scale = scale;
        c.epsilon = scale == 1 ? 0 : 1e-6;
        compare(engines, c);
      }
      c.scale = PAPO_SCALE_GROUP;
      for (const int32_t estimator : {PAPO_ADVANTAGE_DR_GRPO, PAPO_ADVANTAGE_RLOO}) {
        c.estimator = estimator;
        compare(engines, c);
      }
    }
  }
}

// All rewards equal: exactly 0, with and without epsilon.
void withoutVariance(const TwoEngines& engines) {
  Case c = grouped(5000, 3, 7);
  for (double& reward : c.rewards) reward = 0.1;
  for (const int32_t scale : {PAPO_SCALE_GROUP, PAPO_SCALE_BATCH}) {
    for (const double epsilon : {0.0, 1e-6}) {
      c.scale = scale;
      c.epsilon = epsilon;
      const Result got = run(engines.device, c);
      CHECK(isSame(got.advantages, std::vector<double>(c.rewards.size(), 0.0)));
    }
  }
}

Case perToken(int64_t responses, int64_t longest, uint64_t seed, bool equal) {
  Random random(seed);
  Case c;
  c.estimator = PAPO_ADVANTAGE_REINFORCE_PLUS_PLUS;
  c.epsilon = 1e-8;
  c.dtype = seed % 2 ? PAPO_FLOAT64 : PAPO_FLOAT32;
  c.responses = responses;
  int64_t count = equal ? responses * longest : 0;
  if (!equal) {
    c.cuSeqlens.push_back(0);
    for (int64_t b = 0; b < responses; ++b)
      c.cuSeqlens.push_back(count += b == 0 ? longest : random.below(longest + 1));
  }
  for (int64_t i = 0; i < count; ++i) {
    c.rewards.push_back(random.real() - 0.5);
    c.mask.push_back(random.below(5) != 0);
  }
  c.mask[0] = c.mask[1] = 1;
  return c;
}

void returns(const TwoEngines& engines) {
  uint64_t seed = 1;
  for (const int64_t responses : {1, 2, 9, 40})
    for (const int64_t longest : {3, 31, 32, 33, 64, 200})
      for (const bool equal : {false, true})
        compare(engines, perToken(responses, longest, ++seed, equal));
  compare(engines, perToken(3, 30000, 1, false));
}

void remax(const TwoEngines& engines) {
  for (const int32_t dtype : {PAPO_FLOAT32, PAPO_FLOAT64}) {
    Case c = grouped(1000, 5, 5);
    c.estimator = PAPO_ADVANTAGE_REMAX;
    c.dtype = dtype;
    c.groupIds.clear();
    for (int64_t i = 0; i < c.count(); ++i) c.baselines.push_back(static_cast<double>(i) / 3);
    compare(engines, c);
  }
}

// The message of the CPU, the outputs untouched, and a sound call afterwards computed as if nothing
// had been.
void refused(const TwoEngines& engines, const Case& bad, const char* message) {
  const Result expected = run(engines.cpu, bad), got = run(engines.device, bad);
  CHECK(expected.status == PAPO_INVALID_VALUE && got.status == PAPO_INVALID_VALUE);
  if (!CHECK(got.message == expected.message && got.message.find(message) == 0))
    std::printf("  got      %s\n  expected %s\n", got.message.c_str(), expected.message.c_str());
  CHECK(isSame(got.advantages, std::vector<double>(bad.rewards.size(), kUntouched)));
  if (bad.isPerToken())
    CHECK(isSame(got.returns, std::vector<double>(bad.rewards.size(), kUntouched)));
  compare(engines, grouped(33, 3, 3));
}

void badGroups(const TwoEngines& engines) {
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  Case c = grouped(9000, 4, 11);
  c.rewards[8999] = kNan;
  c.rewards[4500] = std::numeric_limits<double>::infinity();
  c.rewards[4499] = -c.rewards[4500];
  refused(engines, c, "rewards: ");
  c.estimator = PAPO_ADVANTAGE_REMAX;
  c.baselines.assign(9000, 1.0);
  c.baselines[3] = kNan;
  refused(engines, c, "rewards: ");
  c.rewards = c.baselines;
  c.rewards[3] = 1;
  c.baselines[8000] = c.baselines[7000] = kNan;
  refused(engines, c, "baselines: ");

  c = grouped(5000, 4, 12);
  for (size_t i = 0; i < c.groupIds.size(); ++i) c.groupIds[i] = static_cast<int32_t>(i % 50);
  c.groupIds[17] = 700001;
  c.groupIds[4999] = -700001;
  refused(engines, c, "groupIds: expected at least 2 responses in a group, got 1 in group -700001");
  c.groupIds.assign(1, INT32_MIN);
  c.rewards.assign(1, 1.0);
  refused(engines, c, "groupIds: ");
}

void badTokens(const TwoEngines& engines) {
  Case c = perToken(30, 200, 13, false);
  c.dtype = PAPO_FLOAT64;
  const Case good = c;
  c.mask[c.mask.size() - 1] = 2;
  c.mask[700] = 255;
  refused(engines, c, "responseMask: expected 0 or 1, got 255 at index 700");
  c.rewards[800] = std::numeric_limits<double>::infinity();
  refused(engines, c, "rewards: ");
  c = good;
  std::fill(c.mask.begin() + 1, c.mask.end(), uint8_t{0});
  refused(engines, c, "responseMask: expected at least 2 counted tokens, got 1");
}

}  // namespace

int main() {
  const TwoEngines engines;
  groups(engines);
  returns(engines);
  papo_test::inEveryOrder([&] {
    compare(engines, grouped(4500, 9, 2));
    compare(engines, perToken(9, 70, 3, false));
    withoutVariance(engines);
    remax(engines);
    badGroups(engines);
    badTokens(engines);
  });
  return papo_test::finish();
}
