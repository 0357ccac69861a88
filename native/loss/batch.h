// A batch of tokens in its responses: counting, denominators and the record kept for each token.
#pragma once

#include "engine/arena.h"
#include "engine/tensors.h"
#include "loss/token_record.h"

namespace papo {

// Denominators of the means (Eq. 15), from the masks of the whole call.
struct Denominators {
  double policy = 1;     // shared factor; the sequence reduction divides by the response's too
  double auxiliary = 1;  // padding included: all rows
  double entropy = 1, maskedEntropy = 1;
  double sft = 1;
  double tokens = 1;  // for metrics
  int64_t tokenCount = 0;
};

// A mean over nothing is 0, whatever epsilon.
inline double denominator(double count, double epsilon) { return count > 0 ? count + epsilon : 1; }

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
  // Entropy shares again, over keptTokens tokens: after topEntropyFraction has chosen them.
  void restrictEntropyToKept(int64_t keptTokens);

  const Denominators& denominators() const { return denominators_; }
  int64_t countedTokens(int64_t response) const;

 private:
  papo_status fillRecords();
  papo_status fillMasks(int64_t row, bool responseSft);
  void fillInputs(int64_t row, int64_t response);
  Real valueAt(const papo_tensor& tensor, int64_t row, int64_t response, Real fallback) const;
  void countTokens();
  void setShares();

  const papo_loss_args& args_;
  const papo_objective& objective_;
  Responses responses_;
  TokenRecord<Real>* records_;
  Denominators denominators_;
};

}  // namespace papo
