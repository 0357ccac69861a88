#!/bin/bash
# The addon under sanitizers: test/native/addon-sanitized.sh address | thread [simt]
# The CPU engine in a copy of the tree; with simt the CUDA engine on the emulator of test/simt.
#
# Node itself is not built with them. Leaks are not looked for, since Node leaves much behind at its
# end (test/leaks does that); races inside of Node and V8 are not reported.
set -euo pipefail
cd "$(dirname "$0")/../.."
root=$PWD
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

case $1 in
  address)
    flags='-fsanitize=address,undefined -fno-sanitize=vptr -fno-sanitize-recover=all'
    libraries='libasan.so libubsan.so'
    tests='async threads engine tensor loss-inputs loss-results advantages masking'
    ;;
  thread)
    flags=-fsanitize=thread
    libraries=libtsan.so
    tests='async threads'
    ;;
  *)
    echo "address or thread, not '$1'" >&2
    exit 2
    ;;
esac

if [ "${2:-}" = simt ]; then
  npm run --silent build:simt -- "$1"
  export PAPO_KERNELS_ADDON=$root/build/simt-$1/papo_kernels.node
  tests='cuda-(golden|calls|lifetime)' # all of them in the plain build
else
  git ls-files -z --cached --others --exclude-standard | xargs -0 cp --parents -t "$folder"
  cp -a dist "$folder"
  ln -s "$root/node_modules" "$folder/node_modules"
  cd "$folder"
  PAPO_KERNELS_CUDA=0 CXXFLAGS="$flags -g -O1 -fno-omit-frame-pointer" LDFLAGS="$flags" \
    npm run --silent build:gyp
fi
printf 'race:%s\n' v8:: node:: uv_ >"$folder/suppressions"

export ASAN_OPTIONS=detect_leaks=0:abort_on_error=1
export UBSAN_OPTIONS=print_stacktrace=1
export TSAN_OPTIONS=suppressions=$folder/suppressions:exitcode=66
LD_PRELOAD=''
for library in $libraries; do LD_PRELOAD+=" $(g++ -print-file-name="$library")"; done
export LD_PRELOAD
fixed=()
if [ "$1" = thread ] && setarch "$(uname -m)" -R true 2>/dev/null; then
  fixed=(setarch "$(uname -m)" -R)
fi
pattern="/test/($(echo $tests | tr ' ' '|'))\.test\.ts$"
"${fixed[@]}" node node_modules/jest/bin/jest.js --runInBand "$pattern"
