import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tiny_models import same, weights
from transformers import Wav2Vec2ForPreTraining

from bthelpers.cli import main
from bthelpers.core.provenance import file_digest
from bthelpers.core.timing import SAMPLE_RATE
from bthelpers.models.speech import SpeechEncoder
from bthelpers.params.settings import ModelSettings
from bthelpers.simulation.miniatures import contrastive
from bthelpers.simulation.miniatures.contrastive import (
    ContrastivePretrainer,
    ContrastiveSettings,
    gumbel_temperature,
)
from bthelpers.simulation.miniatures.speech import (
    HOP,
    RECEPTIVE_FIELD,
    PretrainingSettings,
    miniature_config,
    save_miniature,
    sound_of_tokens,
)
from bthelpers.tuning.contrastive import FROM_CHECKPOINT, load_contrast

ROOT = Path(__file__).parents[3]
LEXICON = ROOT / "params/lexicons/english.yaml"
SHIPPED = ROOT / "bthelpers/checkpoints/wav2vec2-mini"


def settings_of(seed=0, **changes):
    speech = {"lexicon": str(LEXICON), "minutes": 2, "batch": 2, "tokens": 50, "warmup_steps": 1}
    stories = PretrainingSettings("wav2vec2", seed=seed, **speech)
    return ContrastiveSettings(stories, **{"front_end_steps": 2, "steps": 2, **changes})


def pretrain(seed=0, **changes):
    lines = []
    pretrainer = ContrastivePretrainer(
        settings_of(seed, **changes), log=lambda text, **_: lines.append(text)
    )
    return pretrainer.run(), lines


@pytest.fixture(scope="module")
def pretrained():
    return pretrain()


@pytest.mark.parametrize(
    ("share", "expected"), [(0, 2.0), (0.35, 1.0), (0.7, 0.5), (0.9, 0.5), (1, 0.5)]
)
def test_the_quantizer_cools_as_published(share, expected):
    """From 2 by equal factors to 0.5, there 0.999995 in each of 400,000 steps."""
    assert gumbel_temperature(share, 2.0) == pytest.approx(expected)
    published = np.log(0.5 / 2) / np.log(0.999995) / 400_000
    assert published == pytest.approx(contrastive.FALLING_SHARE, abs=0.01)


def test_temperature_falls_over_both_phases(monkeypatch):
    pretrainer = ContrastivePretrainer(settings_of(front_end_steps=3, steps=7), lambda *_, **__: 0)
    found = []
    pretrainer.contrast.register_forward_pre_hook(
        lambda module, _: found.append(module.quantizer.temperature)
    )
    pretrainer.run()
    assert found == [gumbel_temperature(k / 10, 2.0) for k in range(10)]
    assert found[-1] == 0.5 < found[0] == 2


def test_pretraining_goes_through_its_phases(pretrained):
    model, lines = pretrained
    assert isinstance(model, Wav2Vec2ForPreTraining)
    assert not model.training
    phases = ["told 2 stories", "front end", "transformer"]
    found = [next(k for k, line in enumerate(lines) if phase in line) for phase in phases]
    assert found == sorted(found)
    losses = [float(line.split("loss ")[1]) for line in lines if "loss" in line]
    assert np.isfinite(losses).all()
    # Nothing is known yet: the right one among 50 distractors, and as many codes as are used.
    assert losses[0] == pytest.approx(np.log(51), abs=0.4)


