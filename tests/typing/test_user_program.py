"""Types, as users meet them: pyright finds no error in their program, and finds what is wrong.

basedpyright is pyright with the Node that it runs on, all from PyPI. Both files are judged in the
strict mode of pyright itself, by the types that Headgate ships.
"""

import ast
import importlib.util
import json
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

import headgate as hg
from headgate.ops import operators

HERE = Path(__file__).parent
PROGRAMS = [str(path) for path in sorted(HERE.glob("*_program.py")) if "test" not in path.name]
SOURCE = Path(hg.__file__).parents[1]


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """Return the line and the text of each error that pyright finds, by file."""
    if importlib.util.find_spec("basedpyright") is None:
        pytest.skip("basedpyright is not installed")
    settings = tmp_path_factory.mktemp("pyright") / "pyrightconfig.json"
    choice = {"typeCheckingMode": "strict", "extraPaths": [str(SOURCE)], "include": PROGRAMS}
    settings.write_text(json.dumps(choice), encoding="utf-8")
    command = [sys.executable, "-m", "basedpyright", "--outputjson", "--project", settings]
    command += ["--pythonpath", sys.executable]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr
    errors = {Path(path).name: [] for path in PROGRAMS}
    for part in json.loads(done.stdout)["generalDiagnostics"]:
        place = part["range"]["start"]["line"] + 1, part["message"]
        errors[Path(part["file"]).name].append(place)
    return errors


def test_a_users_program_has_no_error(found):
    assert found["user_program.py"] == []


def test_what_is_wrong_is_found(found):
    text = (HERE / "wrong_program.py").read_text(encoding="utf-8")
    wrong = {k for k, line in enumerate(text.splitlines(), 1) if line.endswith("  # wrong")}
    assert {line for line, _ in found["wrong_program.py"]} == wrong


@pytest.mark.peers
@pytest.mark.filterwarnings("ignore::headgate.MissingGradientWarning")
def test_the_users_program_runs(capsys):
    runpy.run_path(str(HERE / "user_program.py"))
    assert "(2, 3)" in capsys.readouterr().out


def test_what_is_attached_has_a_type():
    class Empty:
        pass

    before = set(vars(Empty))
    operators.attach(Empty)
    text = (SOURCE / "headgate/ops/attached.pyi").read_text(encoding="utf-8")
    (declared,) = (part for part in ast.parse(text).body if isinstance(part, ast.ClassDef))
    assert {part.name for part in declared.body} == set(vars(Empty)) - before
