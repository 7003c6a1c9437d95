"""`headgate why`: scripts run as Python runs them, and every way they end has its exit status.

What a script's flow looks like is judged elsewhere. Here a stand-in for the watcher notes each call
of `GradientTape.gradient`, and finds those parameters whose gradient is None.
"""

import contextlib
import json
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from headgate import cli

STAND_IN = """
    import sys, types, warnings

    import headgate as hg
    from headgate import cli
    from headgate.flow.report import Finding
    from headgate.flow.trace import Gradient, Place, Source, Trace

    class Watch:
        framework = "headgate"

        def __init__(self, step=None, every=None):
            warnings.simplefilter("ignore", hg.MissingGradientWarning)

        def __enter__(self):
            self.trace, self.found, self.steps = Trace(), [], {}
            ask = hg.GradientTape.gradient

            def gradient(tape, target, sources, **options):
                line = sys._getframe(1).f_lineno
                file = sys._getframe(1).f_code.co_filename
                answers = ask(tape, target, sources, **options)
                step = self.steps[line] = self.steps.get(line, -1) + 1
                self.trace.places.append(Place(file, line))
                self.trace.sources += [Source(v.name, 0) for v in sources]
                self.trace.gradients.append(Gradient(0, (), (), (), (), step=step))
                text = self.trace.places[-1].text
                self.found += [
                    (step, Finding(v.name, "unused", "unused_parameter", file, line, text, "Cure."))
                    for v, answer in zip(sources, answers) if answer is None
                ]
                return answers

            hg.GradientTape.gradient = gradient
            return self

        def __exit__(self, *error):
            pass

        def gradients(self):
            return [{"where": f"{place.file}:{place.line}"} for place in self.trace.places]

        def remarks(self):
            return []

        def coverage(self):
            return len(self.trace.places), len(self.trace.places)

        def findings(self, no_flow=(), flow=(), step=None):
            return [one for when, one in self.found if step in (None, when)]

    module = types.ModuleType("headgate.flow.watch.headgate")
    module.Watch = Watch
    sys.modules[module.__name__] = module
    cli.main()
"""

# Output is buffered, as it is for most people who write it to a file or a pipe.
ENV = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
HEARS = "    signal.signal(signal.SIGINT, signal.default_int_handler)\n"
"""What a script needs to be interrupted where the tests themselves run in the background."""

ENV["PYTHONWARNINGS"] = "ignore:the gradient is None"  # plain runs of these scripts would say so

SOUND = """
    import headgate as hg
    w = hg.Variable(2.0, name="w")
    with hg.GradientTape() as tape:
        loss = w * w
    grads = tape.gradient(loss, [w])
"""

