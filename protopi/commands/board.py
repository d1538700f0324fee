# SPDX-License-Identifier: MIT
"""Work with a real board: describe it, gate it, log in to it, read its logs, put files on it.

Each board is a file of yours (`board new NAME` writes one). Over SSH only the host key that the board file pins is
believed; `flash` pins it, and `board pin` reads it off the serial line.
"""

from __future__ import annotations

import argparse
import importlib
import pkgutil
from types import ModuleType

from protopi import commands
from protopi.project import Project
from protopi.ui import Ui

SUMMARY = "real boards: run, push, log, shell, gate ..."
_PREFIX = "board_"


def actions() -> list[str]:
    """The names of all actions: the modules protopi.commands.board_NAME."""
    found = (module.name for module in pkgutil.iter_modules(commands.__path__))
    return sorted(name.removeprefix(_PREFIX) for name in found if name.startswith(_PREFIX))


def load(action: str) -> ModuleType:
    """The module of an action; it looks like that of a verb."""
    return importlib.import_module(f"protopi.commands.{_PREFIX}{action}")


def setup(parser: argparse.ArgumentParser) -> None:
    """Arguments: one subcommand an action."""
    sub = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for action in actions():
        module = load(action)
        one = sub.add_parser(action, help=module.SUMMARY, description=module.__doc__)
        module.setup(one)


def run(arguments: argparse.Namespace, project: Project, ui: Ui) -> int:
    """Returns what the action returns."""
    return int(load(arguments.action).run(arguments, project, ui))
