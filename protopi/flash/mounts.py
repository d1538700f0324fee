# SPDX-License-Identifier: MIT
"""What is mounted and what is swapped to: /proc/self/mountinfo and /proc/swaps, read strictly.

Source: proc_pid_mountinfo(5) (fields, and the escapes of blanks), proc_swaps(5).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from protopi.errors import InfraError

if TYPE_CHECKING:
    from pathlib import Path

#: File systems that lie on no local disk. Whatever is not named here has to be traced to one.
_DISKLESS = (
    "9p afs autofs binfmt_misc bpf ceph cgroup cgroup2 cifs configfs debugfs devpts devtmpfs efivarfs fusectl hugetlbfs"
    " mqueue nfs nfs4 nfsd nsfs proc pstore ramfs rootfs rpc_pipefs securityfs selinuxfs smb3 sysfs tmpfs tracefs"
    " virtiofs fuse.sshfs fuse.gvfsd-fuse fuse.portal"
)
DISKLESS = frozenset(_DISKLESS.split())


UNSAFE = "without it no disk is safe to write"


@dataclass(frozen=True, slots=True)
class Mount:
    """One row: the file system's device number (0:N where it has no device of its own), where, type, source."""

    number: str
    point: str
    kind: str
    source: str
    options: str


def _plain(word: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), word)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError as error:
        raise InfraError(f"{path} cannot be read: {error.strerror}", hint=UNSAFE) from error


def read_mounts(path: Path) -> tuple[Mount, ...]:
    """All mounts, in the order of mounting. Raises InfraError for a file that is not what it should be."""
    rows = []
    for line in _text(path).splitlines():
        before, dash, after = line.partition(" - ")
        first, last = before.split(" "), after.split(" ")
        if not dash or len(first) < 6 or len(last) < 3 or not re.fullmatch(r"\d+:\d+", first[2]):
            raise InfraError(f"{path}: a line is no mount: {line!r}", hint=UNSAFE)
        rows.append(Mount(first[2], _plain(first[4]), last[0], _plain(last[1]), _plain(last[2])))
    if not any(row.point == "/" for row in rows):
        raise InfraError(f"{path}: nothing is mounted at /", hint=UNSAFE)
    return tuple(rows)


def read_swaps(path: Path) -> tuple[str, ...]:
    """What is swapped to: devices and files. Raises InfraError for a file that is not what it should be."""
    lines = _text(path).splitlines()
    if not lines or not lines[0].startswith("Filename"):
        raise InfraError(f"{path}: no list of swap areas", hint=UNSAFE)
    return tuple(_plain(line.split()[0]) for line in lines[1:] if line.strip())


def mount_of(path: str, mounts: tuple[Mount, ...]) -> Mount:
    """The mount that a path (absolute, without links) lies in: of the nearest points the last one mounted."""
    inside = [m for m in mounts if m.point == "/" or path == m.point or path.startswith(m.point + "/")]
    longest = max(len(m.point) for m in inside)
    return [m for m in inside if len(m.point) == longest][-1]
