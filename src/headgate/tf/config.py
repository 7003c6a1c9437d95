"""`tf.config`: there is one device, and nothing to set; programs that do so run."""

from __future__ import annotations

from typing import Any, NamedTuple

from headgate.tf import _config_experimental as experimental


class PhysicalDevice(NamedTuple):
    """A device of the machine."""

    name: str
    device_type: str


class LogicalDevice(NamedTuple):
    """A device as a program sees it."""

    name: str
    device_type: str


def _of_type(device: Any, device_type: str | None) -> list[Any]:
    return [device] if device_type in (None, device.device_type) else []


def list_physical_devices(device_type: str | None = None) -> list[PhysicalDevice]:
    """Return the processor; compiled functions run where JAX is, which says so itself.

    >>> import headgate.tf as tf
    >>> tf.config.list_physical_devices("GPU")
    []
    """
    return _of_type(PhysicalDevice("/physical_device:CPU:0", "CPU"), device_type)


def list_logical_devices(device_type: str | None = None) -> list[LogicalDevice]:
    """Return the processor."""
    return _of_type(LogicalDevice("/device:CPU:0", "CPU"), device_type)


def get_visible_devices(device_type: str | None = None) -> list[PhysicalDevice]:
    """Return the processor."""
    return list_physical_devices(device_type)


def set_visible_devices(devices: Any, device_type: str | None = None) -> None:
    """Do nothing: there is one device."""


def set_soft_device_placement(enabled: bool) -> None:
    """Do nothing: there is one device."""


__all__ = [
    "LogicalDevice",
    "PhysicalDevice",
    "experimental",
    "get_visible_devices",
    "list_logical_devices",
    "list_physical_devices",
    "set_soft_device_placement",
    "set_visible_devices",
]
