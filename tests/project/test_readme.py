"""The programs of the README and the guides run; the first one prints what the README says."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from needs import lacks_jax

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", README, re.DOTALL)


def run(program, folder):
    (folder / "example.py").write_text(program, encoding="utf-8")
    missing = "ignore:the gradient is None"  # the first program asks for such a gradient
    command = [sys.executable, "-W", "error", "-W", missing, "example.py"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_first_program(tmp_path):
    (_, program), (_, expected) = BLOCKS[:2]
    done = run(program, tmp_path)
    assert done.stdout == expected, done.stderr


def test_why_says_what_the_readme_says(tmp_path):
    (_, program), (_, printed), (_, expected) = BLOCKS[:3]
    (tmp_path / "example.py").write_text(program, encoding="utf-8")
    command = [sys.executable, "-m", "headgate.cli", "why", "example.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    report = done.stdout.removeprefix(printed).partition("\n")[2]  # below the rule
    assert report == expected.partition("\n")[2]


def test_other_programs(tmp_path):
    programs = [text for language, text in BLOCKS[2:] if language == "python"]
    assert programs
    for program in programs:
        if lacks_jax(program):
            continue
        done = run(program, tmp_path)
        assert done.returncode == 0, done.stderr


PYTORCH = ROOT / "docs" / "why-pytorch.md"
WRONG = (ROOT / "docs").glob("why-*.md")  # their programs are wrong: tests/peers has them
GUIDES = sorted({*(ROOT / "docs").glob("*.md")} - {*WRONG})


def test_why_says_of_a_pytorch_program_what_the_guide_says():
    (said,) = (text for _, text in BLOCKS if text.startswith("$ headgate why train.py\n"))
    assert f"```text\n{said.partition(chr(10))[2]}```" in PYTORCH.read_text(encoding="utf-8")


@pytest.mark.parametrize("guide", GUIDES, ids=lambda path: path.stem)
def test_programs_of_a_guide_run_one_after_the_other(guide, tmp_path):
    blocks = re.findall(r"```python\n(.*?)```", guide.read_text(encoding="utf-8"), re.DOTALL)
    program = "\n".join(blocks)
    if lacks_jax(program):
        pytest.skip("jax is not installed")
    done = run(program, tmp_path)
    assert done.returncode == 0, done.stderr
