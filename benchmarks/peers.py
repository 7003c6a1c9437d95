"""The peers: how each library loads, limits its threads, and turns a workload into a program.

A peer's library is imported only in that peer's worker process. Two libraries have two columns:
TensorFlow eager and under `tf.function`, JAX op by op and under `jax.jit`.
"""

import importlib
import importlib.util
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import Any

import numpy as np

from benchmarks.workloads import Workload

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True, slots=True)
class Program:
    """One workload in one library: `step` trains once and returns when its results are there."""

    step: Callable[[], Sequence[Any]]
    weights: Callable[[], dict[str, list[np.ndarray]]]


@dataclass(frozen=True, slots=True)
class Peer:
    """A column of the table: the module that must be there, and its way to a program."""

    title: str
    module: str
    prepare: Callable[[Workload], Program]
    limit_threads: Callable[[int], None] = lambda threads: None
    only: tuple[str, ...] = ()

    def installed(self) -> bool:
        """Tell whether the peer can be imported, without importing it."""
        return importlib.util.find_spec(self.module) is not None

    def version(self) -> str:
        """Return the version of the library, which this imports."""
        module = importlib.import_module(self.module)
        return str(getattr(module, "__version__", None) or metadata.version(self.module))

    def takes_part_in(self, workload: str) -> bool:
        """Tell whether the peer has a program for the workload."""
        return not self.only or workload in self.only


def tape_program(module: str, workload: Workload, compiled: bool = False) -> Program:
    """Run the shared text with `tensorflow` or `headgate.tf`."""
    from benchmarks import programs

    tf = importlib.import_module(module)
    variables = {
        name: [tf.Variable(array) for array in group] for name, group in workload.weights.items()
    }
    step = getattr(programs, workload.name)(tf, variables)
    if compiled:
        step = tf.function(step)
    batch = [tf.constant(array) for array in workload.batch]
    return Program(
        step=lambda: step(*batch),
        weights=lambda: {
            name: [variable.numpy() for variable in group] for name, group in variables.items()
        },
    )


def torch_program(workload: Workload) -> Program:
    """Run the PyTorch counterpart, eager."""
    from benchmarks import torch_programs

    weights, batch = torch_programs.to_torch(workload)
    step = getattr(torch_programs, workload.name)(weights)
    return Program(
        step=lambda: step(*batch), weights=lambda: torch_programs.from_torch(workload, weights)
    )


def jax_program(workload: Workload, compiled: bool = False) -> Program:
    """Run the JAX counterpart, op by op or as one compiled step that reuses the weights' memory."""
    import jax

    from benchmarks import jax_programs

    function = getattr(jax_programs, workload.name)
    if compiled:
        function = jax.jit(function, donate_argnums=0)
    weights, batch = jax.tree.map(jax.numpy.array, (workload.weights, workload.batch))

    def step() -> Sequence[Any]:
        nonlocal weights
        weights, losses = jax.block_until_ready(function(weights, *batch))
        return losses

    return Program(step=step, weights=lambda: jax.tree.map(np.array, weights))


def autograd_program(workload: Workload) -> Program:
    """Run the HIPS autograd counterpart."""
    from benchmarks import autograd_programs

    weights = workload.weights
    step = getattr(autograd_programs, workload.name)(weights)
    return Program(step=lambda: step(*workload.batch), weights=lambda: weights)


def limit_torch(threads: int) -> None:
    """Give PyTorch the number of threads."""
    import torch

    torch.set_num_threads(threads)


def limit_tensorflow(threads: int) -> None:
    """Give TensorFlow the number of threads, within an op and across ops."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)


PEERS = {
    "headgate": Peer("Headgate", "headgate", lambda work: tape_program("headgate.tf", work)),
    "torch": Peer("PyTorch eager", "torch", torch_program, limit_torch),
    "tensorflow": Peer(
        "TensorFlow eager",
        "tensorflow",
        lambda work: tape_program("tensorflow", work),
        limit_tensorflow,
    ),
    "tensorflow-function": Peer(
        "TensorFlow tf.function",
        "tensorflow",
        lambda work: tape_program("tensorflow", work, compiled=True),
        limit_tensorflow,
    ),
    "autograd": Peer("autograd", "autograd", autograd_program, only=("chain",)),
    "jax": Peer("JAX op by op", "jax", jax_program, only=("chain",)),
    "jax-jit": Peer("JAX jit", "jax", lambda work: jax_program(work, compiled=True)),
}


def limit_environment(threads: int) -> None:
    """Set the thread count and quiet logs for processes started from here on."""
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(threads)))
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ["JAX_PLATFORMS"] = "cpu"
    os.environ["CUDA_VISIBLE_DEVICES"] = ""


def limit_cores(threads: int) -> None:
    """Keep this process on as many cores as threads; XLA's pool follows from that."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
