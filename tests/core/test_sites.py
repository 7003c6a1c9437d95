"""Lines: which line of whose program something comes from."""

import concurrent.futures
import contextlib
import copy
import dataclasses
import functools
import os
import subprocess
import sys
import threading
import warnings

import pytest

import headgate as hg
from headgate.record.site import caller


def here(back=0):
    return f"{os.path.relpath(__file__)}:{sys._getframe(1).f_lineno - back}"


def made(variable):
    return str(variable._source.made)


def test_a_copy_is_made_where_it_was_asked_for():
    v = hg.Variable(1.0, name="v")
    with hg.GradientTape() as tape:
        again = copy.deepcopy({"values": [v * 2.0]})["values"][0]
        line = here(back=1)
    cut = tape.why(again, v).cuts[0]
    assert f"{os.path.relpath(cut.file)}:{cut.line}" == line


@dataclasses.dataclass
class Model:
    weight: hg.Variable = dataclasses.field(default_factory=functools.partial(hg.Variable, 1.0))


def test_a_generated_function_has_no_line():
    assert made(Model().weight) == here()


def test_code_that_is_executed_counts_as_the_line_that_executes_it():
    names = {"hg": hg}
    exec("v = hg.Variable(1.0)", names)
    assert made(names["v"]) == here(back=1)


def test_what_runs_in_a_thread_has_the_line_of_its_function():
    found = []
    thread = threading.Thread(target=lambda: found.append(hg.Variable(1.0)))
    line = here(back=1)
    thread.start()
    thread.join()
    assert made(found[0]) == line
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        assert made(pool.submit(lambda: hg.Variable(1.0)).result()) == here()


def test_without_a_line_of_the_users_the_innermost_one_counts():
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        site = pool.submit(hg.Variable, 1.0).result()._source.made
    assert site.file == sys.modules["concurrent.futures.thread"].__file__


class Cached:
    weight = functools.cached_property(lambda self: hg.Variable(1.0))


def test_libraries_call_back_into_the_program():
    cached = Cached()
    assert str(functools.reduce(lambda _, each: caller(), "ab")) == here()
    assert made(cached.weight).startswith(os.path.relpath(__file__))
    with contextlib.ExitStack() as stack:
        tape = stack.enter_context(hg.GradientTape())
        v = hg.Variable(2.0, name="v")
        loss = v * v
    assert tape.gradient(loss, v).numpy() == 4.0


INSTALLED = """
import headgate as hg

def scaled(x):
    return hg.stop_gradient(x) * 2.0

def main():
    v = hg.Variable(1.0, name="v")
    with hg.GradientTape() as tape:
        loss = scaled(v)
    (cut,) = tape.why(loss, v).cuts
    print(cut.file, cut.line)
"""


@pytest.fixture
def installed(tmp_path):
    folder = tmp_path / "lib" / "site-packages"
    folder.mkdir(parents=True)
    (folder / "scaling.py").write_text(INSTALLED)
    return folder


def run(script, installed):
    path = os.pathsep.join(filter(None, [str(installed), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run(
        [sys.executable, str(script)], env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_a_package_is_passed_over_up_to_the_line_that_calls_it(tmp_path, installed):
    script = tmp_path / "train.py"
    script.write_text("import scaling\n\nscaling.main()\n")
    assert run(script, installed) == f"{script} 3"


def test_a_program_that_is_a_package_has_lines_of_its_own(tmp_path, installed):
    launcher = tmp_path / "bin" / "scale"
    launcher.parent.mkdir()
    launcher.write_text("import sys\nfrom scaling import main\n\nsys.exit(main())\n")
    assert run(launcher, installed) == f"{installed / 'scaling.py'} 5"


def test_a_warning_is_given_at_the_users_line():
    v = hg.Variable(1.0, name="v")
    names = {"hg": hg, "v": v}
    with hg.GradientTape(persistent=True) as tape:
        loss = hg.stop_gradient(v) * 2.0
    names |= {"tape": tape, "loss": loss}
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        exec("tape.gradient(loss, v)", names)
    assert [os.path.relpath(each.filename) + f":{each.lineno}" for each in said] == [here(back=1)]