def test_pretraining_teaches_to_tell_a_token_from_others():
    """On sound that repeats three tones, of which a masked one follows from its neighbours."""
    pretrainer = ContrastivePretrainer(settings_of(steps=120), lambda *_, **__: 0)
    rng = np.random.default_rng(0)
    seconds = np.arange(60 * SAMPLE_RATE) / SAMPLE_RATE
    tones = np.stack([np.sin(2 * np.pi * f * seconds) for f in (300, 900, 2700)])
    which = (np.arange(len(seconds)) // (8 * HOP)) % 3
    sound = np.take_along_axis(tones, which[None], 0)[0] + 0.05 * rng.normal(size=len(seconds))
    pretrainer.waveforms = [sound.astype(np.float32)]
    losses = []
    pretrainer.contrast.register_forward_hook(lambda *args: losses.append(args[2].item()))
    pretrainer.run()
    assert np.mean(losses[-10:]) < np.mean(losses[:10]) - 0.5


def test_everything_is_trained_and_the_front_end_is_frozen_after_its_phase(pretrained):
    untrained = ContrastivePretrainer(settings_of(), lambda *_, **__: 0).pretraining
    initial = weights(untrained)
    changed = {n for n, w in weights(pretrained[0]).items() if not torch.equal(w, initial[n])}
    assert changed == set(initial)
    one, other = (pretrain(steps=steps)[0] for steps in (1, 3))
    front_ends = [weights(model.wav2vec2.feature_extractor) for model in (one, other)]
    # The temperature of the first phase's steps depends on the number of all: not exactly equal.
    for name, array in front_ends[0].items():
        torch.testing.assert_close(array, front_ends[1][name], atol=5e-3, rtol=0)
    assert not same(weights(one.quantizer), weights(other.quantizer))


def test_same_seed_gives_the_same_weights_and_another_others(pretrained):
    state = torch.get_rng_state()
    again, other = pretrain()[0], pretrain(seed=1)[0]
    assert same(weights(pretrained[0]), weights(again))
    assert not same(weights(again), weights(other))
    assert torch.equal(torch.get_rng_state(), state)  # the caller's randomness is its own


def test_cut_sounds_give_as_many_tokens_as_they_should():
    front_end = Wav2Vec2ForPreTraining(miniature_config(contrastive.Wav2Vec2Config))
    for first, n_tokens in ((0, 50), (7, 1)):
        sound = sound_of_tokens(np.zeros(60 * HOP, np.float32), first, n_tokens)
        assert front_end.wav2vec2.feature_extractor(sound[None]).shape[2] == n_tokens


def quantizer_of(folder, family="wav2vec2"):
    encoder = SpeechEncoder.load(folder)
    assert encoder.model.config.model_type == family
    return load_contrast(encoder, ModelSettings(str(folder), None), seed=0)


def test_saved_model_loads_with_its_quantizer(pretrained, tmp_path):
    model, before = pretrained[0], weights(pretrained[0])
    folder = tmp_path / "mini"
    save_miniature(model, folder, settings_of(), settings_of().stories.lexicon)
    assert same(weights(model), before)
    assert model.config.apply_spec_augment is True
    assert {array.dtype for array in load_file(folder / "model.safetensors").values()} == {
        torch.float16
    }
    assert sum(file.stat().st_size for file in folder.iterdir()) < 4e6
    encoder = SpeechEncoder.load(folder)
    assert (encoder.n_layers, encoder.hop, encoder.receptive_field) == (5, HOP, RECEPTIVE_FIELD)
    assert encoder.model.config.apply_spec_augment is False
    for name, array in encoder.model.state_dict().items():
        assert torch.equal(array, before[f"wav2vec2.{name}"].half().float()), name
    contrast, origin = quantizer_of(folder)
    assert origin == FROM_CHECKPOINT
    assert torch.equal(
        contrast.quantizer.codevectors, before["quantizer.codevectors"].half().float()
    )
    record = json.loads((folder / "provenance.json").read_text())
    assert json.loads(record["parameters"]) == json.loads(json.dumps(asdict(settings_of())))
    assert record["lexicon_digest"] == file_digest(LEXICON)


def test_command_line(monkeypatch, tmp_path):
    made = []
    monkeypatch.setattr(contrastive, "make_contrastive_miniature", lambda *args: made.append(args))
    arguments = ["--output", str(tmp_path), "--family", "wav2vec2", "--seed", "2"]
    assert main(["miniature", "speech", *arguments]) == 0
    assert made == [(str(tmp_path), ContrastiveSettings(PretrainingSettings("wav2vec2", seed=2)))]


def test_shipped_miniature_has_its_familys_objective():
    assert sum(file.stat().st_size for file in SHIPPED.iterdir()) < 4e6
    contrast, origin = quantizer_of(SHIPPED)
    assert origin == FROM_CHECKPOINT
    assert contrast.config.num_codevectors_per_group == 64
    parameters = json.loads(json.loads((SHIPPED / "provenance.json").read_text())["parameters"])
    shipped = ContrastiveSettings(PretrainingSettings("wav2vec2", seed=2))
    assert parameters == json.loads(json.dumps(asdict(shipped)))
