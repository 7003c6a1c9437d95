"""Data: batches of arrays in memory, and pipelines of whatever can be iterated over."""

from headgate.data.batches import Batches
from headgate.data.dataset import Dataset

__all__ = ["Batches", "Dataset"]
