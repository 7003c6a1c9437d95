"""The page on continuous integration says what is so, and `llms.txt` leads to pages that exist."""

import json
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "ci.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", PAGE, re.DOTALL)
PROGRAM = next(text for language, text in BLOCKS if language == "python")
COMMANDS = sorted(
    {
        command
        for language, text in BLOCKS
        for command in re.findall(r"headgate why .*", text)
        if language in ("sh", "yaml")
    }
)
STATUS = {'headgate why --no-flow "encoder/*" train.py 2': 0}


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_of_the_page(command, tmp_path):
    (tmp_path / "train.py").write_text(PROGRAM, encoding="utf-8")
    words = [word.strip('"') for word in command.split()]
    call = [sys.executable, "-m", "headgate.cli", *words[1:]]
    done = subprocess.run(call, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == STATUS.get(command, 1), done.stdout + done.stderr
    for option, file in pairwise(words):
        if option in ("--sarif", "--json"):
            assert json.loads((tmp_path / file).read_text(encoding="utf-8"))
        if option == "--html":
            assert "</html>" in (tmp_path / file).read_text(encoding="utf-8")


def test_the_page_names_every_way_to_write_a_report():
    assert len(COMMANDS) == 4
    for option in ("--sarif", "--html", "--json", "--matrix", "--no-flow"):
        assert any(option in command for command in COMMANDS)


LLMS = (ROOT / "llms.txt").read_text(encoding="utf-8")


def test_llms_txt_has_its_form():
    lines = LLMS.splitlines()
    assert lines[0] == "# Headgate"
    assert lines[2].startswith("> ")
    sections = re.findall(r"^## (.*)", LLMS, re.MULTILINE)
    assert sections[-1] == "Optional"
    below = LLMS.partition("\n## ")[2].splitlines()
    entries = [line for line in below[1:] if line and not line.startswith("## ")]
    assert entries
    for entry in entries:
        assert re.fullmatch(r"- \[[^\]]+\]\([^)]+\): .*\.", entry), entry


def test_llms_txt_leads_to_pages_that_exist():
    links = re.findall(r"\]\(([^)]+)\)", LLMS)
    assert len(links) == len(set(links)) > 10
    assert [link for link in links if not (ROOT / link).is_file()] == []


def test_llms_txt_knows_every_guide():
    guides = {f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")}
    assert guides - set(re.findall(r"\]\(([^)]+)\)", LLMS)) == set()
