"""Times the CUDA engine through the C interface beside its peers, on the same tensors in one run.

    python3 bench/gpu/timing.py LIBRARY --json FILE [--tokens 8192] [--vocab 151936] [--peers]

Needs PyTorch. Times are between CUDA events around one call, medians of the runs, each on logits that
were written anew and are far larger than the caches; GB/s are decimal, of the bytes that have to move: each
logit read once, each gradient written once. Peers run in turn with ours; loss and gradients are
compared before anything is timed. With --device cpu it measures the CPU engine, for trying it out.
"""

import argparse
import datetime
import json
import math
import os
import subprocess
import sys
import time
import typing

import torch

import papo
import peers as peer_functions
from papo import Engine, struct

TORCH_DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}

EXACT = {"entropyEstimator": papo.CONSTANTS["PAPO_ENTROPY_ESTIMATOR_EXACT"], "entropyCoef": 0.01}


class Case(typing.NamedTuple):
    name: str
    profile: typing.Optional[str]  # None: log-probs and entropies
    branches: int  # read
    gradients: int  # written
    options: dict = {}
    masked_as_log_probs: bool = False


CASES = (
    Case("log-probs and entropy, one branch, forward", None, 1, 0),
    Case("one branch with exact entropy, forward and gradient in place", "grpo", 1, 1, EXACT),
    Case("one branch, plain GRPO, forward and gradient in place", "grpo", 1, 1,
         {"dualClip": math.inf}),
    Case("one branch, sequence ratios (GSPO), gradient in place", "gspo", 1, 1, EXACT),
    Case("pair, exact KL and entropies, forward", "papoExact", 2, 0),
    Case("pair, exact KL and entropies, both gradients in place", "papoExact", 2, 2),
    Case("pair, masked branch a constant from logits, gradient in place", "papoG", 2, 1),
    Case("pair, masked branch a constant from log-probs, gradient in place", "papoG", 1, 1, {},
         True),
)


class Batch:
    """Inputs of one size on the device; logits are copied from a pristine pair before each run."""

    def __init__(self, device, tokens, vocab, dtype, responses):
        make = torch.Generator(device).manual_seed(1)
        kind = TORCH_DTYPES[dtype]

        def logits():
            out = torch.empty((tokens, vocab), dtype=kind, device=device)
            for row in range(0, tokens, 256):  # in parts, for their temporaries
                out[row:row + 256].normal_(0, 2, generator=make)
            return out

        self.tokens, self.vocab, self.dtype, self.responses = tokens, vocab, dtype, responses
        self.device = device
        self.pristine = {"logits": logits(), "maskedLogits": logits()}
        self.working = {name: value.clone() for name, value in self.pristine.items()}
        ids = torch.randint(0, vocab, (tokens,), generator=make, device=device, dtype=torch.int32)
        at = self.pristine["logits"].gather(1, ids.long()[:, None])[:, 0].float()
        log_probs = at - torch.cat([rows.float().logsumexp(1)
                                    for rows in self.pristine["logits"].split(256)])
        noise = torch.randn((3, tokens), generator=make, device=device)
        self.values = {
            "tokens": ids,
            "responseMask": torch.ones(tokens, dtype=torch.uint8, device=device),
            "oldLogProbs": log_probs + 0.1 * noise[0],
            "refLogProbs": log_probs + 0.1 * noise[1],
            "maskedLogProbs": log_probs + noise[2],
            "advantages": torch.randn(responses, generator=make, device=device),
        }

    def restore(self):
        for name, value in self.pristine.items():
            self.working[name].copy_(value)


class Clock:
    """Milliseconds of work on the device."""

    def __init__(self, device):
        self.is_cuda = device.startswith("cuda")

    def time(self, work):
        if not self.is_cuda:
            start = time.perf_counter()
            work()
            return (time.perf_counter() - start) * 1000
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        work()
        end.record()
        end.synchronize()
        return begin.elapsed_time(end)


def quantiles(times):
    times = sorted(times)

    def at(share):
        return times[min(len(times) - 1, round(share * (len(times) - 1)))]

    return {"median": at(0.5), "p10": at(0.1), "p90": at(0.9), "runs": len(times)}


class Ours:
    """A case as one call of papo.h, prepared once."""

    def __init__(self, engine, batch, case):
        self.engine, self.batch = engine, batch
        n, dtype = batch.tokens, batch.dtype
        kept = self.kept = {}

        def new(name, kind=torch.float32, shape=(n,)):
            kept[name] = torch.zeros(shape, dtype=kind, device=batch.device)
            return kept[name]

        def view(array, kind):
            return engine.tensor(array, kind)

        logits = view(batch.working["logits"], dtype)
        if case.profile is None:
            self.name = "papo_token_log_probs"
            self.args = struct("papo_token_log_probs_args", temperature=1.0, logits=logits,
                               tokens=view(batch.values["tokens"], "int32"),
                               responseMask=view(batch.values["responseMask"], "uint8"),
                               logProbs=view(new("logProbs"), "float32"),
                               entropies=view(new("entropies"), "float32"))
            return
        self.name = "papo_loss"
        self.objective = engine.objective(case.profile, **case.options)
        kinds = {"tokens": "int32", "responseMask": "uint8"}
        views = {name: view(value, kinds.get(name, "float32"))
                 for name, value in batch.values.items()
                 if name != "maskedLogProbs" or case.masked_as_log_probs}
        if case.branches == 2:
            views["maskedLogits"] = view(batch.working["maskedLogits"], dtype)
        if case.gradients:
            views["logitsGrad"] = logits
        if case.gradients == 2:
            views["maskedLogitsGrad"] = views["maskedLogits"]
        metrics = new("metrics", torch.float64, (len(papo.METRICS),))
        self.args = struct("papo_loss_args", responses=batch.responses, logits=logits,
                           metrics=view(metrics, "float64"), **views)
        self.args.objective = papo.ctypes.addressof(self.objective)

    def run(self):
        self.engine.compute(self.name, self.args)

    def result(self):
        """Loss or log-probs, after a run; gradients are in the batch's working logits."""
        self.engine.synchronize()
        if self.name == "papo_loss":
            return self.kept["metrics"][0]
        return self.kept["logProbs"]


