import copy
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_models import FAMILIES, tiny_extractor, tiny_model
from torch.optim.optimizer import register_optimizer_step_post_hook
from transformers import HubertModel

from bthelpers.core.checksums import sums_beside
from bthelpers.core.progress import Progress
from bthelpers.core.timing import SAMPLE_RATE, response_times, zscore
from bthelpers.models.front_ends import ConvolutionalFrontEnd
from bthelpers.models.speech import SpeechEncoder
from bthelpers.params.loading import load
from bthelpers.simulation.miniatures.speech import miniature_config
from bthelpers.tuning import brain_tuning as tuning
from bthelpers.tuning.brain_tuning import brain_tune, jointly_tune
from bthelpers.tuning.examples import Examples, TuningStory, pooled_features
from bthelpers.tuning.trainer import Trainer, linear_warmup_decay

SETTINGS = replace(
    load(Path(__file__).parents[2] / "params" / "smoke.yaml").tuning,
    window=2.0,
    pooling="mean",
    standardize=True,
    sharing="chunk",
    chunk_trs=3,
    batch_trs=6,
    epochs=3,
    transformer_lr=1e-3,
    head_lr=3e-2,
    warmup=0.2,
    patience=3,
    precision="float32",
)
ROWS = (8, 7, 9)  # responses to the training stories
PITCHES = 300, 2500  # Hz


def tiny_encoder(dropout=0.0):
    config = miniature_config()
    config.update({"num_hidden_layers": 2, "hidden_size": 16, "intermediate_size": 24})
    config.update({"conv_dim": (8,) * 5, "hidden_dropout": dropout, "attention_dropout": dropout})
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return SpeechEncoder(HubertModel(config).eval())


def tones(n_rows, seed=0):
    """Low and high tones of one second; the voxels follow the share of high ones in two seconds."""
    rng = np.random.default_rng([seed, n_rows])
    times = response_times(n_rows + 20)
    high = rng.integers(0, 2, int(times[-1]) + 1)
    seconds = np.arange(round(times[-1] * SAMPLE_RATE)) / SAMPLE_RATE
    frequency = np.take(PITCHES, high)[seconds.astype(int)]
    waveform = np.sin(2 * np.pi * frequency * seconds) + 0.1 * rng.normal(size=len(seconds))
    share = np.array([high[np.arange(t - 2, t, 0.01).astype(int)].mean() for t in times])
    responses = zscore(np.stack([share, -share], axis=1)).astype(np.float32)
    return TuningStory(f"tones{n_rows}", waveform.astype(np.float32), times, responses)


@pytest.fixture(scope="module")
def training():
    return [tones(n) for n in ROWS]


@pytest.fixture(scope="module")
def validation():
    return [tones(10)]


@pytest.fixture(scope="module")
def encoder():
    return tiny_encoder()


def weights(encoder):
    return copy.deepcopy(encoder.model.state_dict())


def same(one, other):
    return all(torch.equal(one[name], other[name]) for name in one)


def moved(encoder, tuned):
    """Largest change of any weight of the transformer."""
    pairs = zip(encoder.transformer_parameters(), tuned.transformer_parameters(), strict=True)
    return max((a - b).abs().max().item() for a, b in pairs)


@pytest.mark.parametrize("sharing", ["window", "chunk"])
def test_tuning_learns_what_can_be_learnt(encoder, training, validation, sharing):
    before = weights(encoder), copy.deepcopy(encoder.front_end.frozen.state_dict())
    settings = replace(SETTINGS, sharing=sharing, epochs=8, patience=8)
    result = brain_tune(encoder, training, validation, settings, seed=0)
    assert result.training_loss[-1] < 0.5 * result.training_loss[0]
    assert min(result.validation_loss) < 0.6  # responses have unit variance
    assert len(result.training_loss) == len(result.validation_loss) == 8
    # the pretrained model stays as it was, and so does the tuned one's front end
    assert same(before[0], encoder.model.state_dict())
    assert same(before[1], encoder.front_end.frozen.state_dict())
    assert same(before[1], result.encoder.front_end.frozen.state_dict())
    assert moved(encoder, result.encoder) > 1e-3
    assert not result.encoder.model.training


