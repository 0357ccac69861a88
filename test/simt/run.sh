#!/bin/bash
# Builds the CUDA engine on the emulator and runs its tests. $1: plain, address or thread; then
# options of ctest.
set -euo pipefail
cd "$(dirname "$0")/../.."

mode=${1:?plain, address or thread}
shift
case $mode in
  plain) sanitizer='' ;;
  address) sanitizer=address,undefined ;;
  thread) sanitizer=thread ;;
  *) echo "unknown mode $mode" >&2 && exit 2 ;;
esac
folder=build/simt
[ "$mode" = plain ] || folder=build/simt-$mode
jobs=${CMAKE_BUILD_PARALLEL_LEVEL:-2}

cmake -S . -B "$folder" -DPAPO_SIMT=ON -DPAPO_KERNELS_CUDA=0 -DPAPO_WERROR=ON \
  -DPAPO_SANITIZE="$sanitizer"
cmake --build "$folder" --parallel "$jobs" --target simt_tests

# The sanitizer of threads stops where addresses are randomised widely, which setarch switches off.
fixed=()
if setarch "$(uname -m)" -R true 2>/dev/null; then fixed=(setarch "$(uname -m)" -R); fi
# What its kernels do among threads, other tests of rows and losses do in less time.
[ "$mode" != thread ] || set -- --exclude-regex 'simt_loss_(rows|gradients)_test' "$@"
"${fixed[@]}" ctest --test-dir "$folder/test/simt" --output-on-failure --no-tests=error \
  --parallel "$jobs" "$@"