def measure(clock, batch, ours, rivals, seconds):
    """Ours and every rival in turn, until the time is up."""
    times = {name: [] for name in ("ours", *rivals)}
    for _ in range(2):
        batch.restore()
        ours.run()
    until = time.monotonic() + seconds
    while time.monotonic() < until or len(times["ours"]) < 5:
        batch.restore()
        times["ours"].append(clock.time(ours.run))
        for name, rival in rivals.items():
            batch.restore()
            rival.restore()
            times[name].append(clock.time(rival.run))
        if len(times["ours"]) >= 200:
            break
    ours.engine.synchronize()
    return {name: quantiles(values) for name, values in times.items()}


def copy_bandwidth(clock, batch):
    """GB/s of copying one branch's logits, bytes read and written both counted."""
    source, target = batch.pristine["logits"], batch.working["logits"]
    size = 2 * source.numel() * source.element_size()
    times = [clock.time(lambda: target.copy_(source)) for _ in range(12)][2:]
    return size / quantiles(times)["median"] / 1e6


def run_case(case, engine, batch, clock, copy, options):
    ours = Ours(engine, batch, case)
    size = batch.tokens * batch.vocab * batch.working["logits"].element_size()
    row = {"name": case.name, "dtype": batch.dtype, "peers": {},
           "bytes": size * (case.branches + case.gradients)}
    rivals = {}
    for peer in peer_functions.available(options.peers, options.device):
        made = peer.prepare(batch, case, ours)
        if isinstance(made, str):
            row["peers"][peer.name] = {"note": made}
        else:
            agreement = peer_functions.compare(batch, case, ours, made)
            row["peers"][peer.name] = agreement
            if "note" not in agreement:
                rivals[peer.name] = made
    times = measure(clock, batch, ours, rivals, options.seconds)
    row["milliseconds"] = times["ours"]
    row["gigabytesPerSecond"] = row["bytes"] / times["ours"]["median"] / 1e6
    row["fractionOfCopy"] = row["gigabytesPerSecond"] / copy
    row["workspaceBytes"] = engine.workspace_bytes
    for rival in rivals:
        row["peers"][rival].update(milliseconds=times[rival],
                                   ratio=times[rival]["median"] / times["ours"]["median"])
    return row


def machine(device):
    if not device.startswith("cuda"):
        return {"device": "cpu"}
    index = torch.device(device).index or 0
    properties = torch.cuda.get_device_properties(index)
    driver = subprocess.run(["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader",
                             f"--id={index}"], capture_output=True, text=True, check=False)
    return {"device": properties.name, "multiprocessors": properties.multi_processor_count,
            "l2Bytes": properties.L2_cache_size, "memoryBytes": properties.total_memory,
            "driver": driver.stdout.strip(), "cuda": torch.version.cuda}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("library")
    parser.add_argument("--json", required=True)
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--tokens", type=int, default=8192)
    parser.add_argument("--vocab", type=int, default=151936)
    parser.add_argument("--dtypes", default="bfloat16")
    parser.add_argument("--seconds", type=float, default=2, help="of each case and dtype")
    parser.add_argument("--filter", default="", help="words that a case's name must hold")
    parser.add_argument("--peers", action="store_true")
    options = parser.parse_args()
    stream = None
    if options.device.startswith("cuda"):
        torch.cuda.set_device(options.device)
        stream = torch.cuda.current_stream().cuda_stream or 1  # 1: cudaStreamLegacy
    engine = Engine(options.library, options.device, stream=stream)
    clock, rows = Clock(options.device), []
    report = {"date": datetime.date.today().isoformat(), "command": " ".join(sys.argv[1:]),
              "machine": machine(options.device), "torch": torch.__version__,
              "tokens": options.tokens, "vocab": options.vocab, "cases": rows,
              "environment": {name: value for name, value in os.environ.items()
                              if name.startswith("PAPO_KERNELS_")}}
    for dtype in options.dtypes.split(","):
        batch = Batch(options.device, options.tokens, options.vocab, dtype, options.tokens // 8 or 1)
        copy = report["copyGigabytesPerSecond"] = copy_bandwidth(clock, batch)
        for case in CASES:
            if not all(word in case.name for word in options.filter.split()):
                continue
            row = run_case(case, engine, batch, clock, copy, options)
            rows.append(row)
            print(f"{row['milliseconds']['median']:9.3f} ms {row['gigabytesPerSecond']:7.0f} GB/s "
                  f"{100 * row['fractionOfCopy']:4.0f} % of copy  {dtype} {row['name']}", flush=True)
            for name, peer in row["peers"].items():
                text = peer.get("note") or (f"{peer['milliseconds']['median']:.3f} ms, "
                                            f"{peer['ratio']:.2f} times ours")
                print(f"{'':14}{name}: {text}", flush=True)
            with open(options.json, "w", encoding="utf-8") as file:
                json.dump(report, file, indent=1)
        del batch
    engine.close()


if __name__ == "__main__":
    main()
