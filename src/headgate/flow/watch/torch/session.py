"""A session: when a PyTorch program is looked at, and what is put in its way for that.

Each line that asks for gradients is looked at closely in its first three passes, with the mode on
and every cotangent measured. Then the mode is taken away, and only the calls of `backward`, `grad`
and `step` go through here: they count passes and see whether gradients are still there. Is one
missing that had been there, or there that had been missing, the next pass is looked at.

What is put in the way is public: functions of `torch` and `torch.autograd` that are replaced, and
PyTorch's own global hooks of modules and optimizers. All of it is taken back at the end.
"""

from __future__ import annotations

import functools
import threading
import weakref
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import torch
from torch.nn.modules import module as of_modules
from torch.optim import optimizer as of_optimizers
from torch.overrides import _get_current_function_mode

from headgate.flow.judge import Told
from headgate.flow.solve import Reach
from headgate.flow.trace import Place, Trace
from headgate.flow.watch.border import border, lost_abroad
from headgate.flow.watch.torch import asking, functions, modules, steps, transforms
from headgate.flow.watch.torch.account import account
from headgate.flow.watch.torch.graph import Walk
from headgate.flow.watch.torch.log import MOST, Log
from headgate.flow.watch.torch.mistakes import mistakes
from headgate.flow.watch.torch.mode import Mode
from headgate.flow.watch.torch.names import find_names
from headgate.flow.watch.torch.records import CHANGES, CLOSELY, GONE, Ask, Line, Stepper
from headgate.flow.watch.torch.shield import shielded
from headgate.flow.watch.torch.values import Leaf

began: list[weakref.ref[Session]] = []
"""All sessions that are still there, the newest last."""

_REPLACED: tuple[tuple[Any, str, Callable[..., Any], Any], ...] = (
    (torch.autograd, "backward", asking.backward, None),
    (torch.autograd, "grad", asking.gradient, None),
    (torch.func, "grad", transforms.grad, None),
    (torch.func, "grad_and_value", transforms.grad, None),
    (torch.func, "vjp", transforms.vjp, None),
    (torch, "from_numpy", functions.from_numpy, None),
    (torch, "compile", functions.compile_, None),
    (torch.optim.Optimizer, "add_param_group", steps.add_param_group, None),
    (torch.nn.Module, "__setattr__", modules.set_attribute, None),
    (torch.nn.Module, "load_state_dict", modules.load, None),
    (torch.nn.Parameter, "__new__", modules.make_parameter, staticmethod),
    (torch.autograd.Function, "apply", functions.apply, classmethod),
)
"""What is put before functions of PyTorch: whose, which, by what, and what sort of method it is."""


