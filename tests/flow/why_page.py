"""The pages on other frameworks (`docs/why-*.md`): their scripts, reports and cures.

A section of such a page has a title with a number, a script, the report on it, and the lines to
change. The test module of a page makes its `Page` and takes tests from `checks_of`. Where the words
or the watcher have changed on purpose, `python tests/flow/why_page.py why-pytorch.md` writes the
reports into the page anew.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

SECTION = re.compile(
    r"^## (?P<title>\d+\. .*?)$.*?```python\n(?P<script>.*?)```\s+"
    r"```text\n(?P<report>.*?)```\s+```diff\n(?P<cure>.*?)```",
    re.DOTALL | re.MULTILINE,
)


class Page:
    """A page in `docs`, by its name."""

    def __init__(self, name):
        self.path = Path(__file__).parents[2] / "docs" / name
        self.text = self.path.read_text(encoding="utf-8")
        self.sections = {found["title"]: found for found in SECTION.finditer(self.text)}

    def python(self, title):
        """Return all code of a section, as one script."""
        section = self.text.partition(f"## {title}\n")[2].partition("\n## ")[0]
        return "\n".join(re.findall(r"```python\n(.*?)```", section, re.DOTALL))

    def write_reports(self):
        """Put what `headgate why` prints now in the place of the reports."""

        def anew(found):
            with tempfile.TemporaryDirectory() as folder:
                _, report = why(found["script"], Path(folder))
            begin, end = (place - found.start() for place in found.span("report"))
            return found[0][:begin] + report + found[0][end:]

        self.path.write_text(SECTION.sub(anew, self.text), encoding="utf-8")


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


def checks_of(page):
    """Return the tests that hold for each page, by their names."""

    def test_the_page_has_ten_sections():
        assert [title.split(".")[0] for title in page.sections] == [str(k) for k in range(1, 11)]

    @pytest.mark.parametrize("title", page.sections)
    def test_the_report_is_the_one_on_the_page(title, tmp_path):
        section = page.sections[title]
        assert why(section["script"], tmp_path) == (1, section["report"])

    @pytest.mark.parametrize("title", page.sections)
    def test_the_cured_script_has_no_finding(title, tmp_path):
        section = page.sections[title]
        status, report = why(cured(section["script"], section["cure"]), tmp_path)
        assert status == 0, report
        assert report.startswith("No findings; ")

    def test_what_the_page_says_of_python_runs(tmp_path):
        (tmp_path / "ask.py").write_text(page.python("From Python"), encoding="utf-8")
        done = subprocess.run(
            [sys.executable, "ask.py"], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert "stop_gradient" in done.stdout

    return {name: test for name, test in locals().items() if name.startswith("test_")}


if __name__ == "__main__":
    for name in sys.argv[1:]:
        Page(name).write_reports()
