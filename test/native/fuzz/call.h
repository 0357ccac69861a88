// One fuzzed call and what must hold of it, whatever was passed:
// - the status is a known one, and an error has a fresh message;
// - after an error no byte has changed, after a success only elements of the outputs have;
// - the workspace query and the call agree;
// - no two arguments share memory that one of them is written to, but for the pairs in place;
// - the same call again gives the same bits, whatever outputs and workspace held before.
#pragma once

#include <cstdarg>
#include <cstdio>
#include <functional>
#include <map>
#include <string>

#include "tensors.h"

namespace papo_fuzz {

// What is reported; the program that fuzzes says what to do then.
inline void (*onProblem)(const char* text) = nullptr;

#if defined(__GNUC__)
__attribute__((format(printf, 1, 2)))
#endif
inline void
problem(const char* format, ...) {
  char text[512];
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  onProblem(text);
}

// Calls by function and status, so that a test can see that the fuzzer reaches all of them.
inline std::map<std::string, std::map<int, long>> statusCounts;

inline papo_status known(const char* function, papo_status status, const char* staleMessage) {
  ++statusCounts[function][status];
  if (status == PAPO_OK) return status;
  if (status < PAPO_OK || status >= PAPO_INTERNAL) problem("%s: status %d", function, status);
  const std::string message = papo_last_message();
  if (message.empty() || message == staleMessage)
    problem("%s: status %d without a message of its own", function, status);
  return status;
}

// Puts a message in place that no call of the fuzzer gives, to be told from a fresh one.
inline std::string staleMessage() {
  papo_objective objective;
  papo_objective_init("stale message", &objective);
  return papo_last_message();
}

class Call {
 public:
  Call(const char* function, Source* source) : source(source), function_(function) {}

  const char* function() const { return function_; }
  Source* const source;
  Memory memory;
  Sizes sizes;
  std::vector<Range> inputs;                      // read as well, but no tensors
  std::function<papo_status(size_t*)> workspace;  // none: the function takes no workspace
  std::function<papo_status(void*, size_t)> compute;

  // Tensors of the struct that this call gives, valid ones.
  template <class Args>
  void describe(Args* args) {
    for (const Field<Args>& field : Fields<Args>::all) {
      if (!source->percent(field.presence)) continue;
      args->*field.tensor = validView(field.extent, field.content, sizes, source);
      tensors_.push_back({field.name, &(args->*field.tensor), field.role, field.content});
    }
  }
  template <class Args>
  void drop(Args* args, std::initializer_list<papo_tensor Args::*> fields) {
    for (papo_tensor Args::*field : fields) {
      args->*field = {};
      tensors_.erase(std::remove_if(tensors_.begin(), tensors_.end(),
                                    [&](const Tensor& t) { return t.view == &(args->*field); }),
                     tensors_.end());
    }
  }

  // A part of the calls stays valid: they have to come through.
  void mutateViews() {
    if (tensors_.empty() || source->percent(60)) return;
    for (int64_t n = source->between(1, 2); n > 0; --n) mutate(any(), source);
  }
  void makeTensors() {
    for (const Tensor& tensor : tensors_) {
      allocate(tensor, &memory);
      fill(tensor, sizes, source);
    }
    shareInPlace();
    if (!tensors_.empty() && source->percent(30))
      for (int64_t n = source->between(1, 3); n > 0; --n) corrupt(*any(), source);
    if (!tensors_.empty() && source->percent(8)) misplace(any()->view);
  }

  void run() {
    const std::string stale = staleMessage();
    memory.snapshot();
    size_t needed = 0;
    const papo_status query = workspace ? guarded([&] { return workspace(&needed); }) : PAPO_OK;
    known(function_, query, stale.c_str());
    requireUnchanged("the workspace query");
    const Space space = makeWorkspace(needed);
    memory.snapshot();
    const papo_status status = guarded([&] { return compute(space.data, space.bytes); });
    known(function_, status, stale.c_str());
    requireAgreement(query, status, space, needed);
    if (status == PAPO_OK)
      checkSuccess(space);
    else
      requireUnchanged("an error", {space.block});
  }

