# SPDX-License-Identifier: MIT
"""A root shell on the console of a running development image, for programs: type a command, get what it printed."""

from __future__ import annotations

import contextlib
import re
import time
from typing import TYPE_CHECKING, Any

from pexpect import TIMEOUT

from protopi.boot.qemu import Machine, Options
from protopi.boot.terminal import Terminal
from protopi.errors import InfraError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from protopi.boot.board import Board
    from protopi.boot.tools import Tools

#: What services say on the console at a moment of their own (image/rootfs/usr/lib/protopi/ssh).
_ANNOUNCED = re.compile(r"^@hostkey .*\n?", re.MULTILINE)
_PROMPT = re.compile(rb"[#$] (?:\x1b\[6n)?$")


class Shell(Terminal):
    """The shell of a machine; `exitstatus` is QEMU's once `wait` has returned."""

    def __init__(self, machine: Machine, seconds: float) -> None:
        super().__init__(machine.console, timeout=seconds)
        self._machine = machine

    def wait(self, seconds: float = 30) -> None:
        """Until QEMU has ended."""
        self.exitstatus = self._machine.wait(seconds)


@contextlib.contextmanager
def shell(path: Path, board: Board, tools: Tools, options: Options, seconds: float = 120) -> Iterator[Any]:
    """Boot the image as `./build.py boot` does; the terminal (pexpect) with a shell in it.

    Raises InfraError when the image does not get to ready within `seconds`, or no shell comes.
    """
    with Machine(path, board, tools, options) as machine:
        if machine.console.wait_marker(seconds) is None:
            raise InfraError("the image did not get to ready:\n  " + "\n  ".join(machine.console.tail()))
        child = Shell(machine, seconds)
        # An empty line asks for a shell; it is lost while the console's service is still starting.
        end = time.monotonic() + seconds
        while True:
            child.send(b"\r")
            if child.expect([_PROMPT, TIMEOUT], timeout=3) == 0:
                break
            if time.monotonic() > end:
                raise InfraError(f"no shell: {child.before!r}")
        yield child


def ask(child: Any, command: str, seconds: float = 30) -> str:
    """Run a command in the shell; its output. The marks cannot be mistaken for the echo of what was typed."""
    child.sendline(f'echo "<""<"; {command}; echo ">"">"'.encode())
    child.expect(rb"<<\r+\n(.*?)>>\r+\n", timeout=seconds)
    found = child.match.group(1)
    assert isinstance(found, bytes)
    return _ANNOUNCED.sub("", found.decode(errors="replace").replace("\r", "")).strip()
