"""A size by mistake is an error at once, and no memory is filled and no time spent before it."""

import subprocess
import sys

import pytest

CALLS = {
    "AUC": "metrics.AUC(num_thresholds=2**40)",
    "MeanIoU": "metrics.MeanIoU(2**30)",
    "conv_transpose": "hg.conv_transpose(np.ones((1, 4, 2)), np.ones((3, 2, 2)), stride=2**40)",
    "conv_transpose, further": (
        "hg.conv_transpose(np.ones((1, 4, 2)), np.ones((3, 2, 2)), stride=2**60)"
    ),
    "zeros": "hg.zeros((2**20, 2**20))",
    "zeros, overflowing": "hg.zeros((2**40, 2**40))",
    "full": "hg.full((2**40, 2**40), 1.0)",
    "eye": "hg.eye(2**32)",
    "linspace": "hg.linspace(0.0, 1.0, 2**60)",
    "arange": "hg.arange(2**60)",
    "tile": "hg.tile(np.ones(4), 2**40)",
    "tile, overflowing": "hg.tile(np.ones(4), 2**62)",
    "repeat": "hg.repeat(np.ones(4), 2**40)",
    "repeat, overflowing": "hg.repeat(np.ones(4), 2**62)",
    "repeat of rows": "hg.repeat(np.ones((4, 2)), [0, 2**62, 1, 1], axis=0)",
    "pad": "hg.pad(np.ones(4), 2**40)",
    "pad, overflowing": "hg.pad(np.ones((4, 4)), 2**62)",
    "one_hot": "hg.one_hot(np.array([1]), 2**40)",
    "one_hot, overflowing": "hg.one_hot(np.array([1]), 2**62)",
    "normal": "hg.random.normal((2**20, 2**20))",
    "permutation": "hg.random.permutation(2**60)",
    "max_pool": "hg.max_pool(np.ones((1, 4, 2)), 2**40)",
    "max_pool, same": "hg.max_pool(np.ones((1, 4, 2)), 2**40, padding='SAME')",
    "conv, dilated": (
        "hg.conv(np.ones((1, 4, 2)), np.ones((3, 2, 2)), dilation=2**60, padding='SAME')"
    ),
    "Embedding": "nn.Embedding(2**40, 4)(np.array([[1]]))",
    "Dense": "nn.Dense(2**50)(np.ones((1, 2**10)))",
    "scatter_nd": "hg.scatter_nd([[0]], [1.0], (2**60,))",
}

PROGRAM = """
import pathlib, resource, sys, time
import numpy as np
import headgate as hg
from headgate import metrics, nn
resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
for name, call in {calls!r}.items():
    began = time.process_time()
    try:
        print(f"{{name}}: made", eval(call))
    except (MemoryError, ValueError) as error:
        if time.process_time() - began > 1.0:
            print(f"{{name}}: took long to refuse")
    status = pathlib.Path("/proc/self/status").read_text()  # getrusage counts the parent's too
    used = int(status.split("VmHWM:")[1].split()[0]) >> 10
    if used > 700:
        print(f"{{name}}: filled {{used}} MB")
        break
print("done")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the limit is Linux's")
def test_sizes_that_no_memory_holds():
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(calls=CALLS)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:] or done.returncode
    assert done.stdout == "done\n"
