# SPDX-License-Identifier: MIT
"""A root shell on the console of a running development image, for programs: type a command, get what it printed."""

from __future__ import annotations

import contextlib
import re
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pexpect

from protopi.boot.qemu import Options, interactive
from protopi.errors import InfraError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from protopi.boot.board import Board
    from protopi.boot.tools import Tools

_PROMPT = re.compile(rb"[#$] (?:\x1b\[6n)?$")


@contextlib.contextmanager
def shell(path: Path, board: Board, tools: Tools, options: Options, seconds: float = 120) -> Iterator[Any]:
    """Boot the image as `./build.py boot` does; the terminal (pexpect) with a shell in it.

    Raises pexpect's exceptions when the image does not get to ready within `seconds`, InfraError when no shell comes.
    """
    with tempfile.TemporaryDirectory() as folder:
        command = interactive(path, board, tools, Path(folder), options)
        child = pexpect.spawn(command[0], command[1:], timeout=seconds, echo=False)
        try:
            child.expect(rb"@boot \{.*\} [0-9a-f]{8}")
            # An empty line asks for a shell; it is lost while the console's service is still starting.
            end = time.monotonic() + seconds
            while True:
                child.send(b"\r")
                if child.expect([_PROMPT, pexpect.TIMEOUT], timeout=3) == 0:
                    break
                if time.monotonic() > end:
                    raise InfraError(f"no shell: {child.before!r}")
            yield child
        finally:
            child.close(force=True)


def ask(child: Any, command: str, seconds: float = 30) -> str:
    """Run a command in the shell; its output. The marks cannot be mistaken for the echo of what was typed."""
    child.sendline(f'echo "<""<"; {command}; echo ">"">"'.encode())
    child.expect(rb"<<\r+\n(.*?)>>\r+\n", timeout=seconds)
    found = child.match.group(1)
    assert isinstance(found, bytes)
    return found.decode(errors="replace").replace("\r", "").strip()
