# SPDX-License-Identifier: MIT
"""The store: a name means complete, and what was altered is never used."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest

from protopi.errors import InfraError
from protopi.store import Store, write_atomic

KEY = "ab" * 32


def publish(store: Store, text: str = "made", key: str = KEY) -> Path:
    made = store.root / "tmp" / "made"
    (made / "folder").mkdir(parents=True)
    (made / "folder" / "file").write_text(text)
    (made / "link").symlink_to("folder/file")
    return store.publish("part", key, made, {"recipe": "part"}, 1.5).out


def test_an_output_that_was_published_is_found_again_with_its_inputs(store: Store) -> None:
    out = publish(store)
    entry = store.get("part", KEY)
    assert entry is not None
    assert (entry.out, entry.inputs, entry.seconds) == (out, {"recipe": "part"}, 1.5)
    assert (entry.out / "folder" / "file").read_text() == "made"


def test_a_key_that_was_not_built_is_not_found(store: Store) -> None:
    publish(store)
    assert store.get("part", "cd" * 32) is None


@pytest.mark.parametrize("damage", ["truncate", "flip", "flip-and-restore-time", "remove", "retarget", "add", "chmod"])
def test_an_altered_output_is_named_and_never_used(store: Store, warnings_said: list[str], damage: str) -> None:
    out = publish(store)
    path = out / "folder" / "file"
    before = path.stat()
    if damage == "truncate":
        path.write_text("ma")
    elif damage.startswith("flip"):
        path.write_text("mada")
        if damage == "flip-and-restore-time":
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    elif damage == "remove":
        path.unlink()
    elif damage == "add":
        (out / "folder" / "new").touch()
    elif damage == "chmod":
        path.chmod(0o755)
    else:
        (out / "link").unlink()
        (out / "link").symlink_to("folder/other")
    assert store.get("part", KEY) is None
    assert not out.exists()
    assert "not what was built" in warnings_said[0]
    publish(store)
    assert store.get("part", KEY) is not None


def test_new_times_without_new_bytes_are_believed(store: Store, warnings_said: list[str]) -> None:
    out = publish(store)
    os.utime(out / "folder" / "file")
    assert store.get("part", KEY) is not None
    assert warnings_said == []


def test_an_entry_without_its_record_is_removed(store: Store, warnings_said: list[str]) -> None:
    out = publish(store)
    (out.parent / "entry.json").unlink()
    assert store.get("part", KEY) is None
    assert len(warnings_said) == 1


def test_a_record_that_is_cut_off_is_removed(store: Store) -> None:
    out = publish(store)
    record = out.parent / "entry.json"
    record.write_text(record.read_text()[:-20])
    assert store.get("part", KEY) is None


def _publish_slowly(root: Path, ready: str) -> None:
    store = Store(root)
    made = store.root / "tmp" / f"made.{os.getpid()}"
    made.mkdir()
    for number in range(400):
        (made / str(number)).write_bytes(os.urandom(4096))
    Path(ready).touch()
    store.publish("part", KEY, made, {}, 0.0)


def test_a_crash_in_the_middle_of_a_write_leaves_all_or_nothing(tmp_path: Path) -> None:
    root = tmp_path / "store"
    seen = set()
    for attempt in range(6):
        ready = tmp_path / f"ready{attempt}"
        child = multiprocessing.get_context("spawn").Process(target=_publish_slowly, args=(root, str(ready)))
        child.start()
        while not ready.exists():
            time.sleep(0.001)
        time.sleep(0.004 * attempt)
        assert child.pid
        os.kill(child.pid, signal.SIGKILL)
        child.join()
        said: list[str] = []
        entry = Store(root, said.append).get("part", KEY)
        seen.add(entry is not None)
        assert said == []  # nothing half-written had a finished name
        if entry is not None:
            assert len(list(entry.out.iterdir())) == 400
            break
    assert False in seen  # the control: at least one kill came before the end


def test_a_truncated_download_is_named_and_fetched_again(store: Store, warnings_said: list[str]) -> None:
    digest = hashlib.sha256(b"package").hexdigest()
    temporary = store.root / "tmp" / "x"
    temporary.write_bytes(b"package")
    path = store.put_file(temporary, digest)
    assert store.take_file(digest) == path
    path.write_bytes(b"pack")
    assert store.take_file(digest) is None
    assert not path.exists()
    assert digest in warnings_said[0]


def test_write_atomic_leaves_the_old_file_when_it_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    write_atomic(path, b"old")

    def fail(_source: str, _target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="No space"):
        write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_a_store_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InfraError, match="PROTOPI_STORE"):
        Store(tmp_path / "file")


def test_what_a_dead_process_left_is_swept_and_a_live_one_keeps_its_own(store: Store) -> None:
    old = store.root / "tmp" / "part.x"
    old.mkdir()
    with store.scratch("part") as own:
        for path in (old, own):
            os.utime(path, (0, 0))
        store.sweep()
        assert not old.exists()
        assert own.exists()


def test_entries_record_sizes_and_hashes(store: Store) -> None:
    out = publish(store)
    record = json.loads((out.parent / "entry.json").read_text())
    digest, size, *_ = record["files"]["folder/file"]
    assert (digest.split(":")[1], size) == (hashlib.sha256(b"made").hexdigest(), 4)


def test_an_entry_that_somebody_else_has_just_published_is_taken_as_it_is(store: Store) -> None:
    first = publish(store)
    assert publish(store) == first
    assert store.get("part", KEY) is not None


@pytest.mark.parametrize("record", ["{}", "[]", '{"key": "%s"}' % KEY, '{"key": "%s", "files": []}' % KEY])  # noqa: UP031
def test_a_record_that_lacks_something_is_removed(store: Store, record: str) -> None:
    out = publish(store)
    (out.parent / "entry.json").write_text(record)
    assert store.get("part", KEY) is None


def test_whoever_waits_for_a_lock_can_give_up(store: Store) -> None:
    said: list[str] = []
    with store.lock("part"):
        start = time.monotonic()
        with store.lock("part", lambda: said.append("waiting"), lambda: time.monotonic() - start > 0.3):
            assert said == ["waiting"]
