"""The wheel installs into an empty environment, and importing it imports no optional library."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import headgate

ROOT = Path(__file__).parents[2]
OPTIONAL = {"gymnasium", "jax", "matplotlib", "sklearn", "tensorflow", "torch"}


def run(*command: str | Path, cwd: Path, env: dict[str, str] | None = None) -> str:
    """Run a command and return what it printed; a failure shows that as well."""
    done = subprocess.run(
        command, cwd=cwd, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout}"
    return done.stdout


@pytest.mark.network
def test_wheel_works_in_an_empty_environment(tmp_path):
    # Without --wheel, build makes the wheel from the source distribution, which tests both.
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", tmp_path, ROOT, cwd=ROOT)
    (wheel,) = tmp_path.glob("headgate-*.whl")

    run(sys.executable, "-m", "venv", tmp_path / "venv", cwd=tmp_path)
    scripts = tmp_path / "venv" / ("Scripts" if os.name == "nt" else "bin")
    # The checkout must not be importable here, or the test would pass without the wheel.
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    run(scripts / "python", "-m", "pip", "install", "--quiet", wheel, cwd=tmp_path, env=env)

    code = "import headgate; print(headgate.__version__, headgate.__file__)"
    version, file = run(scripts / "python", "-c", code, cwd=tmp_path, env=env).split()
    package = Path(file).parent
    assert version == headgate.__version__
    assert tmp_path in package.parents
    assert (package / "py.typed").exists()

    help_text = run(scripts / "headgate", "--help", cwd=tmp_path, env=env)
    assert "demo" in help_text


@pytest.mark.parametrize("module", ["headgate", "headgate.tf", "headgate.cli"])
def test_import_leaves_optional_libraries_alone(module):
    code = f"import sys, {module}; print(*sorted({OPTIONAL} & set(sys.modules)))"
    assert run(sys.executable, "-c", code, cwd=ROOT).split() == []


def test_version_is_the_same_everywhere():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert headgate.__version__ == project["version"]
    assert f"## {headgate.__version__}" in changelog
