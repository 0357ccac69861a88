// Slopes of a row that several tokens share: sums over the tokens in their order, and the entries
// that they sampled, each once, by ascending id (Eq. 8). Of both engines.
#pragma once

#include "engine/host_device.h"
#include "loss/row_types.h"

namespace papo {

class SharedSlopes {
 public:
  // entries: as many as the row has tokens.
  PAPO_HOST_DEVICE explicit SharedSlopes(SampledEntry* entries) : entries_(entries) {}

  // own: slopes of the token; statistics: of its row, for it.
  PAPO_HOST_DEVICE void add(int64_t id, const RowStatistics& statistics, const RowSlopes& own) {
    sums_.logProb += own.logProb;
    sums_.entropy += own.entropy;
    sums_.maskedLogProb += own.maskedLogProb;
    sums_.maskedEntropy += own.maskedEntropy;
    sums_.exactKl += own.exactKl;
    SampledEntry& entry = entries_[count_];
    entry = SampledEntry();
    entry.token = id;
    entry.logProb = statistics.image.logProb;
    entry.maskedLogProb = statistics.masked.logProb;
    entry.slope = own.logProb;
    entry.maskedSlope = own.maskedLogProb;
    entry.order = count_++;
  }

  // After the last token.
  PAPO_HOST_DEVICE RowSlopes finish() {
    sort();
    mergeEqual();
    addOthers();
    sums_.entries = entries_;
    sums_.entryCount = count_;
    return sums_;
  }

 private:
  PAPO_HOST_DEVICE static bool isBefore(const SampledEntry& a, const SampledEntry& b) {
    return a.token != b.token ? a.token < b.token : a.order < b.order;
  }

  // A heap sort: in place, without recursion, n log n for any ids. By token, and then by order, so
  // that equal ids are added in the order of their tokens.
  PAPO_HOST_DEVICE void sort() {
    for (int64_t root = count_ / 2; root-- > 0;) siftDown(root, count_);
    for (int64_t end = count_; end-- > 1;) {
      swap(0, end);
      siftDown(0, end);
    }
  }
  PAPO_HOST_DEVICE void siftDown(int64_t root, int64_t end) {
    for (int64_t child = 2 * root + 1; child < end; child = 2 * root + 1) {
      if (child + 1 < end && isBefore(entries_[child], entries_[child + 1])) ++child;
      if (!isBefore(entries_[root], entries_[child])) return;
      swap(root, child);
      root = child;
    }
  }
  PAPO_HOST_DEVICE void swap(int64_t i, int64_t j) {
    const SampledEntry kept = entries_[i];
    entries_[i] = entries_[j];
    entries_[j] = kept;
  }

  PAPO_HOST_DEVICE void mergeEqual() {
    int64_t merged = 0;
    for (int64_t i = 1; i < count_; ++i) {
      if (entries_[i].token != entries_[merged].token) {
        entries_[++merged] = entries_[i];
      } else {
        entries_[merged].slope += entries_[i].slope;
        entries_[merged].maskedSlope += entries_[i].maskedSlope;
      }
    }
    count_ = merged + 1;
  }

  // From both ends: the total less the entry's own would lose the digits of small slopes.
  PAPO_HOST_DEVICE void addOthers() {
    double slopes = 0, maskedSlopes = 0;
    for (int64_t i = 0; i < count_; ++i) {
      entries_[i].otherSlopes = slopes;
      entries_[i].otherMaskedSlopes = maskedSlopes;
      slopes += entries_[i].slope;
      maskedSlopes += entries_[i].maskedSlope;
    }
    slopes = maskedSlopes = 0;
    for (int64_t i = count_ - 1; i >= 0; --i) {
      entries_[i].otherSlopes += slopes;
      entries_[i].otherMaskedSlopes += maskedSlopes;
      slopes += entries_[i].slope;
      maskedSlopes += entries_[i].maskedSlope;
    }
  }

  RowSlopes sums_;
  SampledEntry* entries_;
  int64_t count_ = 0;
};

}  // namespace papo
