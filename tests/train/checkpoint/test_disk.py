"""A file is written whole or not at all, whatever fails, and nothing is left over."""

import errno
import os
import stat
import sys
from pathlib import Path

import numpy as np
import pytest

import headgate as hg
from headgate.checkpoint import Checkpoints, disk, load, save


def test_a_save_replaces_the_file_and_leaves_nothing_else(file):
    for value in (1.0, 2.0):
        save(file, v=hg.Variable(value))
    v = hg.Variable(0.0)
    load(file, v=v)
    assert float(v) == 2
    assert os.listdir(file.parent) == [file.name]


@pytest.mark.parametrize("broken", ["fsync", "replace", "open"])
def test_a_failed_save_leaves_what_was_there(tmp_path, monkeypatch, broken):
    def fail(*args, **options):
        raise OSError(errno.ENOSPC, "No space left on device")

    v = hg.Variable(1.0)
    checkpoints = Checkpoints(tmp_path, keep=1, v=v)
    checkpoints.save(1)
    v.assign(2.0)
    with monkeypatch.context() as patch:
        patch.setattr(Path if broken == "replace" else os, broken, fail)
        with pytest.raises(
            OSError, match=r"No space left.* is not saved, and those before"
        ) as info:
            checkpoints.save(2)
    assert info.value.errno == errno.ENOSPC
    assert "step-00000002" in info.value.filename
    assert len(os.listdir(tmp_path)) == 1
    assert (checkpoints.restore(), float(v)) == (1, 1.0)


def test_a_disk_that_is_full_halfway(tmp_path):
    resource = pytest.importorskip("resource")
    v = hg.Variable(np.ones(100_000))
    checkpoints = Checkpoints(tmp_path, v=v)
    checkpoints.save(1)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, limits[1]))
    try:
        with pytest.raises(OSError, match="is not saved"):
            checkpoints.save(2)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert checkpoints.steps() == [1]
    assert len(os.listdir(tmp_path)) == 1
    checkpoints.save(2)
    assert checkpoints.restore() == 2


def test_the_disk_has_the_content_before_the_name(file, monkeypatch):
    events = []

    def noting(name, function):
        def noted(target, *rest):
            synced = stat.S_ISDIR(os.fstat(target).st_mode) if name == "fsync" else None
            events.append({None: "rename", True: "fsync folder", False: "fsync file"}[synced])
            return function(target, *rest)

        return noted

    monkeypatch.setattr(os, "fsync", noting("fsync", os.fsync))
    monkeypatch.setattr(Path, "replace", noting("replace", Path.replace))
    save(file, v=hg.Variable(1.0))
    folder = ["fsync folder"] if hasattr(os, "O_DIRECTORY") else []
    assert events == ["fsync file", "rename", *folder]


def test_a_folder_that_is_none(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(FileNotFoundError, match="is not saved"):
        save(tmp_path / "no" / "where", v=hg.Variable(1.0))
    with pytest.raises(FileExistsError):
        Checkpoints(tmp_path / "file", v=hg.Variable(1.0)).save(0)


@pytest.mark.skipif(sys.platform == "win32", reason="needs file locks")
def test_leftovers_are_removed_but_not_those_in_use(tmp_path):
    used = disk.temporary_name(tmp_path)
    writer = used.open("xb")
    assert disk.locked(writer)
    left = tmp_path / f".headgate-{'0' * 32}.tmp"
    left.write_bytes(b"half")
    folder = tmp_path / f".headgate-{'1' * 32}.tmp"
    folder.mkdir()
    mine = tmp_path / ".headgate-notes.tmp"
    mine.write_text("keep")
    link = tmp_path / f".headgate-{'2' * 32}.tmp"
    link.symlink_to(mine)
    save(tmp_path / "file", v=hg.Variable(1.0))
    assert not left.exists()
    assert {used, folder, mine, link} < set(tmp_path.iterdir())
    writer.close()
    save(tmp_path / "file", v=hg.Variable(1.0))
    assert not used.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="needs file locks")
def test_a_file_that_was_removed_before_it_was_locked_is_made_again(tmp_path, monkeypatch):
    lock = disk.fcntl.flock
    removed = []

    def lock_late(descriptor, how):
        if not removed:
            removed.extend(tmp_path.glob(".headgate-*.tmp"))
            removed[0].unlink()
        lock(descriptor, how)

    monkeypatch.setattr(disk.fcntl, "flock", lock_late)
    save(tmp_path / "file", v=hg.Variable(1.0))
    assert len(removed) == 1
    assert os.listdir(tmp_path) == ["file"]
