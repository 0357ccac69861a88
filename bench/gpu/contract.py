"""The numeric contract of docs/numerics.md on one engine, against the float64 reference of the CPU.

    python3 bench/gpu/contract.py LIBRARY [--device cuda:0] [--quick] [--json FILE]

Needs numpy and nothing else, so that it also runs under compute-sanitizer. Exit status 1 where
something fails; prints the largest error of each check, also where it passes.
"""

import argparse
import hashlib
import json
import sys

import numpy as np

import papo
from papo import Engine, decode, encode, struct

VOCABULARIES = (1, 3, 37, 1023, 1024, 1025, 8003, 50257, 151936, 152064)
QUICK_VOCABULARIES = (1, 37, 1025, 8003)
DTYPES = ("float32", "bfloat16", "float16")
KINDS = ("normal", "peaked", "negative", "holes", "large")
PROFILES = ("papoG", "papoD", "papoPaper", "papoExact", "grpo", "dapo", "drGrpo", "gspo", "cispo",
            "trlPapo")
OUTPUTS = ("outLogProbs", "outMaskedLogProbs", "outEntropies", "outMaskedEntropies", "ratios",
           "perceptionKlPerToken", "logProbsGrad", "maskedLogProbsGrad", "entropiesGrad",
           "maskedEntropiesGrad", "exactPerceptionKlGrad")


def draw_logits(random, rows, vocab, kind, dtype, tokens):
    """What the dtype holds of them, as float32."""
    logits = random.normal(0, 2, (rows, vocab)).astype(np.float32)
    if kind == "peaked":
        logits[np.arange(rows), random.integers(0, vocab, rows)] += 30
    elif kind == "negative":
        logits -= 9000
    elif kind == "large":
        logits = np.clip(logits * 5000, -1e4, 1e4)
    elif kind == "holes":
        holes = random.random((rows, vocab)) < 0.3
        holes[np.arange(rows), tokens] = False
        logits[holes] = -np.inf
    return decode(encode(logits, dtype), dtype)


def draw_batch(seed, rows, vocab, kind, dtype):
    responses = rows // 3 if rows % 3 == 0 else rows
    random = np.random.default_rng(seed)
    tokens = random.integers(0, vocab, rows).astype(np.int32)
    mask = (random.random(rows) < 0.8).astype(np.uint8)
    mask[0] = 1
    batch = {
        "tokens": tokens, "responseMask": mask,
        "logits": draw_logits(random, rows, vocab, kind, dtype, tokens),
        "maskedLogits": draw_logits(random, rows, vocab, kind, dtype, tokens),
        "advantages": random.normal(0, 1, responses).astype(np.float32),
    }
    batch["logits"][mask == 0] = np.nan  # skipped rows are never looked at
    batch["maskedLogits"][mask == 0] = np.nan
    base = naive_statistics(batch["logits"].astype(np.float64), None, tokens)["logProbs"]
    base = np.where(mask == 1, base, 0)
    batch["oldLogProbs"] = (base + random.normal(0, 0.2, rows)).astype(np.float32)
    batch["refLogProbs"] = (base + random.normal(0, 0.2, rows)).astype(np.float32)
    return batch


def naive_statistics(logits, masked, tokens):
    """The textbook formulas in the precision of the logits."""
    def log_softmax(x):
        shifted = x - x.max(-1, keepdims=True)
        return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))

    at = np.arange(len(tokens))
    with np.errstate(all="ignore"):
        p = log_softmax(logits)
        out = {"logProbs": p[at, tokens],
               "entropies": -np.where(np.exp(p) > 0, np.exp(p) * p, 0).sum(-1)}
        if masked is not None:
            q = log_softmax(masked)
            shared = (np.exp(p) > 0) & (q > -np.inf)
            out["kl"] = np.where(shared, np.exp(p) * (p - q), 0).sum(-1)
    return out


