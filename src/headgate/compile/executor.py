"""What an executor is: all that compiling needs to know of the library that runs its programs.

An executor gives stand-ins for arrays, makes a program of what a function does to them, and holds
arrays between calls in a form of its own. Work on variables, signatures, results, tapes and
control flow is done in this wing, for any executor, and no module outside of an executor's own
package knows which one is at work: a compiled function holds its executor and hands it on, and what
it traces runs in a scope that has it (`Tracing`).

An executor is a module with the functions of `Executor`. `EXECUTORS` is the table of them by name;
one is imported when a function asks for it, and its libraries when something is traced. The
operations that a function does are those of the namespace that owns the stand-ins
(`headgate.core.namespace`), random draws among them.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, NamedTuple, Protocol, cast

import optree

from headgate.core.namespace import Array
from headgate.core.scope import Scope, stage
from headgate.core.tensor import Tensor
from headgate.core.traced import is_traced_kind

EXECUTORS = {"xla": "headgate.compile.xla.executor"}
"""Name of an executor -> the module that is it."""


class Form(NamedTuple):
    """Shape and dtype of an array; `weak` if it was a Python number, which adapts to others."""

    shape: tuple[int, ...]
    dtype: Any
    weak: bool = False


class Program(Protocol):
    """A traced function of two lists of arrays and numbers."""

    risky: bool
    """Whether it may fail although it was compiled: it needs much memory, or calls the host."""

    donates: bool
    """Whether it writes its results to the memory of the first list, which is used up.

    If these are arrays of variables, no step of Python's may come between their going and the
    results.
    """

    precision: str | None
    """How exactly it multiplies; None: as is usual where it runs."""

    def compile(self) -> Callable[..., Any]:
        """Return what runs the program: it takes the two lists and returns what was traced."""

    def offered(self, used: Sequence[Any]) -> Any:
        """Return the first list as the program takes it, for one call."""

    def moved(self, error: Exception, used: Sequence[Any], kept: Sequence[Any]) -> Any:
        """Return what runs it for arrays in another place, if an error is about that; raise it."""

    def text(self) -> str:
        """Return the program as text."""


class Equations(Protocol):
    """A branch or a body as a part of a program; from inputs and cotangents also to gradients."""

    @property
    def outputs(self) -> Sequence[Any]:
        """What `form_of` knows the forms of outputs by."""

    @property
    def gradients(self) -> Sequence[Any]:
        """What `form_of` knows the forms of gradients by."""

    def run(self, inputs: Sequence[Array] = (), effects: bool = True) -> list[Array]:
        """Return the outputs for these inputs; print what the function prints, if `effects`."""

    def pull(self, inputs: Sequence[Array], cotangents: Sequence[Array]) -> list[Array]:
        """Return the gradients for these inputs and cotangents."""


class Scan(Protocol):
    """A loop over steps, and the loop back for its gradient."""

    def forward(
        self, first: Sequence[Array], xs: Sequence[Array], length: int, reverse: bool
    ) -> list[Array]:
        """Return the last of what is carried, and what is stacked."""

    def backward(self, last: Sequence[Array], stacks: Sequence[Array]) -> list[Array]:
        """Return the gradients, given the cotangents of the last carried arrays and of stacks."""


Traced = Callable[[list[Array], list[Array]], tuple[list[Array], list[Array]]]
"""From inputs and cotangents to outputs and gradients."""


class Executor(Protocol):
    """The functions of an executor."""

    # -- programs and their arrays ----------------------------------------------------------------

    def trace(
        self,
        function: Callable[[Sequence[Any], Sequence[Any]], Any],
        used: Sequence[Any],
        kept: Sequence[Any],
        renewed: int,
        donate: bool | None,
        precision: str | None,
    ) -> Program:
        """Run a function on stand-ins for arrays and numbers like these; return what it did.

        If it may `donate`, the memory of what is `used` is the program's to write its results to.
        None leaves that to the executor, which does so if nothing can fail while the program runs.
        It returns a list, whose first arrays are `renewed`: so many take the place of what is used,
        one for one; if none do, whoever gave the arrays loses them. Without a `precision` the
        program has that of all.
        """

    def stand_in(self, array: Array) -> Array:
        """Return a stand-in for an array while a function is traced."""

    def fitted(self, value: Array, like: Array) -> Array:
        """Return a traced value as an array of the dtype of another one."""

    def native(self, array: Array) -> Array:
        """Return a copy of an array as this executor keeps it."""

    def is_native(self, kind: type, /) -> bool:
        """Tell whether a type is that of this executor's arrays, or of its stand-ins for them."""

    def host(self, array: Array) -> Array:
        """Return an array as NumPy's, not to be written to."""

    def runs_ahead(self, array: Array) -> bool:
        """Tell whether Python must go on while programs run where an array is."""

    def wait(self, array: Array) -> None:
        """Wait until an array is there; raise the error if its program has failed."""

    def wide(self) -> AbstractContextManager[Any]:
        """Let the executor compute with 64-bit types for a block."""

    def precise(self, precision: str) -> AbstractContextManager[Any]:
        """Let this thread multiply with a precision (`compile/precision`) for a block."""

    def set_precision(self, precision: str) -> None:
        """Let all threads multiply with a precision from now on."""

    def at_once(self) -> AbstractContextManager[Any]:
        """Let this thread compute at once for a block, although it traces."""

    def settle(self) -> None:
        """Wait until the programs that were called have made their reports (`compile/alarms`)."""

    def mover(self, backend: Any) -> Callable[[Array], Array] | None:
        """Return what moves arrays to a backend (a library's name, a device), if that is ours."""

    def keeps(self, array: Array) -> bool:
        """Tell whether operations on an array of this executor's keep the width of its dtype."""

    # -- control flow -----------------------------------------------------------------------------

    def form_of(self, value: Any) -> Form:
        """Return the form of an array, a number, or an output of equations."""

    def array(self, value: Array) -> Array:
        """Return an array as one of this executor's library."""

    def cast(self, value: Array, dtype: Any) -> Array:
        """Return a value as an array of a dtype, and no longer weakly typed."""

    def zeros(self, form: Form) -> Array:
        """Return an array of zeros."""

    def equations(
        self, function: Traced, inputs: Sequence[Form], cotangents: Sequence[Form] = ()
    ) -> Equations:
        """Run a function on stand-ins of these forms; return what it did."""

    def choose(
        self, pred: Array, true: Callable[[], list[Array]], false: Callable[[], list[Array]]
    ) -> list[Array]:
        """Compute one of two lists of arrays."""

    def repeat(
        self, condition: Any, body: Any, first: Sequence[Array], most: int | None
    ) -> list[Array]:
        """Compute the last of a sequence of lists of arrays; return its number, then its arrays."""

    def scan(self, program: Any, carried: int, returned: int, shared: int) -> Scan:
        """Make a loop of a program, which takes `carried` arrays, then those of a step.

        It returns as many carried ones, then those to stack. Its cotangents are of `returned`
        carried ones, then of some stacked ones. Its gradients are for the same carried ones, then
        some of the step's own, from `shared` on for what all steps have in common.
        """


