"""`tf.errors`: the exceptions of Python that Headgate raises where TensorFlow has its own."""

from __future__ import annotations

AlreadyExistsError = FileExistsError
InvalidArgumentError = ValueError
NotFoundError = FileNotFoundError
OpError = Exception
OutOfRangeError = StopIteration
PermissionDeniedError = PermissionError
ResourceExhaustedError = MemoryError
UnimplementedError = NotImplementedError
InternalError = UnknownError = RuntimeError
FailedPreconditionError = RuntimeError

__all__ = [
    "AlreadyExistsError",
    "FailedPreconditionError",
    "InternalError",
    "InvalidArgumentError",
    "NotFoundError",
    "OpError",
    "OutOfRangeError",
    "PermissionDeniedError",
    "ResourceExhaustedError",
    "UnimplementedError",
    "UnknownError",
]