def run_loss(engine, batch, profile, dtype, gradients=True, in_place=False, options=None,
             outputs=OUTPUTS):
    """A dict of the per-token outputs, gradients and metrics, as numpy arrays."""
    is_reference = dtype == "float64"
    real = "float64" if is_reference else "float32"
    rows, vocab = batch["logits"].shape
    objective = engine.objective(profile, **(options or {}))
    if objective.reduction == papo.CONSTANTS["PAPO_REDUCTION_CONSTANT"]:
        objective.maxLength = rows
    kept, views = {}, {}

    def put(name, array, kind):
        kept[name] = array
        views[name] = engine.tensor(array, kind)

    for name in ("logits", "maskedLogits"):
        values = batch[name].astype(np.float64) if is_reference else encode(batch[name], dtype)
        put(name, engine.array(values, dtype), dtype)
    put("tokens", engine.array(batch["tokens"], "int32"), "int32")
    put("responseMask", engine.array(batch["responseMask"], "uint8"), "uint8")
    for name in ("oldLogProbs", "refLogProbs", "advantages"):
        put(name, engine.array(batch[name], real), real)
    put("metrics", engine.empty((len(papo.METRICS),), "float64"), "float64")
    for name in outputs:
        put(name, engine.empty((rows,), real), real)
    if gradients:
        both = objective.perceptionGradient == papo.CONSTANTS["PAPO_PERCEPTION_GRADIENT_BOTH"]
        for name, source in (("logitsGrad", "logits"), ("maskedLogitsGrad", "maskedLogits")):
            if source == "logits" or both:
                target = kept[source] if in_place else engine.empty((rows, vocab), dtype)
                put(name, target, dtype)
    args = struct("papo_loss_args", responses=len(batch["advantages"]),
                  gradNorm=int(gradients), **views)
    args.objective = papo.ctypes.addressof(objective)
    engine.compute("papo_loss", args)
    engine.synchronize()
    wanted = [*outputs, "metrics"] + [n for n in ("logitsGrad", "maskedLogitsGrad") if n in kept]
    result = {}
    for name in wanted:
        array = kept[name] if isinstance(kept[name], np.ndarray) else kept[name].numpy()
        is_gradient = name.endswith("LogitsGrad") or name == "logitsGrad"
        result[name] = decode(array, dtype) if is_gradient and not is_reference else array
    return result


class Report:
    def __init__(self):
        self.checks, self.failures = {}, []
        self.digest = hashlib.sha256()  # of the bits of every result of check_bits

    def at_most(self, check, where, error, tolerance):
        """error <= tolerance, elementwise; NaN fails."""
        error, tolerance = np.broadcast_arrays(np.asarray(error, float), tolerance)
        with np.errstate(all="ignore"):
            share = np.where(error == 0, 0, error / tolerance)
        worst = float(np.max(share)) if share.size else 0.0
        record = self.checks.setdefault(check, {"count": 0, "worst": 0.0})
        record["count"] += 1
        if not worst <= record["worst"]:
            record["worst"] = worst
        if not np.all(error <= tolerance):
            self.failures.append(f"{check}: {where}: {worst:.3g} times the tolerance")

    def same_bits(self, check, where, a, b):
        for name in a:
            equal = a[name].tobytes() == b[name].tobytes()
            self.at_most(check, f"{where} {name}", 0.0 if equal else 1.0, 0.5)


def gradient_scales(batch, truth, temperature=1.0):
    """Sum of the magnitudes of the terms of Eq. 8, elementwise: what rounding is relative to."""
    def log_softmax(logits):
        z = logits.astype(np.float64) / temperature
        shifted = z - z.max(-1, keepdims=True)
        return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))

    def column(name):
        return np.abs(truth[name])[:, None] if name in truth else 0.0

    # A slope in a log-prob l goes as an exponential of differences of l, kept in float32.
    growth = 1 + column("outLogProbs") + column("outMaskedLogProbs")
    slope = column("logProbsGrad") * growth
    masked_slope = column("maskedLogProbsGrad") * growth
    with np.errstate(all="ignore"):
        p, q = log_softmax(batch["logits"]), log_softmax(batch["maskedLogits"])
        difference = np.where(q > -np.inf, np.abs(p - q), 0)
        image = np.exp(p) * (slope + column("exactPerceptionKlGrad") *
                             (1 + difference + column("perceptionKlPerToken")))
        image = image + np.where(np.exp(p) > 0, np.exp(p) * column("entropiesGrad") *
                                 (np.abs(p) + column("outEntropies")), 0)
        masked = np.exp(q) * (masked_slope + column("exactPerceptionKlGrad"))
        masked = masked + np.exp(p) * column("exactPerceptionKlGrad")
        masked = masked + np.where(np.exp(q) > 0, np.exp(q) * column("maskedEntropiesGrad") *
                                   (np.abs(q) + column("outMaskedEntropies")), 0)
        at = (np.arange(len(p)), batch["tokens"])
        image[at] += slope[:, 0]
        masked[at] += masked_slope[:, 0]
        # p = e^(log p) has the relative error of log p, which is rounded to float32.
        image = np.where(p > -np.inf, image * (1 - p / 32), 0)
        masked = np.where(q > -np.inf, masked * (1 - q / 32), masked)
    return {"logitsGrad": np.nan_to_num(image), "maskedLogitsGrad": np.nan_to_num(masked)}