def test_every_weight_of_the_transformer_is_tuned(encoder, training, validation):
    result = brain_tune(encoder, training, validation, SETTINGS, seed=0)
    after = result.encoder.model.state_dict()
    untouched = {n for n, value in encoder.model.state_dict().items() if value.equal(after[n])}
    assert untouched == {"masked_spec_embed"}  # of pretraining


def test_the_head_starts_at_zero(encoder, training, validation):
    """In its one step, all of the loss is the mean square of the responses."""
    settings = replace(SETTINGS, epochs=1, batch_trs=1000)
    result = brain_tune(encoder, training, validation, settings, seed=0)
    targets = np.concatenate([story.responses for story in training])
    assert result.training_loss == [pytest.approx((targets**2).mean(), rel=1e-6)]
    assert moved(encoder, result.encoder) == 0  # a head of zeros hands no gradient on


def test_each_learning_rate_reaches_its_own_weights(encoder, training, validation):
    still = replace(SETTINGS, transformer_lr=1e-9)
    result = brain_tune(encoder, training, validation, still, seed=0)
    assert moved(encoder, result.encoder) < 1e-7
    assert result.training_loss[-1] < 0.8 * result.training_loss[0]
    headless = replace(SETTINGS, head_lr=1e-9)
    result = brain_tune(encoder, training, validation, headless, seed=0)
    assert moved(encoder, result.encoder) > 1e-4
    np.testing.assert_allclose(result.training_loss, 1, atol=1e-4)


@pytest.fixture
def rates():
    """Learning rates of every optimiser step."""
    steps = []
    handle = register_optimizer_step_post_hook(
        lambda optimizer, *_: steps.append([group["lr"] for group in optimizer.param_groups])
    )
    yield steps
    handle.remove()


@pytest.mark.parametrize(
    ("adapted", "expected_lr"),
    [
        ({"adapter_lr": 0.05}, SETTINGS.transformer_lr),
        ({"adaptation": "lora"}, SETTINGS.transformer_lr),
        ({"adaptation": "lora", "adapter_lr": 0.05}, 0.05),
    ],
)
def test_both_rates_follow_the_schedule(encoder, training, validation, rates, adapted, expected_lr):
    settings = replace(SETTINGS, sharing="window", **adapted)  # 24 TRs, 6 a step
    brain_tune(encoder, training, validation, settings, seed=0)
    model, head = np.transpose(rates)
    assert len(rates) == 3 * 4
    np.testing.assert_allclose(model / head, expected_lr / settings.head_lr)
    # a chunk's random offset could add a segment to each of the three stories: 27 in 5 steps
    expected = [linear_warmup_decay(step, 15, settings.warmup) for step in range(12)]
    np.testing.assert_allclose(head / settings.head_lr, expected)
    assert head.max() <= settings.head_lr


def scripted(monkeypatch, losses):
    """Have the validation losses be those; returns the weights after each epoch."""
    states, losses = [], iter(losses)

    def validate(run):
        states.append(weights(run.encoder))
        return next(losses)

    monkeypatch.setattr(tuning.BrainTuning, "validate", validate)
    return states


@pytest.mark.parametrize(
    ("losses", "patience", "best"),
    [
        ([1.0, 0.5, 0.6, 0.7], 2, 1),
        ([1.0, 0.5, 0.6, 0.4, 0.4, 0.4], 2, 3),
        ([0.9, 1.0], 1, 0),
        ([0.9, 0.8, 0.7, 0.6, 0.5, 0.4], 1, 5),
    ],
)
def test_tuning_stops_early_and_keeps_the_best_epoch(
    encoder, training, validation, monkeypatch, losses, patience, best
):
    states = scripted(monkeypatch, [*losses, 9.0])
    settings = replace(SETTINGS, epochs=6, patience=patience, batch_trs=12)
    result = brain_tune(encoder, training[:1], validation, settings, seed=0)
    assert result.validation_loss == losses
    assert result.kept_epoch == best
    assert same(states[best], result.encoder.model.state_dict())
    assert not same(states[best - 1], result.encoder.model.state_dict())


def permuted(stories):
    return [replace(story, responses=story.responses[::-1].copy()) for story in stories]


