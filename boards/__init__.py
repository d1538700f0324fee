# SPDX-License-Identifier: MIT
"""The boards. Each is a package here with a `BOARD`; adding one is adding a folder."""

from __future__ import annotations

import difflib
import importlib
from pathlib import Path

from protopi.boot.board import Board
from protopi.errors import UserError

HERE = Path(__file__).resolve().parent
__all__ = ["HERE", "Board", "load", "names"]


def names() -> list[str]:
    """The names of all boards."""
    return sorted(path.parent.name for path in HERE.glob("*/__init__.py"))


def load(name: str) -> Board:
    """The board of that name. Raises UserError, with what may have been meant."""
    known = names()
    if name not in known:
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {close[0]}?" if close else f"boards: {', '.join(known)}"
        raise UserError(f"there is no board {name}", key="board", hint=hint)
    board = importlib.import_module(f"boards.{name}").BOARD
    assert isinstance(board, Board)
    return board
