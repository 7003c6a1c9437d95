"""What the parameters of a PyTorch program are called: by their path in the module that has them.

`encoder.layers.0.weight` is what `named_parameters` says, and what people know them by. Where the
program has several such modules, the name of the variable that holds one comes first:
`G.main.0.weight`. A module that lies in a list, where PyTorch does not find it, is found in the
attributes of the others.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from types import FrameType, ModuleType
from typing import TYPE_CHECKING, Any

import torch

from headgate.flow.watch.torch.frames import names_in_frames
from headgate.flow.watch.torch.shield import shielded
from headgate.record.site import is_users

if TYPE_CHECKING:
    from headgate.flow.watch.torch.session import Session

_ENTRIES = 1_000


def modules_in_frames() -> dict[str, Any]:
    """Return the modules that the program's frames hold: what they are called -> module."""
    return {
        name: each for name, each in held_in_frames().items() if isinstance(each, torch.nn.Module)
    }


def held_in_frames() -> dict[str, Any]:
    """Return modules and tensors that the program's frames hold, by what they are called.

    Those that lie in an object or a list are found as well, one level deep, and whosesoever class
    the object is of.
    """
    found: dict[str, Any] = {}
    frame: FrameType | None = sys._getframe(1)
    spaces: list[dict[str, Any]] = []
    while frame is not None:
        if is_users(frame.f_code.co_filename):
            spaces.append(dict(frame.f_locals))
            if frame.f_globals is not frame.f_locals:
                spaces.append(dict(frame.f_globals))
        frame = frame.f_back
    for space in spaces:
        for name, value in space.items():
            if name.startswith("__"):
                continue
            if isinstance(value, torch.nn.Module | torch.Tensor):
                found.setdefault(name, value)
            else:
                for inner, member in _members(value):
                    if isinstance(member, torch.nn.Module | torch.Tensor):
                        path = inner if name == "self" else f"{name}.{inner}"
                        found.setdefault(path, member)
    return found


def _members(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        yield from [(str(key), item) for key, item in list(value.items())[:_ENTRIES]]
    elif isinstance(value, list | tuple):
        yield from [(str(number), item) for number, item in enumerate(value[:_ENTRIES])]
    elif not isinstance(value, type | ModuleType | torch.Tensor):
        names = getattr(value, "__dict__", None)
        if isinstance(names, dict):
            yield from list(names.items())[:_ENTRIES]


def outermost(modules: Iterable[tuple[str, Any]]) -> list[tuple[str, Any]]:
    """Return those modules that lie in no other one of them."""
    pairs = list({id(module): (name, module) for name, module in modules}.values())
    inside = {id(child) for _, module in pairs for child in module.modules() if child is not module}
    return [(name, module) for name, module in pairs if id(module) not in inside]


def paths_in(module: Any) -> Iterator[tuple[str, Any]]:
    """Yield the path of each parameter and buffer of a module, those in plain lists as well."""
    seen: set[int] = set()
    todo = [("", module)]
    while todo:
        prefix, current = todo.pop()
        if id(current) in seen:
            continue
        for path, child in current.named_modules():
            if id(child) in seen:
                continue
            seen.add(id(child))
            here = _join(prefix, path)
            for own in (child._parameters, child._buffers):
                yield from ((_join(here, name), each) for name, each in own.items())
            for name, value in list(vars(child).items()):
                if not name.startswith("_") and isinstance(value, list | tuple | dict):
                    for inner, member in _members(value):
                        if isinstance(member, torch.nn.Module):
                            todo.append((_join(here, f"{name}.{inner}"), member))
                        elif isinstance(member, torch.Tensor):
                            yield _join(here, f"{name}.{inner}"), member
                elif isinstance(value, torch.Tensor):
                    yield _join(here, name), value


def _join(prefix: str, name: str) -> str:
    return f"{prefix}.{name}" if prefix and name else prefix or name


@shielded
def find_names(session: Session) -> None:
    """Find out what parameters are called that have no name yet."""
    log = session.log
    unnamed = {
        id(tensor): leaf
        for leaf in log.leaves
        if leaf.number not in session.paths
        and leaf.number not in log.names
        and (tensor := leaf.tensor()) is not None
    }
    if not unnamed:
        return
    log.quiet += 1
    try:
        there = held_in_frames()
        held = {name: each for name, each in there.items() if isinstance(each, torch.nn.Module)}
        called = [(session.root_names.get(key, ""), root) for key, root in session.roots.items()]
        of = {id(module): name for name, module in held.items()}
        pairs = [*((of.get(id(root), name), root) for name, root in called)]
        pairs += held.items()
        for name, root in outermost(pairs):
            session.root_names.setdefault(id(root), name or type(root).__name__.lower())
            session.holders[id(root)] = root
            for path, each in paths_in(root):
                leaf = unnamed.pop(id(each), None) if each is not None else None
                if leaf is not None:
                    session.paths[leaf.number] = id(root), path
                    log.trace.sources[leaf.number].held = True
        for key, name in names_in_frames(unnamed).items():
            log.names[unnamed.pop(key).number] = name
        for name, each in there.items():
            if id(each) in unnamed:
                log.names[unnamed.pop(id(each)).number] = name
    finally:
        log.quiet -= 1


def names_of(session: Session) -> dict[int, str]:
    """Return what all sources are called."""
    roots = {root for root, _ in session.paths.values()}
    names = dict(session.log.names)
    for number, (root, path) in session.paths.items():
        names[number] = f"{session.root_names[root]}.{path}" if len(roots) > 1 else path
    for leaf in session.log.leaves:
        source = session.log.trace.sources[leaf.number]
        names.setdefault(leaf.number, source.name or f"tensor of shape {source.shape}")
    return names
