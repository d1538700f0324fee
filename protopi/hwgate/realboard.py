# SPDX-License-Identifier: MIT
"""The real bench: a board file's power switch and serial line, or the labgrid place that has both."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

from protopi import boardline, power
from protopi.boot.console import Console
from protopi.boot.serialport import SerialPort
from protopi.errors import UserError
from protopi.hwgate.bench import BOARD, PI4_HZ, Facts

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from protopi.boardfile import BoardFile
    from protopi.labgrid import Place


def facts_of(board: BoardFile) -> Facts:
    """What a report says of a board, from its file.

    Behind a pseudo-terminal there is a program and no board, whatever it answers.
    """
    device = str(Path(board.serial.device).resolve()) if board.serial else ""
    card = board.card.model or ", ".join(board.card.serials) if board.card else ""
    place = f"labgrid place {board.labgrid.place}" if board.labgrid else ""
    return Facts(
        where="stand-in: pseudo-terminal" if device.startswith("/dev/pts/") else BOARD,
        name=board.name,
        revision=board.revision,
        memory_mb=board.memory_mb,
        eeprom=board.eeprom,
        card=card or None,
        power=place or ("by hand" if board.power.kind == "none" else board.power.kind),
        serial=place or (f"{board.serial.device} at {board.serial.baud}" if board.serial else ""),
        frequency=PI4_HZ,
        by_hand=not place and board.power.kind == "none",
    )


class RealBoard:
    """See protopi.hwgate.bench.Bench; a context manager that lets go of the line. The board stays on at the end.

    Raises UserError when the board file names no line, or nothing that switches power.
    """

    def __init__(self, board: BoardFile, *, log: Path | None = None) -> None:
        if board.serial is None and board.labgrid is None:
            raise UserError(
                "the gate needs the board's serial line", where=str(board.path), key="serial", hint="see docs/boards.md"
            )
        self.facts = facts_of(board)
        self._board, self._log = board, log
        self._line: SerialPort | Place | None = None
        self._console: Console | None = None
        self._switch: power.Switch | None = None if board.labgrid else power.switch_of(board)

    def __enter__(self) -> RealBoard:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _value: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._close()

    def _close(self) -> None:
        line, console, self._line, self._console = self._line, self._console, None, None
        if line is not None:
            line.close()
        if console is not None:
            console.join()  # its reader lets go of the device: the next one wants it

    def _open(self) -> Console:
        """The console, opened again after its line was lost for good."""
        if self._console is not None and not self._console.closed:
            return self._console
        self._close()
        self._line = boardline.line_of(self._board)
        if not isinstance(self._line, SerialPort):
            self._switch = self._line
        self._console = Console.on(self._line, log=self._log)
        return self._console

    def on(self) -> None:
        """See Bench."""
        self._open()
        assert self._switch is not None
        self._switch.on()

    def off(self) -> None:
        """See Bench."""
        self._open()
        assert self._switch is not None
        self._switch.off()

    @contextlib.contextmanager
    def listen(self) -> Iterator[Console]:
        """See Bench."""
        yield self._open()
