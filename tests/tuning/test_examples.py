import copy
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import gamma
from tiny_models import standardized
from transformers import HubertModel

from bthelpers.core.timing import SAMPLE_RATE, TR, response_times
from bthelpers.models.speech import SpeechEncoder
from bthelpers.params.loading import load
from bthelpers.simulation.miniatures.speech import miniature_config
from bthelpers.tuning import examples as module
from bthelpers.tuning.examples import (
    Examples,
    TuningStory,
    all_sounds,
    permute_blocks,
    pooled_features,
    read_stories,
)

SETTINGS = load(Path(__file__).parents[2] / "params" / "smoke.yaml").tuning
WINDOW = replace(SETTINGS, sharing="window", pooling="mean", window=4.0)
CHUNK = replace(WINDOW, sharing="chunk", chunk_trs=4)
LENGTHS = (9, 1, 22)  # response rows of the stories
FIRST = 10 * TR - 10  # s, time of the first row


def tiny_model():
    config = miniature_config()
    config.update(
        {"num_hidden_layers": 2, "hidden_size": 32, "intermediate_size": 48, "conv_dim": (8,) * 5}
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return HubertModel(config).eval()


def story(n_rows, n_voxels=3, seconds_after=0.0):
    rng = np.random.default_rng(n_rows)
    times = response_times(n_rows + 20)
    n_samples = round((times[-1] + seconds_after) * SAMPLE_RATE)
    waveform = rng.normal(size=n_samples).astype(np.float32)
    responses = rng.normal(size=(n_rows, n_voxels)).astype(np.float32)
    return TuningStory(f"story{n_rows}", waveform, times, responses)


@pytest.fixture(scope="module")
def encoder():
    return SpeechEncoder(tiny_model())


@pytest.fixture(scope="module")
def stories():
    return [story(n) for n in LENGTHS]


@pytest.fixture(scope="module")
def by_window(encoder, stories):
    return Examples(encoder, stories, WINDOW)


@pytest.fixture(scope="module", params=["mean", "hrf"])
def by_chunk(encoder, stories, request):
    return Examples(encoder, stories, replace(CHUNK, pooling=request.param))


def test_features_are_the_same_where_fewer_fit_the_device(encoder, stories, monkeypatch, capsys):
    examples, pool = Examples(encoder, stories, WINDOW), module.pool
    expected = pooled_features(encoder, examples)

    def few(encoder, examples, batch, precision):
        if len(batch) > 4:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return pool(encoder, examples, batch, precision)

    monkeypatch.setattr(module, "pool", few)
    for _ in range(2):
        torch.testing.assert_close(pooled_features(encoder, examples), expected)
    assert capsys.readouterr().err.count("WARNING: the GPU has no memory") == 1


@cache
def tokens_of_row(encoder, row, window=4.0):
    """Tokens whose sound lies before a TR: the last one, and so many that a window holds."""
    stop_sample = round((FIRST + row * TR) * SAMPLE_RATE)
    ends = [k for k in range(2_000) if k * encoder.hop + encoder.receptive_field <= stop_sample]
    n_tokens = 1 + (round(window * SAMPLE_RATE) - encoder.receptive_field) // encoder.hop
    return ends[-n_tokens:]


def test_by_window_each_tr_is_pooled_over_the_sound_before_it(encoder, stories, by_window):
    direct = tiny_model()
    segments = by_window.segments([0, 0, 0])
    assert len(segments) == sum(LENGTHS)
    for segment in segments[:3] + segments[-2:]:
        [row] = segment.rows
        tokens = tokens_of_row(encoder, row)
        sound = stories[segment.story].waveform
        first, last = tokens[0] * encoder.hop, tokens[-1] * encoder.hop + encoder.receptive_field
        assert 0 <= round((FIRST + row * TR) * SAMPLE_RATE) - last < encoder.hop
        with torch.no_grad():
            frames = by_window.window(segment)[None]
            pooled = by_window.pooling(segment)[:, 0] @ encoder.tokens(frames, frames.shape[2])[0]
            samples = torch.from_numpy(standardized(sound)[first:last])
            expected = direct(samples[None]).last_hidden_state[0].mean(dim=0)
        torch.testing.assert_close(pooled[0], expected, atol=1e-5, rtol=1e-4)


@settings(max_examples=30)
@given(st.tuples(*(st.integers(0, 3) for _ in LENGTHS)))
def test_chunks_cover_every_tr_exactly_once(by_chunk, offsets):
    segments = by_chunk.segments(offsets)
    for number, (n_rows, offset) in enumerate(zip(LENGTHS, offsets, strict=True)):
        rows = [s.rows for s in segments if s.story == number]
        np.testing.assert_array_equal(np.concatenate(rows), np.arange(n_rows))
        assert all(len(r) == 4 for r in rows[1:-1])
        assert len(rows[0]) == min(offset or 4, n_rows)
    lengths: dict[int, int] = {}
    for s in segments:
        assert 0 <= s.start < s.stop <= by_chunk.frames[s.story].n_frames
        if s.start > 0:  # segments of as many TRs make one batch
            assert lengths.setdefault(len(s.rows), s.stop - s.start) == s.stop - s.start


@settings(max_examples=30)
@given(st.tuples(*(st.integers(0, 3) for _ in LENGTHS)))
def test_chunks_pool_the_tokens_of_each_window(encoder, by_chunk, offsets):
    for segment in by_chunk.segments(offsets):
        weights = by_chunk.pooling(segment).numpy()
        assert weights.shape == (len(segment.rows), 1, segment.stop - segment.start)
        np.testing.assert_allclose(weights.sum(axis=2), 1, rtol=1e-5)
        for row, weight in zip(segment.rows, weights[:, 0], strict=True):
            tokens = tokens_of_row(encoder, row)
            np.testing.assert_array_equal(segment.start + np.flatnonzero(weight), tokens)


def test_a_chunk_of_one_tr_is_its_window(encoder, stories, by_window):
    chunks = Examples(encoder, stories, replace(CHUNK, chunk_trs=1))
    for one, other in zip(chunks.segments([0] * 3), by_window.segments([0] * 3), strict=True):
        assert (one.story, one.start, one.stop) == (other.story, other.start, other.stop)
        torch.testing.assert_close(chunks.pooling(one), by_window.pooling(other))


def test_weights_follow_the_haemodynamic_response(encoder, stories):
    """A token counts by its age, in the middle of its hop; those beyond the undershoot do not."""
    examples = Examples(encoder, stories, replace(WINDOW, window=20.0, pooling="hrf"))
    segment = examples.segments([0] * 3)[-1]
    [[weights]] = examples.pooling(segment).numpy()
    ages = (np.arange(len(weights))[::-1] + 0.5) * encoder.hop / SAMPLE_RATE
    expected = np.maximum(gamma.pdf(ages, 6) - gamma.pdf(ages, 16) / 6, 0)
    np.testing.assert_allclose(weights, expected / expected.sum(), atol=1e-6)
    assert ages[weights.argmax()] == pytest.approx(5, abs=0.05)
    assert (weights[ages > 13] == 0).all()
    assert weights.dtype == np.float32


def test_delays_are_pooled_each_by_itself(encoder, stories):
    """Tokens count by how near they are to a delay; what lies before the sound counts nothing."""
    examples = Examples(encoder, stories, replace(WINDOW, window=10.1, pooling="delays"))
    for segment in (examples.segments([0] * 3)[k] for k in (0, -1)):
        [weights] = examples.pooling(segment).numpy()
        n_tokens = segment.stop - segment.start
        ages = (np.arange(n_tokens)[::-1] + 0.5) * encoder.hop / SAMPLE_RATE
        assert weights.shape == (4, n_tokens)
        for delay, of_delay in enumerate(weights, start=1):
            x = (ages - delay * TR) / TR
            lobe = np.where(np.abs(x) < 1, np.sinc(x) * np.sinc(x / 3), 0)
            np.testing.assert_allclose(of_delay, lobe / (lobe.sum() or 1), atol=1e-6)
    features = pooled_features(encoder, examples)
    assert features.shape == (sum(LENGTHS), 4 * encoder.hidden_size)
    first = replace(WINDOW, window=10.1, pooling="mean")
    assert pooled_features(encoder, Examples(encoder, stories, first)).shape[1] == 32


def test_a_window_without_a_whole_delay_is_an_error(encoder, stories):
    with pytest.raises(ValueError, match=r"4 s hold no delay.*name 4\.01 s or more"):
        Examples(encoder, stories, replace(WINDOW, window=4.0, pooling="delays"))


def test_another_participant_heard_some_of_the_sound(by_chunk, stories):
    other = replace(stories[1], responses=stories[1].responses + 1)
    examples = by_chunk.of([other])
    segments = by_chunk.segments([0, 0, 0])
    heard = examples.heard(segments)
    assert [s.story for s in segments] != [s.story for s in heard]
    assert {s.story for s in heard} == {1}
    torch.testing.assert_close(examples.responses(heard), by_chunk.responses(heard) + 1)
    assert by_chunk.heard(segments) == segments


def test_each_sound_is_there_once(stories):
    one, two, three = stories
    assert all_sounds({"A": [one, two], "B": [two, three]}) == [one, two, three]


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda story: {"times": story.times + 0.1}, "the TRs of B are not"),
        (lambda story: {"waveform": -story.waveform}, "the sounds of B are not"),
    ],
)
def test_stories_of_one_name_that_differ_are_an_error(stories, change, match):
    other = replace(stories[0], **change(stories[0]))
    with pytest.raises(ValueError, match=match):
        all_sounds({"A": stories, "B": [other]})
    with pytest.raises(ValueError, match="A: a story is there twice"):
        all_sounds({"A": [stories[0], other]})


