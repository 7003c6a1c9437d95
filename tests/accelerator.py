"""The tests of compiled functions on whatever device JAX has: `make test-gpu`.

Other targets keep to the CPU (conftest.py). Here products of float32 are computed in full, for what
the tests expect was computed by NumPy, and one process takes memory as it needs it. A test marked
`cpu` says what is so on a CPU alone, and is left out.
"""

import os
import sys

import pytest

TESTS = ["tests/compile", "tests/ops/test_compiled.py"]
OPTIONS = ["-n", "0", "-m", "not cpu", "--ignore=tests/compile/test_plain_executor.py"]
SETTINGS = {
    "JAX_PLATFORMS": "",  # JAX chooses
    "JAX_ENABLE_X64": "1",
    "JAX_DEFAULT_MATMUL_PRECISION": "highest",
    "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
}


def main(arguments):
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    import jax  # which reads them

    device = jax.devices()[0]
    if device.platform == "cpu":
        print(
            "Skipped: JAX has only a CPU here, where `make test` runs these tests; for an NVIDIA "
            "GPU, .venv/bin/pip install 'jax[cuda13]' (docs/gpu.md)."
        )
        return 0
    print(f"On {device.device_kind}, jax {jax.__version__}:")
    return pytest.main([*TESTS, *OPTIONS, *arguments])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