class Session:
    """One time of looking on, from the import of PyTorch or the beginning of a block."""

    def __init__(self, step: int | None = None, every: int | None = None) -> None:
        self.wanted = step
        self.every = every
        self.log = Log()
        self.mode = Mode(self.log)
        self.on = False  # whether what happens is noted
        self.entered = False  # whether the mode is there
        self.thread = threading.get_ident()
        self.asks: list[Ask] = []
        self.lines: dict[tuple[int, str], Line] = {}  # the user's line, and that in a library
        self.steppers: dict[int, Stepper] = {}
        self.roots: dict[int, Any] = {}  # id -> module that is called by the program itself
        self.paths: dict[int, tuple[int, str]] = {}  # source -> (id of the root, path)
        self.root_names: dict[int, str] = {}
        self.holders: dict[int, Any] = {}  # id -> module that paths begin in
        self.replaced: list[tuple[int, int, int]] = []  # old source, new source, place
        self.flags: list[tuple[Any, str, int]] = []  # module, attribute, place
        self.scripted: set[int] = set()  # sources in modules that run as TorchScript
        self.lists: list[tuple[Any, int]] = []  # lists with modules in a module, place
        self.compiled = False
        self.blocked = False  # by a function mode of the program's own
        self.elsewhere = 0  # gradient calls in other threads
        self.slots: dict[tuple[int, str], tuple[Any, Any]] = {}  # weakly: module, what is there
        self.undo: list[Callable[[], None]] = []
        self.walking: Walk | None = None
        self.held_still: list[tuple[Any, Any]] = []  # frozen parameters that a step may move
        self.optimized: dict[int, int] = {}  # source -> optimizer, as of the last account
        self.reach = Reach(self.log.trace)  # as of the last account, too
        self.concerns: set[Leaf] = set()
        self.differentiated: set[int] = set()  # sources behind what is differentiated twice
        self.moved: dict[int, int] = {}  # source that changes though it is frozen -> place
        self._accounted: tuple[Any, ...] = ()  # how much had happened when it was last told
        self._calls = 0
        self.events = 0  # how many there were at the last gradient call
        self.latest: Line | None = None
        self.labels: dict[int, str] = {}

    def begin(self) -> None:
        """Begin to look on."""
        border.forget("torch")
        began[:] = [each for each in began if each() is not None] + [weakref.ref(self)]
        for owner, name, wrapper, how in _REPLACED:
            self._replace(owner, name, partial(wrapper, self), how)
        self._hear_flags()
        registered = partial(modules.registered, self)
        for handle in (
            of_modules.register_module_module_registration_hook(
                partial(modules.module_registered, self)
            ),
            of_modules.register_module_parameter_registration_hook(registered),
            of_modules.register_module_buffer_registration_hook(registered),
            of_optimizers.register_optimizer_step_pre_hook(partial(steps.before_step, self)),
            of_optimizers.register_optimizer_step_post_hook(partial(steps.after_step, self)),
        ):
            self.undo.append(handle.remove)
        self.switch(True)

    def end(self) -> None:
        """Leave PyTorch as it was."""
        self.switch(False)
        self.settle()
        while self.undo:
            self.undo.pop()()

    def _replace(self, owner: Any, name: str, wrapper: Callable[..., Any], how: Any = None) -> None:
        """Put a function before one of PyTorch's, which it gets as its first argument."""
        own = vars(owner).get(name)
        original = getattr(own, "__func__", own)

        @functools.wraps(original)
        def instead(*args: Any, **kwargs: Any) -> Any:
            return wrapper(original, *args, **kwargs)

        made = instead if how is None else how(instead)
        setattr(owner, name, made)

        def undo() -> None:
            if vars(owner).get(name) is made:
                setattr(owner, name, own)

        self.undo.append(undo)

    def _hear_flags(self) -> None:
        """Hear of the flags of parameters as well while the mode is away."""
        plain = torch.Tensor.requires_grad

        def put(parameter: Any, flag: bool) -> None:
            plain.__set__(parameter, flag)
            modules.flagged(self, parameter, flag)

        def requires_grad_(parameter: Any, requires_grad: bool = True) -> Any:
            torch.Tensor.requires_grad_(parameter, requires_grad)
            modules.flagged(self, parameter, requires_grad)
            return parameter

        for name, made in (
            ("requires_grad", property(plain.__get__, put)),
            ("requires_grad_", requires_grad_),
        ):
            setattr(torch.nn.Parameter, name, made)
            self.undo.append(partial(_take_back, torch.nn.Parameter, name, made))

    def switch(self, on: bool) -> None:
        """Begin to note what happens, if nobody else's mode would be taken for ours, or end it.

        PyTorch takes a mode away while its own handler runs, as in `loss.backward()`, and puts it
        back afterwards. So it is told to be idle at once, and taken away when it lies on top.
        """
        if on == self.on or threading.get_ident() != self.thread:
            return
        if on:
            if not self.entered:
                top = _get_current_function_mode()
                self.blocked = top is not None and not isinstance(top, Mode)
                if self.blocked:
                    return
                self.mode.__enter__()
                self.entered = True
            self._hooks = (
                of_modules.register_module_forward_pre_hook(partial(modules.enter_module, self)),
                of_modules.register_module_forward_hook(
                    partial(modules.leave_module, self), always_call=True
                ),
            )
        else:
            for handle in self._hooks:
                handle.remove()
            self.log.stack.clear()
            for ask in self.asks[-100:]:  # what becomes of these gradients is not seen
                if ask.updates == len(self.log.trace.updates):
                    ask.outputs = [None] * len(ask.outputs)
                    ask.gradients.clear()
        self.on, self.log.idle = on, not on
        self.settle()

    def settle(self) -> None:
        """Take the mode away once it is idle."""
        if self.entered and not self.on and _get_current_function_mode() is self.mode:
            self.mode.__exit__(None, None, None)
            self.entered = False

    @shielded
    def safely(self, note: Callable[..., Any], *args: Any) -> Any:
        """Call what only notes something; its errors are the watcher's."""
        return note(*args)

    @property
    def hears(self) -> bool:
        """Whether what happens now is to be noted."""
        silent = self.log.idle or self.log.quiet
        return self.on and not silent and threading.get_ident() == self.thread

    def leave_off(self, line: Line) -> None:
        """Look no more once a line was looked at, and each other one that is still called.

        It is decided when the line is called again, for the steps that its gradients are given to
        come after the call.
        """
        self._calls += 1
        line.last, self.latest = self._calls, line
        if self.every is not None or self.wanted is not None or line.looked < CLOSELY:
            return
        lines = self.lines.values()
        if all(each.looked >= CLOSELY or each.last < self._calls - GONE for each in lines):
            self.switch(False)

    def take_up(self, line: Line) -> None:
        """Look from here on, if a line was not looked at often enough."""
        if line.looked < CLOSELY and line.changes < CHANGES:
            line.changes += 1
            self.switch(True)

    def trace(self) -> Trace:
        """Return what happened as a neutral trace."""
        steps = sum(known.steps for known in self.steppers.values())
        flags = sum(len(leaf.flags) for leaf in self.log.leaves)
        trace = self.log.trace
        so_far = len(trace.events), len(trace.updates), steps, flags, *self.asks
        if so_far != self._accounted:
            find_names(self)
            account(self)
            self._accounted = so_far
        return self.log.trace

    def reached(self) -> dict[Leaf, None]:
        """Return the sources that some call brought a gradient that is not zero, in order."""
        found = {leaf for ask in self.asks for leaf, size in ask.arrived.items() if size}
        return dict.fromkeys(leaf for leaf in self.log.leaves if leaf in found)

    def told(self) -> Iterable[Told]:
        """Yield what is wrong with parameters beside all gradient calls."""
        trace = self.trace()
        return [*mistakes(self), *lost_abroad(trace, self.optimized)]

    def remarks(self) -> list[str]:
        """Return in a sentence each what could not be seen."""
        found = []
        if self.compiled:
            found.append("Functions given to torch.compile ran uncompiled, to be seen.")
        found += [f"The watcher itself failed, and saw no more: {f}." for f in self.log.faults[:1]]
        if self.blocked:
            found.append(
                "A TorchFunctionMode of the program's own was there first, such as that of "
                "torch.set_default_device: what ran meanwhile was not seen."
            )
        if self.elsewhere:
            found.append(f"Gradient calls in other threads were not looked at: {self.elsewhere}.")
        if self.scripted:
            found.append("What happens inside torch.jit.script is not seen.")
        if self.log.full:
            found.append(f"After {MOST:,} operations nothing more was noted.")
        return found

    def coverage(self) -> tuple[int, int]:
        """Return how many gradient calls were looked at closely, and of how many."""
        lines = self.lines.values()
        return sum(line.looked for line in lines), sum(line.passes for line in lines)

    def place(self, number: int) -> Place | None:
        """Return a line by its number."""
        return self.log.trace.places[number] if number >= 0 else None


def _take_back(owner: Any, name: str, made: Any) -> None:
    """Delete an attribute that a class has for us, unless somebody has put another one there."""
    if vars(owner).get(name) is made:
        delattr(owner, name)