def test_a_control_is_trained_as_its_treatment_was_until_the_epoch_that_was_kept(
    encoder, training, validation, monkeypatch, rates
):
    """Also where its validation loss rises: by itself, it would stop after the first epochs."""
    settings = replace(SETTINGS, sharing="window", epochs=6, patience=2)  # 24 TRs, 6 a step
    with monkeypatch.context() as patch:
        scripted(patch, [1.0, 0.9, 0.8, 0.7, 0.8, 0.9])
        treatment = brain_tune(encoder, training, validation, settings, seed=0)
    n_epochs = treatment.kept_epoch + 1
    assert (n_epochs, len(treatment.training_loss)) == (4, 6)
    of_treatment = rates[:]
    rates.clear()

    rising = [1.0, 1.1, 1.2, 1.3]
    states = scripted(monkeypatch, rising * 2)
    data = permuted(training), permuted(validation)
    control = brain_tune(encoder, *data, settings, seed=0, stop_after=n_epochs)
    assert (len(of_treatment), len(rates)) == (6 * 4, 4 * 4)
    assert rates == of_treatment[: 4 * 4]
    assert control.validation_loss == rising
    assert control.kept_epoch == 3
    assert same(states[3], control.encoder.model.state_dict())
    assert not same(states[0], control.encoder.model.state_dict())

    alone = brain_tune(encoder, *data, settings, seed=0)
    assert (len(alone.validation_loss), alone.kept_epoch) == (3, 0)


def test_a_checkpoint_of_a_run_that_keeps_another_epoch_is_not_taken_up(
    encoder, training, validation, monkeypatch, tmp_path
):
    settings, checkpoint = replace(SETTINGS, epochs=2), tmp_path / "checkpoint.pt"
    states = scripted(monkeypatch, [1.0, 2.0, 1.0, 2.0])
    arguments = encoder, training, validation, settings, 0, checkpoint
    assert brain_tune(*arguments).kept_epoch == 0
    control = brain_tune(*arguments, stop_after=2)
    assert control.kept_epoch == 1
    assert same(states[3], control.encoder.model.state_dict())


def test_a_run_of_all_epochs_has_no_patience(encoder, training, validation, monkeypatch):
    """The loss rises from the first epoch on, within the warm-up."""
    scripted(monkeypatch, [1.0, 2.0, 3.0, 4.0, 5.0])
    settings = replace(SETTINGS, epochs=5, patience=1, warmup=0.9)
    result = brain_tune(encoder, training, validation, settings, seed=0, stop_after=5)
    assert (len(result.training_loss), result.kept_epoch) == (5, 4)


def test_more_epochs_than_are_planned_are_an_error(encoder, training, validation):
    with pytest.raises(ValueError, match="cannot stop after 4 epochs: 3 are planned"):
        brain_tune(encoder, training, validation, SETTINGS, seed=0, stop_after=4)


def test_noise_is_not_learnt(encoder, training, validation):
    rng = np.random.default_rng(0)
    noise = [
        [replace(s, responses=rng.normal(size=(len(s.times), 40)).astype(np.float32)) for s in part]
        for part in (training, validation)
    ]
    settings = replace(SETTINGS, epochs=20, patience=2, head_lr=0.1)
    result = brain_tune(encoder, *noise, settings, seed=0)
    assert len(result.validation_loss) == result.kept_epoch + 3 < 20
    assert result.validation_loss[-1] > result.validation_loss[result.kept_epoch]


def test_the_kept_model_has_the_lowest_validation_loss(encoder, training, validation):
    """The losses are of evaluation mode, on all validation TRs, although dropout is on."""
    result = brain_tune(tiny_encoder(0.3), training, [*validation, tones(5)], SETTINGS, seed=0)
    examples = Examples(result.encoder, [*validation, tones(5)], SETTINGS)
    first, second = (pooled_features(result.encoder, examples) for _ in range(2))
    torch.testing.assert_close(first, second)
    # the best linear head on the kept features does at least as well as the kept head
    targets = torch.cat(examples.targets)
    X = torch.cat([first, torch.ones(len(first), 1)], dim=1)
    residual = targets - X @ torch.linalg.lstsq(X, targets, driver="gelsd").solution
    assert residual.square().mean() <= min(result.validation_loss)


def test_a_loss_that_is_not_finite_is_an_error(encoder, training, validation, monkeypatch):
    scripted(monkeypatch, [1.0, np.nan])
    with pytest.raises(ValueError, match=r"epoch 2 is not finite.*lower `tuning\.transformer_lr`"):
        brain_tune(encoder, training[:1], validation, SETTINGS, seed=0)


