// Errors of the addon: plain Error objects with a `code`; lib/errors.ts makes the public class of
// them, because a class made here would not be `instanceof` anything in a test runner's realm.
#pragma once

#include <napi.h>

#include <string>

#include "papo.h"

namespace papo::node {

// The one table from papo_status to the public code. A workspace that is too small is the addon's
// own mistake, since it asked for the size.
inline const char* errorCode(papo_status status) {
  switch (status) {
    case PAPO_INVALID_ARGUMENT:
      return "ERR_INVALID_ARGUMENT";
    case PAPO_INVALID_OPTION:
      return "ERR_INVALID_OPTION";
    case PAPO_INVALID_DTYPE:
      return "ERR_INVALID_DTYPE";
    case PAPO_INVALID_SHAPE:
      return "ERR_INVALID_SHAPE";
    case PAPO_INVALID_VALUE:
      return "ERR_INVALID_VALUE";
    case PAPO_OVERLAP:
      return "ERR_OVERLAP";
    case PAPO_UNAVAILABLE:
      return "ERR_UNAVAILABLE";
    case PAPO_OUT_OF_MEMORY:
      return "ERR_OUT_OF_MEMORY";
    case PAPO_DEVICE_ERROR:
      return "ERR_DEVICE";
    case PAPO_OK:
    case PAPO_WORKSPACE_TOO_SMALL:
    case PAPO_INTERNAL:
      break;
  }
  return "ERR_INTERNAL";
}

[[noreturn]] inline void throwError(Napi::Env env, const char* code, const std::string& message) {
  Napi::Error error = Napi::Error::New(env, message);
  error.Set("code", Napi::String::New(env, code));
  throw error;
}

// "argument: expected ..., got ...", the wording of every message of the package.
[[noreturn]] inline void throwInvalid(Napi::Env env, const char* code, const std::string& argument,
                                      const std::string& expected, const std::string& got) {
  throwError(env, code, argument + ": expected " + expected + ", got " + got);
}

inline void check(Napi::Env env, papo_status status) {
  if (status != PAPO_OK) throwError(env, errorCode(status), papo_last_message());
}

}  // namespace papo::node