 private:
  struct Space {
    unsigned char* data = nullptr;
    size_t bytes = 0;
    Range block{nullptr, 0};
    bool isLarge = false;  // enough and aligned
  };

  Tensor* any() { return &tensors_[static_cast<size_t>(source->below(count()))]; }
  int64_t count() const { return static_cast<int64_t>(tensors_.size()); }

  template <class Body>
  papo_status guarded(Body&& body) {
    memory.guard();
    const papo_status status = body();
    memory.unguard();
    return status;
  }

  const Tensor* find(const char* name) const {
    for (const Tensor& tensor : tensors_)
      if (std::strcmp(tensor.name, name) == 0) return &tensor;
    return nullptr;
  }
  bool isPairInPlace(const Tensor& in, const Tensor& out) const {
    for (const InPlacePair& pair : kInPlace)
      if (!std::strcmp(in.name, pair.input) && !std::strcmp(out.name, pair.output))
        return in.view->data == out.view->data && in.view->rowStride == out.view->rowStride;
    return false;
  }
  void shareInPlace() {
    for (const InPlacePair& pair : kInPlace) {
      const Tensor *in = find(pair.input), *out = find(pair.output);
      if (!in || !out || !source->percent(30)) continue;
      if (source->percent(10))
        out->view->data = in->view->data;  // perhaps of another shape: then the views must fit
      else
        *out->view = *in->view;
      if (viewBytes(*out->view) > viewBytes(*in->view)) *out->view = *in->view;
    }
  }

  // Anywhere inside another argument's memory, if the view fits there.
  void misplace(papo_tensor* view) {
    const Range block =
        memory.block(static_cast<size_t>(source->below(static_cast<int64_t>(memory.blocks()))));
    const size_t bytes = viewBytes(*view);
    if (bytes == 0 || bytes > block.bytes) return;
    const size_t step = source->percent(80) ? papo::dtypeBytes(view->dtype) : 1;
    const auto places = static_cast<int64_t>((block.bytes - bytes) / step + 1);
    view->data =
        const_cast<unsigned char*>(block.begin) + static_cast<size_t>(source->below(places)) * step;
  }

  Space makeWorkspace(size_t needed) {
    Space space;
    const size_t extra = source->percent(20) ? 64 : 0;
    space.data = memory.allocate(needed + extra);
    space.block = memory.block(memory.blocks() - 1);
    space.bytes = needed + extra;
    space.isLarge = true;
    if (needed == 0 || !source->percent(12)) return space;
    space.isLarge = false;
    switch (source->below(4)) {
      case 0:
        space.bytes = needed - 1;
        break;
      case 1:
        space.data = nullptr;
        break;
      case 2:
        space.data += source->between(1, 63);
        space.bytes = needed;  // refused before it is looked at
        break;
      default:
        shareWorkspace(&space);
    }
    return space;
  }
  void shareWorkspace(Space* space) {
    const Range block =
        memory.block(static_cast<size_t>(source->below(static_cast<int64_t>(memory.blocks()) - 1)));
    space->isLarge = block.bytes < space->bytes || !isUsed({block.begin, space->bytes});
    if (space->isLarge) return;
    space->data = const_cast<unsigned char*>(block.begin);
    space->block = {nullptr, 0};
  }
  bool isUsed(const Range& range) const {
    for (const Range& input : inputs)
      if (input.overlaps(range)) return true;
    for (const Tensor& tensor : tensors_)
      if (rangeOf(tensor).overlaps(range)) return true;
    return false;
  }

  void requireUnchanged(const char* after, const std::vector<Range>& but = {}) {
    if (memory.changedOutside(but)) problem("%s: memory changed after %s", function_, after);
  }

