"""The log of a PyTorch program: what its functions computed, while somebody looks on.

A `TorchFunctionMode`, which is public, sees each function that is called on tensors, at the line of
Python. Tensors get numbers: one for each state that a tensor was in, for what changes in place is
another value afterwards (its version tells). Which inputs gradient comes back to is read out of the
graph itself: the new nodes behind a result are walked until they meet those of the inputs. Each new
node is marked in its public `metadata` with the event that it belongs to, so that gradients that
are measured at nodes later on find their way back to lines.

Parameters, and all other leaves that require a gradient, are sources; using one is an event of its
own, a read. Constants have no number: an op on constants leaves no trace.
"""

from __future__ import annotations

import traceback
import weakref
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch.nn.parameter import is_lazy
from torch.overrides import TorchFunctionMode

from headgate.flow.trace import GUESSED, Event, Source, Trace, Update
from headgate.flow.watch.lines import Lines
from headgate.flow.watch.torch.frames import (
    constants,
    dropped,
    inside_library,
    is_home,
    is_initialising,
    name_in_frames,
)
from headgate.flow.watch.torch.ops import (
    APART,
    FLAG,
    GRAD,
    HOOK,
    HOST,
    INFINITE,
    OP,
    OVERWRITES,
    REWRAP,
    SET_DATA,
    SET_GRAD,
    SKIP,
    STOP,
    Row,
    row_of,
)
from headgate.flow.watch.torch.values import (
    Given,
    Known,
    Leaf,
    is_same,
    leaf_of,
    node_of,
    of_host,
    spoilt,
    tensors_in,
    version_of,
)
from headgate.record.site import chain

MOST = 100_000
"""So many events are kept; what comes after is not traced."""


