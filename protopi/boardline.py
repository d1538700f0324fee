# SPDX-License-Identifier: MIT
"""The console and the power switch of a board, wherever its board file says that they are: here, or with labgrid."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from protopi import labgrid, power
from protopi.boot.console import Console
from protopi.boot.serialport import SerialPort
from protopi.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from protopi.boardfile import BoardFile


@contextlib.contextmanager
def console_of(board: BoardFile, *, log: Path | None = None) -> Iterator[Console]:
    """A console on the board's line that has read nothing yet. Raises UserError, InfraError."""
    if board.labgrid is not None:
        line: SerialPort | labgrid.Place = labgrid.Place.of(board)
    else:
        line = _port(board)
    console = Console.on(line, log=log)
    try:
        yield console
    finally:
        line.close()
        console.join()


@contextlib.contextmanager
def bench_of(board: BoardFile, *, log: Path | None = None) -> Iterator[tuple[power.Switch, Console]]:
    """Power switch and console together: a labgrid place has both in one. Raises UserError, InfraError."""
    if board.labgrid is not None:
        with labgrid.Place.of(board) as place:
            console = Console.on(place, log=log)
            yield place, console
        console.join()
        return
    switch = power.switch_of(board)
    with console_of(board, log=log) as console:
        yield switch, console


def _port(board: BoardFile) -> SerialPort:
    if board.serial is None:
        raise UserError(
            "it does not say where its serial line is",
            where=str(board.path),
            key="serial",
            hint="add `serial:` with `device: /dev/serial/by-id/...`",
        )
    return SerialPort(board.serial.device, board.serial.baud)