def outcome(result):
    return [*result.encoder.model.state_dict().values()], (
        result.training_loss,
        result.validation_loss,
        result.kept_epoch,
    )


def assert_equal_bits(one, other):
    (weights_of_one, losses_of_one), (weights_of_other, losses_of_other) = map(
        outcome, (one, other)
    )
    assert losses_of_one == losses_of_other
    assert all(torch.equal(a, b) for a, b in zip(weights_of_one, weights_of_other, strict=True))


def interrupt(monkeypatch, after):
    """Stop the run when so many epochs are done."""

    def advance(progress, text):
        progress.done += 1
        if progress.done == after:
            raise KeyboardInterrupt

    monkeypatch.setattr(Progress, "advance", advance)


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_an_interrupted_run_goes_on_and_ends_in_the_same_result(
    training, validation, tmp_path, monkeypatch, dropout
):
    encoder, checkpoint = tiny_encoder(dropout), tmp_path / "folder" / "checkpoint.pt"
    undisturbed = brain_tune(encoder, training, validation, SETTINGS, 3)
    for _ in range(2):
        with monkeypatch.context() as patch:
            interrupt(patch, after=1)
            with pytest.raises(KeyboardInterrupt):
                brain_tune(encoder, training, validation, SETTINGS, 3, checkpoint)
    assert len(torch.load(checkpoint, weights_only=True)["training_loss"]) == 2
    torch.rand(7)  # another process has other global random numbers
    resumed = brain_tune(encoder, training, validation, SETTINGS, 3, checkpoint)
    assert_equal_bits(resumed, undisturbed)
    with monkeypatch.context() as patch:  # all epochs are done: none is done again
        patch.setattr(Trainer, "train_epoch", None)
        assert_equal_bits(
            brain_tune(encoder, training, validation, SETTINGS, 3, checkpoint), undisturbed
        )
    assert set(checkpoint.parent.iterdir()) == {checkpoint, sums_beside(checkpoint)}


def altered(encoder):
    other = encoder.copy()
    with torch.no_grad():
        other.model.encoder.layer_norm.bias[0] += 0.5
    return other


def with_first(stories, **changes):
    return [replace(stories[0], **changes), *stories[1:]]


@pytest.mark.parametrize(
    "change",
    [
        lambda run: run | {"seed": 4},
        lambda run: run | {"settings": replace(SETTINGS, head_lr=0.02)},
        lambda run: run | {"encoder": altered(run["encoder"])},
        lambda run: (
            run | {"training": with_first(run["training"], responses=-run["training"][0].responses)}
        ),
        lambda run: (
            run
            | {"training": with_first(run["training"], waveform=run["training"][0].waveform[::-1])}
        ),
        lambda run: run | {"validation": [tones(11)]},
        lambda run: run | {"training": run["training"][1:], "validation": run["training"][:1]},
        lambda run: (
            run
            | {
                key: with_first(run[key], responses=run[key][0].responses[:, :1])[:1]
                for key in ("training", "validation")
            }
        ),
    ],
    ids=["seed", "rate", "weights", "responses", "sound", "validation", "splits", "voxels"],
)
def test_a_checkpoint_of_another_run_is_not_taken_up(
    encoder, training, validation, tmp_path, change
):
    settings = replace(SETTINGS, epochs=1)
    run = {
        "encoder": encoder,
        "training": training[:2],
        "validation": validation,
        "settings": settings,
        "seed": 3,
    }
    checkpoint = tmp_path / "checkpoint.pt"
    brain_tune(**run, checkpoint=checkpoint)
    changed = change(run)
    assert_equal_bits(brain_tune(**changed, checkpoint=checkpoint), brain_tune(**changed))
    assert_equal_bits(brain_tune(**changed, checkpoint=checkpoint), brain_tune(**changed))


class Scores:
    """Stands for a score by ridges: one value by its settings, whatever the model is."""

    def __init__(self, digest, value):
        self.digest, self.value = digest, value

    def __call__(self, encoder):
        return self.value


