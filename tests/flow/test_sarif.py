"""SARIF as the standard asks for it, and as code reviews read it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from flow import traces
from headgate.flow.kinds import KINDS, cure
from headgate.flow.report import Finding
from headgate.flow.sarif import as_sarif
from headgate.flow.trace import Place

LEVELS = {"none", "note", "warning", "error"}


def finding(parameter="w", kind="stop_gradient", line=3, **fields):
    known = {"verdict": "cut", "file": "x.py", "text": "h = f(w)", "cure": "Cure."} | fields
    return Finding(parameter, kind=kind, line=line, **known)


def run_of(findings, *given, **known):
    log = json.loads(json.dumps(as_sarif(findings, *given, **known), allow_nan=False))
    assert log["version"] == "2.1.0"
    assert log["$schema"].startswith("https://")
    (run,) = log["runs"]
    check(run)
    return run


def check(run):
    """Check what the standard asks of a run, as far as it can be told without its schema."""
    rules = run["tool"]["driver"]["rules"]
    assert len({rule["id"] for rule in rules}) == len(rules)
    bases = run["originalUriBaseIds"]
    assert all(base["uri"].endswith("/") for base in bases.values())
    assert run["automationDetails"]["id"].endswith("/")
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["level"] in LEVELS
        assert result["message"]["text"]
        assert all(type(text) is str for text in result["partialFingerprints"].values())
        related = result.get("relatedLocations", [])
        assert len({place["id"] for place in related}) == len(related)
        for place in [*result["locations"], *related]:
            artifact = place["physicalLocation"]["artifactLocation"]
            assert artifact["uri"]
            assert "\\" not in artifact["uri"]
            assert " " not in artifact["uri"]
            assert artifact.get("uriBaseId") in (None, *bases)
            region = place["physicalLocation"].get("region")
            assert region is None or region["startLine"] >= 1


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_kind_is_a_rule_with_the_words_of_the_table():
    rules = run_of([])["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == list(KINDS)
    by_name = {rule["id"]: rule for rule in rules}
    assert by_name["stop_gradient"]["help"]["text"] == cure("stop_gradient")
    assert by_name["stop_gradient"]["shortDescription"]["text"] == (
        "No gradient reaches a parameter: the value passes a stop."
    )


def test_a_cause_is_one_result_at_its_line(folder):
    found = [finding("a", others=("b",)), finding("c", line=7), finding("d")]
    first, second = run_of(found)["results"]
    assert first["message"]["text"] == (
        "No gradient reaches a, b, d: the value passes a stop. Cure."
    )
    assert first["properties"]["parameters"] == ["a", "b", "d"]
    assert first["locations"] == [
        {
            "physicalLocation": {
                "artifactLocation": {"uri": "x.py", "uriBaseId": "%SRCROOT%"},
                "region": {"startLine": 3, "snippet": {"text": "h = f(w)"}},
            }
        }
    ]
    assert second["locations"][0]["physicalLocation"]["region"]["startLine"] == 7


def test_what_may_be_nobodys_concern_is_a_note():
    results = run_of([finding(kind="unused_parameter"), finding(kind="rewrap")])["results"]
    assert [result["level"] for result in results] == ["note", "warning"]


def test_files_are_named_from_the_root_of_the_repository(folder, monkeypatch):
    (folder / ".git").mkdir()
    inner = folder / "a b" / "src"
    inner.mkdir(parents=True)
    monkeypatch.chdir(inner)
    known = ["x.py", str(folder / "top.py"), "/elsewhere/y.py", "<string>"]
    results = run_of([finding(file=file, line=n + 1) for n, file in enumerate(known)])["results"]
    artifacts = [one["locations"][0]["physicalLocation"]["artifactLocation"] for one in results]
    assert [artifact["uri"] for artifact in artifacts] == [
        "a%20b/src/x.py",
        "top.py",
        "file:///elsewhere/y.py",
        "%3Cstring%3E",
    ]
    assert ["uriBaseId" in artifact for artifact in artifacts] == [True, True, False, False]


def test_a_finding_without_a_line_is_put_to_the_script(folder):
    lost = finding(file="", line=0, text="")
    (result,) = run_of([lost], script="train.py")["results"]
    assert result["locations"] == [
        {
            "physicalLocation": {
                "artifactLocation": {"uri": "train.py", "uriBaseId": "%SRCROOT%"},
            }
        }
    ]
    assert run_of([lost])["results"][0]["locations"] == []


def test_lines_that_belong_to_a_finding_stand_beside_it():
    trace = traces.gan(2)
    found = finding(
        "generator/out/bias",
        file="gan.py",
        line=12,
        called_from=(Place("gan.py", 88, "train"),),
        term=Place("gan.py", 29),
    )
    (result,) = run_of([found], [trace])["results"]
    related = [
        (place["message"]["text"], place["physicalLocation"]["region"]["startLine"])
        for place in result["relatedLocations"]
    ]
    assert related[:2] == [("called from here", 88), ("the term of the loss", 29)]
    asked = {trace.places[call.place].line for call in trace.gradients[1::2]}
    assert related[2:] == [("the gradient is asked for here", line) for line in asked]


def test_a_result_is_known_again_when_lines_move():
    def known(*findings):
        return [one["partialFingerprints"]["headgate/v1"] for one in run_of(findings)["results"]]

    assert known(finding(line=3)) == known(finding(line=30))
    assert known(finding()) != known(finding(text="h = g(w)"))
    assert len(set(known(finding(line=3), finding(line=4)))) == 2


def test_hostile_text_is_kept_as_text():
    text = traces.HOSTILE
    (result,) = run_of([finding(text, text=text, file=text, cure=text, label=text)])["results"]
    assert "</script>" in result["message"]["text"]


def test_trouble_is_told():
    assert run_of([])["invocations"] == [{"executionSuccessful": True}]
    (invocation,) = run_of([], trouble="The script failed.")["invocations"]
    assert not invocation["executionSuccessful"]
    (notice,) = invocation["toolExecutionNotifications"]
    assert notice["message"]["text"] == "The script failed."


def test_the_command_writes_it(folder):
    Path("s.py").write_text(
        "import headgate as hg\n"
        "w = hg.Variable(2.0, name='w')\n"
        "with hg.GradientTape() as tape:\n"
        "    loss = hg.stop_gradient(w) * 3.0\n"
        "grads = tape.gradient(loss, [w])\n"
    )
    command = [sys.executable, "-m", "headgate.cli", "why", "--sarif", "r.sarif", "s.py"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1, done.stderr
    (run,) = json.loads(Path("r.sarif").read_text(encoding="utf-8"))["runs"]
    check(run)
    (result,) = run["results"]
    assert result["ruleId"] == "stop_gradient"
    lines = [
        place["physicalLocation"]["region"]["startLine"]
        for place in (*result["locations"], *result["relatedLocations"])
    ]
    assert lines == [4, 5]
