"""What the Array API standard has besides functions of arrays: dtypes, constants, facts, exchange.

Dtypes are NumPy's, as those of tensors are, so `x.dtype == hg.float32` and `numpy.zeros(3,
hg.float32)` mean what they say. What NumPy's functions of dtypes take, these take with tensors too.
`__array_namespace__` of a tensor is the module `headgate`, so code that is written for the standard
computes with tensors and is recorded.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from headgate.core.checks import on_host
from headgate.core.lift import as_tensor
from headgate.core.tensor import Tensor, raw
from headgate.core.variable import Variable
from headgate.ops.creation import asarray

__array_api_version__ = "2024.12"
__array_namespace_info__ = np.__array_namespace_info__
"""What this version of the standard lets a library say of itself: what NumPy says."""

bool = np.dtype("bool")
int8 = np.dtype("int8")
int16 = np.dtype("int16")
int32 = np.dtype("int32")
int64 = np.dtype("int64")
uint8 = np.dtype("uint8")
uint16 = np.dtype("uint16")
uint32 = np.dtype("uint32")
uint64 = np.dtype("uint64")
float16 = np.dtype("float16")
float32 = np.dtype("float32")
float64 = np.dtype("float64")
complex64 = np.dtype("complex64")
complex128 = np.dtype("complex128")

e = math.e
pi = math.pi
inf = math.inf
nan = math.nan
newaxis = None


def _dtype(value: Any) -> Any:
    """Return the dtype of a tensor or array, or a dtype, or what NumPy takes for one, as it is."""
    return value.dtype if isinstance(value, Tensor | Variable | np.ndarray) else value


def result_type(*arrays_and_dtypes: Any) -> np.dtype[Any]:
    """Return the dtype that arrays, dtypes and numbers become together.

    >>> import headgate as hg
    >>> hg.result_type(hg.ones(2, hg.float32), 1.0)
    dtype('float32')
    """
    return np.result_type(*map(_dtype, arrays_and_dtypes))


def can_cast(from_: Any, to: Any) -> Any:
    """Tell whether a dtype can be converted to another one without losing anything but precision.

    >>> import headgate as hg
    >>> hg.can_cast(hg.float32, hg.float64), hg.can_cast(hg.float64, hg.int64)
    (True, False)
    """
    return np.can_cast(_dtype(from_), _dtype(to))


def isdtype(dtype: Any, kind: Any) -> Any:
    """Tell whether a dtype is another one, or of a kind: "real floating", "integral", "numeric".

    >>> import headgate as hg
    >>> hg.isdtype(hg.float32, "real floating"), hg.isdtype(hg.int8, (hg.bool, "integral"))
    (True, True)
    """
    return np.isdtype(np.dtype(dtype), kind)


@dataclass(frozen=True, slots=True)
class FloatingLimits:
    """What `finfo` returns."""

    bits: int
    eps: float
    max: float
    min: float
    smallest_normal: float
    dtype: np.dtype[Any]

    @property
    def tiny(self) -> float:
        """NumPy's name of `smallest_normal`."""
        return self.smallest_normal


@dataclass(frozen=True, slots=True)
class IntegerLimits:
    """What `iinfo` returns."""

    bits: int
    max: int
    min: int
    dtype: np.dtype[Any]


def finfo(type: Any) -> FloatingLimits:
    """Return the limits of a floating dtype, or of the dtype of an array, as Python's numbers.

    >>> import headgate as hg
    >>> hg.finfo(hg.float32).eps
    1.1920928955078125e-07
    """
    found = np.finfo(_dtype(type))
    names = ("eps", "max", "min", "smallest_normal")
    eps, most, least, normal = (float(getattr(found, name)) for name in names)
    return FloatingLimits(int(found.bits), eps, most, least, normal, np.dtype(found.dtype))


def iinfo(type: Any) -> IntegerLimits:
    """Return the limits of a dtype of integers, or of that of an array.

    >>> import headgate as hg
    >>> hg.iinfo(hg.int8).max
    127
    """
    found = np.iinfo(_dtype(type))
    return IntegerLimits(int(found.bits), int(found.max), int(found.min), np.dtype(found.dtype))


def from_dlpack(x: Any, device: Any = None, copy: Any = None) -> Tensor:
    """Return a tensor of another library's array, by the DLPack protocol; a constant.

    It is copied unless nobody could write to it, or `copy` is False; from another device than the
    processor's memory, convert it with its own library first.

    >>> import headgate as hg
    >>> import numpy as np
    >>> hg.from_dlpack(np.ones(2))
    Tensor([1., 1.], shape=(2,), dtype=float64)
    """
    on_host("from_dlpack", device)
    if isinstance(x, Tensor | Variable):
        return asarray(x, copy=copy)
    return asarray(raw(np.from_dlpack(x)), copy=copy)


# -- what tensors have for it ----------------------------------------------------------------------


def _namespace(self: Any, api_version: str | None = None) -> Any:
    """Return the module `headgate`, which has the functions of the Array API standard."""
    import headgate

    known = ("2021.12", "2022.12", "2023.12", "2024.12")
    if api_version is not None and api_version not in known:
        raise ValueError(f"headgate has the Array API standard of {known}, not {api_version!r}")
    return headgate


def _dlpack(
    self: Any,
    stream: Any = None,
    max_version: tuple[int, int] | None = None,
    dl_device: Any = None,
    copy: Any = None,
) -> Any:
    """Hand the elements to another library; gradient does not follow them.

    A library that knows nothing of memory that is only to be read gets a copy.
    """
    tensor = as_tensor(self)
    value = tensor._escape("__dlpack__()", tensor._known("__dlpack__()", lambda value: value))
    if not isinstance(value, np.ndarray):
        return value.__dlpack__(stream=stream) if hasattr(value, "block") else _of_scalar(value)
    if max_version is None or max_version[0] < 1:
        return value.copy().__dlpack__(stream=stream)
    value = value.view()
    value.flags.writeable = False
    return value.__dlpack__(stream=stream, max_version=max_version, dl_device=dl_device, copy=copy)


def _of_scalar(value: Any) -> Any:
    return np.array(value).__dlpack__()


def _dlpack_device(self: Any) -> tuple[Any, int]:
    """Say where the elements are, as DLPack numbers devices: 1, 0 is the processor's memory."""
    value = as_tensor(self).value
    return value.__dlpack_device__() if hasattr(value, "__dlpack_device__") else (1, 0)


def _to_device(self: Any, device: Any, stream: Any = None) -> Tensor:
    """Return the same tensor where it already is on the device; `headgate.to_backend` moves it."""
    tensor = as_tensor(self)
    if device != tensor.device:
        on_host("to_device", device)
    return tensor


for _kind in (Tensor, Variable):
    for _name, _method in (
        ("__array_namespace__", _namespace),
        ("__dlpack__", _dlpack),
        ("__dlpack_device__", _dlpack_device),
        ("to_device", _to_device),
    ):
        setattr(_kind, _name, _method)
