#!/bin/bash
# Builds with Clang: native tests without warnings, and an addon that gives the bits of the one in
# the tree, which g++ built.
set -euo pipefail
cd "$(dirname "$0")/../.."
. test/packaging/tools.sh

packages clang++=clang
native_tests clang -DPAPO_BENCH=ON -DCMAKE_C_COMPILER=clang -DCMAKE_CXX_COMPILER=clang++

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
copy_sources "$folder"
(
  cd "$folder"
  CC=clang CXX=clang++ PAPO_KERNELS_BUILD=source PAPO_KERNELS_CUDA=0 npm run install
)
node test/packaging/bits.mjs >"$folder/g++.txt"
export PAPO_KERNELS_PREBUILD=$folder
node dist/cli/main.js verify --engine all
node test/packaging/bits.mjs >"$folder/clang.txt"
diff "$folder/g++.txt" "$folder/clang.txt"
echo "g++ and Clang: same bits in $(wc -l <"$folder/clang.txt") losses"