def test_a_checkpoint_whose_epochs_were_scored_otherwise_is_not_taken_up(
    encoder, training, validation, tmp_path
):
    checkpoint, settings = tmp_path / "checkpoint.pt", replace(SETTINGS, epochs=1, keep="refit")
    arguments = encoder, training[:1], validation, settings, 0, checkpoint
    brain_tune(*arguments, score=Scores("stride 0.1", 0.3))
    other = brain_tune(*arguments, score=Scores("stride 1.0", 0.2))
    assert (other.pretrained_loss, other.validation_loss) == (-0.2, [-0.2])
    taken_up = brain_tune(*arguments, score=Scores("stride 1.0", 0.1))
    assert taken_up.validation_loss == [-0.2]


def test_the_seed_decides(encoder, training, validation):
    dropping = tiny_encoder(0.2)
    first, again, other = (
        brain_tune(dropping, training, validation, SETTINGS, seed) for seed in (1, 1, 2)
    )
    assert_equal_bits(first, again)
    assert first.training_loss != other.training_loss
    first, other = (brain_tune(encoder, training, validation, SETTINGS, seed) for seed in (1, 2))
    assert first.training_loss != other.training_loss  # by the order of examples alone


@pytest.mark.parametrize("sharing", ["window", "chunk"])
def test_how_many_segments_go_through_at_once_does_not_matter(
    encoder, training, validation, sharing
):
    many = replace(SETTINGS, sharing=sharing, batch_trs=11)
    assert many.stretches_at_once >= 4
    few = replace(many, stretches_at_once=1)
    one, other = (brain_tune(encoder, training, validation, s, seed=0) for s in (many, few))
    np.testing.assert_allclose(one.training_loss, other.training_loss, rtol=1e-4)
    np.testing.assert_allclose(one.validation_loss, other.validation_loss, rtol=1e-3)


@pytest.fixture
def memory(monkeypatch):
    """Have the device hold so many segments, the second time that it is asked in a step."""
    whole = tuning.pool

    def hold(number):
        asked = []

        def pool(encoder, examples, part, precision):
            asked.append(len(part))
            if len(part) > number and len(asked) > 1:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return whole(encoder, examples, part, precision)

        monkeypatch.setattr(tuning, "pool", pool)
        return asked

    return hold


def test_a_step_that_runs_out_of_memory_goes_on_in_halves(
    encoder, training, validation, memory, capsys
):
    """And comes to the same: what the first attempt has added to the gradients does not count."""
    settings = replace(SETTINGS, sharing="window", batch_trs=8, stretches_at_once=4)
    expected = brain_tune(encoder, training, validation, settings, seed=0)
    asked = memory(2)
    result = brain_tune(encoder, training, validation, settings, seed=0)
    assert asked[:5] == [4, 4, 2, 2, 2]
    np.testing.assert_allclose(result.training_loss, expected.training_loss, rtol=1e-5)
    for one, other in zip(
        result.encoder.transformer_parameters(),
        expected.encoder.transformer_parameters(),
        strict=True,
    ):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
    warning = "WARNING: the GPU has no memory for windows or chunks (4 at once): going on with 2 at"
    assert capsys.readouterr().err.count(warning) == 1


@pytest.mark.parametrize(
    ("loss", "remedy"),
    [
        ("squared_error", r"windows or chunks \(2 at once\): lower `tuning\.stretches_at_once`"),
        ("over_time", r"whole steps \(1 at once\): lower `tuning\.batch_trs`"),
    ],
)
def test_where_half_a_step_does_not_fit_the_parameter_is_named(
    encoder, training, validation, memory, loss, remedy
):
    settings = replace(SETTINGS, sharing="window", batch_trs=4, loss=loss)
    memory(1)
    with pytest.raises(torch.OutOfMemoryError, match=remedy):
        brain_tune(encoder, training, validation, settings, seed=0)


def assert_goes_on(arguments, tmp_path, monkeypatch):
    """A tuning that is interrupted after an epoch ends in the weights of one that is not."""
    undisturbed = brain_tune(*arguments)
    checkpoint = tmp_path / "checkpoint.pt"
    with monkeypatch.context() as patch:
        interrupt(patch, after=1)
        with pytest.raises(KeyboardInterrupt):
            brain_tune(*arguments, checkpoint)
    assert_equal_bits(brain_tune(*arguments, checkpoint), undisturbed)
    assert moved(arguments[0], undisturbed.encoder) > 0


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("sharing", ["window", "chunk"])
def test_every_family_is_tuned_and_goes_on_after_an_interruption(
    family, sharing, training, validation, tmp_path, monkeypatch
):
    encoder = SpeechEncoder(tiny_model(family), tiny_extractor(family))
    arguments = (encoder, training[:2], validation, replace(SETTINGS, sharing=sharing, epochs=2), 0)
    assert_goes_on(arguments, tmp_path, monkeypatch)


