"""`tf.data`."""

from headgate.tf import _dataset

AUTOTUNE = -1
INFINITE_CARDINALITY = -1
UNKNOWN_CARDINALITY = -2

Dataset = _dataset.Dataset
