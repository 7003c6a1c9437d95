"""The `headgate` command: options, exit codes, and messages when something is missing."""

import subprocess
import sys

import pytest
from typer.testing import CliRunner

import headgate
from headgate import cli


def call(*arguments):
    return CliRunner().invoke(cli.app, list(map(str, arguments)))


def test_version():
    result = call("--version")
    assert result.exit_code == 0
    assert result.output == f"headgate {headgate.__version__}\n"


@pytest.mark.parametrize("arguments", [(), ("--help",), ("-h",)])
def test_help_names_the_commands(arguments):
    assert "demo" in call(*arguments).output


def test_main_runs_the_app(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["headgate", "--version"])
    with pytest.raises(SystemExit) as left:
        cli.main()
    assert left.value.code == 0
    assert capsys.readouterr().out == f"headgate {headgate.__version__}\n"


@pytest.mark.parametrize("missing", ["gymnasium", "matplotlib", "sklearn"])
def test_demo_names_what_to_install(tmp_path, missing):
    code = f"import sys; sys.modules[{missing!r}] = None; from headgate import cli; cli.main()"
    command = [sys.executable, "-c", code, "demo", "--quick", "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith(f"The examples need {missing}, which is not installed.")
    assert "pip install 'headgate[examples]'" in done.stderr


@pytest.fixture
def program(monkeypatch):
    """Put a demo that does nothing in the place of the real one."""
    module = pytest.importorskip("headgate.examples.demo", exc_type=ImportError)
    calls = []

    def run(out, seed, quick, console):
        calls.append((out, seed, quick))
        return run.shortfalls

    run.shortfalls, run.calls = [], calls
    monkeypatch.setattr(module, "run", run)
    return run


def test_demo_passes_its_options_on(program, tmp_path):
    result = call("demo", "--out", tmp_path / "new" / "folder", "--seed", 3, "--quick")
    assert result.exit_code == 0, result.output
    assert program.calls == [(tmp_path / "new" / "folder", 3, True)]


def test_demo_fails_if_it_falls_short(program, tmp_path):
    program.shortfalls = ["example 2: learned [nothing]"]
    result = call("demo", "--out", tmp_path)
    assert result.exit_code == 1
    assert "example 2: learned [nothing]" in result.output


@pytest.mark.parametrize("below", ["", "folder"])
def test_demo_refuses_a_folder_it_cannot_make(program, tmp_path, below):
    (tmp_path / "file").write_text("")
    result = call("demo", "--out", tmp_path / "file" / below)
    assert result.exit_code == 2
    assert program.calls == []
    assert "file" in result.output


def test_demo_refuses_a_negative_seed(program, tmp_path):
    result = call("demo", "--out", tmp_path, "--seed", -1)
    assert result.exit_code == 2
    assert program.calls == []
