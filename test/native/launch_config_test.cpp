// The choice of a launch configuration: pure, so it is tested for devices that are not here.
#include "cuda/launch_config.h"

#include <initializer_list>

#include "check.h"

namespace {

using namespace papo::cuda;
using papo_test::checkContext;

DeviceProperties device(int major, int64_t perBlockKiB, int64_t perMultiprocessorKiB) {
  DeviceProperties properties;
  properties.major = major;
  properties.multiprocessors = 132;
  properties.sharedPerBlock = perBlockKiB << 10;
  properties.sharedPerMultiprocessor = perMultiprocessorKiB << 10;
  return properties;
}
const DeviceProperties ampere = device(8, 163, 164), hopper = device(9, 227, 228),
                       desktop = device(12, 99, 100);

// What must hold whatever is chosen.
void isSound(const DeviceProperties& properties, const RowShape& shape, const RowLaunch& launch) {
  std::snprintf(checkContext, sizeof checkContext, "V %lld, %d bytes, %d branches",
                static_cast<long long>(shape.vocabSize), shape.elementBytes, shape.branches);
  if (!launch.isCluster()) return;
  const int64_t blocks = launch.blocksPerMultiprocessor;
  CHECK(launch.slots * launch.clusterSize >= shape.tiles());
  CHECK((launch.slots - 1) * launch.clusterSize < shape.tiles());
  CHECK(launch.sharedBytes >= launch.slots * shape.slotBytes());
  CHECK(launch.sharedBytes <= properties.sharedPerBlock);
  CHECK(blocks >= 1);
  CHECK(blocks * (launch.sharedBytes + kReservedBytes) <= properties.sharedPerMultiprocessor);
  CHECK(blocks * launch.threads <= shape.residentThreads());
  CHECK(launch.threads % kWarp == 0 && launch.threads >= kWarp);
  CHECK(launch.threads <= launch.slots * kWarp);
}

void everyShape() {
  for (const DeviceProperties* properties : {&ampere, &hopper, &desktop})
    for (int64_t vocabSize : {1, 3, 1024, 1025, 8003, 32000, 50257, 128256, 151936, 152064, 262144,
                              1000000, 2000000000})
      for (int bytes : {2, 4})
        for (int branches : {1, 2}) {
          const RowShape shape{vocabSize, bytes, branches};
          for (int clusterSize : {-1, 0, 1, 2, 4, 8})
            for (int threads : {0, 32, 96, 256, 512})
              isSound(*properties, shape,
                      chooseRowLaunch(*properties, shape, {clusterSize, threads}));
        }
}

struct Expected {
  RowShape shape;
  int clusterSize, threads, blocks;
};

void onHopper() {
  const Expected table[] = {
      {{151936, 2, 2}, 8, 256, 2}, {{151936, 2, 1}, 4, 256, 2}, {{151936, 4, 2}, 8, 256, 1},
      {{151936, 4, 1}, 8, 256, 2}, {{128256, 2, 2}, 8, 256, 2}, {{32000, 2, 2}, 2, 256, 2},
      {{32000, 2, 1}, 1, 256, 2},  {{4096, 2, 1}, 1, 128, 4},   {{1, 4, 2}, 1, 32, 8},
      {{1000000, 2, 2}, 0, 0, 0},  {{262144, 2, 2}, 8, 512, 1}, {{262144, 4, 2}, 0, 0, 0},
  };
  for (const Expected& e : table) {
    const RowLaunch launch = chooseRowLaunch(hopper, e.shape);
    char text[128];
    describe(launch, text, sizeof text);
    std::printf("V %7lld, %d bytes, %d branches: %s\n", static_cast<long long>(e.shape.vocabSize),
                e.shape.elementBytes, e.shape.branches, text);
    isSound(hopper, e.shape, launch);
    CHECK(launch.clusterSize == e.clusterSize);
    CHECK(launch.threads == e.threads);
    CHECK(launch.blocksPerMultiprocessor == e.blocks);
  }
}

void elsewhere() {
  const RowShape pair{151936, 2, 2}, wide{151936, 4, 2};
  CHECK(!chooseRowLaunch(ampere, pair).isCluster());
  CHECK(!chooseRowLaunch(ampere, pair, {8, 0}).isCluster());
  CHECK(chooseRowLaunch(desktop, pair).clusterSize == 8);
  CHECK(chooseRowLaunch(desktop, pair).blocksPerMultiprocessor == 1);
  CHECK(!chooseRowLaunch(desktop, wide).isCluster());
  CHECK(!chooseRowLaunch(DeviceProperties(), pair).isCluster());
}

void askedFor() {
  const RowShape pair{151936, 2, 2};
  CHECK(!chooseRowLaunch(hopper, pair, {0, 0}).isCluster());
  CHECK(chooseRowLaunch(hopper, pair, {4, 0}).clusterSize == 4);
  CHECK(chooseRowLaunch(hopper, pair, {4, 0}).blocksPerMultiprocessor == 1);
  CHECK(!chooseRowLaunch(hopper, pair, {2, 0}).isCluster());  // does not fit
  CHECK(chooseRowLaunch(hopper, pair, {-1, 128}).threads == 128);
}

void grids() {
  RowLaunch launch;
  launch.clusterSize = 4;
  CHECK(clusterGrid(launch, 33, 1000) == 132);
  CHECK(clusterGrid(launch, 33, 5) == 20);
  CHECK(clusterGrid(launch, 0, 5) == 4);
  CHECK(clusterGrid(launch, 33, int64_t{1} << 40) == 132);
}

void variables() {
  int value = -1;
  for (const char* text : {"-1", "3", "5", "6", "7", "9", "16", "8 ", " 8", "x", "08"})
    CHECK(!parseClusterSize(text, &value) && value == -1);
  CHECK(parseClusterSize(nullptr, &value) && parseClusterSize("", &value) && value == -1);
  for (int size : {0, 1, 2, 4, 8}) {
    const char text[] = {static_cast<char>('0' + size), '\0'};
    CHECK(parseClusterSize(text, &value) && value == size);
  }
  int threads = 0;
  for (const char* text : {"0", "16", "33", "544", "-32", "x", "64x", "99999999999999999999"})
    CHECK(!parseThreads(text, &threads) && threads == 0);
  CHECK(parseThreads("", &threads) && threads == 0);
  CHECK(parseThreads("96", &threads) && threads == 96);
}

}  // namespace

int main() {
  everyShape();
  onHopper();
  elsewhere();
  askedFor();
  grids();
  variables();
  return papo_test::finish();
}
