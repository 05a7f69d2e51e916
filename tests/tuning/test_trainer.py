import copy
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from bthelpers.tuning.trainer import EpochRun, cut, linear_warmup_decay

SETTINGS = SimpleNamespace(epochs=4, warmup=0.3)
RATES = 0.3, 0.01
BATCHES, STEPS = 3, 12


class Encoder(nn.Module):
    """What a run asks of a speech model."""

    device = torch.device("cpu")

    def __init__(self):
        super().__init__()
        self.line = nn.utils.skip_init(nn.Linear, 3, 2)
        self.dropout = nn.Dropout(0.5)
        with torch.no_grad():
            self.line.weight[:] = torch.arange(6.0).reshape(2, 3)
            self.line.bias[:] = 1

    def copy(self):
        return copy.deepcopy(self)

    def forward(self, x):
        return self.line(self.dropout(x))


def groups(encoder):
    weights = encoder.line.weight, encoder.line.bias
    return [{"params": [one], "lr": lr} for one, lr in zip(weights, RATES, strict=True)]


def loss_of(encoder, seed):
    inputs = torch.from_numpy(np.random.default_rng(seed).normal(size=(5, 3))).float()
    return 100 * encoder(inputs).square().mean()  # steep: gradients are clipped


class Run(EpochRun):
    """Drives a line to zero."""

    rates = "`line.rate`"
    kept = ("model",)

    def __init__(self, encoder, settings=SETTINGS, seed=0, names=("line",), sound=(1.0,)):
        super().__init__(encoder, settings, seed)
        self._identify(names, [encoder], [np.array(sound)])
        self._optimise({"model": self.encoder}, groups(self.encoder), STEPS)

    def _batches(self, rng):
        return rng.permutation(BATCHES).tolist()

    def _pass(self, batches, rng):
        losses = []
        for batch in batches:
            loss = loss_of(self.encoder, batch)
            self.optimizer.zero_grad()
            loss.backward()
            self._descend()
            losses.append(loss.item())
        return float(np.mean(losses))

    def validate(self):
        assert not self.encoder.training
        return loss_of(self.encoder, 99).item()


def plain_loop(encoder, seed):
    """Losses, and weights after each epoch, by PyTorch alone."""
    optimizer = torch.optim.AdamW(groups(encoder), weight_decay=0.0, fused=True)
    losses, weights, step = [], [], 0
    for epoch in range(SETTINGS.epochs):
        rng = np.random.default_rng([seed, epoch])
        order = rng.permutation(BATCHES)
        torch.manual_seed(int(rng.integers(2**31)))
        encoder.train()
        for batch in order.tolist():
            for group, rate in zip(optimizer.param_groups, RATES, strict=True):
                group["lr"] = rate * linear_warmup_decay(step, STEPS, SETTINGS.warmup)
            optimizer.zero_grad()
            loss_of(encoder, batch).backward()
            gradient = encoder.line.weight.grad
            assert gradient.norm() > 1
            gradient *= 1 / (gradient.norm() + 1e-6)
            optimizer.step()
            step += 1
        encoder.eval()
        losses.append(loss_of(encoder, 99).item())
        weights.append(copy.deepcopy(encoder.state_dict()))
    return losses, weights


def test_a_run_is_the_plain_loop_and_keeps_the_best_epoch():
    run = Run(Encoder(), seed=3)
    run.train(None)
    with torch.random.fork_rng():
        losses, weights = plain_loop(Encoder(), seed=3)
    np.testing.assert_allclose(run.validation_loss, losses, rtol=1e-5)
    assert run.best_epoch == int(np.argmin(losses))
    for name, value in run.encoder.state_dict().items():
        torch.testing.assert_close(value, weights[run.best_epoch][name])
    assert not run.encoder.training


@pytest.mark.parametrize("done", range(1, SETTINGS.epochs + 1))
def test_a_run_that_was_stopped_goes_on_to_the_same_result(tmp_path, done):
    undisturbed, stopped, resumed = (Run(Encoder()) for _ in range(3))
    undisturbed.train(None)
    for _ in range(done):
        stopped.train_epoch()
    stopped.save(tmp_path / "checkpoint.pt")
    torch.rand(7)
    resumed.train(tmp_path / "checkpoint.pt")
    assert resumed.training_loss == undisturbed.training_loss
    assert resumed.validation_loss == undisturbed.validation_loss
    assert torch.equal(resumed.encoder.line.weight, undisturbed.encoder.line.weight)


@pytest.mark.parametrize(
    "other",
    [
        {"seed": 1},
        {"settings": SimpleNamespace(epochs=4, warmup=0.2)},
        {"names": ("other",)},
        {"sound": (2.0,)},
    ],
    ids=lambda other: next(iter(other)),
)
def test_a_checkpoint_of_another_run_is_not_taken_up(tmp_path, other):
    checkpoint = tmp_path / "checkpoint.pt"
    Run(Encoder()).train(checkpoint)
    for changes, taken in (({}, True), (other, False)):
        run = Run(Encoder(), **changes)
        run.restore(checkpoint)
        assert run.finished == taken


@pytest.mark.parametrize("part", ["_pass", "validate"])
def test_a_loss_that_is_not_finite_is_an_error(monkeypatch, part):
    losses = iter([1.0, math.nan])
    monkeypatch.setattr(Run, part, lambda *_: next(losses))
    with pytest.raises(ValueError, match=r"epoch 2 is not finite: .*lower `line\.rate`"):
        Run(Encoder()).train(None)


@given(st.lists(st.integers()), st.integers(1, 9))
def test_pieces_are_full_but_the_last(items, size):
    pieces = cut(items, size)
    assert [item for piece in pieces for item in piece] == items
    assert all(len(piece) == size for piece in pieces[:-1])
    assert all(0 < len(piece) <= size for piece in pieces)


@given(st.integers(1, 300), st.floats(0, 1))
def test_the_schedule_rises_and_falls_linearly(n_steps, warmup):
    factors = np.array([linear_warmup_decay(step, n_steps, warmup) for step in range(n_steps)])
    assert (factors > 0).all()
    assert (factors <= 1).all()
    n_warmup = warmup * n_steps
    for step, factor in enumerate(factors):
        if step + 1 < n_warmup:
            assert factor == pytest.approx((step + 1) / n_warmup)
        elif step >= n_warmup:
            assert factor == pytest.approx((n_steps - step) / max(n_steps - n_warmup, 1))
        else:  # the step in which warm-up ends
            assert factor == 1 or n_steps - n_warmup < 1


def test_the_schedule_of_ten_steps():
    factors = [linear_warmup_decay(step, 10, 0.4) for step in range(10)]
    expected = [1 / 4, 2 / 4, 3 / 4, 1, 1, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6]
    np.testing.assert_allclose(factors, expected)
