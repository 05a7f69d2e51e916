"""A profile to break."""

from pathlib import Path

import pytest
import yaml

from bthelpers.params.loading import load
from bthelpers.params.schema import ParameterError

PARAMS = Path(__file__).parents[2] / "params"


@pytest.fixture
def demo(tmp_path):
    """A copy of the demo profile's content, and a function that writes a changed one."""
    content = yaml.safe_load((PARAMS / "demo.yaml").read_text())

    def write(change=None, name="demo.yaml"):
        if change is not None:
            change(content)
        path = tmp_path / name
        path.write_text(yaml.safe_dump(content))
        return path

    return write


@pytest.fixture
def error_of():
    """The message of the error that loading a profile ends with."""

    def message(path, overrides=None):
        with pytest.raises(ParameterError) as caught:
            load(path, overrides)
        return str(caught.value)

    return message
