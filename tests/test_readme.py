"""The README's programs run, and the first one prints what the README says."""

import re
import subprocess
import sys
from pathlib import Path

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", README, re.DOTALL)


def run(program, folder):
    (folder / "example.py").write_text(program, encoding="utf-8")
    command = [sys.executable, "-W", "error", "example.py"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_first_program(tmp_path):
    (_, program), (_, expected) = BLOCKS[:2]
    done = run(program, tmp_path)
    assert done.stdout == expected, done.stderr


def test_other_programs(tmp_path):
    programs = [text for language, text in BLOCKS[2:] if language == "python"]
    assert programs
    for program in programs:
        done = run(program, tmp_path)
        assert done.returncode == 0, done.stderr
