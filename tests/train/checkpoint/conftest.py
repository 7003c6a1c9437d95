"""What the tests of checkpoints share."""

import pytest


@pytest.fixture
def file(tmp_path):
    return tmp_path / "file.safetensors"
