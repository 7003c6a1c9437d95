"""What is asked of a record: a source, and the question that a tape puts about its targets.

The record knows neither tensors nor variables. Whoever asks makes these of them
(`headgate.core.asked`), and all that reads the record works on these.
"""

from __future__ import annotations

from dataclasses import dataclass

from headgate.record.graph import Node, Recording, Source
from headgate.record.site import Site


@dataclass(frozen=True, slots=True)
class Asked:
    """A source, as the record knows it.

    `itself` is the tensor or variable, of which only the identity counts here. `identity` is what
    can be differentiated by: that of a variable, or of a tensor that a tape watches, and None for a
    result in the middle. `node` is where a tensor comes from; of a variable, as it was last
    watched. `inexact` says whether gradient can flow through its dtype; if not, `dtype` is that in
    words.
    """

    name: str
    itself: object
    identity: Source | None
    node: Node | None
    variable: bool
    trainable: bool
    shape: tuple[int, ...]
    dtype: str
    inexact: bool

    @property
    def made(self) -> Site | None:
        """Where a variable was created, or the one that a tensor stands for."""
        return None if self.identity is None else self.identity.made


@dataclass(frozen=True, slots=True)
class Question:
    """What a tape is asked about: its recording, its bits there, and the targets with their nodes.

    `watches_reads` says whether it watches all trainable variables that are read. Of the `targets`
    only the identity counts.
    """

    recording: Recording | None
    bits: int
    watches_reads: bool
    targets: tuple[object, ...]
    nodes: tuple[Node, ...]
