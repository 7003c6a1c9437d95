"""The tests under every other Python that is installed here; a version that is missing is skipped.

    nox                 # all of them: what `.ci/run` runs after `make test`
    nox -s quick-3.13   # one of them

`make test` covers the Python of `.venv`. Each session installs wheels from PyPI into an environment
of its own in `.nox`.
"""

import sys

import nox

nox.options.default_venv_backend = "venv"
nox.options.error_on_missing_interpreters = False
nox.options.reuse_existing_virtualenvs = True

VERSIONS = ["3.11", "3.12", "3.13", "3.14"]
MAIN = "{}.{}".format(*sys.version_info)
WHEELS = ["--quiet", "--only-binary", ":all:"]
TESTS = ["tests/core", "tests/tf_semantics", "tests/project/test_layers.py", "tests/ops"]
PYTEST = ["python", "-m", "pytest", "-n", "auto", "--maxprocesses", "4", "--dist", "worksteal"]
THREADS = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


@nox.session(python=[version for version in VERSIONS if version != MAIN])
def quick(session: nox.Session) -> None:
    """Import Headgate without what is optional; run what `make quick` runs, and all examples."""
    session.install(*WHEELS, "--editable", ".", "pytest>=8.3", "pytest-xdist>=3.6")
    session.run("python", "-W", "error", "-c", "import headgate, headgate.tf, headgate.cli")
    session.install(*WHEELS, "--editable", ".[xla]")
    chosen = [*TESTS, "-m", "not peers and not other_dtype", *session.posargs]
    session.run(*PYTEST, *chosen, env=THREADS)
    examples = ["src/headgate", "--ignore=src/headgate/examples", *session.posargs]
    session.run(*PYTEST, *examples, env=THREADS)
