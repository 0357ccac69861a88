#include "engine/status.h"

#include <cstdarg>
#include <cstdio>

namespace papo {
namespace {

thread_local char lastMessage[512] = "";

}  // namespace

papo_status fail(papo_status status, const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(lastMessage, sizeof lastMessage, format, arguments);
  va_end(arguments);
  return status;
}

}  // namespace papo

extern "C" const char* papo_last_message(void) { return papo::lastMessage; }