BROKEN = """
    import headgate as hg
    w, b = hg.Variable(2.0, name="w"), hg.Variable(1.0, name="b")
    with hg.GradientTape() as tape:
        loss = w * w
    grads = tape.gradient(loss, [w, b])
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "stand_in.py").write_text(textwrap.dedent(STAND_IN))
    (tmp_path / "work").mkdir()
    return tmp_path / "work"


@pytest.fixture
def why(folder):
    """Write a script and run it, or run what the arguments say."""

    def run(*arguments, script=None, **options):
        if script is not None:
            (folder / "s.py").write_text(textwrap.dedent(script))
        command = [sys.executable, str(folder.parent / "stand_in.py"), "why", *map(str, arguments)]
        known = {"capture_output": True, "text": True, "cwd": folder, "timeout": 60, "env": ENV}
        return subprocess.run(command, **known | options)

    return run


def report_of(done):
    """Return what a script printed, and the report below it."""
    printed, rule, report = re.split(r"^(.* headgate why .*\n)", done.stdout, flags=re.MULTILINE)
    assert set(rule.replace(" headgate why ", "").strip()) <= set("─-")
    return printed, report


def test_findings_follow_the_output_and_give_status_1(why):
    done = why("s.py", script=BROKEN + "    print('done')")
    printed, report = report_of(done)
    assert (done.returncode, printed, done.stderr) == (1, "done\n", "")
    assert report.splitlines() == [
        "1 finding; 1 gradient call looked at.",
        "1. No gradient reaches b: not used for the target (unused_parameter)",
        "   s.py:6: grads = tape.gradient(loss, [w, b])",
        "   Cure.",
    ]


def test_no_findings_give_status_0(why):
    done = why("s.py", script=SOUND)
    assert (done.returncode, report_of(done)[1]) == (0, "No findings; 1 gradient call looked at.\n")


def test_script_sees_what_python_would_show_it(why, folder):
    script = """
        import __main__, pickle, sys
        class Mine: pass
        print(__name__, __file__, __package__, __spec__, type(__loader__).__name__)
        print(sys.argv, sys.path[0], __main__.Mine is type(pickle.loads(pickle.dumps(Mine()))))
        print(sorted(set(globals()) - {"__annotations__"}), sys.stdin.read())
        sys.stderr.write("problem\\n")
    """
    (folder / "sub").mkdir()
    (folder / "sub" / "real.py").write_text(textwrap.dedent(script))
    (folder / "link.py").symlink_to("sub/real.py")
    arguments = ["link.py", "--json", "-x", "--", "--help", "a b"]
    done = why(*arguments, input="typed")
    plain = subprocess.run(
        [sys.executable, *arguments], cwd=folder, input="typed", capture_output=True, text=True
    )
    assert plain.returncode == done.returncode == 0
    assert (report_of(done)[0], done.stderr) == (plain.stdout, plain.stderr)


def test_double_dash_ends_our_options(why):
    done = why("--", "s.py", "--step", script="import sys; print(sys.argv)")
    assert report_of(done)[0] == "['s.py', '--step']\n"


def test_module_runs_as_with_python_m(why, folder):
    (folder / "package").mkdir()
    (folder / "package" / "__init__.py").write_text("")
    (folder / "package" / "name.py").write_text("here = 'here'")
    (folder / "package" / "__main__.py").write_text(
        "import sys\nfrom .name import here\nprint(here, sys.argv, __package__, sys.path[0])"
    )
    done = why("-m", "package", "-m", "x")
    plain = subprocess.run(
        [sys.executable, "-m", "package", "-m", "x"], cwd=folder, capture_output=True, text=True
    )
    assert (done.returncode, report_of(done)[0]) == (0, plain.stdout)


def test_never_a_gradient(why):
    done = why("s.py", script="print('hello')")
    assert done.returncode == 0
    assert report_of(done)[1] == (
        "No gradient was computed with Headgate, PyTorch, JAX or TensorFlow: there is nothing to "
        "explain.\n"
    )


def test_a_version_that_cannot_be_watched_is_told(why, folder):
    (folder / "torch.py").write_text("__version__ = '0.1'\nprint('there')")
    done = why("s.py", script="import torch")
    said = report_of(done)[1]
    assert done.returncode == 0
    assert "PyTorch 0.1 cannot be watched (" in said
    assert said.endswith("); PyTorch 2.13 is known to work.\n")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["missing.py"], "Cannot run missing.py: No such file or directory."),
        (["."], "Cannot run .: Is a directory; name the script in it."),
        (
            ["wrong.py"],
            r"""(?s)Cannot run wrong.py: it is not a Python program.\n  File ".*, line 2""",
        ),
        (["picture.png"], "Cannot run picture.png: it is not a Python program."),
        (["-m", "wrong"], "Cannot run wrong: it is not a Python program."),
        (["-m", "no.such"], "Cannot run no.such: No module named 'no'."),
        (["-m", "nope"], "Cannot run nope: no module has this name; for a file, leave out -m."),
        (["-m", "math"], "Cannot run math: it is not a module written in Python."),
        (["--json", "no/r.json", "good.py"], "Cannot write no/r.json: No such file .* was run."),
        (["--html", ".", "good.py"], "Cannot write .: Is a directory. Nothing was run."),
        (["--json", "-", "good.py"], "Cannot write to -: the script prints there; name a file."),
        (["--setp", "3", "good.py"], "(?s).*No such option: --setp"),
        ([], "(?s).*Missing argument 'SCRIPT'"),
    ],
)
def test_what_cannot_be_run_is_refused(tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["headgate"])
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    nobody = SimpleNamespace(Watch=lambda *asked: contextlib.nullcontext())
    monkeypatch.setitem(sys.modules, "headgate.flow.watch.headgate", nobody)
    Path("wrong.py").write_text("x = 1\nif x = 2:\n    pass\n")
    Path("picture.png").write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0")
    Path("good.py").write_text("print('ran')")
    done = CliRunner().invoke(cli.app, ["why", *arguments])
    assert (done.exit_code, done.stdout) == (2, "")
    assert re.match(words, done.stderr), done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"wrong.py", "picture.png", "good.py"}


