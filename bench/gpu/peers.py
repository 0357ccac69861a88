"""Other implementations of the cases of timing.py, as far as they are installed.

Each gets the same tensors. Peers that compute less than a case are measured on the cases that they do
compute; a peer that computes something else than ours is reported with a note and not timed.
"""

import os
import sys

import torch

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "peers"))
import torch_eager  # noqa: E402  (beside this folder)

import papo  # noqa: E402

ESTIMATORS = ("k1", "abs", "k2", "k3", "exact")


class Prepared:
    """restore(): inputs of its own, before a run; run(): one call; result(): after a run, its loss or
    log-probs, and gradients by name."""

    def __init__(self, run, result, restore=lambda: None):
        self.run, self.result, self.restore = run, result, restore


def loss_options(objective):
    """The options of torch_eager.papo_loss."""
    options = {name: getattr(objective, name) for name, _ in objective._fields_}
    options["perceptionKlEstimator"] = ESTIMATORS[objective.perceptionKlEstimator]
    exact = papo.CONSTANTS["PAPO_ENTROPY_ESTIMATOR_EXACT"]
    options["entropyEstimator"] = "exact" if objective.entropyEstimator == exact else "sampled"
    both = papo.CONSTANTS["PAPO_PERCEPTION_GRADIENT_BOTH"]
    options["perceptionGradient"] = "both" if objective.perceptionGradient == both else "policy"
    return options


def per_token(batch):
    repeats = batch.tokens // batch.responses
    return {"tokens": batch.values["tokens"].long(),
            "responseMask": batch.values["responseMask"].float(),
            "advantages": batch.values["advantages"].repeat_interleave(repeats),
            "oldLogProbs": batch.values["oldLogProbs"], "refLogProbs": batch.values["refLogProbs"]}


class TorchEager:
    """log_softmax, gather, entropy, the terms, autograd: bench/peers/torch_eager.py."""

    name = "torch"

    @staticmethod
    def compiled(function):
        return function

    def prepare(self, batch, case, ours):
        if case.masked_as_log_probs or case.profile == "gspo":
            return "has no form of this case"
        if case.profile is None:
            function = self.compiled(lambda logits, ids: torch_eager.token_log_probs(
                logits, ids, 1, True)[:2])
            state = {}

            def forward():
                with torch.no_grad():
                    state["out"] = function(batch.working["logits"], per_token(batch)["tokens"])

            return Prepared(forward, lambda: (state["out"][0], {}))
        return self.prepare_loss(batch, case.branches, case.gradients,
                                 loss_options(ours.objective))

    def prepare_loss(self, batch, branches, written, options):
        inputs = per_token(batch)
        names = ("logits", "maskedLogits")[:written]
        function = self.compiled(
            lambda logits, masked: torch_eager.papo_loss(
                {**inputs, "logits": logits, "maskedLogits": masked}, options))
        state = {}

        def run():
            leaves = {name: batch.working[name].detach() for name in ("logits", "maskedLogits")}
            for name in names:
                leaves[name].requires_grad_(True)
            masked = leaves["maskedLogits"] if branches == 2 else None
            with torch.set_grad_enabled(bool(names)):
                loss = function(leaves["logits"], masked)
            if names:
                loss.backward()
            state["out"] = loss.detach(), {name + "Grad": leaves[name].grad for name in names}

        return Prepared(run, lambda: state["out"])


class TorchCompile(TorchEager):
    """The same under torch.compile."""

    name = "torch.compile"

    @staticmethod
    def compiled(function):
        return torch.compile(function, dynamic=False)


