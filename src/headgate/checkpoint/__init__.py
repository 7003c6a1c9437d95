"""Checkpoints of a training: `save` and `load`, or a folder with the last few of them."""

from headgate.checkpoint.checkpoints import Checkpoints, load, save
from headgate.checkpoint.format import CheckpointError
from headgate.state import Stateful

__all__ = ["CheckpointError", "Checkpoints", "Stateful", "load", "save"]