def test_failing_script_shows_its_own_traceback_and_what_was_learned(why, folder):
    script = BROKEN + "    def f():\n        return 1 / 0\n    f()"
    done = why("--json", "r.json", "s.py", script=script)
    command = [sys.executable, "s.py"]
    plain = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=ENV)
    assert done.returncode == 2
    assert done.stderr == plain.stderr
    report = report_of(done)[1]
    assert report.startswith(
        "The script failed: ZeroDivisionError. This was learned until then. 1 finding; 1 gradient"
    )
    assert len(json.loads((folder / "r.json").read_text())["findings"]) == 1


@pytest.mark.parametrize(
    ("leave", "status", "words", "errors"),
    [
        ("sys.exit()", 0, "", ""),
        ("sys.exit(3)", 2, "The script left with exit status 3. ", ""),
        ("sys.exit('no data')", 2, "The script left with an error message. ", "no data\n"),
    ],
)
def test_sys_exit(why, leave, status, words, errors):
    done = why("s.py", script=SOUND + f"    import sys\n    {leave}")
    assert (done.returncode, done.stderr) == (status, errors)
    learned = "This was learned until then. " if words else ""
    assert report_of(done)[1] == f"{words}{learned}No findings; 1 gradient call looked at.\n"


def test_own_excepthook_is_used(why):
    done = why(
        "s.py",
        script="""
        import sys
        sys.excepthook = lambda kind, error, where: print("mine:", error, where.tb_lineno)
        raise ValueError("wrong")
        """,
    )
    assert (done.returncode, done.stderr) == (2, "")
    assert report_of(done)[0] == "mine: wrong 4\n"


def test_own_excepthook_that_fails(why):
    script = "import sys\nsys.excepthook = lambda *error: {}[0]\nraise ValueError('wrong')"
    done = why("s.py", script=script)
    assert done.returncode == 2
    assert re.findall(r"^\w+Error: .*", done.stderr, re.MULTILINE) == [
        "ValueError: wrong",
        "KeyError: 0",
    ]
    assert {Path(file).name for file in re.findall(r'File "(.*?)"', done.stderr)} == {"s.py"}


def test_endless_recursion(why):
    done = why("s.py", script="def f(): f()\nf()")
    assert done.returncode == 2
    assert done.stderr.rstrip().endswith("RecursionError: maximum recursion depth exceeded")
    assert "The script failed: RecursionError." in report_of(done)[1]


def test_interrupted_script_tells_what_was_learned(why):
    script = BROKEN + "    import os, signal\n" + HEARS + "    os.kill(os.getpid(), signal.SIGINT)"
    done = why("s.py", script=script)
    assert done.returncode == 2
    assert done.stderr.rstrip().endswith("KeyboardInterrupt")
    assert "1 finding; 1 gradient call looked at." in report_of(done)[1]


