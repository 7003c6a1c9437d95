"""`tf.data.Dataset`: Headgate's, whose numbers and lists become arrays as TensorFlow's do."""

from __future__ import annotations

from typing import Any

from headgate import data
from headgate.tf._adapt import convert_to_tensor


class Dataset(data.Dataset):
    """`headgate.data.Dataset` with TensorFlow's dtypes: numbers are float32 and int32.

    Args:
        make, length: made by the methods; begin with `from_tensor_slices` or its like.

    >>> import headgate.tf as tf
    >>> next(iter(tf.data.Dataset.from_tensor_slices([1.0, 2.0]).batch(2))).dtype
    dtype('float32')
    """

    @staticmethod
    def _asarray(value: Any) -> Any:
        return convert_to_tensor(value).numpy()
