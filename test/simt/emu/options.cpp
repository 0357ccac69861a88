#include "options.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

namespace simt {
namespace {

const char* text(const char* name) {
  const char* value = std::getenv((std::string("PAPO_SIMT_") + name).c_str());
  return value && *value ? value : nullptr;
}

[[noreturn]] void refuse(const char* name, const char* value) {
  std::fprintf(stderr, "PAPO_SIMT_%s=%s is not understood\n", name, value);
  std::exit(2);
}

template <class T>
void number(const char* name, T* out) {
  const char* value = text(name);
  if (!value) return;
  char* end = nullptr;
  const long long parsed = std::strtoll(value, &end, 10);
  if (*end || parsed < 0) refuse(name, value);
  *out = static_cast<T>(parsed);
}

// Of two words, the one that makes the flag true first.
void flag(const char* name, const char* yes, const char* no, bool* out) {
  const char* value = text(name);
  if (!value) return;
  if (!std::strcmp(value, yes))
    *out = true;
  else if (!std::strcmp(value, no))
    *out = false;
  else
    refuse(name, value);
}

void readOrder(Options* out) {
  const char* value = text("ORDER");
  if (!value) return;
  if (!std::strcmp(value, "forward")) {
    out->order = Order::forward;
  } else if (!std::strcmp(value, "reverse")) {
    out->order = Order::reverse;
  } else if (!std::strncmp(value, "random", 6) && (!value[6] || value[6] == ':')) {
    out->order = Order::random;
    if (value[6]) out->seed = std::strtoull(value + 7, nullptr, 10);
  } else {
    refuse("ORDER", value);
  }
}

Options fromEnvironment() {
  Options options;
  readOrder(&options);
  flag("COPIES", "lazy", "eager", &options.lazyCopies);
  flag("STREAMS", "lazy", "eager", &options.lazyStreams);
  number("ULP", &options.ulpNoise);
  number("ARCH", &options.arch);
  number("MULTIPROCESSORS", &options.multiprocessors);
  number("DEVICES", &options.devices);
  number("DRIVER", &options.driverVersion);
  number("MEMORY", &options.memoryBytes);
  return options;
}

}  // namespace

Options& options() {
  static Options instance = fromEnvironment();
  return instance;
}

}  // namespace simt