  void requireAgreement(papo_status query, papo_status status, const Space& space, size_t needed) {
    if (query != PAPO_OK && status == PAPO_OK)
      problem("%s: ran, though its workspace query gave %d", function_, query);
    if (query == PAPO_OK && space.isLarge && status == PAPO_WORKSPACE_TOO_SMALL)
      problem("%s: %zu bytes of workspace were asked for and too small", function_, needed);
    if (!space.isLarge && status == PAPO_OK)
      problem("%s: ran in a workspace that is too small, misaligned or shared", function_);
  }

  std::vector<Range> outputRanges() const {
    std::vector<Range> ranges;
    for (const Tensor& tensor : tensors_) {
      const papo_tensor& view = *tensor.view;
      if (tensor.role != Role::output || !view.data) continue;
      const size_t bytes = static_cast<size_t>(view.columns) * papo::dtypeBytes(view.dtype);
      for (int64_t row = 0; row < view.rows; ++row)
        ranges.push_back({elementAt(view, row, 0), bytes});
    }
    return ranges;
  }
  static std::vector<unsigned char> gather(const std::vector<Range>& ranges) {
    std::vector<unsigned char> bytes;
    for (const Range& range : ranges)
      bytes.insert(bytes.end(), range.begin, range.begin + range.bytes);
    return bytes;
  }

  Range rangeOf(const Tensor& tensor) const {
    return {static_cast<const unsigned char*>(tensor.view->data), viewBytes(*tensor.view)};
  }
  static bool isReal(const Tensor& tensor) {
    const papo_tensor& view = *tensor.view;
    if (viewBytes(view) == 0 || view.device != PAPO_CPU) return false;
    if (view.dtype < PAPO_FLOAT32 || view.dtype > PAPO_UINT8) return false;
    return reinterpret_cast<uintptr_t>(view.data) % papo::dtypeBytes(view.dtype) == 0;
  }
  void requireSoundTensors() {
    for (const Tensor& tensor : tensors_)
      if (!isReal(tensor)) problem("%s: accepted a view %s that is none", function_, tensor.name);
    for (const Tensor& out : tensors_) {
      if (out.role != Role::output) continue;
      for (const Range& input : inputs)
        if (rangeOf(out).overlaps(input))
          problem("%s: accepted %s in the memory of another argument", function_, out.name);
      for (const Tensor& other : tensors_) {
        if (&other == &out || !rangeOf(out).overlaps(rangeOf(other))) continue;
        if (!isPairInPlace(other, out))
          problem("%s: accepted %s in the memory of %s", function_, out.name, other.name);
      }
    }
  }

  void checkSuccess(const Space& space) {
    requireSoundTensors();
    std::vector<Range> ranges = outputRanges();
    const std::vector<unsigned char> results = gather(ranges);
    std::vector<Range> written = ranges;
    written.push_back(space.block);
    memory.restore(written);
    requireUnchanged("a success");
    scramble(space.block);
    for (const Tensor& tensor : tensors_)
      if (tensor.role == Role::output && !isInPlace(tensor)) scrambleElements(*tensor.view);
    if (guarded([&] { return compute(space.data, space.bytes); }) != PAPO_OK)
      problem("%s: the same call again failed", function_);
    if (gather(ranges) != results) problem("%s: the same call again gave other bits", function_);
  }
  bool isInPlace(const Tensor& out) const {
    for (const Tensor& other : tensors_)
      if (&other != &out && isPairInPlace(other, out)) return true;
    return false;
  }
  void scramble(Range range) {
    for (size_t i = 0; i < range.bytes; ++i)
      const_cast<unsigned char*>(range.begin)[i] = static_cast<unsigned char>(source->noise());
  }
  void scrambleElements(const papo_tensor& view) {
    const size_t bytes = static_cast<size_t>(view.columns) * papo::dtypeBytes(view.dtype);
    for (int64_t row = 0; row < view.rows; ++row) scramble({elementAt(view, row, 0), bytes});
  }

  const char* function_;
  std::vector<Tensor> tensors_;
};

}  // namespace papo_fuzz
