"""The page on PyTorch says what `headgate why` prints, and its cures are cures.

A section of the page has a script, the report on it, and the lines to change. Where the words or
the watcher have changed on purpose, `python tests/peers/test_why_pytorch_page.py` writes the
reports into the page anew.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from headgate.flow.kinds import FACTOR
from headgate.flow.words.torch import CURES

pytestmark = pytest.mark.torch

PAGE = Path(__file__).parents[2] / "docs" / "why-pytorch.md"
SECTION = re.compile(
    r"^## (?P<title>\d+\. .*?)$.*?```python\n(?P<script>.*?)```\s+"
    r"```text\n(?P<report>.*?)```\s+```diff\n(?P<cure>.*?)```",
    re.DOTALL | re.MULTILINE,
)
SECTIONS = {found["title"]: found for found in SECTION.finditer(PAGE.read_text(encoding="utf-8"))}


def why(script, folder):
    """Return the exit status and the report, without the rule above it."""
    (folder / "train.py").write_text(script, encoding="utf-8")
    command = [sys.executable, "-m", "headgate.cli", "why", "train.py"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return done.returncode, re.split(r"^─+ headgate why ─+\n", done.stdout, flags=re.M)[-1]


def cured(script, cure):
    """Return a script in which the lines with a minus are replaced by those with a plus."""
    lines = {sign: "".join(re.findall(rf"^\{sign}(.*\n)", cure, re.M)) for sign in "-+"}
    assert script.count(lines["-"]) == 1
    return script.replace(lines["-"], lines["+"])


def test_the_page_has_ten_sections():
    assert [title.split(".")[0] for title in SECTIONS] == [str(k) for k in range(1, 11)]


@pytest.mark.parametrize("title", SECTIONS)
def test_the_report_is_the_one_on_the_page(title, tmp_path):
    section = SECTIONS[title]
    assert why(section["script"], tmp_path) == (1, section["report"])


@pytest.mark.parametrize("title", SECTIONS)
def test_the_cured_script_has_no_finding(title, tmp_path):
    section = SECTIONS[title]
    status, report = why(cured(section["script"], section["cure"]), tmp_path)
    assert status == 0, report
    assert report.startswith("No findings; ")


def test_what_the_page_says_of_python_runs(tmp_path):
    section = (
        PAGE.read_text(encoding="utf-8").partition("## From Python\n")[2].partition("\n## ")[0]
    )
    script = "\n".join(re.findall(r"```python\n(.*?)```", section, re.DOTALL))
    assert "headgate.why.torch" in script
    (tmp_path / "ask.py").write_text(script, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "ask.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "stop_gradient" in done.stdout


WORDS = " ".join(CURES.values())
FINITE = {
    "torch.log(x.clamp(min=1e-7))": 0.0,
    "torch.sqrt(x + 1e-12)": 0.0,
    "torch.where(x > 0, torch.sqrt(torch.where(x > 0, x, 1.0)), 0.0)": 0.0,
    "torch.where(y != 0, x / torch.where(y != 0, y, 1.0), 0.0)": 0.0,
    "torch.sqrt(x.var(correction=0) + 1e-6)": 1.0,
    "x.clamp(-1 + 1e-6, 1 - 1e-6)": 1.0,
}
FLOWS = {
    "x + (torch.round(x) - x).detach()",
    "soft + (hard - soft).detach()",
    "z + (q - z).detach()",
    "torch.sigmoid(scale * difference)",
    "low + (high - low) * torch.sigmoid(x)",
    "F.gumbel_softmax(logits, hard=True)",
}


def _gradient(code, at):
    """Return the gradient of what a cure says, at a value that all of its names have."""
    import torch

    x = torch.full((2,), at, requires_grad=True)
    names = ("x", "y", "soft", "z", "difference", "logits")
    hard = {name: torch.round(x.detach()) for name in ("hard", "q")}
    known = {"torch": torch, "F": torch.nn.functional, "scale": 2.0, "low": -1.0, "high": 1.0}
    result = eval(code, {**known, **hard, **dict.fromkeys(names, x)})
    (result * torch.arange(1.0, 3.0)).sum().backward()
    return x.grad


@pytest.mark.parametrize("code", FINITE)
def test_a_cure_of_nan_is_one(code):
    assert code in WORDS
    assert _gradient(code, FINITE[code]).isfinite().all()


@pytest.mark.parametrize("code", sorted(FLOWS))
def test_a_cure_of_a_cut_lets_gradient_through(code):
    assert code in WORDS
    assert _gradient(code, 0.3).all()


def test_the_ops_that_have_a_cure_are_those_of_pytorch():
    import torch

    from headgate.flow.watch.torch.ops import _OPS

    ops = {op for kind, op in CURES if kind in ("nondiff_op", "nonfinite_value")} - {"", FACTOR}
    known = {*dir(torch), *dir(torch.Tensor), *dir(torch.nn.functional), *_OPS.values()}
    assert ops <= known | {f"linalg_{name}" for name in dir(torch.linalg)}


def _write_reports():
    def anew(found):
        with tempfile.TemporaryDirectory() as folder:
            _, report = why(found["script"], Path(folder))
        begin, end = (place - found.start() for place in found.span("report"))
        return found[0][:begin] + report + found[0][end:]

    PAGE.write_text(SECTION.sub(anew, PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    _write_reports()
