import copy
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from bthelpers.tuning.trainer import (
    Schedule,
    Trainer,
    batched,
    linear_warmup_decay,
    mean_over_items,
    run_digest,
    shuffled_batches,
)

EPOCHS, BATCHES = 4, 3
STEPS = EPOCHS * BATCHES
SCHEDULE = Schedule(EPOCHS, BATCHES, warmup=0.3)
RATES = 0.3, 0.01


class Line(nn.Module):
    """A line with dropout."""

    def __init__(self):
        super().__init__()
        self.line = nn.utils.skip_init(nn.Linear, 3, 2)
        self.dropout = nn.Dropout(0.5)
        with torch.no_grad():
            self.line.weight[:] = torch.arange(6.0).reshape(2, 3)
            self.line.bias[:] = 1

    def forward(self, x):
        return self.line(self.dropout(x))


def groups(model):
    weights = model.line.weight, model.line.bias
    return [{"params": [one], "lr": lr} for one, lr in zip(weights, RATES, strict=True)]


def loss_of(model, seed):
    inputs = torch.from_numpy(np.random.default_rng(seed).normal(size=(5, 3))).float()
    return 100 * model(inputs).square().mean()  # steep: gradients are clipped


def trainer(schedule=SCHEDULE, seed=0, run="a run", **changes):
    """Drives a line to zero."""
    model = Line()

    def backward(batch, rng):
        assert model.training
        loss = loss_of(model, batch)
        loss.backward()
        return loss.item()

    def validate():
        assert not model.training
        assert not torch.is_grad_enabled()
        return loss_of(model, 99).item()

    pieces = {
        "modules": {"model": model},
        "groups": groups(model),
        "batches": lambda rng: rng.permutation(BATCHES).tolist(),
        "backward": backward,
        "validate": validate,
        "rates": "`line.rate`",
        "kept": ("model",),
        "average": lambda losses: float(np.mean(losses)),
    }
    return Trainer(schedule=schedule, seed=seed, run=run, **(pieces | changes))


def plain_loop(model, seed):
    """Losses, and weights after each epoch, by PyTorch alone."""
    optimizer = torch.optim.AdamW(groups(model), weight_decay=0.0, fused=True)
    losses, weights, step = [], [], 0
    for epoch in range(EPOCHS):
        rng = np.random.default_rng([seed, epoch])
        order = rng.permutation(BATCHES)
        torch.manual_seed(int(rng.integers(2**31)))
        model.train()
        for batch in order.tolist():
            for group, rate in zip(optimizer.param_groups, RATES, strict=True):
                group["lr"] = rate * linear_warmup_decay(step, STEPS, SCHEDULE.warmup)
            optimizer.zero_grad()
            loss_of(model, batch).backward()
            gradient = model.line.weight.grad
            assert gradient.norm() > 1
            gradient *= 1 / (gradient.norm() + 1e-6)
            optimizer.step()
            step += 1
        model.eval()
        losses.append(loss_of(model, 99).item())
        weights.append(copy.deepcopy(model.state_dict()))
    return losses, weights


def test_a_run_is_the_plain_loop_and_keeps_the_best_epoch():
    run = trainer(seed=3)
    run.train()
    with torch.random.fork_rng():
        losses, weights = plain_loop(Line(), seed=3)
    np.testing.assert_allclose(run.validation_loss, losses, rtol=1e-5)
    assert run.best_epoch == int(np.argmin(losses))
    for name, value in run.modules["model"].state_dict().items():
        torch.testing.assert_close(value, weights[run.best_epoch][name])
    assert not run.modules["model"].training


@pytest.mark.parametrize("done", range(1, EPOCHS + 1))
def test_a_run_that_was_stopped_goes_on_to_the_same_result(tmp_path, done):
    undisturbed, stopped, resumed = (trainer() for _ in range(3))
    undisturbed.train()
    for _ in range(done):
        stopped.train_epoch()
    stopped.save(tmp_path / "checkpoint.pt")
    torch.rand(7)
    resumed.train(tmp_path / "checkpoint.pt")
    assert resumed.training_loss == undisturbed.training_loss
    assert resumed.validation_loss == undisturbed.validation_loss
    weights = (one.modules["model"].line.weight for one in (resumed, undisturbed))
    assert torch.equal(*weights)


def test_a_damaged_checkpoint_is_not_taken_up(tmp_path, capsys):
    checkpoint = tmp_path / "checkpoint.pt"
    trainer().train(checkpoint)
    whole = checkpoint.read_bytes()
    capsys.readouterr()
    for position in np.random.default_rng(0).integers(len(whole), size=20):
        changed = bytearray(whole)
        changed[position] ^= 1
        for damaged in (bytes(changed), whole[:position], b""):
            checkpoint.write_bytes(damaged)
            resumed = trainer()
            resumed.restore(checkpoint)
            assert resumed.validation_loss == []
            said = f"{checkpoint} is not as it was written: training begins anew\n"
            assert capsys.readouterr().err == said


def test_a_checkpoint_of_another_run_is_not_taken_up(tmp_path):
    checkpoint = tmp_path / "checkpoint.pt"
    trainer().train(checkpoint)
    for run, taken in (("a run", True), ("another run", False)):
        resumed = trainer(run=run)
        resumed.restore(checkpoint)
        assert resumed.finished == taken


