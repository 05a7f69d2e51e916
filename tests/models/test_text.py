import json

import numpy as np
import pytest
import torch
from tiny_models import tiny_extractor, tiny_model
from tokenizers import AddedToken
from tokenizers.processors import ByteLevel
from transformers import (
    GPT2Config,
    GPT2Model,
    GPT2Tokenizer,
    WhisperTokenizer,
)

from bthelpers.core.timing import SAMPLE_RATE
from bthelpers.models.loading import ModelError, explained
from bthelpers.models.text import TextReader, WhisperDecoder
from bthelpers.simulation.miniatures.text import vocabulary, word_tokenizer

WORDS = ["cat", "dog", "don't", "saw", "the"]
TOKENS = vocabulary(WORDS)
SIZE = {"vocab_size": 2 + len(WORDS), "bos_token_id": 1, "eos_token_id": 0}


def tiny_gpt2(**changes):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = GPT2Config(n_layer=3, n_embd=8, n_head=2, n_positions=16, **(SIZE | changes))
        return GPT2Model(config)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Miniatures of both kinds, by their names."""
    root = tmp_path_factory.mktemp("models")
    whisper = tiny_model("whisper", **SIZE, decoder_layers=2, decoder_start_token_id=1)
    for name, model in (("gpt2", tiny_gpt2()), ("whisper", whisper)):
        model.save_pretrained(root / name)
        word_tokenizer(TOKENS).save_pretrained(root / name)
    tiny_extractor("whisper").save_pretrained(root / "whisper")
    return root


def read(kind, path, *options):
    with explained(str(path), None, "bthelpers.some_miniature") as where:
        return kind.load(str(path), "float32", *options, **where)


def byte_level(words, special):
    """Vocabulary and merges that make each word, with the blank before it, one token."""
    tokens, merges = {}, []
    for word in words:
        letters = ["\u0120", *word]
        for letter in letters:
            tokens.setdefault(letter, len(tokens))
        for k in range(1, len(letters)):
            pair = ("".join(letters[:k]), letters[k])
            tokens.setdefault("".join(pair), len(tokens))
            if pair not in merges:
                merges.append(pair)
    return tokens | {name: len(tokens) + k for k, name in enumerate(special)}, merges


def test_gpt2_begins_with_its_end_of_text(tmp_path):
    tokens, merges = byte_level(WORDS, ["<|endoftext|>"])
    end = tokens["<|endoftext|>"]
    changes = {"vocab_size": len(tokens), "bos_token_id": end, "eos_token_id": end}
    tiny_gpt2(**changes).save_pretrained(tmp_path)
    GPT2Tokenizer(tokens, merges).save_pretrained(tmp_path)
    reader = read(TextReader, tmp_path, 1)
    assert reader.beginning == [end]
    assert reader.unknown({"cat"}) == []
    expected = [*(tokens[letter] for letter in "cat"), tokens["\u0120dog"]]
    direct = tiny_gpt2(**changes).eval()
    with torch.no_grad():
        states = direct(torch.tensor([[end, *expected]]), output_hidden_states=True).hidden_states
    expected = np.concatenate([state[0, 1:].mean(dim=0).numpy() for state in states[1:]])
    np.testing.assert_allclose(reader.represent(["cat dog"], [])[0], expected, atol=1e-5)


def test_a_text_without_tokens_is_an_error_and_no_mean_of_nothing(tmp_path, monkeypatch):
    tokens, merges = byte_level(WORDS, ["<|endoftext|>"])
    tiny_gpt2(vocab_size=len(tokens)).save_pretrained(tmp_path)
    GPT2Tokenizer(tokens, merges).save_pretrained(tmp_path)
    reader = read(TextReader, tmp_path, 1)
    monkeypatch.setattr(reader, "_tokens", lambda texts: [[1] * ("cat" in one) for one in texts])
    assert reader.unknown({"cat", "dog"}) == ["dog"]
    with pytest.raises(ModelError, match=r"has no token for 'dog': copy the model's folder again"):
        reader.represent(["cat", "dog"], [])


def test_whisper_is_told_to_transcribe_english(tmp_path):
    told = ["<|startoftranscript|>", "<|en|>", "<|transcribe|>", "<|notimestamps|>"]
    tokens, merges = byte_level(WORDS, ["<|endoftext|>", *told])
    end = tokens["<|endoftext|>"]
    changes = {"vocab_size": len(tokens), "pad_token_id": end, "eos_token_id": end}
    model = tiny_model("whisper", **changes, bos_token_id=end, decoder_start_token_id=end + 1)
    model.save_pretrained(tmp_path)
    tiny_extractor("whisper").save_pretrained(tmp_path)
    special = [AddedToken(name, special=True) for name in told]
    WhisperTokenizer(tokens, merges, extra_special_tokens=special).save_pretrained(tmp_path)
    decoder = read(WhisperDecoder, tmp_path)
    assert decoder.beginning == [tokens[name] for name in told]
    sound = np.random.default_rng(0).normal(size=SAMPLE_RATE).astype(np.float32)
    given = [*decoder.beginning, tokens["\u0120the"], tokens["\u0120cat"]]
    features = tiny_extractor("whisper")(sound, sampling_rate=SAMPLE_RATE, return_tensors="pt")
    with torch.no_grad():
        states = model(
            features.input_features,
            decoder_input_ids=torch.tensor([given]),
            output_hidden_states=True,
        ).decoder_hidden_states
    np.testing.assert_allclose(
        decoder.represent(["the cat"], [sound])[0], states[1][0, 4:].mean(dim=0), atol=1e-5
    )


def test_a_model_of_another_kind_is_an_error(folder, tmp_path):
    with pytest.raises(ModelError, match="gpt2 cannot be loaded: a gpt2 is no Whisper"):
        read(WhisperDecoder, folder / "gpt2")
    tiny_model("hubert").save_pretrained(tmp_path)
    for path, kind in [(tmp_path, "hubert"), (folder / "whisper", "whisper")]:
        with pytest.raises(ModelError, match=f"cannot be loaded: a {kind} is no text model"):
            read(TextReader, path, 1)


def test_a_tokenizer_without_a_beginning_is_an_error(tmp_path):
    tiny_gpt2().save_pretrained(tmp_path)
    tokenizer = word_tokenizer(TOKENS)
    tokenizer.backend_tokenizer.post_processor = ByteLevel()
    tokenizer.bos_token = None
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="no token that a text begins with"):
        read(TextReader, tmp_path, 1)


@pytest.mark.parametrize("kind", ["gpt2", "whisper"])
def test_a_folder_without_a_tokenizer_is_an_error(kind, folder, tmp_path):
    for file in (folder / kind).iterdir():
        if "tokenizer" not in file.name:
            (tmp_path / file.name).write_bytes(file.read_bytes())
    kinds = {"whisper": (WhisperDecoder,), "gpt2": (TextReader, 1)}
    reader, *options = kinds[kind]
    with pytest.raises(ModelError, match=r"it has no tokenizer \(tokenizer\.json is missing"):
        read(reader, tmp_path, *options)


def test_weights_that_do_not_fit_their_configuration_are_an_error(folder, tmp_path):
    for file in (folder / "gpt2").iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"n_layer": 4}))
    with pytest.raises(ModelError, match=r"\d+ are missing, such as h\.3"):
        read(TextReader, tmp_path, 1)
    (tmp_path / "model.safetensors").write_bytes(b"cut off")
    with pytest.raises(ModelError, match=f"{tmp_path} cannot be loaded"):
        read(TextReader, tmp_path, 1)
