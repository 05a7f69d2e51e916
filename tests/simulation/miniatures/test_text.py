import json
import re
from collections import Counter
from dataclasses import replace
from itertools import islice, pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy
from transformers import AutoModel, AutoTokenizer, GPT2Model, WhisperConfig

from bthelpers.core.timing import SILENCE
from bthelpers.simulation.lexicon import load_lexicon
from bthelpers.simulation.miniatures import text
from bthelpers.simulation.miniatures.speech import PretrainingSettings, pretraining_stories
from bthelpers.simulation.miniatures.text import (
    END,
    START,
    TextSettings,
    random_model,
    save_text_model,
    told_words,
    train,
    vocabulary,
    word_tokenizer,
)

LEXICON = Path(__file__).parents[3] / "params" / "lexicons" / "english.yaml"
SETTINGS = TextSettings(
    lexicon=str(LEXICON), layers=2, hidden_size=16, words=12, batch=4, steps=3, warmup_steps=1
)


@pytest.fixture(scope="module")
def lexicon():
    return load_lexicon(LEXICON, 8)


@pytest.fixture(scope="module")
def trained():
    lines = []
    model, tokens = train(SETTINGS, log=lambda text, **_: lines.append(text))
    return model, tokens, lines


# Words


def test_the_words_of_spoken_stories_have_their_tokens(lexicon):
    tokens = vocabulary([*lexicon.words, *lexicon.other_words])
    stories = pretraining_stories(PretrainingSettings(lexicon=str(LEXICON), minutes=2))
    spoken = {word.label for story in stories for word in story.words} - {SILENCE}
    assert spoken
    assert spoken <= set(tokens)


def test_told_words_are_those_of_the_lexicon_in_topics(lexicon):
    words = list(islice(told_words(lexicon, SETTINGS, np.random.default_rng(0)), 5000))
    tokens = vocabulary([*lexicon.words, *lexicon.other_words])
    assert set(words) == set(tokens)
    category = {word: name for name, listed in lexicon.categories.items() for word in listed}
    content = [category[word] for word in words if word in category]
    repeated = np.mean([one == other for one, other in pairwise(content)])
    by_chance = sum((n / len(content)) ** 2 for n in Counter(content).values())
    assert repeated > 3 * by_chance


def test_other_seeds_tell_other_words(lexicon):
    first, again, other = (
        list(islice(told_words(lexicon, SETTINGS, np.random.default_rng(seed)), 50))
        for seed in (1, 1, 2)
    )
    assert first == again != other


def test_tokens_are_in_alphabetical_order_after_the_special_ones():
    assert vocabulary(["the", "cat", "the", "don't"]) == {"cat": 2, "don't": 3, "the": 4}


# Tokenizer


@pytest.mark.parametrize("model_type", ["gpt2", "whisper"])
def test_a_tokenizer_is_one_that_transformers_loads(tmp_path, trained, model_type):
    config = trained[0].config if model_type == "gpt2" else WhisperConfig()
    config.save_pretrained(tmp_path)
    word_tokenizer({"cat": 2, "don't": 3}).save_pretrained(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    assert tokenizer("cat  don't cat").input_ids == [START, 2, 3, 2, END]
    assert tokenizer("cat, dog", add_special_tokens=False).input_ids == [END, END]
    assert tokenizer.decode([2, 3]) == "cat don't"
    assert (tokenizer.bos_token_id, tokenizer.eos_token_id) == (START, END)
    assert tokenizer.unk_token_id == tokenizer.pad_token_id == END


# Training


def test_the_logged_loss_is_that_of_the_next_word(lexicon, trained):
    _, tokens, lines = trained
    model = random_model(SETTINGS, len(tokens))
    rng = np.random.default_rng(text.STORY_SEED_OFFSET)
    words = islice(told_words(lexicon, SETTINGS, rng), 4 * 12)
    pieces = np.reshape([tokens[word] for word in words], (4, 12))
    losses = []
    for piece in pieces:
        seen = [START]
        for token in piece:
            logits = model(torch.tensor([seen])).logits[0, -1]
            losses.append(cross_entropy(logits, torch.tensor(token)).item())
            seen.append(token)
    assert f"loss {np.mean(losses):.3f}" in lines[0]


def test_a_model_learns_more_than_the_words_frequencies(trained):
    learning = replace(SETTINGS, hidden_size=32, words=24, batch=16, steps=100, learning_rate=1e-2)
    lines = []
    train(learning, log=lambda text, **_: lines.append(text))
    loss, entropy = map(float, re.findall(r"\d+\.\d+", lines[-1]))
    assert 3.5 < entropy < np.log(len(trained[1]))
    assert loss < entropy - 0.3


def test_training_is_repeatable_and_ends_in_eval_mode(trained):
    state = torch.get_rng_state()
    again, _ = train(SETTINGS, log=lambda *_, **__: None)
    assert torch.equal(torch.get_rng_state(), state)
    assert not again.training
    for one, other in zip(trained[0].parameters(), again.parameters(), strict=True):
        assert torch.equal(one, other)
    other, _ = train(replace(SETTINGS, seed=1), log=lambda *_, **__: None)
    assert not torch.equal(other.transformer.wte.weight, again.transformer.wte.weight)


def test_a_saved_model_is_one_that_loads(trained, tmp_path):
    model, tokens, _ = trained
    save_text_model(model, tmp_path / "mini", SETTINGS, tokens)
    loaded, report = AutoModel.from_pretrained(tmp_path / "mini", output_loading_info=True)
    assert isinstance(loaded, GPT2Model)
    assert not report["missing_keys"]
    torch.testing.assert_close(
        loaded.float().wte.weight, model.transformer.wte.weight, atol=1e-3, rtol=1e-3
    )
    assert AutoTokenizer.from_pretrained(tmp_path / "mini")("cat").input_ids[1] == tokens["cat"]
    record = json.loads((tmp_path / "mini/provenance.json").read_text())
    assert record["data"] == "text of synthetic stories"
    assert json.loads(record["parameters"])["words"] == 12


def test_the_miniature_takes_less_than_four_megabytes(lexicon):
    n_words = len(vocabulary([*lexicon.words, *lexicon.other_words]))
    assert 2 * random_model(TextSettings(), n_words).num_parameters() < 3.9e6
