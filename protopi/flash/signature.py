# SPDX-License-Identifier: MIT
"""What lies on a block device, by blkid's low-level probing.

blkid reads the device itself. lsblk would not do: it asks udev's database, which has nothing to say about a device with
several signatures (an old ZFS label under a new file system), and nothing at all for a user without rights where udev
does not run; both look like an empty disk. Tables of our own would know fewer formats than libblkid.
"""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from protopi.errors import InfraError

if TYPE_CHECKING:
    from pathlib import Path

_NOTHING, _SEVERAL = 2, 8  # blkid(8), "Exit status"
_SECONDS = 20


@dataclass(frozen=True, slots=True)
class Signature:
    """What blkid says of a device. All empty: nothing is on it that it knows.

    `usage` is filesystem, raid, crypto or other; `several` that signatures contradict each other.
    """

    type: str = ""
    usage: str = ""
    label: str = ""
    table: str = ""
    several: bool = False

    def __str__(self) -> str:
        if self.several:
            return "several signatures"
        return f'{self.type} "{self.label}"' if self.type and self.label else self.type or "nothing known"


def blkid(node: Path) -> tuple[int, str]:
    """Probe a device for real. Raises OSError when it cannot be read or hangs, InfraError when blkid is missing."""
    # blkid answers "nothing found" for a device that it may not read, so that is found out here.
    os.close(os.open(node, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC))
    program = shutil.which("blkid", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if program is None:
        raise InfraError("there is no blkid here, so what is on a disk cannot be read", hint="install util-linux")
    try:
        done = subprocess.run(
            [program, "-p", "-o", "export", node],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise TimeoutError(errno.ETIMEDOUT, f"no answer for {_SECONDS} s", str(node)) from error
    return done.returncode, done.stdout


def parse(status: int, text: str) -> Signature:
    """blkid's exit status and `-o export` text as a Signature. Raises ValueError for a status it should not have."""
    if status == _NOTHING and not text.strip():
        return Signature()
    if status == _SEVERAL:
        return Signature(several=True)
    if status:
        raise ValueError(f"blkid ended with status {status}")
    fields = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    label = "".join(c for c in fields.get("LABEL", "").replace("\\ ", " ") if c.isprintable())
    return Signature(fields.get("TYPE", ""), fields.get("USAGE", ""), label, fields.get("PTTYPE", ""))