def test_windows_of_early_trs_begin_with_the_sound(encoder, stories):
    examples = Examples(encoder, stories, replace(WINDOW, window=16.0))
    segment = examples.segments([0] * 3)[0]
    assert segment.start == 0
    np.testing.assert_array_equal(np.arange(segment.stop), tokens_of_row(encoder, 0, window=16.0))
    np.testing.assert_allclose(examples.pooling(segment).numpy(), 1 / segment.stop, rtol=1e-5)


def test_responses_are_those_of_the_segments(by_chunk, stories):
    segments = by_chunk.segments([3, 0, 1])
    batch = [segments[k] for k in (-1, 0, 3)]
    expected = np.concatenate([stories[s.story].responses[s.rows] for s in batch])
    np.testing.assert_array_equal(by_chunk.responses(batch).numpy(), expected)


def test_a_sound_shorter_than_its_responses_is_an_error(encoder, stories):
    good = story(9)
    Examples(encoder, [good], WINDOW)
    short = replace(good, waveform=good.waveform[: -encoder.hop])
    with pytest.raises(
        ValueError, match=r"story 'story9': the sound ends .* 26\.1 s; check its wav"
    ):
        Examples(encoder, [stories[0], short], WINDOW)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_responses_that_are_not_finite_are_an_error(bad):
    good = story(9)
    responses = good.responses.copy()
    responses[3, 1] = bad
    with pytest.raises(ValueError, match=r"story 'story9': NaN .* mask those voxels first"):
        replace(good, responses=responses)