class Liger:
    """liger_kernel's Triton GRPO loss: one branch, k3 to the reference, gradient in place."""

    name = "liger"

    def __init__(self):
        from liger_kernel.transformers.grpo_loss import triton_grpo_loss
        self.loss = triton_grpo_loss

    def prepare(self, batch, case, ours):
        if case.name != "one branch, plain GRPO, forward and gradient in place":
            return "has no form of this case"
        o = ours.objective
        responses, length = batch.responses, batch.tokens // batch.responses
        # It reads [B, L + 1, V] and leaves the last position of each response out.
        padded = torch.empty((responses, length + 1, batch.vocab), device=batch.device,
                             dtype=batch.working["logits"].dtype)
        state = {}

        def at(name):
            return batch.values[name].view(responses, length)

        def restore():
            padded[:, :-1].copy_(batch.pristine["logits"].view(responses, length, -1))

        def run():
            logits = padded.detach().requires_grad_(True)
            losses, _, _ = self.loss(
                logits, at("oldLogProbs"), at("refLogProbs"), at("tokens").long(),
                batch.values["advantages"], at("responseMask"), temperature=1.0, beta=o.refKlCoef,
                eps_low=o.clipRatioLow, eps_high=o.clipRatioHigh, inplace=True)
            loss = losses.mean()
            loss.backward()
            state["out"] = loss.detach(), {"logitsGrad": logits.grad[:, :-1]}

        return Prepared(run, lambda: state["out"], restore)


class TrlLogProbs:
    """TRL's fused log-prob and entropy kernel (trl_losses), forward only."""

    name = "trl"

    def __init__(self):
        from trl_losses.logprob_entropy import selective_log_softmax_and_entropy
        self.function = selective_log_softmax_and_entropy

    def prepare(self, batch, case, ours):
        if case.profile is not None:
            return "computes log-probs and entropies only"
        state = {}

        def run():
            with torch.no_grad():
                state["out"] = self.function(batch.working["logits"], batch.values["tokens"])

        return Prepared(run, lambda: (state["out"][0], {}))


def available(wanted, device):
    """The peers that can be had; those on a GPU only where there is one."""
    if not wanted:
        return []
    kinds = [TorchEager]
    if device.startswith("cuda"):
        kinds += [TorchCompile, Liger, TrlLogProbs]
    made = []
    for kind in kinds:
        try:
            made.append(kind())
        except ImportError as error:
            if not getattr(available, kind.name, False):
                print(f"{kind.name}: not installed ({error})", flush=True)
                setattr(available, kind.name, True)
    return made


def relative(a, b):
    """||a - b|| / ||b||, by parts, in float64 sums; NaN where one is not finite."""
    top = bottom = 0.0
    for x, y in zip(a.reshape(-1).split(1 << 26), b.reshape(-1).split(1 << 26)):
        x, y = x.float(), y.float()
        top += float(((x - y).double() ** 2).sum())
        bottom += float((y.double() ** 2).sum())
    return (top / bottom) ** 0.5 if bottom else top ** 0.5


def compare(batch, case, ours, peer):
    """Errors of ours against the peer and the peer's peak of memory, or a note why not."""
    is_cuda = batch.device.startswith("cuda")
    try:
        batch.restore()
        if is_cuda:
            torch.cuda.synchronize()
            before = torch.cuda.memory_allocated()
            torch.cuda.reset_peak_memory_stats()
        peer.restore()
        peer.run()
        value, gradients = peer.result()
    except torch.cuda.OutOfMemoryError:
        return {"note": "out of memory"}
    out = {}
    if is_cuda:
        torch.cuda.synchronize()
        out["peakBytes"] = torch.cuda.max_memory_allocated() - before
    value, gradients = value.clone(), {name: g.clone() for name, g in gradients.items()}
    batch.restore()
    ours.run()
    mine = ours.result()
    out["error"] = (relative(mine, value) if mine.dim() else
                    abs(float(mine) - float(value)) / max(1.0, abs(float(value))))
    for name, gradient in gradients.items():
        out[name] = relative(batch.working[name.replace("Grad", "")], gradient)
    if not (out["error"] < 1e-3 and all(out[name] < 1e-2 for name in gradients)):
        out["note"] = "computes something else: " + str(out)
    return out
