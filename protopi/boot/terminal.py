# SPDX-License-Identifier: MIT
"""pexpect on a console: wait for a text, type an answer. The console reads, stamps and logs meanwhile, as always."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from pexpect import EOF, TIMEOUT
from pexpect.spawnbase import SpawnBase

if TYPE_CHECKING:
    from protopi.boot.console import Console

    _Bytes = SpawnBase[bytes]
else:
    _Bytes = SpawnBase  # no generic class when it runs


class Terminal(_Bytes):
    """Looks at what comes over a console from now on (`start`: from that stream offset on). Texts are bytes."""

    def __init__(self, console: Console, *, timeout: float = 30, start: int | None = None) -> None:
        super().__init__(timeout=timeout)
        self._console = console
        self._at = console.size if start is None else start

    def read_nonblocking(self, size: int = 1, timeout: float | None = -1) -> Any:
        """What pexpect calls for more. Raises its EOF and TIMEOUT."""
        seconds = self.timeout if timeout == -1 else timeout
        end = None if seconds is None else time.monotonic() + seconds
        console, at = self._console, self._at
        while not (data := console.since(at)[:size]):
            if console.closed and console.size == at:
                self.flag_eof = True
                raise EOF("the console has ended")
            left = 1.0 if end is None else end - time.monotonic()
            if left <= 0:
                raise TIMEOUT(f"nothing came within {seconds} s")
            console.wait_beyond(at, left)
        self._at += len(data)
        return data

    def send(self, data: bytes) -> None:
        """Type something."""
        self._console.send(data)

    def sendline(self, line: bytes) -> None:
        """Type a line."""
        self.send(line + b"\r")
