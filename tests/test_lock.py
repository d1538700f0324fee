# SPDX-License-Identifier: MIT
"""The lock: what is written is read back, and what is damaged is refused with its place."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from protopi.errors import UserError
from protopi.lock import Lock, Locked, difference, read_lock, write_lock

ONE = Locked("busybox", "1:1.37-6", "arm64", 847552, "ab" * 32, "pool/main/b/busybox/busybox_1.37-6_arm64.deb")
LOCK = Lock(1795305600, {"pi4": {"busybox": ONE}}, {"pi4": ("busybox",)})


def test_a_lock_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "protopi.lock"
    write_lock(path, LOCK)
    assert read_lock(path) == LOCK
    write_lock(tmp_path / "again", read_lock(path))
    assert (tmp_path / "again").read_bytes() == path.read_bytes()


def test_a_lock_has_one_package_a_line_and_no_address(tmp_path: Path) -> None:
    write_lock(tmp_path / "lock", LOCK)
    lines = (tmp_path / "lock").read_text().splitlines()
    assert sum("busybox_1.37" in line for line in lines) == 1
    assert "://" not in "".join(lines)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("ab" * 32, "ab" * 31, "sha256"),
        ("pool/main/b/busybox/", "../../etc/", "path"),
        ('"format": 1', '"format": 9', "format"),
        ("847552", '"many"', "damaged"),
        ("]\n}\n}", "]\n}", "not a lock"),
    ],
)
def test_a_damaged_lock_is_refused_and_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = tmp_path / "lock"
    write_lock(path, LOCK)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(UserError, match=message) as caught:
        read_lock(path)
    assert str(path) in str(caught.value)


def test_a_missing_lock_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="lock --update"):
        read_lock(tmp_path / "none")


def test_a_package_that_is_not_locked_is_named_with_a_near_one() -> None:
    with pytest.raises(UserError, match="did you mean `busybox`"):
        LOCK.get("pi4", ("busybx",))
    with pytest.raises(UserError, match="lock --update mine"):
        LOCK.get("mine")


def test_the_difference_names_what_moved_came_and_went() -> None:
    moved = Locked("busybox", "1:1.38-1", "arm64", 1, "cd" * 32, "pool/b_1.38-1_arm64.deb")
    other = Locked("s6", "2", "arm64", 1, "ef" * 32, "pool/s6_2_arm64.deb")
    new = Lock(0, {"pi4": {"busybox": moved, "s6": other}})
    assert difference(LOCK, new) == ["pi4: busybox 1:1.37-6 -> 1:1.38-1", "pi4: + s6 2"]
    assert difference(new, LOCK)[1] == "pi4: - s6 2"


def test_the_age_is_in_days() -> None:
    assert Lock(int(time.time()) - 3 * 86400 - 60, {}).age_days == 3
