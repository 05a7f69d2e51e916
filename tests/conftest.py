"""Fixtures that several test modules share. Imports are local: those of torch take seconds."""

import os
import shutil
from pathlib import Path

import hypothesis
import pytest

hypothesis.settings.register_profile("no deadline", deadline=None)  # machines may be busy
hypothesis.settings.load_profile("no deadline")
os.environ["HF_HUB_OFFLINE"] = "1"  # tests never touch the network
LEXICONS = Path(__file__).parents[1] / "params" / "lexicons"


@pytest.fixture(scope="session")
def browser_type_launch_args():
    """Have pytest-playwright start Debian's Chromium."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("no chromium: pages are not tested in a browser (apt-get install chromium)")
    return {"executable_path": chromium, "args": ["--no-sandbox"]}


@pytest.fixture
def bfloat16(monkeypatch):
    """Have bfloat16 computed as such, also where the processor is slow at it."""
    from bthelpers.models import devices

    monkeypatch.setattr(devices, "_cpu_has_bfloat16", lambda: True)


@pytest.fixture(scope="session")
def small_spec():
    """Two participants of about 3,000 voxels, four stories; ``story04`` is the test story."""
    from bthelpers.params.simulation import SimulationSpec

    return SimulationSpec(
        lexicon=str(LEXICONS / "english.yaml"),
        participants=2,
        training_stories=2,
        validation_stories=1,
        minutes_train=1.2,
        minutes_validation=1.2,
        minutes_test=2.0,
        repeats=10,
        voxel_size_mm=8.0,
    )


@pytest.fixture(scope="session")
def small_dataset(small_spec, tmp_path_factory):
    """The simulated Dataset of `small_spec` with seed 0. To be read only: copy it to break it."""
    from bthelpers.data.dataset import Dataset
    from bthelpers.simulation.participants import make_dataset

    root = tmp_path_factory.mktemp("small") / "dataset"
    make_dataset(root, small_spec, seed=0)
    return Dataset(root)


@pytest.fixture(scope="session")
def tiny_encoder_folder(tmp_path_factory):
    """Folder of a HuBERT of two layers with random weights, as `SpeechEncoder.save` writes it."""
    import torch
    from transformers import HubertModel

    from bthelpers.models.speech import SpeechEncoder
    from bthelpers.simulation.miniatures.speech import miniature_config

    config = miniature_config()
    config.num_hidden_layers = 2
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = HubertModel(config)
    folder = tmp_path_factory.mktemp("encoder") / "tiny"
    SpeechEncoder(model.eval()).save(folder, {"data": "none: random weights"})
    return folder
