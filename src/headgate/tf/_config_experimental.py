"""`tf.config.experimental`: what belongs to devices of TensorFlow, without effect."""

from __future__ import annotations

from typing import Any


def list_physical_devices(device_type: str | None = None) -> list[Any]:
    """Return the processor."""
    from headgate.tf import config

    return list(config.list_physical_devices(device_type))


def list_logical_devices(device_type: str | None = None) -> list[Any]:
    """Return the processor."""
    from headgate.tf import config

    return list(config.list_logical_devices(device_type))


def set_memory_growth(device: Any, enable: bool) -> None:
    """Do nothing: memory is taken as it is needed."""


def get_memory_growth(device: Any) -> bool:
    """Tell that memory is taken as it is needed."""
    return True


def set_visible_devices(devices: Any, device_type: str | None = None) -> None:
    """Do nothing: there is one device."""


def enable_op_determinism() -> None:
    """Do nothing: ops are deterministic."""


__all__ = [
    "enable_op_determinism",
    "get_memory_growth",
    "list_logical_devices",
    "list_physical_devices",
    "set_memory_growth",
    "set_visible_devices",
]
