"""Modules: which ones a program has, which runs now, and what is put into them and when."""

from __future__ import annotations

import threading
import weakref
from typing import TYPE_CHECKING, Any

import torch

from headgate.flow.watch.torch.host import put_into
from headgate.flow.watch.torch.mistakes import means_requires_grad
from headgate.flow.watch.torch.shield import shielded

if TYPE_CHECKING:
    from headgate.flow.watch.torch.session import Session


def knows(session: Session, module: Any) -> None:
    """Note that a module is one of its own, and not a part of what is called."""
    session.roots[id(module)] = module
    for path, child in module.named_modules():
        session.labels[id(child)] = f"{type(child).__name__} {path}".rstrip()
        if isinstance(child, torch.jit.ScriptModule):
            inside = [session.log.leaf(each) for each in child.parameters()]
            session.scripted.update(leaf.number for leaf in inside)


@shielded
def enter_module(session: Session, module: Any, args: Any) -> None:
    """Note that a module is called."""
    if threading.get_ident() != session.thread:
        return
    if not session.log.stack and not session.log.quiet and id(module) not in session.labels:
        knows(session, module)
    session.log.stack.append(session.labels.get(id(module)) or type(module).__name__)


@shielded
def leave_module(session: Session, module: Any, args: Any, result: Any) -> None:
    """Note that a module is done."""
    if session.log.stack and threading.get_ident() == session.thread:
        session.log.stack.pop()


@shielded
def registered(session: Session, module: Any, name: str, value: Any) -> None:
    """Note that a parameter or buffer is put into a module, and what stood there."""
    if not isinstance(value, torch.Tensor) or threading.get_ident() != session.thread:
        return
    session.log.registered(module, name, value)
    here, before = session.slots.get((id(module), name), (lambda: None, lambda: None))
    session.slots[id(module), name] = weakref.ref(module), weakref.ref(value)
    before = before() if here() is module else None
    if before is not None and before is not value and session.steppers:
        here = session.log.here()
        old, new = session.log.leaf(before), session.log.leaf(value)
        session.replaced.append((old.number, new.number, here))


@shielded
def module_registered(session: Session, module: Any, name: str, value: Any) -> None:
    """Note that a module is put where another one was, whose parameters optimizers may have."""
    before = module._modules.get(name)
    if threading.get_ident() != session.thread or not session.steppers:
        return
    if before is None or before is value or not isinstance(value, torch.nn.Module):
        return
    kept = {id(each) for each in value.parameters()}
    new = dict(value.named_parameters())
    for path, old in before.named_parameters():
        other = new.get(path)
        if other is not None and id(old) not in kept:
            pair = session.log.leaf(old).number, session.log.leaf(other).number
            session.replaced.append((*pair, session.log.here()))


def make_parameter(session: Session, original: Any, cls: Any, *args: Any, **kwargs: Any) -> Any:
    """Note what a parameter is made out of."""
    data = args[0] if args else kwargs.get("data")
    made = original(cls, *args, **kwargs)
    if session.hears and type(data) is torch.Tensor and isinstance(made, torch.nn.Parameter):
        session.safely(put_into, session.log, data, made)
    return made


@shielded
def flagged(session: Session, parameter: Any, flag: bool) -> None:
    """Note a flag that is set while the mode is away; with it, the mode notes it."""
    if session.hears or session.log.quiet or threading.get_ident() != session.thread:
        return
    said = bool(flag), session.log.here()
    flags = session.log.leaf(parameter).flags
    if said in flags:
        flags.remove(said)
    flags.append(said)


def load(session: Session, original: Any, module: Any, *args: Any, **kwargs: Any) -> Any:
    """Note what has its values from elsewhere."""
    result = original(module, *args, **kwargs)
    if threading.get_ident() == session.thread:
        session.safely(_note_loaded, session, module)
    return result


def _note_loaded(session: Session, module: Any) -> None:
    for parameter in module.parameters():
        session.log.leaf(parameter).loaded = True


def set_attribute(session: Session, original: Any, module: Any, name: str, value: Any) -> None:
    """Note what could be meant to hold modules, to freeze some, or to be a parameter."""
    original(module, name, value)
    kind = type(value)
    if value is False or kind is torch.Tensor or kind in (list, tuple, dict):
        _note_attribute(session, module, name, value)


@shielded
def _note_attribute(session: Session, module: Any, name: str, value: Any) -> None:
    if isinstance(value, torch.Tensor):
        if value.requires_grad and value.is_leaf and name not in module._buffers:
            session.log.registered(module, name, value)
    elif type(value) in (list, tuple, dict) and _holds_modules(value):
        session.lists.append((value, session.log.here()))
    if value is False and means_requires_grad(name) and not hasattr(type(module), name):
        session.flags.append((module, name, session.log.here()))


def _holds_modules(value: Any) -> bool:
    members = value.values() if isinstance(value, dict) else value
    return any(isinstance(each, torch.nn.Module | torch.nn.Parameter) for each in members)
