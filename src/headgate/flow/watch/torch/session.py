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
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.nn.modules import module as modules
from torch.optim import optimizer as optimizers
from torch.overrides import _get_current_function_mode

from headgate.flow.judge import Told
from headgate.flow.trace import Cut, Place, Source, Trace, Update
from headgate.flow.watch.torch.account import account
from headgate.flow.watch.torch.frames import inside_library, name_in_frames
from headgate.flow.watch.torch.graph import CUSTOM, Walk, norm
from headgate.flow.watch.torch.log import MOST, Log, Mode
from headgate.flow.watch.torch.mistakes import means_requires_grad, mistakes
from headgate.flow.watch.torch.names import modules_in_frames, outermost, paths_in
from headgate.flow.watch.torch.ops import OP, Row
from headgate.flow.watch.torch.values import Leaf, leaf_of, tensors_in
from headgate.record.site import chain

CLOSELY = 3
"""So many first passes of a line are looked at closely."""

GONE = 50
"""A line that was not called in so many calls of others is not waited for."""

CHANGES = 16
"""So often a line is looked at closely because other gradients came than before."""


@dataclass(slots=True, eq=False)
class Ask:
    """A gradient call that was looked at."""

    place: int
    step: int
    targets: tuple[int, ...]
    names: tuple[str, ...]
    began: int
    inner: bool
    arrived: dict[Leaf, float] = field(default_factory=dict)
    gradients: dict[int, int] = field(default_factory=dict)  # source -> value of its gradient
    explicit: list[int] | None = None  # sources, if the program says which
    norms: list[float | None] = field(default_factory=list)
    outputs: list[int | None] = field(default_factory=list)
    walk: Walk | None = None
    failed: str = ""
    first: int = 0  # number of the first event since the call before
    missing: tuple[Leaf, ...] = ()  # of a call that raised: what it would have reached
    unasked: dict[int, Cut] = field(default_factory=dict)  # position -> why it cannot have one
    updates: int = 0  # how many updates there had been


@dataclass(slots=True, eq=False)
class Line:
    """A line that asks for gradients."""

    passes: int = 0
    looked: int = 0
    changes: int = 0
    last: int = 0  # its last call, counted over all lines


@dataclass(slots=True, eq=False)
class Stepper:
    """An optimizer: where it was made and what it has."""

    optimizer: Any
    place: int
    parameters: list[Any] = field(default_factory=list)
    steps: int = 0
    rate: float = 0.0
    last: int = -1
    fed: bool = False  # whether any of its parameters ever had a gradient at a step
    missing: frozenset[int] | None = None  # which parameters had no gradient at its last step


began: list[weakref.ref[Session]] = []
"""All sessions that are still there, the newest last."""


