# For the scripts beside it, which source this from the root of the tree.

# tool=package ...: installs the packages of Debian whose tools are missing.
packages() {
  local missing=() pair
  for pair in "$@"; do
    command -v "${pair%%=*}" >/dev/null || missing+=("${pair#*=}")
  done
  [ ${#missing[@]} -eq 0 ] && return
  local root=()
  [ "$(id -u)" -eq 0 ] || root=(sudo)
  ( # one at a time: the lanes of .ci/run both install
    flock 9
    "${root[@]}" apt-get update -q
    "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -qy \
      --no-install-recommends "${missing[@]}"
  ) 9>"${TMPDIR:-/tmp}/papo-packages.lock"
}

# $1: a folder of its own for an addon, since a build removes the one that is there.
copy_sources() {
  cp -r package.json binding.gyp native bindings scripts "$1"
  ln -s "$PWD/node_modules" "$1/node_modules"
}

# $1: a folder below build/; then options of CMake. All tests, no warnings; of the CPU.
native_tests() {
  cmake -S . -B "build/$1" -DPAPO_TESTS=ON -DPAPO_WERROR=ON -DPAPO_KERNELS_CUDA=0 "${@:2}"
  cmake --build "build/$1" --parallel "$(nproc)"
  ctest --test-dir "build/$1" --output-on-failure --no-tests=error --parallel "$(nproc)"
}
