"""Events: numbers in the form that TensorBoard shows."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any


class Events:
    """TensorBoard's file of events: records with a scalar for each measure.

    TensorBoard's own writer of files would import the whole of TensorFlow where that is installed.
    """

    def __init__(self, out: Path, step: int) -> None:
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.summary.writer.record_writer import RecordWriter

        self.event, self.summary = Event, Summary
        now = time.time()
        path = out / f"events.out.tfevents.{int(now)}.{os.getpid()}.{step}"
        self.file = path.open("wb")
        self.records = RecordWriter(self.file)
        self._add(wall_time=now, file_version="brain.Event:2")
        if step:  # what an earlier process wrote of later steps is void
            self._add(wall_time=now, step=step + 1, session_log=SessionLog(status=SessionLog.START))

    def __enter__(self) -> Events:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def _add(self, **parts: Any) -> None:
        self.records.write(self.event(**parts).SerializeToString())

    def write(self, metrics: dict[str, float]) -> None:
        """Add an event."""
        values = [
            self.summary.Value(tag=name, simple_value=value)
            for name, value in metrics.items()
            if name != "step"
        ]
        step = int(metrics["step"])
        self._add(wall_time=time.time(), step=step, summary=self.summary(value=values))
