"""Ahead: a thread that makes the next elements while those before are used."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from typing import Any

_END = object()


def ahead(begin: Callable[[], Iterator[Any]], size: int) -> Iterator[Any]:
    """Yield what a thread takes from an iterator ahead; it ends when nobody asks any more."""
    made: queue.Queue[Any] = queue.Queue(size)
    over = threading.Event()

    def put(item: Any) -> bool:
        while not over.is_set():
            try:
                made.put(item, timeout=0.05)
            except queue.Full:
                continue
            return True
        return False

    def work() -> None:
        try:
            for element in begin():
                if not put((element, None)):
                    return
            put((_END, None))
        except BaseException as error:  # whoever iterates gets it
            put((_END, error))

    thread = threading.Thread(target=work, name="prefetch", daemon=True)
    thread.start()
    try:
        while True:
            element, error = made.get()
            if error is not None:
                raise error
            if element is _END:
                return
            yield element
    finally:
        over.set()
