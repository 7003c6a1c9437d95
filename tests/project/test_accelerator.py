"""`make test-gpu` says why it tests nothing where JAX has only a CPU."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_it_is_skipped_with_a_sentence_on_a_cpu():
    pytest.importorskip("jax")
    done = subprocess.run(
        [sys.executable, "tests/accelerator.py"],
        cwd=ROOT,
        env={**os.environ, "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Skipped: JAX has only a CPU here")
    assert done.stdout.count("\n") == 1
