#!/bin/bash
# Builds, verifies and times the CUDA engine in one run on a machine with an NVIDIA GPU; it needs no Node.
#
#   bench/gpu/run.sh RESULT_FOLDER [STAGE...]     stages: build contract clusters golden sanitizer timing sweep profile
#
# Needs nvcc, cmake, a C++ compiler and python3 with PyTorch and numpy. Peers are measured as far as
# python3 can import them (liger_kernel, trl_losses); PEERS_PATH may name a folder with them. Reference cases
# need Node: NODE=command, with node_modules, dist and the addon in place; without it that stage says so.
# result.json in the folder is what bench/gpu/table.py reads.
set -uo pipefail
cd "$(dirname "$0")/../.."
out=$(mkdir -p "$1" && cd "$1" && pwd)
shift
library=build/gpu/libpapo.so
export PYTHONUNBUFFERED=1 PYTHONPATH=${PEERS_PATH:-}${PYTHONPATH:+:$PYTHONPATH}

build() {
  cmake -S . -B build/gpu -DPAPO_KERNELS_CUDA=1 -DCMAKE_BUILD_TYPE=Release >"$out/build.log" 2>&1 &&
    cmake --build build/gpu --target papo --parallel "$(nproc)" >>"$out/build.log" 2>&1 ||
    { tail -30 "$out/build.log"; return 1; }
}

contract() {
  python3 bench/gpu/contract.py $library --large --json "$out/contract.json"
}

# Every way of running a row gives the same bits.
clusters() {
  local size digest first=''
  for size in '' 0 2 4 8; do
    PAPO_KERNELS_CUDA_CLUSTER=$size python3 bench/gpu/contract.py $library --json "$out/cluster.json" \
      >"$out/cluster-$size.log" || { tail -20 "$out/cluster-$size.log"; return 1; }
    digest=$(python3 -c 'import json,sys; print(json.load(open(sys.argv[1]))["digest"])' \
      "$out/cluster.json")
    echo "PAPO_KERNELS_CUDA_CLUSTER='$size' $digest"
    [ "${first:=$digest}" = "$digest" ] || { echo 'other bits'; return 1; }
  done
}

golden() {
  [ -n "${NODE:-}" ] || { echo 'NODE is not set: the reference cases were not run'; return 0; }
  $NODE dist/cli/main.js verify --device cuda:0
}

sanitizer() {
  local tool
  for tool in memcheck racecheck synccheck initcheck; do
    compute-sanitizer --tool $tool --error-exitcode 9 --log-file "$out/$tool.log" \
      python3 bench/gpu/contract.py $library --quick >"$out/$tool-checks.log" 2>&1 ||
      { tail -20 "$out/$tool.log"; tail -5 "$out/$tool-checks.log"; return 1; }
    echo "$tool: $(tail -1 "$out/$tool.log")"
  done
}

timing() {
  python3 bench/gpu/timing.py $library --json "$out/timing.json" --peers --seconds 3 &&
    python3 bench/gpu/timing.py $library --json "$out/timing-others.json" --dtypes float32,float16 \
      --tokens 4096 --seconds 1
}

# What bench/gpu/timing.py gives for each choice of the launch configuration.
sweep() {
  local size threads
  for size in 0 2 4 8; do
    for threads in 256 384 512; do
      echo "cluster $size, $threads threads"
      PAPO_KERNELS_CUDA_CLUSTER=$size PAPO_KERNELS_CUDA_THREADS=$threads \
        python3 bench/gpu/timing.py $library --json "$out/sweep-$size-$threads.json" \
        --seconds 0.5 --filter gradient
    done
  done
}

profile() {
  ncu --clock-control none --set full --target-processes all --launch-skip 12 --launch-count 12 \
    --csv --page raw python3 bench/gpu/timing.py $library --json "$out/profile.json" \
    --tokens 2048 --seconds 0.01 --filter 'both gradients' >"$out/ncu.csv" 2>"$out/ncu.log" ||
    { tail -5 "$out/ncu.log"; return 1; }
}

declare -A status
[ $# -gt 0 ] || set -- build contract clusters golden sanitizer timing
for stage in "$@"; do
  begin=$SECONDS
  echo "=== $stage"
  if "$stage"; then status[$stage]=pass; else status[$stage]=FAIL; fi
  echo "=== $stage ${status[$stage]} in $((SECONDS - begin)) s"
done
printf '%s\n' "$(for stage in "$@"; do echo "$stage=${status[$stage]}"; done)" >"$out/stages"
python3 bench/gpu/table.py --merge "$out"
! grep -q FAIL "$out/stages"