def _shielded(method: Callable[..., Any]) -> Callable[..., Any]:
    """Return a method of a session whose errors do not reach the program; it then gives None."""

    @functools.wraps(method)
    def instead(session: Session, *args: Any, **kwargs: Any) -> Any:
        quiet = session.log.quiet
        try:
            return method(session, *args, **kwargs)
        except Exception as error:
            session.log.quiet = quiet
            session.log.fault(error)
            return None

    return instead


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
        self._slots: dict[tuple[int, str], tuple[Any, Any]] = {}  # weakly: module, what is there
        self._undo: list[Callable[[], None]] = []
        self._asking: Walk | None = None
        self._held_still: list[tuple[Any, Any]] = []  # frozen parameters that a step may move
        self.concerns: set[Leaf] = set()
        self.differentiated: set[int] = set()  # sources behind what is differentiated twice
        self.moved: dict[int, int] = {}  # source that changes though it is frozen -> place
        self._accounted: tuple[Any, ...] = ()  # how much had happened when it was last told
        self._calls = 0
        self._events = 0
        self._latest: Line | None = None
        self._labels: dict[int, str] = {}

    # -- what is put in the way -------------------------------------------------------------------

    def begin(self) -> None:
        """Begin to look on."""
        began[:] = [each for each in began if each() is not None] + [weakref.ref(self)]
        self._replace(torch.autograd, "backward", self._backward)
        self._replace(torch.autograd, "grad", self._gradient)
        self._replace(torch, "from_numpy", self._from_numpy)
        self._replace(torch, "compile", self._compile)
        self._replace(torch.optim.Optimizer, "add_param_group", self._add_param_group)
        self._replace(torch.nn.Module, "__setattr__", self._set_attribute)
        self._replace(torch.nn.Module, "load_state_dict", self._load)
        self._replace(torch.nn.Parameter, "__new__", self._parameter, staticmethod)
        self._replace(torch.autograd.Function, "apply", self._apply, classmethod)
        for handle in (
            modules.register_module_parameter_registration_hook(self._registered),
            modules.register_module_buffer_registration_hook(self._registered),
            optimizers.register_optimizer_step_pre_hook(self._before_step),
            optimizers.register_optimizer_step_post_hook(self._after_step),
        ):
            self._undo.append(handle.remove)
        self._switch(True)

    def end(self) -> None:
        """Leave PyTorch as it was."""
        self._switch(False)
        self._settle()
        while self._undo:
            self._undo.pop()()

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

        self._undo.append(undo)

    def _switch(self, on: bool) -> None:
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
                modules.register_module_forward_pre_hook(self._enter_module),
                modules.register_module_forward_hook(self._leave_module, always_call=True),
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
        self._settle()

    def _settle(self) -> None:
        """Take the mode away once it is idle."""
        if self.entered and not self.on and _get_current_function_mode() is self.mode:
            self.mode.__exit__(None, None, None)
            self.entered = False

    @_shielded
    def _safely(self, note: Callable[..., Any], *args: Any) -> Any:
        """Call what only notes something; its errors are the watcher's."""
        return note(*args)

    @property
    def hears(self) -> bool:
        """Whether what happens now is to be noted."""
        silent = self.log.idle or self.log.quiet
        return self.on and not silent and threading.get_ident() == self.thread

    # -- modules and parameters -------------------------------------------------------------------

    def knows(self, module: Any) -> None:
        """Note that a module is one of its own, and not a part of what is called."""
        self.roots[id(module)] = module
        for path, child in module.named_modules():
            self._labels[id(child)] = f"{type(child).__name__} {path}".rstrip()
            if isinstance(child, torch.jit.ScriptModule):
                inside = [self.log.leaf(each) for each in child.parameters()]
                self.scripted.update(leaf.number for leaf in inside)

    @_shielded
    def _enter_module(self, module: Any, args: Any) -> None:
        if threading.get_ident() != self.thread:
            return
        if not self.log.stack and not self.log.quiet and id(module) not in self._labels:
            self.knows(module)
        self.log.stack.append(self._labels.get(id(module)) or type(module).__name__)

    @_shielded
    def _leave_module(self, module: Any, args: Any, result: Any) -> None:
        if self.log.stack and threading.get_ident() == self.thread:
            self.log.stack.pop()

    @_shielded
    def _registered(self, module: Any, name: str, value: Any) -> None:
        if not isinstance(value, torch.Tensor) or threading.get_ident() != self.thread:
            return
        self.log.registered(module, name, value)
        here, before = self._slots.get((id(module), name), (lambda: None, lambda: None))
        self._slots[id(module), name] = weakref.ref(module), weakref.ref(value)
        before = before() if here() is module else None
        if before is not None and before is not value and self.steppers:
            here = self.log.here()
            old, new = self.log.leaf(before), self.log.leaf(value)
            self.replaced.append((old.number, new.number, here))

    def _parameter(self, original: Any, cls: Any, *args: Any, **kwargs: Any) -> Any:
        data = args[0] if args else kwargs.get("data")
        made = original(cls, *args, **kwargs)
        if self.hears and type(data) is torch.Tensor and isinstance(made, torch.nn.Parameter):
            self._safely(self.log.put_into, data, made)
        return made

    def _load(self, original: Any, module: Any, *args: Any, **kwargs: Any) -> Any:
        """Note what has its values from elsewhere."""
        result = original(module, *args, **kwargs)
        if threading.get_ident() == self.thread:
            self._safely(self._note_loaded, module)
        return result

    def _note_loaded(self, module: Any) -> None:
        for parameter in module.parameters():
            self.log.leaf(parameter).loaded = True

    def _set_attribute(self, original: Any, module: Any, name: str, value: Any) -> None:
        original(module, name, value)
        if type(value) in (list, tuple, dict) and _holds_modules(value):
            self.lists.append((value, self.log.here()))
        if value is False and means_requires_grad(name) and not hasattr(type(module), name):
            self.flags.append((module, name, self.log.here()))

    def _compile(self, original: Any, *args: Any, **kwargs: Any) -> Any:
        if not self.compiled and hasattr(torch.compiler, "set_stance"):
            self.compiled = True
            torch.compiler.set_stance("force_eager")
            self._undo.append(lambda: torch.compiler.set_stance("default"))
        return original(*args, **kwargs)

    def _from_numpy(self, original: Any, *args: Any, **kwargs: Any) -> Any:
        result = original(*args, **kwargs)
        if self.hears and args:
            self._safely(self.log.from_host, args[0], result)
        return result

    def _apply(self, original: Any, cls: Any, *args: Any, **kwargs: Any) -> Any:
        """Note a function of the program's own, as one op."""
        if not self.hears:
            return original(cls, *args, **kwargs)
        if cls.__name__ == "CheckpointFunction":
            return self._checkpoint(original, cls, *args, **kwargs)
        log = self.log
        given = self._safely(log.taken, args, kwargs)
        log.quiet += 1
        try:
            result = original(cls, *args, **kwargs)
        finally:
            log.quiet -= 1
        results = list(tensors_in((result,)))
        if given and results:
            self._safely(log.made, Row(OP, cls.__name__), given, results, CUSTOM)
        return result

    def _checkpoint(self, original: Any, cls: Any, *args: Any, **kwargs: Any) -> Any:
        """Note what is computed now and once more as gradients come back.

        It has a gradient if one of its arguments has; then all that is used within has one, too.
        """
        log = self.log
        first = len(log.trace.events)
        result = original(cls, *args, **kwargs)
        results = list(tensors_in((result,)))
        tracked = any(each.requires_grad for each in results)
        _, here, led = log.lines.chain(chain())
        for event in log.trace.events[first:]:
            if event.kind == "no_grad_block":
                event.kind = "" if tracked else "checkpoint"
                event.label = ""
                if tracked:
                    event.flows = (True,) * len(event.inputs)
                else:
                    event.place, event.callers = here, led
            elif tracked and not event.kind:
                event.flows = (True,) * len(event.inputs)
        for each in results:
            known = log.known(each)
            if each.requires_grad and known is not None:
                log.joined("checkpoint", each, known.number)
        return result

    # -- gradient calls ---------------------------------------------------------------------------

    def _backward(self, original: Any, *args: Any, **kwargs: Any) -> Any:
        tensors = args[0] if args else kwargs.get("tensors")
        given = args[5] if len(args) > 5 else kwargs.get("inputs")
        targets = list(tensors_in((tensors,)))
        if given is not None and not isinstance(given, torch.Tensor | list | tuple):
            given = tuple(given)
            if len(args) > 5:
                args = (*args[:5], given, *args[6:])
            else:
                kwargs["inputs"] = given

        def call() -> Any:
            return original(*args, **kwargs)

        if given is not None:
            given = [given] if isinstance(given, torch.Tensor) else list(given)
        return self._look(call, targets, None, given, False)

    def _gradient(self, original: Any, *args: Any, **kwargs: Any) -> Any:
        names = (
            *("outputs", "inputs", "grad_outputs", "retain_graph", "create_graph", "only_inputs"),
            *("allow_unused", "is_grads_batched", "materialize_grads"),
        )
        said = {**dict(zip(names, args)), **kwargs}
        for name in ("outputs", "inputs"):  # they may be given only once
            given = said.get(name)
            if given is not None and not isinstance(given, torch.Tensor | list | tuple):
                given = said[name] = tuple(given)
        targets = list(tensors_in((said.get("outputs"),)))
        inputs = list(tensors_in((said.get("inputs"),)))

        def call() -> Any:
            return original(**said)

        return self._look(call, targets, inputs, None, bool(said.get("create_graph")))

    def _look(
        self,
        call: Callable[[], Any],
        targets: list[Any],
        inputs: list[Any] | None,
        only: list[Any] | None,
        inner: bool,
    ) -> Any:
        """Make a gradient call, and note what comes of it if it is to be looked at."""
        if self._asking is not None:  # within another one, as checkpoints do
            with Walk(self.log, targets) as nested:
                result = call()
            self._asking.arrived.update(nested.arrived)
            self._asking.leaves += nested.leaves
            return result
        if threading.get_ident() != self.thread:
            self.elsewhere += 1
            return call()
        if self.log.quiet or not targets:
            return call()
        place = self.log.here()
        line = self.lines.setdefault((place, inside_library()), Line())
        step = line.passes
        line.passes += 1
        self._leave_off(line)
        if not self.on or self.log.idle:
            result = call()
            self._take_up(line)
            return result
        line.looked += 1
        ask = self.begin_asking(place, step, targets, inner)
        explicit = None if inputs is None else [self.source_of(each) for each in inputs]
        if explicit is not None:
            ask.explicit = [number for number, _ in explicit]
        self.find_names()
        self.log.quiet += 1
        walk = self._asking = ask.walk = Walk(self.log, targets)
        try:
            with walk:
                result = call()
        except Exception as error:
            ask.failed = str(error)
            self._note_failure(ask, walk, inputs)
            raise
        finally:
            self._asking = None
            self.log.quiet -= 1
            self.log.passed(ask.targets)
        self._note_result(ask, walk, result, inputs, only)
        return result

    def begin_asking(self, place: int, step: int, targets: list[Any], inner: bool) -> Ask:
        numbers, names = [], []
        began = self.log.since
        for target in targets:
            self.log.quiet += 1
            name = name_in_frames(target) or "loss"
            self.log.quiet -= 1
            number = self.log.number(target)
            if number:
                numbers.append(number)
                names.append(name)
        ask = Ask(place, step, tuple(numbers), tuple(names), began, inner)
        ask.first, self._events = self._events, len(self.log.trace.events)
        ask.updates = len(self.log.trace.updates)
        self.asks.append(ask)
        return ask

    def source_of(self, tensor: Any) -> tuple[int, Leaf | None]:
        """Return the source that the program differentiates by, made for this call if need be."""
        log = self.log
        number = log.number(tensor)
        known = log.known(tensor)
        if known is not None and known.leaf is not None:
            known.leaf.asked = True
            return known.leaf.number, known.leaf
        log.quiet += 1
        name = name_in_frames(tensor)
        log.quiet -= 1
        shape = tuple(tensor.shape)
        name = name or f"tensor of shape {shape}"
        place = -1
        for event in reversed(log.trace.events):
            if number in event.outputs:
                place = event.place
                break
        source = Source(name, number or log.new(), shape=shape, lasting=False, place=place)
        log.trace.sources.append(source)
        leaf = leaf_of(len(log.trace.sources) - 1, tensor, True)
        log.leaves.append(leaf)
        log.names[leaf.number] = name
        return leaf.number, None

    @_shielded
    def _note_result(
        self,
        ask: Ask,
        walk: Walk,
        result: Any,
        inputs: list[Any] | None,
        only: list[Any] | None,
    ) -> None:
        log = self.log
        if inputs is not None:
            for each in result:
                if each is None:
                    ask.norms.append(None)
                    ask.outputs.append(None)
                    continue
                log.quiet += 1
                came = norm(each)
                ask.norms.append(came)
                log.quiet -= 1
                if each.requires_grad:
                    ask.outputs.append(log.number(each))
                else:
                    number = log.differentiated(each, ask.targets)
                    log.trace.sizes[number] = came
                    ask.outputs.append(number)
            return
        wanted = None if only is None else {id(each) for each in only}
        for tensor in walk.leaves:
            if wanted is not None and id(tensor) not in wanted:
                continue
            size = walk.arrived.get(id(tensor))
            if size is None:
                continue
            leaf = log.leaf(tensor)
            ask.arrived[leaf] = size
            leaf.gradient = ask.gradients[leaf.number] = log.new()
            log.gradients[leaf.gradient] = leaf
            log.trace.sizes[leaf.gradient] = size
            leaf.cleared = -1
            gradient = tensor.grad
            if gradient is not None:
                log.keep(gradient, leaf.gradient)

    @_shielded
    def _note_failure(self, ask: Ask, walk: Walk, inputs: list[Any] | None) -> None:
        ask.missing = tuple(self.log.leaf(each) for each in walk.leaves)
        if inputs is not None:
            nodes = {id(leaf) for leaf in walk.leaves} | {id(node) for node in walk.nodes}
            ask.norms = [
                1.0 if id(each) in nodes or id(each.grad_fn) in nodes else None for each in inputs
            ]
            ask.outputs = [None] * len(inputs)
            for position, (each, number) in enumerate(zip(inputs, ask.explicit or ())):
                if not each.requires_grad:
                    made = self.log.trace.sources[number].place
                    place = self.log.trace.places[made if made >= 0 else ask.place]
                    ask.unasked[position] = Cut("not_watched", place)

    def _leave_off(self, line: Line) -> None:
        """Look no more once a line was looked at, and each other one that is still called.

        It is decided when the line is called again, for the steps that its gradients are given to
        come after the call.
        """
        self._calls += 1
        line.last, self._latest = self._calls, line
        if self.every is not None or self.wanted is not None or line.looked < CLOSELY:
            return
        lines = self.lines.values()
        if all(each.looked >= CLOSELY or each.last < self._calls - GONE for each in lines):
            self._switch(False)

    def _take_up(self, line: Line) -> None:
        """Look from here on, if a line was not looked at often enough."""
        if line.looked < CLOSELY and line.changes < CHANGES:
            line.changes += 1
            self._switch(True)

    # -- optimizers -------------------------------------------------------------------------------

    def _add_param_group(self, original: Any, optimizer: Any, group: Any) -> None:
        known = self.steppers.get(id(optimizer))
        if known is None:
            known = self.steppers[id(optimizer)] = Stepper(optimizer, self.log.here())
        listed = group.get("params") if isinstance(group, dict) else None
        if isinstance(listed, torch.Tensor):
            listed = [listed]
        elif listed is not None and not isinstance(listed, list | tuple | set):
            listed = list(listed)
            group = {**group, "params": listed}
        flat = list(tensors_in((list(listed or ()),), deep=True))
        for each in flat:
            if each.requires_grad and not each.is_leaf:
                found = self.log.known(each)
                if found is not None:
                    self.log.non_leaf(each, found)
        original(optimizer, group)
        for each in optimizer.param_groups[-1]["params"]:
            known.parameters.append(each)
            self.log.leaf(each)

    def _adopt(self, optimizer: Any) -> Stepper:
        """Return what is known of an optimizer that was made before anybody looked on."""
        known = self.steppers[id(optimizer)] = Stepper(optimizer, self.log.here())
        for group in optimizer.param_groups:
            known.parameters += group["params"]
            for each in group["params"]:
                self.log.leaf(each)
        return known

    def _before_step(self, optimizer: Any, args: Any, kwargs: Any) -> None:
        if threading.get_ident() != self.thread:
            return
        self.log.stepping = 1
        known = self.steppers.get(id(optimizer)) or self._adopt(optimizer)
        known.steps += 1
        known.rate = max(known.rate, *(_rate(group) for group in optimizer.param_groups))
        if not args[1:] and not kwargs.get("closure"):
            self._note_step(known)

    def _after_step(self, optimizer: Any, args: Any, kwargs: Any) -> None:
        if threading.get_ident() != self.thread:
            return
        self.log.stepping = 0
        self._settle()
        known = self.steppers.get(id(optimizer))
        if known is None:
            return
        if args[1:] or kwargs.get("closure"):
            self._note_step(known)
        for parameter, before in self._held_still:
            if not torch.equal(parameter, before):
                self.moved.setdefault(self.log.leaf(parameter).number, self.log.here())
        self._held_still.clear()
        self.log.turn += 1

    @_shielded
    def _note_step(self, known: Stepper) -> None:
        self._held_still = [
            (p, p.detach().clone())
            for p in known.parameters
            if not p.requires_grad and p.grad is not None and len(self.moved) < CHANGES
        ]
        missing = frozenset(id(p) for p in known.parameters if p.grad is None)
        before, known.missing = known.missing, missing
        known.fed = known.fed or len(missing) < len(known.parameters)
        if not self.on:
            self._note_change(before, missing)
            return
        log = self.log
        place = known.last = log.here()
        sources, values, sizes = [], [], []
        log.quiet += 1
        try:
            for parameter in known.parameters:
                leaf = log.leaf(parameter)
                if parameter.grad is None:
                    if leaf.cleared >= 0:
                        leaf.wiped = leaf.cleared
                    continue
                size = norm(parameter.grad)
                if size == 0 and not leaf.gradient and leaf.cleared >= 0:
                    leaf.wiped = leaf.cleared
                else:
                    leaf.given += 1
                log.trace.sources[leaf.number].updated = True
                sources.append(leaf.number)
                values.append(leaf.gradient or None)
                sizes.append(size)
        finally:
            log.quiet -= 1
        number = list(self.steppers).index(id(known.optimizer))
        log.trace.updates.append(
            Update(place, "step", tuple(sources), tuple(values), tuple(sizes), number, known.steps)
        )

    def _note_change(self, before: frozenset[int] | None, missing: frozenset[int]) -> None:
        """Look at the next pass if other gradients are missing than before, or all is new."""
        if before != missing and self._latest is not None:
            self._latest.looked = min(self._latest.looked, CLOSELY - 1)
            self._take_up(self._latest)

    # -- names ------------------------------------------------------------------------------------

    @_shielded
    def find_names(self) -> None:
        """Find out what parameters are called that have no name yet."""
        log = self.log
        unnamed = {
            id(tensor): leaf
            for leaf in log.leaves
            if leaf.number not in self.paths
            and leaf.number not in log.names
            and (tensor := leaf.tensor()) is not None
        }
        if not unnamed:
            return
        log.quiet += 1
        try:
            held = modules_in_frames()
            called = [(self.root_names.get(key, ""), root) for key, root in self.roots.items()]
            of = {id(module): name for name, module in held.items()}
            pairs = [*((of.get(id(root), name), root) for name, root in called)]
            pairs += [(name, module) for name, module in held.items()]
            for name, root in outermost(pairs):
                self.root_names.setdefault(id(root), name or type(root).__name__.lower())
                self.holders[id(root)] = root
                for path, each in paths_in(root):
                    leaf = unnamed.pop(id(each), None) if each is not None else None
                    if leaf is not None:
                        self.paths[leaf.number] = id(root), path
                        log.trace.sources[leaf.number].held = True
            for leaf in unnamed.values():
                tensor = leaf.tensor()
                name = name_in_frames(tensor) if tensor is not None else ""
                if name:
                    log.names[leaf.number] = name
        finally:
            log.quiet -= 1

    def names(self) -> dict[int, str]:
        """Return what all sources are called."""
        roots = {root for root, _ in self.paths.values()}
        names = dict(self.log.names)
        for number, (root, path) in self.paths.items():
            names[number] = f"{self.root_names[root]}.{path}" if len(roots) > 1 else path
        for leaf in self.log.leaves:
            source = self.log.trace.sources[leaf.number]
            names.setdefault(leaf.number, source.name or f"tensor of shape {source.shape}")
        return names

    # -- what comes out ---------------------------------------------------------------------------

    def trace(self) -> Trace:
        """Return what happened as a neutral trace."""
        steps = sum(known.steps for known in self.steppers.values())
        flags = sum(len(leaf.flags) for leaf in self.log.leaves)
        trace = self.log.trace
        so_far = len(trace.events), len(trace.updates), steps, flags, *self.asks
        if so_far != self._accounted:
            self.find_names()
            account(self)
            self._accounted = so_far
        return self.log.trace

    def optimized(self) -> dict[int, int]:
        """Return the sources that optimizers have: source -> number of the optimizer."""
        return {
            self.log.leaf(parameter).number: number
            for number, known in enumerate(self.steppers.values())
            for parameter in known.parameters
        }

    def reached(self) -> dict[Leaf, None]:
        """Return the sources that some call brought a gradient that is not zero, in order."""
        found = {leaf for ask in self.asks for leaf, size in ask.arrived.items() if size}
        return dict.fromkeys(leaf for leaf in self.log.leaves if leaf in found)

    def told(self) -> Iterable[Told]:
        """Yield what is wrong with parameters beside all gradient calls."""
        self.trace()
        return mistakes(self)

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


def _holds_modules(value: Any) -> bool:
    members = value.values() if isinstance(value, dict) else value
    return any(isinstance(each, torch.nn.Module | torch.nn.Parameter) for each in members)


def _rate(group: dict[str, Any]) -> float:
    rate = group.get("lr", 1.0)
    return abs(float(rate))