def test_windows_that_are_the_same_in_every_epoch_are_computed_once(training, validation):
    encoder = SpeechEncoder(tiny_model(feat_extract_norm="group"))
    calls = []
    front_end = ConvolutionalFrontEnd.__call__
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            ConvolutionalFrontEnd, "__call__", lambda *a: calls.append(a) or front_end(*a)
        )
        brain_tune(encoder, training, validation, replace(SETTINGS, sharing="window"), seed=0)
    assert len(calls) == sum(len(story.times) for story in [*training, *validation])


def test_dropout_is_on_while_tuning(training, validation):
    with_dropout, without = (
        brain_tune(tiny_encoder(share), training, validation, SETTINGS, 0) for share in (0.2, 0)
    )
    assert with_dropout.training_loss != without.training_loss


def test_every_epoch_cuts_the_stories_anew(encoder, training, validation, monkeypatch):
    offsets = []
    segments = Examples.segments
    monkeypatch.setattr(
        Examples,
        "segments",
        lambda self, first: offsets.append([*first]) or segments(self, first),
    )
    brain_tune(encoder, training, validation, replace(SETTINGS, epochs=8, patience=8), seed=0)
    drawn = [first for first in offsets if any(first)]  # those of features are all zero
    assert len({tuple(first) for first in drawn}) > 4
    assert {o for first in drawn for o in first} == {0, 1, 2}


def test_global_random_numbers_are_left_alone(training, validation):
    def states():
        numpy_state = np.random.get_state()  # noqa: NPY002
        return torch.get_rng_state().tolist(), [*numpy_state[1], numpy_state[2]], random.getstate()

    before = states()
    brain_tune(tiny_encoder(0.2), training[:1], validation, replace(SETTINGS, epochs=1), seed=1)
    assert states() == before


@pytest.mark.usefixtures("bfloat16")
def test_lower_precision_gives_nearly_the_same(encoder, training, validation):
    full, half = (
        brain_tune(encoder, training, validation, replace(SETTINGS, precision=precision), 0)
        for precision in ("float32", "bfloat16")
    )
    assert full.training_loss != half.training_loss
    np.testing.assert_allclose(full.training_loss, half.training_loss, rtol=0.1)
    assert {w.dtype for w in half.encoder.transformer_parameters()} == {torch.float32}


def test_stories_of_other_voxels_are_an_error(encoder, training, validation):
    fewer = [replace(validation[0], responses=validation[0].responses[:, :1])]
    with pytest.raises(ValueError, match=r"different numbers of voxels: \[1, 2\]"):
        brain_tune(encoder, training, fewer, SETTINGS, seed=0)


def joint(stories):
    """Two participants: the other one responds otherwise, and heard fewer stories."""
    other = [replace(story, responses=-story.responses) for story in stories[:2]]
    return {"A": stories, "B": other}


WAYS = [
    {},
    {"adaptation": "lora", "rank": 2},
    {"loss": "over_time", "head": "bottleneck", "bottleneck": 3},
]


@pytest.mark.parametrize("changes", WAYS)
@pytest.mark.parametrize("heads", ["shared", "separate"])
def test_joint_tuning_with_one_participant_is_tuning_with_one(training, validation, changes, heads):
    settings = replace(SETTINGS, epochs=2, heads=heads, **changes)
    encoder = tiny_encoder(0.2)
    single = brain_tune(encoder, training, validation, settings, seed=4)
    jointly = jointly_tune(encoder, {"A": training}, {"A": validation}, settings, seed=4)
    assert_equal_bits(single, jointly)
    assert single.undefined == jointly.undefined


