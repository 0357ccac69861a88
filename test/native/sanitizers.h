// Which sanitizer a test was built with, in the words of g++ and of clang.
#pragma once

#if defined(__SANITIZE_ADDRESS__)
#define PAPO_HAS_ASAN 1
#elif defined(__SANITIZE_THREAD__)
#define PAPO_HAS_TSAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define PAPO_HAS_ASAN 1
#elif __has_feature(thread_sanitizer)
#define PAPO_HAS_TSAN 1
#endif
#endif

namespace papo_test {

#if defined(PAPO_HAS_ASAN) || defined(PAPO_HAS_TSAN)
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif

#if defined(PAPO_HAS_TSAN)
constexpr bool kThreadSanitized = true;
#else
constexpr bool kThreadSanitized = false;
#endif

}  // namespace papo_test
