// A batch of tokens in its responses: counting, denominators and the record kept for each token.
#pragma once

#include "engine/arena.h"
#include "engine/tensors.h"
#include "loss/shares.h"

namespace papo {

template <class Real>
class Batch {
 public:
  Batch(const papo_loss_args& args, const Responses& responses, TokenRecord<Real>* records)
      : args_(args), objective_(*args.objective), responses_(responses), records_(records) {}

  const Responses& responses() const { return responses_; }
  TokenRecord<Real>& operator[](int64_t row) { return records_[row]; }
  const TokenRecord<Real>& operator[](int64_t row) const { return records_[row]; }

  // Reads masks, weights and given log-probs into the records and sets every share. Fails where a
  // mask is neither 0 nor 1.
  papo_status fill();

  const BatchSize& size() const { return size_; }
  int64_t countedTokens(int64_t response) const;

 private:
  papo_status fillRecords();
  papo_status fillRecord(int64_t row, int64_t response, bool responseSft);
  void countTokens();
  void setShares();

  const papo_loss_args& args_;
  const papo_objective& objective_;
  Responses responses_;
  TokenRecord<Real>* records_;
  BatchSize size_;
};

}  // namespace papo
