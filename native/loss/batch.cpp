#include "loss/batch.h"

#include <new>

#include "loss/loss_checks.h"
#include "loss/token_io.h"

namespace papo {

template <class Real>
papo_status Batch<Real>::fill() {
  PAPO_TRY(fillRecords());
  countTokens();
  setShares();
  return PAPO_OK;
}

template <class Real>
papo_status Batch<Real>::fillRecords() {
  const bool sftPerResponse = isPresent(args_.sftMask) && args_.sftMask.rows != responses_.rows;
  for (int64_t b = 0; b < responses_.count; ++b) {
    bool responseSft = false;
    if (sftPerResponse) PAPO_TRY(readMask({"sftMask", &args_.sftMask}, b, &responseSft));
    for (int64_t row = responses_.begin(b); row < responses_.end(b); ++row)
      PAPO_TRY(fillRecord(row, b, responseSft));
  }
  return PAPO_OK;
}

// Every value of a mask is looked at, also where another mask makes it useless, and once only:
// memory that changes during the call is not to give a token two answers.
template <class Real>
papo_status Batch<Real>::fillRecord(int64_t row, int64_t response, bool responseSft) {
  TokenMasks masks{true, responseSft};
  if (isPresent(args_.responseMask))
    PAPO_TRY(readMask({"responseMask", &args_.responseMask}, row, &masks.counts));
  if (isPresent(args_.sftMask) && args_.sftMask.rows == responses_.rows)
    PAPO_TRY(readMask({"sftMask", &args_.sftMask}, row, &masks.isSft));
  auto* record = new (records_ + row) TokenRecord<Real>;
  setMasks(masks, objective_.paddingInAuxiliaryTerms != 0, record);
  readInputs(args_, responses_, {row, response}, record);
  return PAPO_OK;
}

template <class Real>
int64_t Batch<Real>::countedTokens(int64_t response) const {
  int64_t count = 0;
  for (int64_t row = responses_.begin(response); row < responses_.end(response); ++row)
    count += records_[row].counts;
  return count;
}

template <class Real>
void Batch<Real>::countTokens() {
  size_ = {responses_.rows, responses_.count, 0, 0};
  for (int64_t row = 0; row < responses_.rows; ++row) {
    size_.tokens += records_[row].counts;
    size_.sftTokens += records_[row].isSft;
  }
}

template <class Real>
void Batch<Real>::setShares() {
  const Denominators d = denominators(objective_, size_);
  const CommonShares<Real> common = commonShares<Real>(d);
  for (int64_t b = 0; b < responses_.count; ++b) {
    const double policy = policyShare(objective_, d, countedTokens(b));
    for (int64_t row = responses_.begin(b); row < responses_.end(b); ++row)
      papo::setShares(objective_, common, policy, &records_[row]);
  }
}

template class Batch<float>;
template class Batch<double>;

}  // namespace papo
