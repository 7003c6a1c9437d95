"""The pytest plugin, in runs of its own: what a failed flow assertion shows."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import headgate

PLUGIN = "headgate_pytest"
SOURCE = Path(headgate.__file__).parents[1]

CUT = """
    import headgate as hg
    from headgate.testing import assert_flow

    def test_cut():
        w, v = hg.Variable(1.0, name="w"), hg.Variable(2.0, name="v")
        with hg.GradientTape():
            y = hg.stop_gradient(w) * v
        assert_flow(y, [w, v])
"""


@pytest.fixture
def run(tmp_path):
    """Return a function that runs pytest on a program and returns its exit status and output.

    An installed package that names the plugin as Headgate's own does is put on the path, so the
    plugin is loaded in the same way whether or not Headgate itself is installed.
    """
    named = tmp_path / "installed" / "headgate_as_installed-1.0.dist-info"
    named.mkdir(parents=True)
    (named / "METADATA").write_text("Metadata-Version: 2.1\nName: headgate-as-installed\n")
    (named / "entry_points.txt").write_text(f"[pytest11]\nheadgate = {PLUGIN}\n")
    path = os.pathsep.join([str(named.parent), str(SOURCE), os.environ.get("PYTHONPATH", "")])

    def run(program, *options):
        (tmp_path / "test_program.py").write_text(textwrap.dedent(program), encoding="utf-8")
        found = subprocess.run(
            [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options, "test_program.py"],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": path, "PYTEST_ADDOPTS": ""},
            capture_output=True,
            text=True,
            timeout=120,
        )
        return found.returncode, found.stdout + found.stderr

    return run


def test_a_failed_flow_assertion_shows_the_report(run):
    status, output = run(CUT)
    assert status == 1
    _, section = output.split(" gradient flow ")
    assert "w: cut" in section
    assert "stop_gradient at test_program.py:8: y = hg.stop_gradient(w) * v" in section
    assert "v: connected; gradient norm 1" in section


def test_a_run_without_the_plugin_fails_with_the_message_alone(run):
    status, output = run(CUT, "-p", "no:headgate")
    assert status == 1
    assert "gradient does not reach 1 of 2 sources" in output
    assert " gradient flow " not in output


@pytest.mark.parametrize("used", ["import headgate.testing", "import math"])
def test_other_failures_are_left_alone(run, used):
    status, output = run(f"{used}\ndef test_other():\n    assert 1 == 2")
    assert status == 1
    assert "assert 1 == 2" in output
    assert " gradient flow " not in output


def test_passing_tests_and_skips_are_left_alone(run):
    program = """
    import pytest
    import headgate.testing

    def test_passes():
        assert True

    def test_skips():
        pytest.skip("for a reason")
    """
    status, output = run(program)
    assert status == 0
    assert "1 passed, 1 skipped" in output


def test_the_plugin_does_not_import_the_assertions(run):
    program = f"""
    import sys

    def test_modules():
        assert {PLUGIN!r} in sys.modules
        assert "headgate.testing.flow" not in sys.modules
    """
    status, output = run(program)
    assert status == 0, output
