#!/bin/bash
# libFuzzer over the C interface, with Clang: test/native/fuzz/run.sh [seconds]
# Starts from test/native/fuzz/corpus and collects what reaches new code in build/fuzz/corpus. A
# failure is left in build/fuzz/crash-*: fixed, it belongs into the kept corpus, which ctest runs too.
set -euo pipefail
cd "$(dirname "$0")/../../.."
. test/packaging/tools.sh

packages clang++=clang
[ -e "$(clang++ -print-file-name=libclang_rt.fuzzer-x86_64.a)" ] ||
  packages "libclang_rt.fuzzer=libclang-rt-$(clang++ -dumpversion | cut -d. -f1)-dev"
cmake -S . -B build/fuzz -DCMAKE_C_COMPILER=clang -DCMAKE_CXX_COMPILER=clang++ -DPAPO_TESTS=ON \
  -DPAPO_SANITIZE=fuzzer-no-link,address,undefined -DCMAKE_BUILD_TYPE=Debug -DPAPO_KERNELS_CUDA=0
cmake --build build/fuzz --target fuzz_target --parallel "$(nproc)"
mkdir -p build/fuzz/corpus
build/fuzz/fuzz_target -max_total_time="${1:-60}" -max_len=512 -timeout=20 -print_final_stats=1 \
  -artifact_prefix=build/fuzz/ build/fuzz/corpus test/native/fuzz/corpus
