# SPDX-License-Identifier: MIT
"""The serial line of a board, wherever its board file says that it is: here, or with labgrid."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from protopi.boot.console import Console
from protopi.boot.serialport import SerialPort
from protopi.errors import UserError
from protopi.labgrid import Place

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from protopi.boardfile import BoardFile


def line_of(board: BoardFile) -> SerialPort | Place:
    """The board's line, open; a labgrid place is its power switch too. Raises UserError, InfraError."""
    return Place.of(board) if board.labgrid is not None else _port(board)


@contextlib.contextmanager
def console_of(board: BoardFile, *, log: Path | None = None) -> Iterator[Console]:
    """A console on the board's line that has read nothing yet. Raises UserError, InfraError."""
    line = line_of(board)
    console = Console.on(line, log=log)
    try:
        yield console
    finally:
        line.close()
        console.join()


def _port(board: BoardFile) -> SerialPort:
    if board.serial is None:
        raise UserError(
            "it does not say where its serial line is",
            where=str(board.path),
            key="serial",
            hint="add `serial:` with `device: /dev/serial/by-id/...`",
        )
    return SerialPort(board.serial.device, board.serial.baud)