def gradient_tolerance(reference, scale, dtype):
    """Half a unit in the last place of what is stored, and float32 arithmetic on the terms."""
    unit = {"float32": 2.0**-24, "bfloat16": 2.0**-8, "float16": 2.0**-11}[dtype]
    smallest = {"float32": 1e-30, "bfloat16": 1e-30, "float16": 2.0**-25}[dtype]
    return np.abs(reference) * unit + scale * 64 * 2.0**-24 + smallest


def check_statistics(report, engine, reference, sizes, rows):
    for vocab in sizes:
        for dtype in DTYPES:
            for kind in KINDS:
                where = f"V={vocab} {dtype} {kind}"
                batch = draw_batch(vocab + rows, rows, vocab, kind, dtype)
                counted = batch["responseMask"] == 1
                ours = run_loss(engine, batch, "papoExact", dtype)
                truth = run_loss(reference, batch, "papoExact", "float64")
                naive = naive_statistics(batch["logits"], batch["maskedLogits"], batch["tokens"])
                for name, key in (("outLogProbs", "logProbs"), ("outEntropies", "entropies"),
                                  ("perceptionKlPerToken", "kl")):
                    error = np.abs(ours[name] - truth[name])[counted]
                    others = np.abs(naive[key] - truth[name])[counted]
                    rounding = 2.0**-23 * np.abs(truth[name])[counted]
                    report.at_most(f"{name} no worse than the naive formula", where, error.max(),
                                   others.max() + rounding.max() + 1e-6)
                scales = gradient_scales(batch, truth)
                for name in ("logitsGrad", "maskedLogitsGrad"):
                    report.at_most(f"{name} against float64", where,
                                   np.abs(ours[name] - truth[name]),
                                   gradient_tolerance(truth[name], scales[name], dtype))
                    report.at_most("rows with mask 0 are 0", f"{where} {name}",
                                   np.abs(ours[name][~counted]).sum(), 0)


def check_profiles(report, engine, reference, rows):
    for profile in PROFILES:
        for vocab, dtype in ((37, "float32"), (8003, "bfloat16")):
            where = f"{profile} V={vocab} {dtype}"
            batch = draw_batch(vocab, rows, vocab, "normal", dtype)
            if profile == "trlPapo":  # its auxiliary terms average over padding too
                for name in ("logits", "maskedLogits"):
                    batch[name] = np.nan_to_num(batch[name])
            ours = run_loss(engine, batch, profile, dtype)
            truth = run_loss(reference, batch, profile, "float64")
            scales = gradient_scales(batch, truth)
            for name, values in ours.items():
                expected = truth[name]
                if name == "metrics":
                    fine = ~np.isnan(expected)
                    report.at_most("NaN of metrics", where, float(np.sum(np.isnan(values) == fine)),
                                   0)
                    report.at_most("metrics against float64", where,
                                   np.abs(values - expected)[fine],
                                   np.abs(expected)[fine] * 2e-5 + 2e-6)
                elif name.endswith("itsGrad"):
                    report.at_most("gradients of profiles", f"{where} {name}",
                                   np.abs(values - expected),
                                   gradient_tolerance(expected, scales[name], dtype))
                else:
                    report.at_most("per-token values of profiles", f"{where} {name}",
                                   np.abs(values - expected), np.abs(expected) * 2e-5 + 2e-6)


