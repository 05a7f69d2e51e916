from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoTokenizer, WhisperModel

from bthelpers.cli import main
from bthelpers.core.timing import SAMPLE_RATE, Interval
from bthelpers.models.speech import SpeechEncoder
from bthelpers.simulation.miniatures import whisper
from bthelpers.simulation.miniatures.speech import PretrainingSettings
from bthelpers.simulation.miniatures.text import END
from bthelpers.simulation.miniatures.whisper import (
    IGNORED,
    TranscribedStory,
    Transcriber,
    TranscriptionSettings,
    feature_extractor,
    random_model,
    random_piece,
    save_whisper,
    set_length,
)

LEXICON = Path(__file__).parents[3] / "params" / "lexicons" / "english.yaml"
SETTINGS = TranscriptionSettings(
    PretrainingSettings(lexicon=str(LEXICON), minutes=2),
    phases=((3, 3, 3), (6, 2, 2)),
    layers=2,
    decoder_layers=1,
    hidden_size=32,
    warmup_steps=1,
)


def train():
    lines = []
    transcriber = Transcriber(SETTINGS, log=lambda text, **_: lines.append(text))
    return transcriber, transcriber.run(), lines


@pytest.fixture(scope="module")
def trained():
    return train()


def test_a_piece_holds_the_words_that_it_is_said_to_hold():
    words = [Interval(0.5 * k, 0.5 * k + 0.4, str(k)) for k in range(20)]
    story = TranscribedStory(np.arange(11 * SAMPLE_RATE, dtype=np.float32), words)
    rng = np.random.default_rng(0)
    firsts = set()
    for _ in range(100):
        sound, labels = random_piece(story, 2.0, rng)
        first = int(labels[0])
        firsts.add(first)
        assert labels == [str(k) for k in range(first, min(first + 4, 20))]
        assert sound[0] == pytest.approx(words[first].start * SAMPLE_RATE, abs=1)
        assert len(sound) == pytest.approx(
            (words[int(labels[-1])].stop - words[first].start) * SAMPLE_RATE, abs=2
        )
    assert firsts == set(range(20))


def test_every_word_has_its_token(trained):
    transcriber, model, _ = trained
    tokens = transcriber.tokens
    labels = {word.label for story in transcriber.stories for word in story.words}
    assert set(tokens) == labels
    assert "sp" not in tokens
    assert sorted(tokens.values()) == list(range(2, 2 + len(labels)))
    assert model.config.vocab_size == 2 + len(labels)


def test_labels_end_and_what_follows_is_ignored(trained):
    transcriber, _, _ = trained
    spectrograms, labels = transcriber.batch(feature_extractor(6), 5)
    assert spectrograms.shape == (5, 40, 300)
    for row in labels.tolist():
        end = row.index(END)
        assert all(token > END for token in row[:end])
        assert set(row[end + 1 :]) <= {IGNORED}


def test_positions_of_another_length_begin_the_same():
    model = random_model(SETTINGS, 10)
    whole = model.model.encoder.embed_positions.weight.clone()
    set_length(model, 3)
    assert model.config.max_source_positions == 75
    torch.testing.assert_close(model.model.encoder.embed_positions.weight, whole[:75])
    set_length(model, 6)
    torch.testing.assert_close(model.model.encoder.embed_positions.weight, whole)


def test_training_goes_through_its_phases_and_is_repeatable(trained):
    _, model, lines = trained
    assert not model.training
    assert ["told 2 stories" in line for line in lines].count(True) == 1
    assert any("3 s: step 3 of 3" in line for line in lines)
    assert any("6 s: step 2 of 2" in line for line in lines)
    again = train()[1]
    for one, other in zip(model.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_saved_whisper_is_one_that_loads(trained, tmp_path):
    transcriber, model, _ = trained
    save_whisper(model, tmp_path / "mini", SETTINGS, transcriber.tokens)
    loaded = AutoModel.from_pretrained(tmp_path / "mini")
    assert isinstance(loaded, WhisperModel)
    encoder = SpeechEncoder.load(tmp_path / "mini")
    assert (encoder.n_layers, encoder.hidden_size, encoder.hop) == (2, 32, 640)
    noise = np.random.default_rng(0).normal(size=2 * SAMPLE_RATE)
    layers, lengths = encoder.hidden_states([noise])
    assert lengths.tolist() == [50]
    assert torch.isfinite(layers[-1]).all()
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "mini")
    for word, token in transcriber.tokens.items():
        assert tokenizer(word, add_special_tokens=False).input_ids == [token]
    assert tokenizer("").input_ids == [loaded.config.decoder_start_token_id, END]
    assert "transcribed" in (tmp_path / "mini/provenance.json").read_text()


def test_the_size_is_chosen_on_the_command_line(monkeypatch):
    chosen = {}

    class Chosen:
        tokens: ClassVar[dict] = {}

        def __init__(self, settings):
            chosen["settings"] = settings

        def run(self):
            return "model"

    monkeypatch.setattr(whisper, "Transcriber", Chosen)
    monkeypatch.setattr(whisper, "save_whisper", lambda *saved: chosen.update(saved=saved))
    size = ["--hidden-size", "64", "--layers", "3", "--decoder-layers", "5", "--seed", "7"]
    threads = ["--threads", str(torch.get_num_threads())]
    assert main(["miniature", "whisper", "--output", "mini", *size, *threads]) == 0
    settings = chosen["settings"]
    assert (settings.hidden_size, settings.layers, settings.decoder_layers) == (64, 3, 5)
    assert settings.stories.seed == 7
    assert chosen["saved"] == ("model", "mini", settings, {})
