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
from functools import partial
from pathlib import Path
from typing import IO

try:
    import fcntl
except ImportError:  # Windows, where a file that is open cannot be removed: that is the lock
    fcntl = None  # type: ignore[assignment]

_TEMPORARY = re.compile(r"\.headgate-[0-9a-f]{32}\.tmp")


def write(path: Path, data: bytes) -> None:
    """Write a file so that there is the whole of it, after any failure or crash, or none of it."""
    try:
        _remove_leftovers(path.parent)
        while not _written(path, data):
            pass
        _sync_folder(path.parent)
    except OSError as error:
        raise OSError(
            error.errno,
            f"{error.strerror}; the checkpoint is not saved, and those before it are untouched",
            str(path),
        ) from error


def temporary_name(folder: Path) -> Path:
    """Return a new name for a temporary file."""
    return folder / f".headgate-{secrets.token_hex(16)}.tmp"


def _written(path: Path, data: bytes) -> bool:
    """Write a file under another name and rename it; False if that was removed before its lock.

    The name is known before there is a file of that name, and the file is closed, which ends its
    lock, with the block: whenever an interrupt comes, nothing stays.
    """
    temporary = temporary_name(path.parent)
    try:
        with open(temporary, "xb", opener=partial(os.open, mode=0o666)) as file:
            if not locked(file):
                return False
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            if fcntl is not None:
                temporary.replace(path)  # while it is locked, so that nobody removes it
        if fcntl is None:
            temporary.replace(path)  # Windows does not rename what is open
    except BaseException:
        remove(temporary)
        raise
    return True


def locked(file: IO[bytes]) -> bool:
    """Lock a temporary file; False if another save has taken it for a leftover before."""
    if fcntl is not None:
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError:  # a file system without locks, where nobody removes leftovers
            pass
    return bool(os.fstat(file.fileno()).st_nlink)


def _remove_leftovers(folder: Path) -> None:
    """Remove temporary files whose writers are gone: those that nobody has locked."""
    if fcntl is None:
        return
    with os.scandir(folder) as entries:
        found = [
            entry.path
            for entry in entries
            if _TEMPORARY.fullmatch(entry.name) and entry.is_file(follow_symlinks=False)
        ]
    for path in found:
        try:
            with open(path, "rb+") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.unlink(path)
        except OSError:  # gone by now, or its writer is alive, or it is not one of ours
            pass


def remove(path: Path) -> None:
    """Remove a file if that is possible now; a later save tries again."""
    try:
        path.unlink()
    except OSError:
        pass


def _sync_folder(folder: Path) -> None:
    """Force the names in a folder to the disk, where the system can open folders."""
    if hasattr(os, "O_DIRECTORY"):
        opened: list[int] = []
        try:
            # In one go: an interrupt would come between a call and what keeps its result.
            opened.extend(map(os.open, [folder], [os.O_RDONLY | os.O_DIRECTORY]))
            os.fsync(opened[0])
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # cannot be done on this system
                raise
        finally:
            for descriptor in opened:
                os.close(descriptor)
