"""The PAPO loss as it is usually written in PyTorch: eager, float32, autograd.

Started by `papo-kernels bench --peers`; speaks one JSON object a line. First line out: versions and
threads. Commands: load (raw little-endian inputs in a folder), run (one timed call), result (writes
loss, log-probs and gradients to the folder), quit.
"""

import json
import os
import sys
import time

import torch

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


def read(folder, name, dtype):
    with open(os.path.join(folder, name), "rb") as file:
        return torch.frombuffer(bytearray(file.read()), dtype=dtype)


def write(folder, name, tensor):
    with open(os.path.join(folder, name), "wb") as file:
        file.write(tensor.detach().float().contiguous().numpy().tobytes())


def token_log_probs(logits, tokens, temperature, exact_entropy):
    """Log-probs of the tokens [N], entropies [N] if asked for, and all log-probs [N, V]."""
    logits = logits.float()
    if temperature != 1:
        logits = logits / temperature
    log_probs = torch.log_softmax(logits, dim=-1)
    chosen = log_probs.gather(-1, tokens.unsqueeze(-1)).squeeze(-1)
    entropy = -(log_probs.exp() * log_probs).sum(-1) if exact_entropy else None
    return chosen, entropy, log_probs


def k3(log_ratio, o):
    u = log_ratio.clamp(-o["klLogRatioClamp"], o["klLogRatioClamp"])
    return (u.exp() - u - 1).clamp(-o["klValueClamp"], o["klValueClamp"])


def policy_loss(log_probs, old, advantages, o):
    limit = o["logRatioClamp"]
    ratio = (log_probs - old).clamp(-limit, limit).exp()
    clipped = ratio.clamp(1 - o["clipRatioLow"], 1 + o["clipRatioHigh"])
    loss = torch.max(-advantages * ratio, -advantages * clipped)
    dual = torch.min(loss, -advantages * o["dualClip"])
    return torch.where(advantages < 0, dual, loss)


def papo_loss(x, o):
    """The loss of one batch x under the options o (docs/options.md); a token mean of every term."""
    mask = x["responseMask"]

    def mean(values):
        return (values * mask).sum() / (mask.sum() + o["countEpsilon"])

    exact = o["entropyEstimator"] == "exact"
    log_probs, entropy, all_log_probs = token_log_probs(
        x["logits"], x["tokens"], o["temperature"], exact)
    loss = mean(policy_loss(log_probs, x["oldLogProbs"], x["advantages"], o))
    if o["refKlCoef"]:
        loss = loss + o["refKlCoef"] * mean(k3(x["refLogProbs"] - log_probs, o))
    if o["entropyCoef"]:
        loss = loss + o["entropyCoef"] * mean(entropy if exact else -log_probs)
    if x["maskedLogits"] is None:
        return loss

    # Unless gradients flow to it, the masked branch is a constant.
    with torch.set_grad_enabled(torch.is_grad_enabled() and o["perceptionGradient"] == "both"):
        masked_log_probs, masked_entropy, all_masked = token_log_probs(
            x["maskedLogits"], x["tokens"], o["temperature"], exact)
    if o["perceptionKlEstimator"] == "exact":
        perception_kl = (all_log_probs.exp() * (all_log_probs - all_masked)).sum(-1)
    else:
        perception_kl = k3(masked_log_probs - log_probs, o)
    loss = loss - o["perceptionKlCoef"] * mean(perception_kl)
    if o["maskedEntropyCoef"]:
        values = masked_entropy if exact else -masked_log_probs
        loss = loss + o["maskedEntropyCoef"] * mean(values)
    return loss


class Case:
    def __init__(self, command):
        self.folder, self.kind = command["folder"], command["kind"]
        self.options, self.gradient = command["options"], command["gradient"]
        rows, vocab, dtype = command["rows"], command["vocabSize"], DTYPES[command["dtype"]]
        f32 = torch.float32
        self.x = {name: read(self.folder, name, f32)
                  for name in ("oldLogProbs", "refLogProbs", "advantages")}
        self.x["tokens"] = read(self.folder, "tokens", torch.int32).long()
        self.x["responseMask"] = read(self.folder, "responseMask", torch.uint8).float()
        for name in ("logits", "maskedLogits"):
            given = name == "logits" or command["branches"] == 2
            self.x[name] = read(self.folder, name, dtype).view(rows, vocab) if given else None
        if self.gradient:
            for leaf in self.leaves():
                leaf.requires_grad_(True)

    def leaves(self):
        both = self.options["perceptionGradient"] == "both"
        names = ("logits", "maskedLogits") if both else ("logits",)
        return [self.x[name] for name in names if self.x[name] is not None]

    def run(self):
        if self.kind == "tokenLogProbs":
            with torch.no_grad():
                return token_log_probs(self.x["logits"], self.x["tokens"], 1, False)[0]
        if not self.gradient:
            with torch.no_grad():
                return papo_loss(self.x, self.options)
        for leaf in self.leaves():
            leaf.grad = None
        loss = papo_loss(self.x, self.options)
        loss.backward()
        return loss

    def result(self):
        value = self.run()
        if self.kind == "tokenLogProbs":
            write(self.folder, "out.logProbs", value)
            return {}
        if self.gradient:
            for name, leaf in zip(("logitsGrad", "maskedLogitsGrad"), self.leaves()):
                write(self.folder, "out." + name, leaf.grad)
        return {"loss": float(value)}


def main():
    torch.set_num_threads(int(sys.argv[1]))
    reply({"torch": torch.__version__, "threads": torch.get_num_threads()})
    case = None
    for line in sys.stdin:
        command = json.loads(line)
        if command["command"] == "load":
            case = None
            case = Case(command)
            reply({})
        elif command["command"] == "run":
            start = time.perf_counter()
            case.run()
            reply({"milliseconds": (time.perf_counter() - start) * 1000})
        elif command["command"] == "result":
            reply(case.result())
        else:
            return


def reply(values):
    print(json.dumps(values), flush=True)


if __name__ == "__main__":
    main()
