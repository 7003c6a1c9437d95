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
from typing import Any

import torch

from headgate.record.site import is_users

_ENTRIES = 1_000


def modules_in_frames() -> dict[str, Any]:
    """Return the modules that the program's frames hold: what they are called -> module.

    Those that lie in an object or a list of the program's are found as well, one level deep.
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
            if isinstance(value, torch.nn.Module):
                found.setdefault(name, value)
            else:
                for inner, member in _members(value):
                    if isinstance(member, torch.nn.Module):
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
