// Status codes with the message that papo_last_message() returns.
#pragma once

#include "papo.h"

namespace papo {

// Stores the message for this thread and returns the status. Messages name the argument, what was
// expected and what came.
#if defined(__GNUC__)
__attribute__((format(printf, 2, 3)))
#endif
papo_status
fail(papo_status status, const char* format, ...);

}  // namespace papo

// Leaves the calling function with the status of an expression that failed.
#define PAPO_TRY(expression)                      \
  do {                                            \
    const papo_status papoStatus = (expression);  \
    if (papoStatus != PAPO_OK) return papoStatus; \
  } while (false)
