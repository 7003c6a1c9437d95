"""A file is whole or not there, whatever happens while it is written.

It is written under another name in the same folder, forced to the disk, and then renamed, which the
system does at once or not at all. The writer holds a lock on the file until then. The lock ends
with the process, however it ends, so a temporary file that nobody has locked is left over, and the
next write in the folder removes it.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows, where a file that is open cannot be removed: that is the lock
    fcntl = None  # type: ignore[assignment]

_TEMPORARY = re.compile(r"\.headgate-[0-9a-f]{32}\.tmp")


def write(path: Path, data: bytes) -> None:
    """Write a file so that there is the whole of it, after any failure or crash, or none of it."""
    try:
        _remove_leftovers(path.parent)
        descriptor, temporary = create(path.parent)
        try:
            with open(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(descriptor)
                if fcntl is not None:
                    temporary.replace(path)  # while it is locked, so that nobody removes it
            if fcntl is None:
                temporary.replace(path)  # Windows does not rename what is open
        except BaseException:
            remove(temporary)
            raise
        _sync_folder(path.parent)
    except OSError as error:
        raise OSError(
            error.errno,
            f"{error.strerror}; the checkpoint is not saved, and those before it are untouched",
            str(path),
        ) from error


def create(folder: Path) -> tuple[int, Path]:
    """Make a temporary file and lock it."""
    while True:
        path = folder / f".headgate-{secrets.token_hex(16)}.tmp"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        descriptor = os.open(path, flags, 0o666)
        if fcntl is not None:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            except OSError:  # a file system without locks, where nobody removes leftovers
                pass
        if os.fstat(descriptor).st_nlink:
            return descriptor, path
        os.close(descriptor)  # another save took it for a leftover before it was locked


def _remove_leftovers(folder: Path) -> None:
    """Remove temporary files whose writers are gone: those that nobody has locked."""
    if fcntl is None:
        return
    with os.scandir(folder) as entries:
        found = [e.path for e in entries if _TEMPORARY.fullmatch(e.name)]
    for path in found:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError:  # gone by now, or not one of ours
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.unlink(path)
        except OSError:  # its writer is alive, or it is not one of ours
            pass
        finally:
            os.close(descriptor)


def remove(path: Path) -> None:
    """Remove a file if that is possible now; a later save tries again."""
    try:
        path.unlink()
    except OSError:
        pass


def _sync_folder(folder: Path) -> None:
    """Force the names in a folder to the disk, where the system can open folders."""
    if hasattr(os, "O_DIRECTORY"):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # cannot be done on this system
                raise
        finally:
            os.close(descriptor)