def test_a_story_of_one_response_may_come_first(encoder, stories):
    examples = Examples(encoder, stories[1:], CHUNK)
    assert [len(s.rows) for s in examples.segments([0, 0])] == [1, 4, 4, 4, 4, 4, 2]


def test_rows_that_do_not_match_the_trs_are_an_error():
    good = story(9)
    with pytest.raises(ValueError, match="story 'story9': 8 response rows, 9 TRs"):
        replace(good, responses=good.responses[:-1])


@given(st.integers(6, 60), st.integers(1, 5), st.integers(0, 2**32))
def test_no_block_of_responses_keeps_its_place(n_rows, block, seed):
    rows = np.arange(n_rows, dtype=np.float32)[:, None]
    original = TuningStory("story", np.zeros(1, np.float32), np.arange(n_rows), rows)
    permuted = permute_blocks(original, block, np.random.default_rng(seed)).responses[:, 0]
    assert sorted(permuted) == list(range(n_rows))
    starts = list(range(0, n_rows, block))
    position, order = 0, []
    while position < n_rows:  # rows keep their order within a block
        start = int(permuted[position])
        length = min(block, n_rows - start)
        np.testing.assert_array_equal(
            permuted[position : position + length], start + np.arange(length)
        )
        order.append(starts.index(start))
        position += length
    assert all(place != block_number for place, block_number in enumerate(order))


def test_permuting_changes_nothing_but_the_order_of_responses(stories):
    original = copy.deepcopy(stories[2])
    permuted = permute_blocks(stories[2], 5, np.random.default_rng(0))
    np.testing.assert_array_equal(stories[2].responses, original.responses)
    np.testing.assert_array_equal(permuted.waveform, original.waveform)
    np.testing.assert_array_equal(permuted.times, original.times)
    assert not np.array_equal(permuted.responses, original.responses)


class OneStory:
    """Stands for a dataset."""

    def waveform(self, story, rate):
        return np.full(rate, 0.5, np.float32)

    def response_times(self, story):
        return response_times(29)

    def responses(self, participant, story, voxels):
        rng = np.random.default_rng(len(participant + story))
        return rng.normal(5, 2, (9, 8)).astype(np.float32)[:, voxels]


def test_stories_are_read_standardised_one_by_one():
    voxels = np.arange(8) > 4
    first, second = read_stories(OneStory(), "SIM01", ["a", "longer"], voxels)
    assert (first.name, second.name) == ("a", "longer")
    for read in (first, second):
        raw = OneStory().responses("SIM01", read.name, voxels)
        np.testing.assert_allclose(
            read.responses, (raw - raw.mean(axis=0)) / raw.std(axis=0), atol=1e-5
        )
        assert read.responses.dtype == np.float32
        np.testing.assert_array_equal(read.times, response_times(29))


def test_pooled_features_come_story_after_story(encoder, stories, by_window):
    chunks = Examples(encoder, stories, CHUNK)
    features, shared = (pooled_features(encoder, examples) for examples in (by_window, chunks))
    assert features.shape == shared.shape == (sum(LENGTHS), 32)
    assert not torch.equal(features, shared)
    naive = []
    for story, token_windows in enumerate(by_window.windows):
        for start, stop in token_windows:
            with torch.no_grad():
                window = by_window.frames[story].window(start, stop)[None]
                states = encoder.tokens(window, stop - start)
            naive.append(states[0].mean(dim=0))
    torch.testing.assert_close(features, torch.stack(naive), atol=1e-5, rtol=1e-4)
