"""The peers: how each library loads, limits its threads, and turns a workload into a program.

A peer's library is imported only in that peer's worker process. A library has one column for each
way of running a program: op by op, and under each of its compilers. Eager and compiled peers of a
library are given the same text; Headgate and TensorFlow share one.

Every step waits for its results. TensorFlow and PyTorch return when those are there, for on a CPU
neither runs ahead of the caller; JAX does, so its peers and Headgate's compiled one block. What a
compiler keeps in the process is forgotten before each workload, so that the first step compiles.
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
    forget: Callable[[], None] = lambda: None
    only: tuple[str, ...] = ()
    compiled: bool = False
    needs: tuple[str, ...] = ()

    def missing(self) -> list[str]:
        """Return the modules that are not here, without importing any."""
        modules = (self.module, *self.needs)
        return [name for name in modules if importlib.util.find_spec(name) is None]

    def version(self) -> str:
        """Return the version of the library, which this imports."""
        return version_of(self.module)

    def versions(self) -> dict[str, str]:
        """Return the versions of all libraries at work, which this imports."""
        return {name: version_of(name) for name in (self.module, *self.needs)}

    def takes_part_in(self, workload: str) -> bool:
        """Tell whether the peer has a program for the workload."""
        return not self.only or workload in self.only


def version_of(module: str) -> str:
    """Import a module and return its version."""
    found = importlib.import_module(module)
    return str(getattr(found, "__version__", None) or metadata.version(module))


def tape_text(module: str, name: str, compiled: bool) -> Callable[..., Any]:
    """Return the text of a workload for `tensorflow` or `headgate.tf`: its own, or the shared."""
    from benchmarks import headgate_programs, programs, tensorflow_programs

    own: Any = tensorflow_programs
    if module == "headgate.tf":
        own = headgate_programs if compiled or name in headgate_programs.EAGERLY else programs
    found: Callable[..., Any] = getattr(own, name, None) or getattr(programs, name)
    return found


def compiler(module: str) -> Callable[..., Any]:
    """Return what compiles a step; of Headgate its own, which can be told to reuse memory."""
    if module == "headgate.tf":
        module = "headgate"
    found: Callable[..., Any] = importlib.import_module(module).function
    return found


def tape_program(
    module: str,
    workload: Workload,
    function: dict[str, Any] | None = None,
    place: Callable[[np.ndarray], Any] = np.asarray,
) -> Program:
    """Run the text for tapes with `tensorflow` or `headgate.tf`.

    Args:
        module: The module that the text calls `tf`.
        workload: What to run.
        function: Options of the peer's `compiler`; None runs the text op by op.
        place: Puts an array where the peer wants its data.
    """
    tf = importlib.import_module(module)
    variables = {
        name: [tf.Variable(place(array)) for array in group]
        for name, group in workload.weights.items()
    }
    step = tape_text(module, workload.name, function is not None)(tf, variables)
    if function is not None:
        step = compiler(module)(step, **function)
    batch = [tf.constant(place(array)) for array in workload.batch]
    return Program(
        step=lambda: step(*batch),
        weights=lambda: {
            name: [variable.numpy() for variable in group] for name, group in variables.items()
        },
    )


def function_program(workload: Workload) -> Program:
    """Run the text for tapes through XLA, with weights and batch where XLA keeps its arrays.

    The step may write over the old weights, as JAX's may.
    """
    import jax

    program = tape_program("headgate.tf", workload, {"donate": True}, jax.numpy.array)
    return Program(
        step=lambda: jax.block_until_ready([result.value for result in program.step()]),
        weights=program.weights,
    )


def torch_program(workload: Workload, compiled: bool = False) -> Program:
    """Run the PyTorch counterpart, eager or through TorchInductor and a C++ compiler."""
    import torch

    from benchmarks import torch_programs

    weights, batch = torch_programs.to_torch(workload)
    step = getattr(torch_programs, workload.name)(weights)
    if compiled:
        step = torch.compile(step)
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


def forget_jax() -> None:
    """Drop what JAX has traced and compiled."""
    import jax

    jax.clear_caches()


def forget_torch() -> None:
    """Drop what torch.compile has traced and compiled."""
    import torch

    torch.compiler.reset()


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
    "headgate-function": Peer(
        "Headgate function",
        "headgate",
        function_program,
        forget=forget_jax,
        compiled=True,
        needs=("jax",),
    ),
    "jax-jit": Peer(
        "JAX jit",
        "jax",
        lambda work: jax_program(work, compiled=True),
        forget=forget_jax,
        compiled=True,
    ),
    "tensorflow-function": Peer(
        "tf.function",
        "tensorflow",
        lambda work: tape_program("tensorflow", work, {}),
        limit_tensorflow,
        compiled=True,
    ),
    "tensorflow-xla": Peer(
        "tf.function XLA",
        "tensorflow",
        lambda work: tape_program("tensorflow", work, {"jit_compile": True}),
        limit_tensorflow,
        compiled=True,
    ),
    "torch-compile": Peer(
        "torch.compile",
        "torch",
        lambda work: torch_program(work, compiled=True),
        limit_torch,
        forget_torch,
        compiled=True,
    ),
    "headgate": Peer("Headgate eager", "headgate", lambda work: tape_program("headgate.tf", work)),
    "torch": Peer("PyTorch eager", "torch", torch_program, limit_torch),
    "tensorflow": Peer(
        "TensorFlow eager",
        "tensorflow",
        lambda work: tape_program("tensorflow", work),
        limit_tensorflow,
    ),
    "autograd": Peer("autograd", "autograd", autograd_program, only=("chain", "gmm")),
    "jax": Peer("JAX op by op", "jax", jax_program, forget=forget_jax, only=("chain", "gmm")),
}

GROUPS = {
    "compiled": [name for name, peer in PEERS.items() if peer.compiled],
    "eager": [name for name, peer in PEERS.items() if not peer.compiled],
}
"""Names for several peers at once."""


def limit_environment(threads: int) -> None:
    """Limit cores and threads, and quiet logs, of this process and those started from here on.

    Thread pools follow three things: PyTorch's and TensorFlow's the peer's own `limit_threads`,
    NumPy's these variables, XLA's in JAX the cores. A compiler that stores its work on disk is
    told in `compare` to begin with nothing.
    """
    limit_cores(threads)
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(threads)))
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ["JAX_PLATFORMS"] = "cpu"
    os.environ["CUDA_VISIBLE_DEVICES"] = ""


def limit_cores(threads: int) -> None:
    """Keep this process, and threads and processes that it starts, on as many cores as threads."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