def test_participants_give_updates_in_turn_and_only_of_what_they_heard(
    encoder, training, validation
):
    stories = joint(training)
    settings = replace(SETTINGS, sharing="window", batch_trs=6)
    run = tuning.BrainTuning(encoder, stories, joint(validation), settings, seed=0)
    batches = run.batches(np.random.default_rng(0))
    alone = tuning.BrainTuning(
        encoder, {"A": training}, {"A": validation}, settings, seed=0
    ).batches(np.random.default_rng(0))
    of_one = [[(s.story, *s.rows) for s in segments] for who, segments in batches if who == "A"]
    assert of_one == [[(s.story, *s.rows) for s in segments] for _, segments in alone]
    turns = [who for who, _ in batches]
    assert turns[:4] == ["A", "B", "A", "B"]
    heard = {s.story for who, segments in batches if who == "B" for s in segments}
    assert heard == {0, 1}
    assert sum(len(segments) for who, segments in batches if who == "B") == sum(ROWS[:2])
    assert len(batches) <= run.trainer.schedule.steps_per_epoch


def test_separate_heads_learn_what_one_head_cannot(encoder, training, validation):
    """Two participants whose responses to one sound have opposite signs."""
    losses = {}
    for heads in ("shared", "separate"):
        settings = replace(SETTINGS, heads=heads, epochs=8, patience=8)
        result = jointly_tune(encoder, joint(training), joint(validation), settings, seed=0)
        losses[heads] = min(result.validation_loss)
    assert losses["separate"] < 0.7 < 0.9 < losses["shared"]


def test_the_validation_loss_is_the_mean_over_participants(encoder, training, validation):
    run = tuning.BrainTuning(encoder, joint(training), joint(validation), SETTINGS, seed=0)
    expected = np.mean([story.responses**2 for story in validation])  # by heads of zeros
    with torch.no_grad():
        assert run.validate() == pytest.approx(expected)


@pytest.mark.parametrize("loss", ["across_voxels", "over_time"])
def test_correlations_are_learnt(encoder, training, validation, loss):
    def wide(stories):
        """Four voxels, so that there is something to correlate across."""
        X = [
            np.concatenate([s.responses, 2 - s.responses[:, :1], s.responses**2], 1)
            for s in stories
        ]
        return [replace(s, responses=x[:, :4]) for s, x in zip(stories, X, strict=True)]

    settings = replace(SETTINGS, loss=loss, epochs=6, patience=6, head_lr=1e-2)
    result = brain_tune(encoder, wide(training), wide(validation), settings, seed=0)
    assert -1 <= min(result.validation_loss) < -0.5
    assert result.training_loss[-1] < result.training_loss[0] - 0.1


def test_trs_without_a_correlation_are_counted(encoder, training, validation):
    flat = training[0].responses.copy()
    flat = np.concatenate([flat, 2 * flat], axis=1)
    flat[[0, 3]] = 0.5
    stories = [replace(training[0], responses=flat)]
    held_out = [replace(validation[0], responses=np.tile(validation[0].responses, 2))]
    settings = replace(SETTINGS, loss="across_voxels", epochs=3)
    assert brain_tune(encoder, stories, held_out, settings, seed=0).undefined == 2 * 3


@pytest.mark.parametrize("scores", [[0.3, 0.2, 0.1, 0.25], [0.1, 0.2, 0.3, 0.25]])
def test_an_epoch_can_be_kept_by_a_score_and_the_pretrained_model_is_a_candidate(
    encoder, training, validation, scores
):
    seen, given = [], iter(scores)

    def score(tuned):
        seen.append(weights(tuned))
        return next(given)

    settings = replace(SETTINGS, keep="refit")
    result = brain_tune(encoder, training, validation, settings, seed=0, score=score)
    best = int(np.argmax(scores))
    assert (result.kept_epoch, result.pretrained_loss) == (best - 1, -scores[0])
    assert result.validation_loss == [-score for score in scores[1:]]
    assert same(seen[0], encoder.model.state_dict())
    assert same(seen[best], result.encoder.model.state_dict())
    # A control is trained for as many epochs: here for none.
    control = brain_tune(
        encoder, training, validation, settings, 0, None, result.kept_epoch + 1, lambda tuned: 0.0
    )
    assert len(control.training_loss) == best
    assert (moved(encoder, control.encoder) == 0) == (best == 0)


