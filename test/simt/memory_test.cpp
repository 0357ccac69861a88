// Memory of a device: allocation, copies, what is known of addresses, sharing.
#include <cstdint>
#include <vector>

#include "device_support.h"

using namespace papo_test;

namespace {

std::vector<unsigned char> pattern(size_t bytes, int seed) {
  std::vector<unsigned char> out(bytes);
  for (size_t i = 0; i < bytes; ++i) out[i] = static_cast<unsigned char>(i * 31 + i / 256 + seed);
  return out;
}

void* allocate(papo_engine* engine, size_t bytes) {
  void* data = nullptr;
  CHECK(papo_memory_allocate(engine, bytes, &data) == PAPO_OK);
  CHECK(reinterpret_cast<uintptr_t>(data) % 256 == 0);
  return data;
}

std::vector<unsigned char> bytesOf(papo_engine* engine, const void* data, size_t bytes) {
  std::vector<unsigned char> out(bytes, 0x5a);
  CHECK(papo_memory_copy(engine, out.data(), data, bytes) == PAPO_OK);
  CHECK(papo_engine_synchronize(engine) == PAPO_OK);
  return out;
}

void copiesAndSets() {
  OpenEngine engine(cudaDevice(0));
  constexpr size_t kBytes = 1000;
  void *a = allocate(engine, kBytes), *b = allocate(engine, kBytes);
  auto source = pattern(kBytes, 1);
  const auto expected = source;
  CHECK(papo_memory_copy(engine, a, source.data(), kBytes) == PAPO_OK);
  source.assign(kBytes, 0);  // the call is back: it may be used again
  CHECK(papo_memory_copy(engine, b, a, kBytes) == PAPO_OK);
  CHECK(papo_memory_set(engine, a, 7, kBytes) == PAPO_OK);
  CHECK(papo_memory_copy(engine, a, a, kBytes) == PAPO_OK);
  CHECK(bytesOf(engine, b, kBytes) == expected);
  CHECK(bytesOf(engine, a, kBytes) == std::vector<unsigned char>(kBytes, 7));
  CHECK(papo_memory_copy(engine, nullptr, nullptr, 0) == PAPO_OK);
  CHECK(papo_memory_set(engine, nullptr, 0, 0) == PAPO_OK);
  CHECK(papo_memory_free(engine, a) == PAPO_OK && papo_memory_free(engine, b) == PAPO_OK);
}

void copiesByWayOfPinnedMemory() {
  const Machine machine;
  simt::options().lazyStreams = true;
  OpenEngine engine(cudaDevice(0));
  const auto expected = pattern(512, 2);
  void *pinned = nullptr, *data = allocate(engine, 512);
  CHECK(papo_memory_allocate_pinned(engine, 512, &pinned) == PAPO_OK);
  CHECK(papo_memory_copy(engine, data, expected.data(), 512) == PAPO_OK);
  std::memset(pinned, 0, 512);
  CHECK(papo_memory_copy(engine, pinned, data, 512) == PAPO_OK);
  CHECK(std::memcmp(pinned, expected.data(), 512) != 0);  // queued, and not waited for
  CHECK(papo_engine_synchronize(engine) == PAPO_OK);
  CHECK(std::memcmp(pinned, expected.data(), 512) == 0);
  CHECK(papo_memory_free(engine, data) == PAPO_OK);
  CHECK(papo_memory_free_pinned(engine, pinned) == PAPO_OK);
}

void refusesCopies() {
  OpenEngine engine(cudaDevice(0)), cpu(PAPO_CPU);
  char host[64] = {};
  auto* data = static_cast<char*>(allocate(engine, 64));
  CHECK_REFUSED(papo_memory_copy(engine, nullptr, host, 1), PAPO_INVALID_ARGUMENT, "to: expected");
  CHECK_REFUSED(papo_memory_copy(engine, host, nullptr, 1), PAPO_INVALID_ARGUMENT, "from: exp");
  CHECK_REFUSED(papo_memory_copy(engine, data, data + 31, 32), PAPO_OVERLAP, "to: expected");
  CHECK_REFUSED(papo_memory_copy(engine, data + 31, data, 32), PAPO_OVERLAP, "overlaps from");
  CHECK(papo_memory_copy(engine, data + 32, data, 32) == PAPO_OK);
  char longer[65] = {};
  CHECK_REFUSED(papo_memory_copy(engine, data, longer, 65), PAPO_INVALID_ARGUMENT,
                "an address or a length is wrong");
  CHECK_REFUSED(papo_memory_set(engine, data, 0, 65), PAPO_INVALID_ARGUMENT,
                "data: expected 65 bytes, got 64");
  CHECK_REFUSED(papo_memory_set(engine, host, 0, 1), PAPO_INVALID_ARGUMENT, "ordinary host memory");
  CHECK_REFUSED(papo_memory_copy(cpu, data, host, 1), PAPO_INVALID_ARGUMENT,
                "engine: expected a CUDA engine, got one of the CPU");
  CHECK_REFUSED(papo_memory_copy(nullptr, data, host, 1), PAPO_INVALID_ARGUMENT, "got null");
  CHECK(papo_engine_synchronize(engine) == PAPO_OK);
  CHECK(papo_memory_free(engine, data) == PAPO_OK);
}

void refusesFrees() {
  OpenEngine engine(cudaDevice(0)), other(cudaDevice(1)), second(cudaDevice(0));
  char host = 0;
  void *pinned = nullptr, *shareable = nullptr, *data = allocate(engine, 64);
  CHECK(papo_memory_allocate_pinned(engine, 64, &pinned) == PAPO_OK);
  CHECK(papo_memory_allocate_shareable(engine, 64, &shareable) == PAPO_OK);
  CHECK_REFUSED(papo_memory_free(engine, nullptr), PAPO_INVALID_ARGUMENT, "data: expected what");
  CHECK_REFUSED(papo_memory_free(engine, &host), PAPO_INVALID_ARGUMENT, "an address that is not");
  CHECK_REFUSED(papo_memory_free(engine, static_cast<char*>(data) + 1), PAPO_INVALID_ARGUMENT,
                "papo_memory_allocate gave");
  CHECK_REFUSED(papo_memory_free(engine, pinned), PAPO_INVALID_ARGUMENT,
                "got what papo_memory_allocate_pinned gave");
  CHECK_REFUSED(papo_memory_free(engine, shareable), PAPO_INVALID_ARGUMENT,
                "got what papo_memory_allocate_shareable gave");
  CHECK_REFUSED(papo_memory_free_shareable(engine, data), PAPO_INVALID_ARGUMENT, "data");
  CHECK_REFUSED(papo_memory_free_pinned(engine, data), PAPO_INVALID_ARGUMENT, "data");
  CHECK_REFUSED(papo_ipc_close(engine, data), PAPO_INVALID_ARGUMENT, "what papo_ipc_open gave");
  CHECK_REFUSED(papo_memory_free(other, data), PAPO_INVALID_ARGUMENT,
                "expected memory of cuda:1, got memory of cuda:0");
  CHECK(papo_memory_free(second, data) == PAPO_OK);  // any engine of the device
  CHECK_REFUSED(papo_memory_free(engine, data), PAPO_INVALID_ARGUMENT, "not any more");
  CHECK(papo_memory_free_pinned(other, pinned) == PAPO_OK);
  CHECK(papo_memory_free_shareable(engine, shareable) == PAPO_OK);
  CHECK_REFUSED(papo_memory_free_shareable(engine, shareable), PAPO_INVALID_ARGUMENT, "not any");
}

void refusesAllocations() {
  const Machine machine;
  simt::options().memoryBytes = size_t{1} << 20;
  OpenEngine engine(cudaDevice(0)), cpu(PAPO_CPU);
  void* data = &data;
  CHECK_REFUSED(papo_memory_allocate(engine, 0, &data), PAPO_INVALID_ARGUMENT, "bytes: expected");
  CHECK(data == nullptr);
  CHECK_REFUSED(papo_memory_allocate(engine, 1, nullptr), PAPO_INVALID_ARGUMENT, "data");
  CHECK_REFUSED(papo_memory_allocate(cpu, 1, &data), PAPO_INVALID_ARGUMENT, "engine");
  CHECK_REFUSED(papo_memory_allocate(engine, 2000000, &data), PAPO_OUT_OF_MEMORY,
                "expected 2000000 bytes, got 10");
  CHECK(std::strstr(papo_last_message(), "of 1048576 free"));
  CHECK_REFUSED(papo_memory_allocate_shareable(engine, 2000000, &data), PAPO_OUT_OF_MEMORY,
                "cuda:0 in papo_memory_allocate_shareable");
  simt::failCall("cudaHostAlloc", 1, cudaErrorMemoryAllocation);
  CHECK_REFUSED(papo_memory_allocate_pinned(engine, 4096, &data), PAPO_OUT_OF_MEMORY,
                "out of pinned host memory: expected 4096 bytes");
  simt::failCall("cudaMallocFromPoolAsync", 1, cudaErrorNotSupported);
  CHECK_REFUSED(papo_memory_allocate(engine, 4096, &data), PAPO_DEVICE_ERROR, "NotSupported");
  CHECK(data == nullptr);
  size_t freeBytes = 0, totalBytes = 0, after = 0;
  CHECK(papo_memory_info(engine, &freeBytes, &totalBytes) == PAPO_OK);
  CHECK(totalBytes == size_t{1} << 20 && freeBytes < totalBytes && freeBytes > 0);
  data = allocate(engine, 1000);
  CHECK(papo_memory_info(engine, &after, &totalBytes) == PAPO_OK && after == freeBytes - 1000);
  CHECK_REFUSED(papo_memory_info(engine, nullptr, &after), PAPO_INVALID_ARGUMENT, "freeBytes");
  CHECK_REFUSED(papo_memory_info(engine, &after, nullptr), PAPO_INVALID_ARGUMENT, "totalBytes");
  CHECK(papo_memory_free(engine, data) == PAPO_OK);
}

// A device without pools, as some virtual ones are.
void allocatesWithoutPools() {
  const Machine machine;
  simt::options().memoryPools = false;
  OpenEngine engine(cudaDevice(0));
  const size_t before = simt::allocatedBytes(0);
  void* data = allocate(engine, 100);
  CHECK(papo_memory_set(engine, data, 3, 100) == PAPO_OK);
  CHECK(bytesOf(engine, data, 100) == std::vector<unsigned char>(100, 3));
  CHECK(papo_memory_free(engine, data) == PAPO_OK);
  CHECK(simt::allocatedBytes(0) == before);
}

void knowsAddresses() {
  OpenEngine engine(cudaDevice(0)), other(cudaDevice(1));
  char host = 0;
  void *pinned = nullptr, *foreign = nullptr;
  auto* data = static_cast<char*>(allocate(engine, 100));
  CHECK(papo_memory_allocate_pinned(engine, 8, &pinned) == PAPO_OK);
  CHECK(cudaSetDevice(0) == cudaSuccess && cudaMalloc(&foreign, 40) == cudaSuccess);
  CHECK(papo_memory_require(engine, data, 100) == PAPO_OK);
  CHECK(papo_memory_require(engine, data + 99, 1) == PAPO_OK);
  CHECK(papo_memory_require(engine, data, 0) == PAPO_OK);
  CHECK(papo_memory_require(engine, foreign, 40) == PAPO_OK);
  CHECK_REFUSED(papo_memory_require(engine, data, 101), PAPO_INVALID_ARGUMENT,
                "data: expected 101 bytes, got 100 up to the allocation's end");
  CHECK_REFUSED(papo_memory_require(engine, data + 60, 41), PAPO_INVALID_ARGUMENT, "got 40 up");
  CHECK_REFUSED(papo_memory_require(engine, data, SIZE_MAX), PAPO_INVALID_ARGUMENT, "addresses");
  CHECK_REFUSED(papo_memory_require(engine, nullptr, 1), PAPO_INVALID_ARGUMENT, "got null");
  CHECK_REFUSED(papo_memory_require(engine, &host, 1), PAPO_INVALID_ARGUMENT,
                "expected memory of cuda:0, got ordinary host memory");
  CHECK_REFUSED(papo_memory_require(engine, pinned, 1), PAPO_INVALID_ARGUMENT,
                "pinned host memory");
  CHECK_REFUSED(papo_memory_require(other, data, 1), PAPO_INVALID_ARGUMENT,
                "expected memory of cuda:1, got memory of cuda:0");
  CHECK(papo_memory_free(engine, data) == PAPO_OK);
  CHECK_REFUSED(papo_memory_require(engine, data, 1), PAPO_INVALID_ARGUMENT, "none at all");
  CHECK(papo_memory_free_pinned(engine, pinned) == PAPO_OK && cudaFree(foreign) == cudaSuccess);
}

// --- sharing, here with itself: the emulated driver allows what a real one does between processes --

papo_ipc_memory exported(papo_engine* engine, const void* data) {
  papo_ipc_memory memory{};
  memory.size = sizeof memory;
  CHECK(papo_ipc_export(engine, data, &memory) == PAPO_OK);
  return memory;
}

void shares() {
  OpenEngine exporter(cudaDevice(0)), importer(cudaDevice(0));
  void *data = nullptr, *mapped = nullptr, *again = nullptr;
  const auto expected = pattern(100, 3);
  CHECK(papo_memory_allocate_shareable(exporter, 100, &data) == PAPO_OK);
  CHECK(papo_memory_copy(exporter, data, expected.data(), 100) == PAPO_OK);
  const papo_ipc_memory memory = exported(exporter, static_cast<char*>(data) + 60);
  CHECK(memory.offset == 60);
  CHECK(papo_ipc_open(importer, &memory, &mapped) == PAPO_OK);
  CHECK(papo_ipc_open(importer, &memory, &again) == PAPO_OK);
  CHECK(bytesOf(importer, mapped, 40) ==
        std::vector<unsigned char>(expected.begin() + 60, expected.end()));
  CHECK(papo_memory_require(importer, mapped, 40) == PAPO_OK);
  CHECK(papo_ipc_close(importer, mapped) == PAPO_OK);
  CHECK(papo_ipc_close(importer, again) == PAPO_OK);
  CHECK_REFUSED(papo_ipc_close(importer, again), PAPO_INVALID_ARGUMENT, "not any more");
}

void refusesSharing() {
  const Machine machine;
  OpenEngine engine(cudaDevice(0)), other(cudaDevice(1));
  void *data = nullptr, *mapped = nullptr, *pooled = allocate(engine, 64);
  char host = 0;
  papo_ipc_memory memory{};
  CHECK(papo_memory_allocate_shareable(engine, 64, &data) == PAPO_OK);
  CHECK_REFUSED(papo_ipc_export(engine, data, &memory), PAPO_INVALID_ARGUMENT,
                "memory: expected s");
  CHECK_REFUSED(papo_ipc_export(engine, data, nullptr), PAPO_INVALID_ARGUMENT, "memory");
  memory = exported(engine, data);
  CHECK_REFUSED(papo_ipc_export(engine, pooled, &memory), PAPO_INVALID_ARGUMENT,
                "got memory of papo_memory_allocate, which is of a pool");
  CHECK_REFUSED(papo_ipc_export(engine, &host, &memory), PAPO_INVALID_ARGUMENT, "host memory");
  CHECK_REFUSED(papo_ipc_export(other, data, &memory), PAPO_INVALID_ARGUMENT, "memory of cuda:0");
  simt::failCall("cudaIpcGetMemHandle", 1, cudaErrorInvalidValue);
  CHECK_REFUSED(papo_ipc_export(engine, data, &memory), PAPO_INVALID_ARGUMENT, "does not share");

  memory = exported(engine, data);
  memory.offset = 64;
  CHECK_REFUSED(papo_ipc_open(engine, &memory, &mapped), PAPO_INVALID_ARGUMENT,
                "memory: expected an offset in 64 bytes, got 64");
  memory.offset = -1;
  CHECK_REFUSED(papo_ipc_open(engine, &memory, &mapped), PAPO_INVALID_ARGUMENT, "at least 0");
  memory.offset = 0;
  memory.handle[0] ^= 0xff;
  CHECK_REFUSED(papo_ipc_open(engine, &memory, &mapped), PAPO_INVALID_ARGUMENT,
                "memory: expected a handle of another process");
  CHECK_REFUSED(papo_ipc_open(engine, nullptr, &mapped), PAPO_INVALID_ARGUMENT, "memory");
  CHECK_REFUSED(papo_ipc_open(engine, &memory, nullptr), PAPO_INVALID_ARGUMENT, "data");
  CHECK(mapped == nullptr);
  CHECK(papo_memory_free_shareable(engine, data) == PAPO_OK);
  CHECK(papo_memory_free(engine, pooled) == PAPO_OK);
}

}  // namespace

int main() {
  copiesAndSets();
  copiesByWayOfPinnedMemory();
  refusesCopies();
  refusesFrees();
  refusesAllocations();
  allocatesWithoutPools();
  knowsAddresses();
  shares();
  refusesSharing();
  return finish();
}