class Mode(TorchFunctionMode):  # type: ignore[misc]
    """Hands all that is called over to a log."""

    def __init__(self, log: Log) -> None:
        super().__init__()
        self.log = log

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        return self.log.called(func, args, kwargs or {})


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
        self._away: list[tuple[int, Any]] = []  # what left for the host since the last call but one
        self._slots: dict[
            int, tuple[Any, str, int, bool]
        ] = {}  # id of a tensor -> where it was put
        self.hooks: dict[int, int] = {}  # value -> the event of a hook that was put on it
        self.gradients: dict[int, Leaf] = {}  # value -> what it is the gradient of
        self.writes: list[tuple[int, str, int]] = []  # place, node of what was there, its number
        self.faults: list[str] = []  # errors of the watcher itself
        self._did = False
        self._raised: Exception | None = None
        self._result: Any = None
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
                return self._read(self.leaf(tensor), tensor)
            return 0
        if known.leaf is not None:
            return self._read(known.leaf, tensor)
        if tensor.requires_grad and not known.tracked:
            past = [known.number]
            if tensor.grad_fn is not None:
                return self._adopted(tensor, past)
            leaf = self.leaf(tensor)
            leaf.past += past
            return self._read(leaf, tensor)
        if known.version != version_of(tensor):
            known.version = version_of(tensor)
            base = self.known(tensor._base) if tensor._base is not None else None
            if base is not None and base.leaf is None:  # it shows what was written elsewhere
                number = self.new()
                flows = (tensor.requires_grad, tensor.requires_grad)
                self._event("getitem", (known.number, base.number), (number,), flows, like=tensor)
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

    def _read(self, leaf: Leaf, tensor: Any) -> int:
        """Return the number of a source in this pass; its first use there is an event."""
        asks = tensor.requires_grad
        if leaf.turn != self.turn or leaf.asks != asks:
            leaf.turn, leaf.asks = self.turn, asks
            leaf.read = self.new()
            inputs = (self.trace.sources[leaf.number].value, *leaf.past)
            flows = (asks, *[False] * len(leaf.past))
            kind = "" if asks else "frozen"
            self._event("read", inputs, (leaf.read,), flows, kind, like=tensor)
            leaf.taken = leaf.read
            if leaf.hook >= 0:
                leaf.taken = self._hooked(leaf.read, leaf.hook, tensor)
        return leaf.taken

    def _adopted(self, tensor: Any, past: list[int]) -> int:
        """Return a number for a result that nobody saw being computed, from its own graph."""
        number = self.new()
        node = tensor.grad_fn
        event = len(self.trace.events)
        inputs = [*dict.fromkeys(self._link(node, [], event, {tensor.output_nr: number})[1])]
        flows = (*[True] * len(inputs), *[False] * len(past))
        op = node.name().rstrip("0123456789").removesuffix("Backward")
        self._event(op, (*inputs, *past), (number,), flows, like=tensor)
        self.keep(tensor, number)
        return number

    # -- events -----------------------------------------------------------------------------------

    def here(self) -> int:
        """Return the number of the user's line."""
        code, instruction = chain()[0]
        return self.lines.place(code, instruction)

    def _event(
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

    def _link(
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
                    others.append(self._read(self.leaf(variable), variable))
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

    # -- what is called ---------------------------------------------------------------------------

    def called(
        self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """Call a function of PyTorch, and note what it did."""
        row = row_of(func)
        if (
            row.role == SKIP
            or self.idle
            or self.quiet
            or self.full
            or (self.stepping and not torch.is_grad_enabled())
        ):
            return func(*args, **kwargs)
        handler, quiet = _HANDLERS[row.role], self.quiet
        self._did, self._raised, self._result = False, None, None
        try:
            return handler(self, row, func, args, kwargs)
        except Exception as error:
            if error is self._raised:
                raise
            self.fault(error)
            self.quiet = quiet
            return self._result if self._did else func(*args, **kwargs)
        finally:
            self._raised = self._result = None

    def _call(self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call what the program called; so its own errors are told from those of the watcher."""
        try:
            self._result = func(*args, **kwargs)
        except Exception as error:
            self._raised = error
            raise
        self._did = True
        return self._result

    def fault(self, error: Exception) -> None:
        """Note an error of the watcher itself, and look no further: the program must go on."""
        self.idle = True
        last = traceback.extract_tb(error.__traceback__)[-1]
        file = last.filename.rpartition("/")[2]
        self.faults.append(f"{type(error).__name__}: {error} ({file}:{last.lineno})")

    def taken(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Given]:
        """Return the inputs that have a number."""
        found = []
        position = 0
        for value in (*args, *kwargs.values()) if kwargs else args:
            if isinstance(value, torch.Tensor):
                number = self.number(value)
                if number:
                    found.append(Given(number, position, value))
            elif type(value) in (list, tuple):
                before = position
                for item in tensors_in(value):
                    number = self.number(item)
                    if number:
                        found.append(Given(number, position, item))
                    position += 1
                position = max(position, before + 1)
                continue
            elif type(value) is float and self._away:
                number = self._returned(value)
                if number:
                    found.append(of_host(number, position))
            position += 1
        return found

    def _op(
        self, row: Row, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """Note an op; one that writes in place makes another value of its first argument."""
        given = self.taken(args, kwargs)
        target = kwargs.get("out", args[0] if args else next(iter(kwargs.values()), None))
        if not isinstance(target, torch.Tensor):
            target = None
        before = version_of(target) if target is not None else 0
        self.quiet += 1
        try:
            result = self._call(func, args, kwargs)
        except RuntimeError as error:
            if "leaf Variable that requires grad" in str(error) and target is not None:
                known = self.known(target)
                if known is not None and known.leaf is not None:
                    self.refused.append((known.leaf, self.here()))
            raise
        finally:
            self.quiet -= 1
        if target is not None and version_of(target) != before:
            self._written(row, target, given)
            return result
        if row.op.startswith("_foreach_") and args and type(args[0]) in (list, tuple):
            factors = [each for each in given if all(each.tensor is not t for t in args[0])]
            for each in args[0]:
                own = [Given(known.number, 0, each)] if (known := self.known(each)) else []
                if own and known is not None and known.version != version_of(each):
                    self._written(row, each, [*own, *factors])
            return result
        if not given:
            return result
        if row.op in APART:
            for one, each in zip(tensors_in(args), tensors_in((result,))):
                if each is not one and (own := self.taken((one,), {})):
                    self.made(row, own, [each])
            return result
        results = [each for each in tensors_in((result,)) if each is not target]
        if results:
            self.made(row, given, results)
        return result

    def made(self, row: Row, given: list[Given], results: list[Any], label: str = "") -> None:
        """Note the results of an op: those that have a gradient and those that do not, apart."""
        soft = [each for each in results if each.requires_grad]
        for part in (soft, [each for each in results if not each.requires_grad]):
            if part:
                self._note(row, given, part, label)

    def differentiated(self, gradient: Any, targets: tuple[int, ...]) -> int:
        """Note a gradient that has no history: what is computed from it is cut here."""
        number = self.new()
        self._event("grad", targets, (number,), (False,) * len(targets), "outside_tape")
        self.keep(gradient, number)
        return number

    def joined(self, op: str, tensor: Any, number: int) -> None:
        """Note that a tensor has another gradient from now on than what it was computed with."""
        value = self.new()
        event = len(self.trace.events)
        _, others = self._link(tensor.grad_fn, [], event, {tensor.output_nr: value})
        inputs = (number, *dict.fromkeys(each for each in others if each != number))
        self._event(op, inputs, (value,), (True,) * len(inputs), like=tensor)
        self.keep(tensor, value)

    def _note(self, row: Row, given: list[Given], results: list[Any], label: str = "") -> None:
        numbers = [self.new() for _ in results]
        event = len(self.trace.events)
        connected: set[int] = set()
        others: list[int] = []
        for number, each in zip(numbers, results):
            if each.requires_grad:
                met, more = self._link(each.grad_fn, given, event, {each.output_nr: number})
                connected |= met
                others += more
        flows = _flows(given, connected)
        kind = ""
        if any(each.tracked and not flow for each, flow in zip(given, flows)):
            kind = self._kind(row, results[0])
        others = [each for each in dict.fromkeys(others) if all(each != g.number for g in given)]
        positions = [each.position for each in given]
        if row.reverse:
            positions = [1 - position for position in positions]
        inputs = [each.number for each in given]
        self._event(
            row.op,
            (*inputs, *others),
            tuple(numbers),
            (*flows, *[True] * len(others)),
            kind,
            label,
            like=results[0],
            positions=(*positions, *range(2, 2 + len(others))) if positions != [0] else (),
        )
        self._check(row, event, [*inputs, *others], numbers, results)
        for number, each in zip(numbers, results):
            known = self.keep(each, number)
            if kind in ("stop_gradient", "no_grad_block"):
                source = next((self._alias_of(g) for g in given if self._alias_of(g)), None)
                if row.op in ("detach", "getitem", "reshape") and source is not None:
                    known.alias = source

    def _alias_of(self, given: Given) -> Leaf | None:
        if given.leaf is not None:
            known = self.known(given.leaf)
            return None if known is None else known.leaf
        return None

    def _kind(self, row: Row, result: Any) -> str:
        """Return which cut an op is to an input that gradient does not come back to."""
        if row.role == STOP:
            return "stop_gradient"
        if row.role == REWRAP:
            return "rewrap"
        soft = result.dtype.is_floating_point or result.dtype.is_complex
        if not soft:
            return "integer_cast" if row.op == "astype" else "nondiff_op"
        if not torch.is_grad_enabled() or torch.is_inference_mode_enabled():
            return "no_grad_block"
        return "nondiff_op"

    def _check(
        self, row: Row, event: int, inputs: list[int], numbers: list[int], results: list[Any]
    ) -> None:
        """Note where something that is not finite was born."""
        self.quiet += 1
        for number, each in zip(numbers, results):
            if each.dtype.is_floating_point and spoilt(each, row.op not in INFINITE):
                if self.spoilt.isdisjoint(inputs):
                    self.infinite.setdefault(event, "nonfinite_value")
                self.spoilt.add(number)
        self.quiet -= 1

    # -- what is written in place -----------------------------------------------------------------

    def _written(self, row: Row, target: Any, given: list[Given]) -> None:
        """Note that a tensor has another value from now on."""
        known = self.known(target)
        operands = [each for each in given if known is None or each.position]
        alias = known and (known.leaf or known.alias)
        if alias:
            self._assigned(alias, row, operands)
            if known is not None and known.leaf is not None:
                return
        node = next((each.node for each in given if each.position == 0 and each.node), None)
        if node is not None:
            self.writes.append((self.here(), node.name(), known.number if known else 0))
        whole = row.op in OVERWRITES
        takes = operands if whole else given
        if not takes and not target.requires_grad:
            self.forget(target)
            return
        number = self.new()
        event = len(self.trace.events)
        connected, others = self._link(node_of(target), takes, event, {target.output_nr: number})
        flows = _flows(takes, connected)
        kind = ""
        if any(each.tracked and not flow for each, flow in zip(takes, flows)):
            kind = self._kind(row, target)
        others = [each for each in dict.fromkeys(others) if all(each != g.number for g in takes)]
        inputs = [*(each.number for each in takes), *others]
        self._event(
            row.op,
            tuple(inputs),
            (number,),
            (*flows, *[True] * len(others)),
            kind,
            like=target,
            positions=(*(each.position for each in takes), *range(2, 2 + len(others))),
        )
        self._check(row, event, inputs, [number], [target])
        shown = None if known is None or known.shows is None else known.shows()
        leaf = None if known is None else self.gradients.pop(known.number, None)
        self.keep(target, number)
        if leaf is not None:  # it is the gradient of something
            self.gradients[number] = leaf
            leaf.gradient = number
            self._measure(target, number)
        if shown is not None:
            base, value = self.known(shown), self.new()
            before = () if base is None or not base.number else (base.number,)
            into = (*before, *(each.number for each in operands))
            through = (*[True] * len(before), *[False] * len(operands))
            self._event("index_put", into, (value,), through, "stateful_write", like=target)
            if base is None:
                self.keep(shown, value)
            else:
                base.number = value
        self._show_through(target, number)

    def _measure(self, tensor: Any, number: int) -> None:
        """Note the norm of a gradient, or of what was made of one."""
        from headgate.flow.watch.torch.graph import norm

        self.quiet += 1
        self.trace.sizes[number] = norm(tensor)
        self.quiet -= 1

    def _show_through(self, view: Any, number: int) -> None:
        """Note that what was written into a view is in the tensor that it shows a part of."""
        base = view._base
        if base is None or ((known := self.known(base)) is not None and known.leaf is not None):
            return
        inputs = (number,) if known is None else (known.number, number)
        value = self.new()
        tracked = base.requires_grad
        if tracked and base.grad_fn is not None:
            self._link(base.grad_fn, [], len(self.trace.events), {base.output_nr: value})
        self._event("index_put", inputs, (value,), (tracked,) * len(inputs), like=base)
        self.keep(base, value)

    def _assigned(self, leaf: Leaf, row: Row, operands: list[Given]) -> None:
        """Note that the program itself writes into a source."""
        how = {"add": "assign_add", "subtract": "assign_sub"}.get(row.op, "assign")
        values = [each.number for each in operands]
        if not values and how == "assign":
            leaf.loaded = leaf.loaded or (row.op in ("copy", "set") and not is_initialising())
            leaf.past.clear()
            return
        value = values[0] if len(values) == 1 else None
        if how == "assign":
            leaf.loaded = True
            leaf.past[:] = values
        leaf.turn = -1
        place = self.here()
        sizes = (self.trace.sizes.get(value or 0),)
        self.trace.updates.append(Update(place, how, (leaf.number,), (value,), sizes))

    # -- what is special --------------------------------------------------------------------------

    def _stop(
        self, row: Row, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """Note a detach, in place or not."""
        given = self.taken(args, kwargs)
        target = args[0]
        result = self._call(func, args, kwargs)
        if not given:
            if result is not target:  # a constant so far, and something may be written into it
                self.keep(result, 0).shows = weakref.ref(target)
            return result
        if result is target:  # detach_()
            known = self.known(target)
            self._note(row, given, [target])
            if known is not None and known.leaf is not None:
                self.keep(target, known.number, known.leaf)
        else:
            event = len(self.trace.events)
            label = inside_library() or (".data" if func is _DATA else "")
            self._note(row, given, [result], label)
            made = self.known(result)
            if made is not None and made.alias is None:
                made.shows = weakref.ref(target)
            if row.op == "detach" and dropped() and not self.full:
                self.trace.dropped.add(event)
        return result

    def _rewrap(
        self, row: Row, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """Note what is made a tensor anew, from tensors or from what left for the host."""
        content = args[0] if args else next(iter(kwargs.values()), None)
        if func is torch.Tensor.new_tensor:
            content = args[1] if len(args) > 1 else None
        given = [
            Given(number, 0, each)
            for each in tensors_in((content,), deep=True)
            if (number := self.number(each))
        ]
        result = self._call(func, args, kwargs)
        if given and result is content:
            return result
        if not given and self._away:
            number = self._returned(content)
            given = [of_host(number, 0)] if number else []
        if given:
            tracked = result.requires_grad and result.grad_fn is None
            value = self.new()
            kind = "rewrap" if any(each.tracked for each in given) else ""
            if result.grad_fn is not None:  # asarray of a tensor keeps its history
                self._note(row, given, [result])
                return result
            inputs = tuple(dict.fromkeys(each.number for each in given))
            self._event(row.op, inputs, (value,), (False,) * len(inputs), kind, like=result)
            if tracked:
                self.leaf(result).past.append(value)
            else:
                self.keep(result, value)
        return result

    def put_into(self, data: Any, made: Any) -> None:
        """Note that a parameter is made out of a tensor."""
        if self.quiet or self.full:
            return
        number = self.number(data)
        if number and made is not data:
            known = self.known(data)
            value = self.new()
            kind = "rewrap" if data.requires_grad and known and known.leaf is None else ""
            self._event("Parameter", (number,), (value,), (False,), kind, like=data)
            leaf = self.leaf(made)
            leaf.past.append(value)
            leaf.loaded = True

    def from_host(self, array: Any, result: Any) -> None:
        """Note that a tensor is made of an array."""
        if self.quiet or self.full or not self._away:
            return
        number = self._returned(array)
        if number:
            self.keep(result, number)

    def _host(
        self, row: Row, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """Note that a value leaves for Python or NumPy."""
        given = self.taken(args[:1], {})
        result = self._call(func, args, kwargs)
        if given and given[0].number > self.since:
            event = next(
                (
                    each
                    for each in reversed(self.trace.events[-4:])
                    if given[0].number in each.outputs
                ),
                None,
            )
            number = given[0].number
            if event is not None and event.op == "detach" and event.place == self.here():
                event.kind = ""  # only so that it may leave
                number = event.inputs[0]
            value = self.new()
            self._event(row.op, (number,), (value,), (False,), "host_round_trip", like=args[0])
            self._away.append((value, result))
        return result

    def _returned(self, content: Any) -> int:
        """Return a value for what comes from the host, if it may have left from here.

        What is the same number or the same memory surely did; anything else is a guess, and what
        stands in the program as it is did not.
        """
        certain = [
            value
            for value, left in self._away
            if is_same(content, left) or self._is_multiple(content, left)
        ]
        if not certain and type(content) is float and self._is_written_there(content):
            return 0
        kin = [
            value
            for value, left in self._away
            if type(content) is not float or isinstance(left, float) or hasattr(left, "shape")
        ]
        inputs = tuple(certain) or tuple(kin)
        if not inputs:
            return 0
        value = self.new()
        label = "" if certain else GUESSED
        self._event("asarray", inputs, (value,), (False,) * len(inputs), "host_round_trip", label)
        return value

    def _is_multiple(self, content: Any, left: Any) -> bool:
        """Tell whether a number is another one times, or plus, what stands in the program."""
        if type(content) is not float or type(left) is not float or not content or not left:
            return False
        return bool(
            constants().intersection((content / left, left / content, content - left)) - {0.0, 1.0}
        )

    def _is_written_there(self, number: float) -> bool:
        """Tell whether a number stands in the program, or has come by this line before."""
        if not constants().isdisjoint((number, -number)):
            return True
        seen = self.seen_lines.setdefault(self.here(), set())
        known = number in seen
        seen.add(number)
        return known

    def _flag(
        self, row: Row, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """Note that the program says whether a tensor requires a gradient."""
        tensor = args[0]
        result = self._call(func, args, kwargs)
        flag = bool(args[1] if len(args) > 1 else kwargs.get("requires_grad", True))
        known = self.known(tensor)
        if isinstance(tensor, torch.nn.Parameter) or (known is not None and known.leaf):
            self.leaf(tensor).flags.append((flag, self.here()))
        elif flag and tensor.is_leaf:
            self.number(tensor)
        return result

    def _hook(
        self, row: Row, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """Note that a gradient is handed to the program on its way."""
        number = self.number(args[0])
        known = self.known(args[0])
        if known is not None and known.leaf is not None:
            known.leaf.hook = self.here()
        elif known is not None and number:
            known.number = self._hooked(number, self.here(), args[0])
        return self._call(func, args, kwargs)

    def _hooked(self, number: int, place: int, tensor: Any) -> int:
        """Return the value whose gradient goes through a hook before it is that of another one."""
        value = self.new()
        event = self._event("hook", (number,), (value,), (True,), like=tensor)
        if event is not None:
            event.place = place
            self.hooks[number] = len(self.trace.events) - 1
        return value

    def _grad(
        self, row: Row, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """Note that the program looks at a gradient."""
        tensor = args[0]
        result = self._call(func, args, kwargs)
        known = self.known(tensor)
        if known is None:
            return result
        if known.leaf is not None:
            known.leaf.asked = True
            if result is not None and known.leaf.gradient and self.known(result) is None:
                self.keep(result, known.leaf.gradient)
        elif result is None and tensor.grad_fn is not None and not tensor.retains_grad:
            self.non_leaf(tensor, known)
        return result

    def non_leaf(self, tensor: Any, known: Known) -> None:
        """Note that a gradient is wanted of what is only a result."""
        maker = next((e for e in reversed(self.trace.events) if known.number in e.outputs), None)
        if maker is not None:
            name = name_in_frames(tensor) or "a tensor"
            self.non_leaves.setdefault(name, (maker.place, name))

    def _set_grad(
        self, row: Row, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """Note that the program sets a gradient, or takes it away."""
        known = self.known(args[0])
        result = self._call(func, args, kwargs)
        if known is not None and known.leaf is not None:
            value = args[1] if len(args) > 1 else None
            if value is None:
                self.clears(known.leaf)
            elif isinstance(value, torch.Tensor):
                known.leaf.gradient = self.number(value)
                known.leaf.handed = True
        return result

    def clears(self, leaf: Leaf) -> None:
        """Note that a gradient is taken away."""
        if leaf.gradient:
            leaf.gradient = 0
            leaf.cleared = self.here()

    def _set_data(
        self, row: Row, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """Note that a tensor gets other memory."""
        tensor, value = args[0], args[1] if len(args) > 1 else None
        shown = self.known(value) if isinstance(value, torch.Tensor) else None
        own = self.known(tensor)
        if shown is not None and own is not None and own.leaf in (shown.leaf, shown.alias):
            return self._call(
                func, args, kwargs
            )  # as `module.to(device)` does where it is there already
        given = self.taken((value,), {}) if isinstance(value, torch.Tensor) else []
        result = self._call(func, args, kwargs)
        known = self.known(tensor)
        if known is not None and known.leaf is not None:
            self._assigned(known.leaf, Row(OP, "set"), given)
        elif known is not None and given:
            self.keep(tensor, given[0].number)
        return result

    def passed(self, targets: Sequence[int]) -> None:
        """Note that a gradient call is over; what left long before it comes back no more."""
        self.turn += 1
        self._away = [(value, left) for value, left in self._away if value > self.since]
        self.since = max([self.since, *targets])

    # -- where parameters live --------------------------------------------------------------------

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


def _flows(given: Sequence[Given], connected: Iterable[int]) -> list[bool]:
    """Return for each input whether gradient comes back; one that is there twice counts twice."""
    numbers = {given[position].number for position in connected}
    return [each.number in numbers for each in given]


_DATA = torch.Tensor.data.__get__

_HANDLERS: dict[str, Callable[..., Any]] = {
    OP: Log._op,
    STOP: Log._stop,
    HOST: Log._host,
    REWRAP: Log._rewrap,
    FLAG: Log._flag,
    GRAD: Log._grad,
    SET_GRAD: Log._set_grad,
    SET_DATA: Log._set_data,
    HOOK: Log._hook,
}
