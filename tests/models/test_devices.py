"""One GPU a run, and none twice."""

from types import SimpleNamespace

import pytest

from bthelpers.models import devices


@pytest.fixture
def two_gpus(monkeypatch, tmp_path):
    monkeypatch.setattr(devices.torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(
        devices.torch.cuda, "get_device_properties", lambda index: SimpleNamespace(uuid=f"u{index}")
    )
    monkeypatch.setattr(devices.torch.cuda, "set_device", lambda index: None)
    monkeypatch.setattr(devices.tempfile, "gettempdir", lambda: str(tmp_path))
    held = []
    monkeypatch.setattr(devices, "_held", held)
    yield
    for file in held:
        file.close()


def test_each_run_has_a_gpu_of_its_own(two_gpus):
    assert [str(devices.claim_device()) for _ in range(2)] == ["cuda:0", "cuda:1"]
    with pytest.raises(RuntimeError, match=r"all 2 GPUs are in use.*GPUS=2"):
        devices.claim_device()
    devices._held.pop(0).close()  # the first run ends
    assert str(devices.claim_device()) == "cuda:0"


def test_without_a_gpu_runs_use_the_cpu(monkeypatch):
    monkeypatch.setattr(devices.torch.cuda, "device_count", lambda: 0)
    assert [str(devices.claim_device()) for _ in range(3)] == ["cpu"] * 3
