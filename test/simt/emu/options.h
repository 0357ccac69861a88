// What a test says to the emulator and hears from it. Host side only.
#pragma once

#include <driver_types.h>

#include <cstddef>
#include <cstdint>

namespace simt {

enum class Order { forward, reverse, random };  // in which runnable threads and blocks take turns

// Each field can be set from the environment, so that any program linked to the emulator runs in
// every variant; README.md lists the names.
struct Options {
  Order order = Order::forward;
  uint64_t seed = 1;                 // of the random order and of the noise
  bool exitCountsAtBarrier = false;  // false: a barrier after a thread returned is an error
  bool sameCallSite = true;          // threads must meet at the same source line
  bool lazyCopies = true;            // asynchronous copies arrive as late as the program allows
  bool lazyStreams = false;          // work of a stream runs when somebody waits for it
  int ulpNoise = 0;                  // fast intrinsics are off by up to so many ulp
  long long firstBlock = 0, lastBlock = -1;  // only a part of the grid; -1: to its end
  int arch = 900;                            // compute capability * 100
  int multiprocessors = 0;                   // 0: as many as the device of this arch has
  int devices = 2;
  int driverVersion = 13000;              // 0: no driver
  size_t memoryBytes = size_t{16} << 30;  // of one device
  bool memoryPools = true;                // whether the devices have them
};
Options& options();

struct Stats {
  uint64_t blocks, switches, barriers, warpOps;
};
Stats& stats();

const char* lastError();              // of the last launch; "" when it was clean
int raceReports(bool reset = false);  // of ThreadSanitizer so far

// Calls `function` of the runtime API ("launch": of a kernel) fail with `error`, without doing
// anything, from the nth from now on, `times` of them (-1: all). Errors that end a context on a
// real device end it here.
void failCall(const char* function, int nth, cudaError_t error, int times = 1);

// Devices as after the start of the process, without injected failures; memory stays allocated, but
// for that of devices that were lost.
void resetDevices();
size_t allocatedBytes(int device);  // on the device by cudaMalloc and cudaMallocAsync; -1: pinned

}  // namespace simt
