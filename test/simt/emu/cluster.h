// Clusters, barriers in shared memory and asynchronous copies, under the names of device.cuh.
#pragma once

#include "simt.h"

namespace simt {

// ---- clusters ------------------------------------------------------------------------------------

void clusterSync(SIMT_HERE);
void* clusterMap(const void* address, unsigned rank, const char* file, int line);

inline unsigned clusterRank() { return static_cast<unsigned>(cur->clusterRank); }
inline unsigned clusterSize() { return static_cast<unsigned>(cur->clusterSize); }

template <class T>
T* clusterPeer(T* address, unsigned rank, SIMT_HERE) {
  return static_cast<T*>(clusterMap(address, rank, file_, line_));
}

// ---- bulk copies: 16-byte alignment and size -----------------------------------------------------

void mbarInit(uint64_t* barrier, int count, SIMT_HERE);
void mbarExpect(uint64_t* barrier, unsigned bytes, SIMT_HERE);  // and arrives
void mbarWait(uint64_t* barrier, int parity, SIMT_HERE);
void bulkLoad(void* to, const void* from, unsigned bytes, uint64_t* barrier, SIMT_HERE);

void bulkStore(void* to, const void* from, unsigned bytes, SIMT_HERE);
void bulkCommit(SIMT_HERE);
void bulkWaitGroups(int pending, bool onlyRead, const char* file, int line);
template <int pending>
void bulkWaitRead(SIMT_HERE) {
  bulkWaitGroups(pending, true, file_, line_);
}
template <int pending>
void bulkWait(SIMT_HERE) {
  bulkWaitGroups(pending, false, file_, line_);
}
void fenceAsync(SIMT_HERE);

// ---- cp.async ------------------------------------------------------------------------------------

struct AsyncCopy {
  void* to;
  const void* from;
  size_t bytes, zeros;  // of the bytes, the last ones are not read but 0
};
void asyncCopy(const AsyncCopy& copy, const char* file, int line);
void asyncCommit();
void asyncWait(int pending);

}  // namespace simt

inline void __pipeline_memcpy_async(void* to, const void* from, size_t bytes, size_t zeros = 0,
                                    SIMT_HERE) {
  simt::asyncCopy({to, from, bytes, zeros}, file_, line_);
}
inline void __pipeline_commit() { simt::asyncCommit(); }
inline void __pipeline_wait_prior(size_t pending) { simt::asyncWait(static_cast<int>(pending)); }
