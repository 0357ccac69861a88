// How kernels read token ids and the row index: once, into copies that were checked, because both become
// addresses and the caller's memory may change meanwhile.
#pragma once

#include "cuda/findings.cuh"
#include "cuda/token_sort.h"

namespace papo::cuda {

// Token i of a kernel that checks. isRead: else the token is looked at nowhere, and no row has it.
__device__ __forceinline__ void readTokenOfRow(const TokenSort& sort, int64_t i, bool isRead,
                                               DeviceError* error) {
  if (!isRead) {
    sort.rows.ids[i] = -1;
    return;
  }
  const int32_t id = static_cast<const volatile int32_t*>(sort.callerIds)[i];
  sort.rows.ids[i] = id;
  if (id < 0 || id >= sort.vocabSize) found(error, Finding::tokens, i);
  if (!sort.callerRows) return;
  const int32_t row = static_cast<const volatile int32_t*>(sort.callerRows)[i];
  sort.rows.rows[i] = row;
  if (row < 0 || row >= sort.matrixRows)
    found(error, Finding::rowIndex, i);
  else
    atomicAdd(reinterpret_cast<unsigned long long*>(sort.rows.starts + row), 1ull);
}

// For publishFinding, of a finding of the above.
__device__ __forceinline__ FindingDetail tokenFindingDetail(const TokenSort& sort, Finding finding,
                                                            int64_t i) {
  if (finding == Finding::tokens) return {sort.rows.ids[i], sort.vocabSize};
  return {sort.rows.rows[i], sort.matrixRows};
}

// A mask value of a kernel that checks.
__device__ __forceinline__ bool readMaskValue(const papo_tensor& mask, int64_t i, Finding finding,
                                              DeviceError* error) {
  const uint8_t stored = static_cast<const volatile uint8_t*>(mask.data)[i];
  if (stored > 1) found(error, finding, i);
  return stored != 0;
}

}  // namespace papo::cuda