@pytest.mark.parametrize(
    "other",
    [
        {"plain": [Schedule(EPOCHS, BATCHES, 0.2), 0, "line"]},
        {"plain": [SCHEDULE, 1, "line"]},
        {"plain": [SCHEDULE, 0, "other"]},
        {"modules": [nn.Identity()]},
        {"arrays": [np.array([2.0])]},
        {"arrays": [torch.ones(2)]},
    ],
    ids=["settings", "seed", "name", "weights", "sound", "more sound"],
)
def test_a_run_is_told_by_all_that_it_depends_on(other):
    depends = {"plain": [SCHEDULE, 0, "line"], "modules": [Line()], "arrays": [np.ones(1)]}
    assert run_digest(**depends) == run_digest(**depends)
    assert run_digest(**depends) != run_digest(**(depends | other))


@pytest.mark.parametrize(
    ("patience", "losses"),
    [(None, [1.0, 2.0, 3.0, 4.0]), (2, [1.0, 2.0, 3.0]), (1, [2.0, 1.0, 1.0])],
)
def test_training_stops_when_patience_is_over(patience, losses):
    validate = iter([*losses, 9.0]).__next__
    run = trainer(replace(SCHEDULE, patience=patience), validate=validate)
    run.train()
    assert run.validation_loss == losses


def test_training_that_stops_early_has_the_rates_of_all_epochs():
    stopped, full = trainer(replace(SCHEDULE, stop_after=2)), trainer()
    for run in (stopped, full):
        run.rates_used = []
        run.optimizer.register_step_post_hook(
            lambda optimizer, *_, used=run.rates_used: used.append(optimizer.param_groups[0]["lr"])
        )
        run.train()
    assert len(stopped.rates_used) == 2 * BATCHES
    assert stopped.rates_used == full.rates_used[: 2 * BATCHES]
    assert stopped.validation_loss == full.validation_loss[:2]


@pytest.mark.parametrize("epochs", [-1, EPOCHS + 1])
def test_training_cannot_stop_outside_of_its_epochs(epochs):
    with pytest.raises(ValueError, match=rf"after {epochs} epochs: {EPOCHS} are planned"):
        replace(SCHEDULE, stop_after=epochs)


def test_no_epoch_leaves_everything_as_it_was():
    run = trainer(replace(SCHEDULE, stop_after=0))
    before = copy.deepcopy(run.modules["model"].state_dict())
    run.train()
    assert (run.training_loss, run.validation_loss) == ([], [])
    assert all(before[name].equal(w) for name, w in run.modules["model"].state_dict().items())


@pytest.mark.parametrize(("losses", "kept"), [([1.0, 2.0, 3.0], -1), ([1.0, 0.5, 3.0], 0)])
def test_what_training_begins_with_can_be_a_candidate(losses, kept, tmp_path):
    def one():
        given = iter(losses)
        return trainer(
            Schedule(2, BATCHES, 0.3), validate=given.__next__, kept=("model",), candidate=True
        )

    run = one()
    before = copy.deepcopy(run.modules["model"].state_dict())
    run.train(tmp_path / "checkpoint.pt")
    assert (run.before, run.validation_loss) == (losses[:1], losses[1:])
    assert (run.best_epoch, run.kept_epoch) == (kept, kept)
    as_it_was = [before[name].equal(w) for name, w in run.modules["model"].state_dict().items()]
    assert all(as_it_was) == (kept == -1)
    again = one()
    again.train(tmp_path / "checkpoint.pt")  # all is done, and known
    assert (again.before, again.kept_epoch) == (losses[:1], kept)


def test_a_module_that_is_not_kept_ends_as_the_last_epoch_left_it():
    losses = iter([1.0, 2.0])
    left = []
    run = trainer(Schedule(2, BATCHES, 0.3), kept=())

    def validate():
        left.append(copy.deepcopy(run.modules["model"].state_dict()))
        return next(losses)

    run.validate = validate
    run.train()
    assert (run.best_epoch, run.kept_epoch) == (0, 1)
    for name, value in run.modules["model"].state_dict().items():
        assert torch.equal(value, left[1][name])


@pytest.mark.parametrize("part", ["average", "validate"])
def test_a_loss_that_is_not_finite_is_an_error(part):
    losses = iter([1.0, math.nan])
    with pytest.raises(ValueError, match=r"epoch 2 is not finite: .*lower `line\.rate`"):
        trainer(**{part: lambda *_: next(losses)}).train()


def test_batches_are_shuffled_by_their_generator():
    first, again, other = (
        shuffled_batches(range(20), 6, np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    assert first == again != other
    assert [len(batch) for batch in first] == [6, 6, 6, 2]
    assert sorted(item for batch in first for item in batch) == list(range(20))


def test_the_mean_counts_every_item_once():
    assert mean_over_items([(3.0, 2), (4.0, 1), (0.0, 1)]) == 7 / 4


@given(st.lists(st.integers()), st.integers(1, 9))
def test_pieces_are_full_but_the_last(items, size):
    pieces = batched(items, size)
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
