# SPDX-License-Identifier: MIT
"""Verdicts in the store: an image is not booted again while image, harness, QEMU, board and budgets are the same."""

from __future__ import annotations

import datetime
import io
import json
import sys
from typing import TYPE_CHECKING, Any

from rich.console import Console

from protopi.api import BuiltImage, Session
from protopi.boot.gate import GateResult, gate
from protopi.boot.report import print_table
from protopi.boot.tools import TreeTools
from protopi.key import hash_files, key_of
from protopi.store import write_atomic

if TYPE_CHECKING:
    from pathlib import Path

    from protopi.boot.board import Board
    from protopi.ui import Ui

#: Everything outside the image that a verdict depends on, relative to the project.
HARNESS = (
    "protopi/boot",
    "protopi/sandbox.py",
    "protopi/layout.py",
    "protopi/mbr.py",
    "boards",
    "boot-tests/budgets.yaml",
)
BOOTS = 3


def budget_file(session: Session) -> Path:
    """Where limits and baselines are."""
    return session.project.root / "boot-tests" / "budgets.yaml"


def load_board(session: Session, name: str) -> Board:
    """The board of an image."""
    import boards

    assert session.project.root == boards.HERE.parent
    return boards.load(name)


def verdict_key(session: Session, built: BuiltImage, boots: int) -> str:
    """The hash of all that a verdict depends on."""
    return key_of(
        {
            "image": built.key,
            "plugin": built.plugin.parent.parent.name,
            "tools": built.tools.root.parent.name,
            "harness": hash_files(session.project.root, HARNESS),
            "boots": boots,
        }
    )


def run_gate(session: Session, built: BuiltImage, ui: Ui, *, boots: int = BOOTS) -> GateResult:
    """Boot and judge, and keep a pass in the store. Raises InfraError when no verdict is possible."""
    name = built.image.name
    with ui, ui.step(f"gate {name}") as line:
        result = gate(
            built.disk,
            load_board(session, built.image.board),
            TreeTools(built.tools.root),
            built.plugin,
            name=name,
            boots=boots,
            budget_file=budget_file(session),
            progress=line.note,
        )
        line.done("passed" if result.passed else "failed")
    if not result.passed:  # a busy host can be the reason: a failure is looked at again each time
        return result
    record = {
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "text": rendered(result),
        "json": result.to_json(),
    }
    write_atomic(_path(session, built, boots), json.dumps(record).encode())
    return result


def rendered(result: GateResult) -> str:
    """The gate's table as plain text, 120 columns wide."""
    text = io.StringIO()
    print_table(result, Console(file=text, width=120, highlight=False))
    return text.getvalue()


def stdout_console() -> Console:
    """Where results go: the terminal's width, or 120 columns where there is none."""
    return Console(highlight=False) if sys.stdout.isatty() else Console(highlight=False, width=120)


def gate_cached(session: Session, built: BuiltImage, ui: Ui) -> bool:
    """Print the verdict on an image, from the store when nothing changed; returns whether it passed."""
    try:
        record: dict[str, Any] = json.loads(_path(session, built, BOOTS).read_text())
        print(record["text"].rstrip() + f"  (cached, from {record['date']})", flush=True)
        return True
    except (FileNotFoundError, ValueError, KeyError):
        result = run_gate(session, built, ui)
        print_table(result, stdout_console())
        return result.passed


def _path(session: Session, built: BuiltImage, boots: int) -> Path:
    return session.store.root / "verdicts" / f"{built.image.name}-{verdict_key(session, built, boots)[:32]}.json"
