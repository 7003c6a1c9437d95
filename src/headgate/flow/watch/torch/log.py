"""The log of a PyTorch program: what its functions computed, while somebody looks on.

The mode (`mode`) sees each function that is called on tensors, at the line of Python, and writes
here what came of it (`results`, `writes`, `host`). Tensors get numbers: one for each state that a
tensor was in, for what changes in place is another value afterwards (its version tells). Which
inputs gradient comes back to is read out of the graph itself: the new nodes behind a result are
walked until they meet those of the inputs. Each new node is marked in its public `metadata` with
the event that it belongs to, so that gradients that are measured at nodes later on find their way
back to lines.

Parameters, and all other leaves that require a gradient, are sources; using one is an event of its
own, a read. Constants have no number: an op on constants leaves no trace.
"""

from __future__ import annotations

import traceback
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.nn.parameter import is_lazy

from headgate.flow.trace import Event, Source, Trace
from headgate.flow.watch.lines import Lines
from headgate.flow.watch.torch.frames import inside_library, is_home, name_in_frames
from headgate.flow.watch.torch.values import Given, Known, Leaf, leaf_of, spoilt, version_of
from headgate.record.site import chain

MOST = 100_000
"""So many events are kept; what comes after is not traced."""


class Log:
    """Everything that happened while a mode was on."""

    def __init__(self) -> None:
        self.trace = Trace("torch")
        self.lines = Lines(self.trace)
        self.leaves: list[Leaf] = []  # by number of the source
        self.quiet = 0  # while it is above 0, nothing is noted
        self.idle = False  # whether nothing is noted until somebody looks again
        self.stepping = 0  # while an optimizer works
        self.stack: list[str] = []  # names of the modules that are being called
        self.turn = 0  # grows with each gradient call and step
        self.since = 0  # the largest number that was differentiated already
        self.infinite: dict[int, str] = {}  # event at which something not finite was born -> kind
        self.spoilt: set[int] = set()  # values that are not finite
        self.non_leaves: dict[str, tuple[int, str]] = {}
        self.seen_lines: dict[int, set[float]] = {}
        self._known: dict[int, Known] = {}
        self._values = 0
        self.away: list[tuple[int, Any, int]] = []  # what left for the host: value, it, place
        self._slots: dict[
            int, tuple[Any, str, int, bool]
        ] = {}  # id of a tensor -> where it was put
        self.hooks: dict[int, int] = {}  # value -> the event of a hook that was put on it
        self.gradients: dict[int, Leaf] = {}  # value -> what it is the gradient of
        self.writes: list[tuple[int, str, int]] = []  # place, node of what was there, its number
        self.faults: list[str] = []  # errors of the watcher itself
        self.did = False  # whether the call that is noted was made
        self.raised: Exception | None = None
        self.result: Any = None
        self.refused: list[tuple[Leaf, int]] = []  # leaves that could not be written into, where
        self.names: dict[int, str] = {}  # source -> a name in the program's frames

    # -- numbers ----------------------------------------------------------------------------------

    def new(self) -> int:
        """Return a number that no value has yet."""
        self._values += 1
        return self._values

    @property
    def full(self) -> bool:
        """Whether no more events are taken."""
        return len(self.trace.events) >= MOST

    def known(self, tensor: Any) -> Known | None:
        """Return what is known of a tensor."""
        known = self._known.get(id(tensor))
        return known if known is not None and known.ref() is tensor else None

    def keep(self, tensor: Any, number: int, leaf: Leaf | None = None) -> Known:
        """Give a tensor a number."""
        known = self._known[id(tensor)] = Known(tensor, number, leaf)
        return known

    def forget(self, tensor: Any) -> None:
        """Let a tensor be a constant from now on."""
        self._known.pop(id(tensor), None)

    def number(self, tensor: Any) -> int:
        """Return the number of the value that a tensor has now, 0 for a constant."""
        known = self.known(tensor)
        if known is None:
            if tensor.requires_grad and tensor.grad_fn is not None:
                return self._adopted(tensor, [])
            if is_lazy(tensor):
                return 0
            if tensor.requires_grad or isinstance(tensor, torch.nn.Parameter):
                return self.read(self.leaf(tensor), tensor)
            return 0
        if known.leaf is not None:
            return self.read(known.leaf, tensor)
        if tensor.requires_grad and not known.tracked:
            past = [known.number]
            if tensor.grad_fn is not None:
                return self._adopted(tensor, past)
            leaf = self.leaf(tensor)
            leaf.past += past
            return self.read(leaf, tensor)
        if known.version != version_of(tensor):
            known.version = version_of(tensor)
            base = self.known(tensor._base) if tensor._base is not None else None
            if base is not None and base.leaf is None:  # it shows what was written elsewhere
                number = self.new()
                flows = (tensor.requires_grad, tensor.requires_grad)
                self.event("getitem", (known.number, base.number), (number,), flows, like=tensor)
                known.number = number
        return known.number

    def leaf(self, tensor: Any) -> Leaf:
        """Return what is known of a leaf; it is a source from now on."""
        known = self.known(tensor)
        if known is not None and known.leaf is not None:
            return known.leaf
        slot = self._slots.get(id(tensor))
        if slot is not None and slot[0]() is not tensor:
            slot = None
        place, home = (slot[2], slot[3]) if slot is not None else (self.here(), True)
        value = self.new()
        shape = () if is_lazy(tensor) else tuple(tensor.shape)
        source = Source("", value, shape=shape, place=place)
        leaf = leaf_of(len(self.trace.sources), tensor, home)
        leaf.slot = "" if slot is None else slot[1]
        self.trace.sources.append(source)
        self.leaves.append(leaf)
        self.keep(tensor, value, leaf)
        return leaf

    def read(self, leaf: Leaf, tensor: Any) -> int:
        """Return the number of a source in this pass; its first use there is an event."""
        asks = tensor.requires_grad
        if leaf.turn != self.turn or leaf.asks != asks:
            leaf.turn, leaf.asks = self.turn, asks
            leaf.read = self.new()
            inputs = (self.trace.sources[leaf.number].value, *leaf.past)
            flows = (asks, *[False] * len(leaf.past))
            kind = "" if asks else "frozen"
            self.event("read", inputs, (leaf.read,), flows, kind, like=tensor)
            self.quiet += 1
            if tensor.dtype.is_floating_point and not is_lazy(tensor) and spoilt(tensor, False):
                self.spoilt.add(leaf.read)  # it came so; nothing here is to blame
            self.quiet -= 1
            leaf.taken = leaf.read
            if leaf.hook >= 0:
                leaf.taken = self.hooked(leaf.read, leaf.hook, tensor)
        return leaf.taken

    def _adopted(self, tensor: Any, past: list[int]) -> int:
        """Return a number for a result that nobody saw being computed, from its own graph."""
        number = self.new()
        node = tensor.grad_fn
        event = len(self.trace.events)
        inputs = [*dict.fromkeys(self.link(node, [], event, {tensor.output_nr: number})[1])]
        flows = (*[True] * len(inputs), *[False] * len(past))
        op = node.name().rstrip("0123456789").removesuffix("Backward")
        self.event(op, (*inputs, *past), (number,), flows, like=tensor)
        self.keep(tensor, number)
        return number

    def hooked(self, number: int, place: int, tensor: Any) -> int:
        """Return the value whose gradient goes through a hook before it is that of another one."""
        value = self.new()
        event = self.event("hook", (number,), (value,), (True,), like=tensor)
        if event is not None:
            event.place = place
            self.hooks[number] = len(self.trace.events) - 1
        return value

    # -- events -----------------------------------------------------------------------------------

    def here(self) -> int:
        """Return the number of the user's line."""
        code, instruction = chain()[0]
        return self.lines.place(code, instruction)

    def event(
        self,
        op: str,
        inputs: tuple[int, ...],
        outputs: tuple[int, ...],
        flows: tuple[bool, ...],
        kind: str = "",
        label: str = "",
        like: Any = None,
        positions: tuple[int, ...] = (),
    ) -> Event | None:
        if self.full:
            return None
        code, at, led = self.lines.chain(chain())
        event = Event(
            op,
            inputs,
            outputs,
            flows,
            at,
            self.lines.scope(tuple(self.stack), code),
            kind,
            label or (inside_library() if kind else ""),
            () if like is None else tuple(like.shape),
            "" if like is None else str(like.dtype).removeprefix("torch."),
            positions,
            led,
        )
        self.trace.events.append(event)
        return event

    def link(
        self, node: Any, given: Sequence[Given], event: int, outputs: dict[int, int]
    ) -> tuple[set[int], list[int]]:
        """Mark the new nodes behind a result with its event.

        Returns:
            Which of the inputs gradient comes back to, and the numbers of what else was met.
        """
        targets = {id(each.node): k for k, each in enumerate(given) if each.node is not None}
        met: set[int] = set()
        others: list[int] = []
        if node is None:
            return met, others
        if id(node) in targets:  # a result that is an input
            return {targets[id(node)]}, others
        marks = node.metadata
        if self in marks:  # a further result of the same node
            marks[self][2].update(outputs)
            return {k for k in marks[self][1].values() if k < len(given)}, others
        todo = [(node, outputs)]
        seen = {id(node)}
        keep = [node]
        while todo:
            current, results = todo.pop()
            edges: dict[int, int] = {}
            current.metadata[self] = (event, edges, results)
            for index, (child, nr) in enumerate(current.next_functions):
                if child is None:
                    continue
                k = targets.get(id(child))
                variable = None
                if k is None:
                    variable = getattr(child, "variable", None)
                    if variable is not None:
                        k = next((j for j, g in enumerate(given) if g.leaf is variable), None)
                if k is not None:
                    met.add(k)
                    edges[index] = k
                elif variable is not None:
                    others.append(self.read(self.leaf(variable), variable))
                elif self in child.metadata:
                    if id(child) not in seen:
                        number = child.metadata[self][2].get(nr)
                        if number is not None:
                            others.append(number)
                elif id(child) not in seen and len(keep) < 10_000:
                    seen.add(id(child))
                    keep.append(child)
                    todo.append((child, {}))
        return met, others

    # -- what the program does beside ops ---------------------------------------------------------

    def call(self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call what the program called; so its own errors are told from those of the watcher."""
        try:
            self.result = func(*args, **kwargs)
        except Exception as error:
            self.raised = error
            raise
        self.did = True
        return self.result

    def fault(self, error: Exception) -> None:
        """Note an error of the watcher itself, and look no further: the program must go on."""
        self.idle = True
        last = traceback.extract_tb(error.__traceback__)[-1]
        file = last.filename.rpartition("/")[2]
        self.faults.append(f"{type(error).__name__}: {error} ({file}:{last.lineno})")

    def passed(self, targets: Sequence[int]) -> None:
        """Note that a gradient call is over; what left long before it comes back no more."""
        self.turn += 1
        self.away = [each for each in self.away if each[0] > self.since]
        self.since = max([self.since, *targets])

    def non_leaf(self, tensor: Any, known: Known) -> None:
        """Note that a gradient is wanted of what is only a result."""
        maker = next((e for e in reversed(self.trace.events) if known.number in e.outputs), None)
        if maker is not None:
            name = name_in_frames(tensor) or "a tensor"
            self.non_leaves.setdefault(name, (maker.place, name))

    def clears(self, leaf: Leaf) -> None:
        """Note that a gradient is taken away."""
        if leaf.gradient:
            leaf.gradient = 0
            leaf.cleared = self.here()
            leaf.clears += 1

    def registered(self, module: Any, name: str, parameter: Any) -> None:
        """Note in which slot of which module a parameter is put."""
        if not isinstance(parameter, torch.Tensor):
            return
        slot = weakref.ref(parameter), name, self.here(), is_home()
        self._slots[id(parameter)] = slot
        known = self.known(parameter)
        if known is not None and known.leaf is not None:
            leaf = known.leaf
            leaf.home = slot[3]
            leaf.slot = name
            self.trace.sources[leaf.number].place = slot[2]
