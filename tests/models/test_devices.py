"""One GPU a run, and none twice."""

from types import SimpleNamespace

import pytest
import torch

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


@pytest.mark.parametrize("has", [False, True])
def test_bfloat16_is_computed_where_the_processor_has_it(monkeypatch, has):
    """Without instructions for it, PyTorch takes 60 times as long as in float32."""
    monkeypatch.setattr(devices, "_cpu_has_bfloat16", lambda: has)
    cpu, gpu = torch.device("cpu"), torch.device("cuda")
    assert devices.arithmetic("float32", cpu) == devices.arithmetic("float32", gpu) == torch.float32
    assert devices.arithmetic("bfloat16", gpu) == torch.bfloat16
    expected = torch.bfloat16 if has else torch.float32
    assert devices.arithmetic("bfloat16", cpu) == expected
    with devices.autocast("bfloat16", cpu):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == expected
    with devices.autocast("float32", cpu):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32


def test_what_a_processor_has_is_asked_of_its_library():
    """Of x86, all processors with AVX-512 have products in bfloat16, or convert to them quickly."""
    avx512 = torch.cpu._is_avx512_supported()
    assert devices._cpu_has_bfloat16() or not avx512