@pytest.mark.parametrize(("keep", "score"), [("refit", None), ("loss", lambda tuned: 0.0)])
def test_a_score_is_given_where_it_decides(encoder, training, validation, keep, score):
    with pytest.raises(ValueError, match="a score is needed where"):
        brain_tune(encoder, training, validation, replace(SETTINGS, keep=keep), 0, score=score)


def test_adapters_are_tuned_and_merged(encoder, training, validation, tmp_path):
    settings = replace(SETTINGS, adaptation="lora", rank=2, transformer_lr=3e-2, epochs=2)
    result = brain_tune(encoder, training, validation, settings, seed=0)
    before, after = encoder.model.state_dict(), result.encoder.model.state_dict()
    changed = {name.split(".")[-2] for name in before if not before[name].equal(after[name])}
    assert changed == {"q_proj", "k_proj", "v_proj"}
    [states] = {len(w.shape) for n, w in before.items() if not w.equal(after[n])}
    assert states == 2  # weights, not biases
    result.encoder.save(tmp_path / "model", {})
    again = SpeechEncoder.load(tmp_path / "model").model.state_dict()
    assert same(after, again)


@pytest.mark.parametrize("family", FAMILIES)
def test_adapters_of_every_family_are_tuned_and_go_on_after_an_interruption(
    family, training, validation, tmp_path, monkeypatch
):
    encoder = SpeechEncoder(tiny_model(family), tiny_extractor(family))
    settings = replace(SETTINGS, adaptation="lora", rank=2, epochs=2, pooling="mean")
    arguments = (encoder, training[:1], validation, settings, 0)
    assert_goes_on(arguments, tmp_path, monkeypatch)


@pytest.mark.parametrize("family", FAMILIES)
def test_only_queries_keys_values_and_the_readout_get_gradients(family, training, validation):
    encoder = SpeechEncoder(tiny_model(family), tiny_extractor(family))
    settings = replace(SETTINGS, adaptation="lora", rank=2, head="bottleneck", bottleneck=3)
    run = tuning.BrainTuning(encoder, {"A": training[:1]}, {"A": validation}, settings, seed=0)
    rng = np.random.default_rng(0)
    run.backward(run.batches(rng)[0], rng)
    parts = {"model": run.encoder.model, "head": run.heads, "frozen": run.encoder.front_end.frozen}
    names = {
        (part, *name.split(".")[-4:])
        for part, module in parts.items()
        for name, weights in module.named_parameters()
        if weights.grad is not None
    }
    assert names == {
        *(
            ("model", projection, f"lora_{matrix}", "default", "weight")
            for projection in ("q_proj", "k_proj", "v_proj")
            for matrix in "AB"
        ),
        *(
            ("head", "shared", "linear", str(k), kind)
            for k in (0, 1)
            for kind in ("weight", "bias")
        ),
    }


def test_without_rank_the_head_alone_is_tuned(encoder, training, validation):
    settings = replace(SETTINGS, adaptation="lora", rank=0)
    result = brain_tune(encoder, training, validation, settings, seed=0)
    assert moved(encoder, result.encoder) == 0
    assert result.training_loss[-1] < result.training_loss[0]


def test_layers_after_the_one_that_is_read_out_stay(encoder, training, validation):
    settings = replace(SETTINGS, layer=1, epochs=2)
    result = brain_tune(encoder, training, validation, settings, seed=0)
    before, after = encoder.model.state_dict(), result.encoder.model.state_dict()
    changed = {name.split(".")[2] for name in before if not before[name].equal(after[name])}
    assert "0" in changed
    assert "1" not in changed


@pytest.mark.parametrize("adaptation", ["full", "lora"])
def test_a_layer_beyond_the_model_is_an_error(encoder, training, validation, adaptation):
    settings = replace(SETTINGS, layer=3, adaptation=adaptation)
    with pytest.raises(ValueError, match=r"tuning\.layer: 3 is beyond.*2 layers: name one from 1"):
        brain_tune(encoder, training, validation, settings, seed=0)


def test_an_empty_set_of_voxels_is_an_error(encoder, training, validation):
    none = [
        [replace(story, responses=story.responses[:, :0]) for story in stories]
        for stories in (training, validation)
    ]
    with pytest.raises(ValueError, match="has 0 voxels to tune towards"):
        brain_tune(encoder, *none, SETTINGS, seed=0)