def test_interrupted_while_waiting_for_threads(why):
    script = """
        import os, signal, threading
        signal.signal(signal.SIGINT, signal.default_int_handler)
        leave = threading.Event()
        threading.Thread(target=leave.wait).start()
        def interrupt():
            os.kill(os.getpid(), signal.SIGINT)
        threading.Timer(0.2, interrupt).start()
        import atexit
        atexit.register(leave.set)
    """
    done = why("s.py", script=script)
    assert done.returncode == 2
    assert "The script was interrupted." in report_of(done)[1]


def test_threads_are_awaited_and_idle_pools_are_not(why):
    done = why(
        "s.py",
        script=f"""
        import atexit, threading, time
        from concurrent.futures import ThreadPoolExecutor
        atexit.register(print, "at exit")
        pool = ThreadPoolExecutor(1)
        pool.submit(print, "pool").result()
        def work():
            time.sleep(0.3)
            exec({textwrap.dedent(SOUND)!r})
            print("thread")
        threading.Thread(target=work).start()
        threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
        """,
    )
    assert done.returncode == 0
    assert report_of(done) == (
        "pool\nthread\n",
        "No findings; 1 gradient call looked at.\nat exit\n",
    )


def test_forked_children_leave_as_python_lets_them(why, folder):
    done = why(
        "--json",
        "r.json",
        "s.py",
        script="""
        import os, sys
        def child(leave):
            pid = os.fork()
            if pid:
                return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            os.path.exists("r.json") or leave()
            return None
        for leave in (lambda: sys.exit(5), lambda: sys.exit("bye"), lambda: 1 / 0, lambda: 0):
            status = child(leave)
            if status is None:
                break
            print(status, flush=True)
        """,
    )
    assert done.returncode == 0
    assert report_of(done)[0] == "5\n1\n1\n0\n"
    assert "bye\n" in done.stderr
    assert (folder / "r.json").exists()


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_multiprocessing(why, method):
    done = why(
        "s.py",
        script=f"""
        import multiprocessing, sys
        def double(x):
            return 2 * x
        if __name__ == "__main__":
            context = multiprocessing.get_context({method!r})
            with context.Pool(1) as pool:
                print(pool.map(double, [1, 2]))
            child = context.Process(target=sys.exit, args=(7,))
            child.start(); child.join()
            print(child.exitcode)
        """,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert report_of(done)[0] == "[2, 4]\n7\n"


def test_changed_folder_and_removed_folder(why, folder):
    done = why(
        "--json",
        "r.json",
        "s.py",
        script="""
        import os, tempfile
        with tempfile.TemporaryDirectory() as away:
            os.chdir(away)
        """
        + textwrap.indent(textwrap.dedent(BROKEN), " " * 8),
    )
    assert (done.returncode, done.stderr) == (1, "")
    assert "   s.py:10: grads = " in done.stdout
    assert json.loads((folder / "r.json").read_text())["findings"][0]["parameter"] == "b"


@pytest.mark.parametrize(
    ("change", "stream"),
    [
        ("sys.stdout.close()", "stderr"),
        ("os.close(1)", "stderr"),
        ("os.dup2(os.open('/dev/full', os.O_WRONLY), 1)", "stderr"),
        ("sys.stdout = open(os.devnull, 'w')", "stdout"),
        ("sys.stdout = open(os.devnull, 'w'); sys.stdout.close()", "stdout"),
    ],
)
def test_report_goes_where_it_still_can(why, change, stream):
    done = why("s.py", script=f"import os, sys\n{change}\n" + textwrap.dedent(BROKEN))
    assert done.returncode == 1
    shown = {"stdout": done.stdout, "stderr": done.stderr}
    assert "1 finding; 1 gradient call looked at." in shown.pop(stream)
    assert list(shown.values()) == [""]


def test_reader_that_goes_away_changes_nothing(why):
    read, write = os.pipe()
    os.close(read)
    done = why("s.py", script=BROKEN, capture_output=False, stdout=write, stderr=subprocess.PIPE)
    os.close(write)
    assert (done.returncode, done.stderr) == (1, "")


def test_terminal_without_unicode(why):
    done = why(
        "s.py",
        script=BROKEN.replace('name="b"', 'name="ß"'),
        env=ENV | {"PYTHONIOENCODING": "ascii"},
    )
    assert done.returncode == 1
    assert r"No gradient reaches \xdf: " in done.stdout


def test_json_has_the_agreed_form(why, folder):
    (folder / "r.json").write_text("old " * 9999)
    assert why("--json", "r.json", "s.py", script=BROKEN).returncode == 1
    report = json.loads((folder / "r.json").read_text())
    assert list(report) == ["version", "gradients", "findings"]
    assert report["gradients"] == [{"where": f"{folder / 's.py'}:6"}]
    (found,) = report["findings"]
    assert (found["file"], found["line"], found["parameter"]) == (str(folder / "s.py"), 6, "b")


def test_html_draws_the_run(why, folder):
    assert why("--html", "new.html", "s.py", script=BROKEN).returncode == 1
    drawn = (folder / "new.html").read_text()
    assert "headgate why s.py" in drawn
    assert "grads = tape.gradient(loss, [w, b])" in drawn


def test_help_tells_how_to_call_it_and_what_the_status_means():
    text = CliRunner().invoke(cli.app, ["why", "--help"]).output
    for part in ("SCRIPT", "ARGS", "--no-flow", "Exit status: 0 ", "headgate why train.py"):
        assert part in text


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--no-flow", "target*"], "--no-flow target*: no parameter of the script has such a name"),
        (["--flow", "w", "--flow", "x?"], "--flow x?: no parameter of the script has such a name"),
        (["--step", 1], "--step 1: there was no such gradient call; the last one was 0."),
    ],
)
def test_question_about_what_is_not_there(why, options, words):
    done = why(*options, "s.py", script=SOUND)
    assert done.returncode == 2
    assert report_of(done)[1].startswith(words)


