"""The report of a script that takes Python apart, or that looks on at itself."""

import json
import os
import subprocess
import sys

import pytest

BODY = """
import sys, warnings
import headgate as hg

{before}
w, x = hg.Variable([1.0, 2.0]), hg.Variable([3.0, 1.0])

def train():
    for _ in range(2):
        with hg.GradientTape() as tape:
            loss = hg.sum(hg.round(w) * x)
        tape.gradient(loss, [w, x])

{after}
"""

UNDOES = {
    "imports before": ("sys.modules.clear()", "train()"),
    "imports in between": ("", "train(); sys.modules.clear(); train()"),
    "builtins": (
        "",
        "train()\nimport builtins\nfor name in list(vars(builtins)):\n"
        "    if name not in ('delattr', '__build_class__', '__import__'): delattr(builtins, name)",
    ),
    "paths": ("", "train(); sys.path.clear(); sys.meta_path.clear(); sys.path_hooks.clear()"),
    "streams": ("", "train()\nimport io; sys.stdout = io.StringIO(); sys.stderr = None"),
    "folder": (
        "",
        "train()\nimport os, tempfile\nos.chdir(tempfile.mkdtemp()); os.rmdir(os.getcwd())",
    ),
    "warnings": ("", "train(); warnings.filters = None; warnings.warn = None"),
    "numbers": ("import numpy\nnumpy.seterr(all='raise')", "train(); w.assign([1e200, 0.0])"),
}


def why(folder, text, *options):
    (folder / "s.py").write_text(text)
    command = [sys.executable, "-m", "headgate.cli", "why", *options, "--json", "r.json", "s.py"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=os.environ)
    return done, json.loads((folder / "r.json").read_text())["findings"]


@pytest.mark.parametrize("what", UNDOES)
def test_the_report_survives_a_script_that_undoes(what, tmp_path):
    before, after = UNDOES[what]
    done, findings = why(tmp_path, BODY.format(before=before, after=after))
    assert done.returncode == 1, done.stderr
    assert "1 finding; " in done.stdout
    assert [(found["parameter"], found["kind"]) for found in findings] == [("w", "nondiff_op")]


def test_a_warning_that_is_an_error_stays_one_and_is_explained(tmp_path):
    text = BODY.format(before="warnings.simplefilter('error')", after="train()")
    done, findings = why(tmp_path, text)
    assert done.returncode == 2
    assert "The script failed: MissingGradientWarning." in done.stdout
    assert [found["parameter"] for found in findings] == ["w"]


def test_a_script_that_traces_itself_gets_its_report_all_the_same(tmp_path):
    after = "with hg.trace() as flow:\n    train()\nprint(len(flow.trace.events), 'events')"
    done, findings = why(tmp_path, BODY.format(before="", after=after), "--no-flow", "x")
    assert done.stdout.startswith("10 events\n")
    assert [found["kind"] for found in findings] == ["missing_stop", "nondiff_op"]
    assert "no parameter" not in done.stdout


def test_control_characters_do_not_reach_the_terminal(tmp_path):
    after = (
        "v = hg.Variable(1.0, name='v\\x1b]0;\\x07')\n"
        "with hg.GradientTape() as tape:\n"
        "    loss = hg.stop_gradient(v, label='l\\x1b[2J') * 1.0\n"
        "tape.gradient(loss, v)"
    )
    done, findings = why(tmp_path, BODY.format(before="", after=after), "--no-flow", "z")
    assert findings[0]["parameter"] == "v\x1b]0;\x07"
    assert not set("\x1b\x07") & set(done.stdout + done.stderr)
    assert "no parameter of the script has such a name; there are v" in done.stdout
