from pathlib import Path

import pytest

from bthelpers.params.loading import load
from bthelpers.params.schema import ParameterError

PARAMS = Path(__file__).parents[3] / "params"


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("dataset.recording.rate", 100, r"encoding.delays: 0.0625 s lies between two samples"),
        ("encoding.delays", None, r"encoding.delays: must be given, in seconds"),
        ("dataset.regions", None, r"dataset.regions: must name a table of electrodes"),
        ("dataset.cache", "kept", r"dataset.cache: must be null"),
        ("representation.stride", 0.1, r"representation.stride: must be at most 0.015625 s"),
        ("tuning.pooling", "hrf", r"tuning.pooling: must be mean"),
        ("evaluations", ["impact", "alignment"], r"models: must do without impact"),
        ("evaluations", ["minutes", "transfer"], r"models: must do without minutes, transfer"),
        ("conditions", ["jointly-tuned"], r"models: must do without jointly-tuned"),
    ],
)
def test_settings_that_do_not_go_with_recordings(key, value, message):
    with pytest.raises(ParameterError, match=message):
        load(PARAMS / "eeg.yaml", {key: value})


def test_delays_in_seconds_are_samples():
    profile = load(PARAMS / "eeg.yaml", {"encoding.delays": [0.125, 0.25]})
    assert profile.encoding.sampled(profile.dataset.interval).fir_delays == (8, 16)
    of_volumes = load(PARAMS / "demo.yaml", {"encoding.delays": [2.0045, 4.009]})
    assert of_volumes.encoding.sampled(of_volumes.dataset.interval).fir_delays == (1, 2)
    plain = load(PARAMS / "demo.yaml")
    assert plain.encoding.sampled(plain.dataset.interval) is plain.encoding