def test_step_chooses_one_pass_of_a_call(why):
    script = """
        import headgate as hg
        w, b = hg.Variable(2.0, name="w"), hg.Variable(1.0, name="b")
        for used in (True, False):
            with hg.GradientTape() as tape:
                loss = w * b if used else w * w
            tape.gradient(loss, [w, b])
    """
    assert [why("--step", k, "s.py", script=script).returncode for k in (0, 1)] == [0, 1]


STOPPED = """
    import headgate as hg
    w, b = hg.Variable(2.0, name="w"), hg.Variable(1.0, name="b")
    def step():
        with hg.GradientTape() as tape:
            loss = w * hg.stop_gradient(3 * b)
        return tape.gradient(loss, [w, b])
"""
IN_A_THREAD = """
    import threading
    threading.Thread(target=step).start()
"""


@pytest.mark.parametrize(
    ("script", "options", "found"),
    [
        (STOPPED + "    step()", [], [("b", "stop_gradient", 6)]),
        (STOPPED + IN_A_THREAD, [], [("b", "stop_gradient", 6)]),
        (STOPPED + "    step()", ["--no-flow", "b"], []),
        (STOPPED + "    step()", ["--no-flow", "[bw]"], [("w", "missing_stop", 6)]),
        (SOUND, ["--flow", "w"], []),
    ],
    ids=["stop", "thread", "intended", "missing stop", "sound"],
)
def test_with_the_real_watcher(folder, script, options, found):
    (folder / "s.py").write_text(textwrap.dedent(script))
    command = [sys.executable, "-m", "headgate.cli", "why", "--json", "r.json", *options, "s.py"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (1 if found else 0, "")
    findings = json.loads((folder / "r.json").read_text())["findings"]
    assert [(one["parameter"], one["kind"], one["line"]) for one in findings] == found
