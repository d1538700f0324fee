# SPDX-License-Identifier: MIT
"""QEMU in the place of a board: the whole gate without one. It proves the gate, and nothing about a Pi 4.

Power is QEMU's process, the serial line a pseudo-terminal. There is no firmware, and virtual time is not the host's,
so there is no phase before kernel entry; the counter's zero is the reset, as it nearly is on a board.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import subprocess
import tempfile
import termios
import tty
from pathlib import Path
from typing import TYPE_CHECKING

from protopi.boot.console import PAUSE, Console
from protopi.boot.qemu import ON_STDIO, Options, command
from protopi.errors import InfraError
from protopi.hwgate.bench import Facts

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from types import TracebackType

    from protopi.boot.board import Board
    from protopi.boot.tools import Tools


class Cable:
    """A pseudo-terminal that stands in for a serial line: `far` is the board's end. `pause`: see Console."""

    def __init__(self, *, pause: float = PAUSE) -> None:
        self._pause = pause
        self.near, self.far = os.openpty()
        tty.setraw(self.far)

    def close(self) -> None:
        """Pull it out."""
        os.close(self.far)
        os.close(self.near)

    def drain(self) -> None:
        """Forget what a board that is off did not hear."""
        termios.tcflush(self.far, termios.TCIFLUSH)

    @contextlib.contextmanager
    def listen(self) -> Iterator[Console]:
        """A console on the near end; its reader ends with the context, so that it takes no byte of the next one's."""
        done, stop = os.pipe()

        def read() -> bytes:
            ready, _, _ = select.select([self.near, done], [], [])
            return b"" if done in ready else os.read(self.near, 65536)

        console = Console(read, lambda data: os.write(self.near, data), pause=self._pause).start()
        try:
            yield console
        finally:
            os.close(stop)
            console.join()
            os.close(done)


class QemuBench:
    """A bench on which QEMU plays the board; a context manager that ends it."""

    def __init__(self, image: Path, board: Board, tools: Tools) -> None:
        self._image, self._board, self._tools = image, board, tools
        self._folder: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._cable = Cable()
        self.facts = Facts(
            where=f"stand-in: QEMU {board.name}",
            name=f"qemu-{board.name}",
            power="QEMU's process",
            serial="pseudo-terminal",
            card=image.name,
            powered=False,
        )

    def __enter__(self) -> QemuBench:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.off()
        self._cable.close()

    def off(self) -> None:
        """See Bench. A power cut gives no notice: QEMU is killed."""
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, 9)
            process.wait(10)
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def on(self) -> None:
        """See Bench."""
        self._cable.drain()
        self._folder = Path(tempfile.mkdtemp(prefix="protopi-bench-"))
        words = command(self._image, self._board, self._tools, self._folder, Options(), serial=ON_STDIO)
        try:
            self._process = subprocess.Popen(
                words, stdin=self._cable.far, stdout=self._cable.far, stderr=subprocess.DEVNULL, start_new_session=True
            )
        except OSError as error:
            raise InfraError(f"QEMU cannot be started: {error}", hint="./build.py doctor") from error

    def listen(self) -> AbstractContextManager[Console]:
        """See Bench."""
        return self._cable.listen()