# -- which one is at work --------------------------------------------------------------------------


@functools.cache
def load(name: str) -> Executor:
    """Return the executor of a name."""
    return cast(Executor, importlib.import_module(EXECUTORS[name]))


_preferred = "xla"


def preferred() -> Executor:
    """Return the executor of functions that are made now."""
    return load(_preferred)


@contextmanager
def prefer(name: str) -> Iterator[None]:
    """Let functions that are made in a block be compiled by another executor than XLA.

    Users have one, and no need to choose; whoever writes a second one, or tests what is true of
    all, has.
    """
    global _preferred
    before, _preferred = _preferred, name
    try:
        yield
    finally:
        _preferred = before


def executor_of(kind: type) -> Executor | None:
    """Return the executor whose arrays or stand-ins a type is of."""
    return next((each for each in map(load, EXECUTORS) if each.is_native(kind)), None)


class Tracing(Scope):
    """A scope in which something becomes a part of a program."""

    __slots__ = ("executor",)

    def __init__(self, stand_in: Callable[[Any], Any], executor: Executor) -> None:
        super().__init__(stand_in)
        self.executor = executor

    def outside(self) -> AbstractContextManager[Any]:
        """Let this thread compute at once for a block, whatever traces it."""
        return self.executor.at_once()


def at_work(trees: Any) -> Executor | None:
    """Return the executor that this thread traces for, or whose stand-ins are among values."""
    if isinstance(stage.scope, Tracing):
        return stage.scope.executor
    leaves: list[Any] = optree.tree_leaves(trees)
    kinds = (type(leaf.value if type(leaf) is Tensor else leaf) for leaf in leaves)
    return next((executor_of(kind) for kind in kinds if is_traced_kind(kind)), None)