def check_bits(report, engine, sizes, rows):
    for vocab in sizes:
        for dtype in DTYPES:
            where = f"V={vocab} {dtype}"
            batch = draw_batch(7, rows, vocab, "normal", dtype)
            options = {"normalizer": 100.0, "tokenNormalizer": 100.0}
            first = run_loss(engine, batch, "papoExact", dtype, options=options)
            again = run_loss(engine, batch, "papoExact", dtype, options=options)
            report.same_bits("same bits in a second run", where, first, again)
            for values in first.values():
                report.digest.update(np.ascontiguousarray(values).tobytes())
            placed = run_loss(engine, batch, "papoExact", dtype, in_place=True, options=options)
            report.same_bits("same bits in place", where, first, placed)
            alone = {name: values[:1] for name, values in batch.items()}
            single = run_loss(engine, alone, "papoExact", dtype, options=options)
            single.pop("metrics")
            report.same_bits("same bits for a row alone", where, single,
                             {name: first[name][:1] for name in single})
            old = dict(batch, oldLogProbs=np.where(np.isfinite(first["outLogProbs"]),
                                                   first["outLogProbs"], 0))
            on_policy = run_loss(engine, old, "grpo", dtype)["ratios"]
            report.at_most("the ratio is exactly 1 on policy", where,
                           np.abs(on_policy - batch["responseMask"]), 0)


def check_large_offsets(report, engine):
    """Rows behind 2^31 elements: 14,200 of 151,936 in bfloat16, of which few count."""
    vocab, rows = 151936, 14200
    random = np.random.default_rng(3)
    few = np.array([0, 14134, 14135, rows - 1])
    row = encode(random.normal(0, 2, (len(few), vocab)), "bfloat16")
    logits = papo.DeviceArray(engine, (rows, vocab), "bfloat16")
    engine.call("papo_memory_set", logits.pointer, papo.ctypes.c_uint8(0xFF),
                papo.ctypes.c_size_t(logits.nbytes))
    for i, at in enumerate(few):
        engine.call("papo_memory_copy", papo.ctypes.c_void_p(logits.data_ptr() + int(at) * vocab * 2),
                    row[i].ctypes.data_as(papo.ctypes.c_void_p), papo.ctypes.c_size_t(vocab * 2))
    tokens = np.zeros(rows, np.int32)
    tokens[few] = random.integers(0, vocab, len(few))
    mask = np.zeros(rows, np.uint8)
    mask[few] = 1
    kept = [engine.array(tokens, "int32"), engine.array(mask, "uint8"),
            engine.empty((rows,), "float32")]
    args = struct("papo_token_log_probs_args", temperature=1.0,
                  logits=engine.tensor(logits, "bfloat16"), tokens=engine.tensor(kept[0], "int32"),
                  responseMask=engine.tensor(kept[1], "uint8"),
                  logProbs=engine.tensor(kept[2], "float32"))
    engine.compute("papo_token_log_probs", args)
    engine.synchronize()
    ours = kept[2].numpy()
    truth = naive_statistics(decode(row, "bfloat16").astype(np.float64), None, tokens[few])
    report.at_most("rows behind 2^31 elements", "V=151936", np.abs(ours[few] - truth["logProbs"]),
                   1e-5)
    report.at_most("rows behind 2^31 elements", "others", np.abs(np.delete(ours, few)).max(), 0)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("library")
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--large", action="store_true", help="with offsets behind 2^31 elements")
    parser.add_argument("--json")
    options = parser.parse_args()
    engine = Engine(options.library, options.device)
    reference = Engine(engine.library, "cpu", "reference")
    report = Report()
    sizes = QUICK_VOCABULARIES if options.quick else VOCABULARIES
    check_statistics(report, engine, reference, sizes, 6)
    check_profiles(report, engine, reference, 24)
    check_bits(report, engine, sizes, 5)
    if options.large:
        check_large_offsets(report, engine)
    for name, record in report.checks.items():
        print(f"{name:45} {record['count']:5} checks, worst {record['worst']:.3g} of the tolerance")
    for failure in report.failures[:40]:
        print("FAIL", failure)
    print(f"{options.device}: {len(report.failures)} failed, bits {report.digest.hexdigest()[:16]}")
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump({"device": options.device, "checks": report.checks,
                       "failures": report.failures, "digest": report.digest.hexdigest()}, file,
                      indent=1)
    sys.exit(1 if report.failures else 0)


if __name__ == "__main__":
    main()
