# SPDX-License-Identifier: MIT
"""Copy files to a running board over SSH, and load kernel modules in place of the running ones.

Each file arrives whole or not at all: it is compared by its SHA-256 on the board before it gets its name. The root file
system is read-only: files go to /data/push, which is kept over reboots. A module (NAME.ko) goes to /run and is loaded
in place of the one that runs; a reboot brings the image's own back. With --to files are only copied, modules too.
"""

from __future__ import annotations

import argparse
from pathlib import Path, PurePosixPath

from protopi import boardfile, kmodule, ssh
from protopi.commands.board_run import board_options
from protopi.errors import Problem, UserErrors
from protopi.project import Project
from protopi.ui import Ui, mebibytes

SUMMARY = "copy files to a board; load a new mcp.ko"
FILES, MODULES = "/data/push", "/run/push"


def setup(parser: argparse.ArgumentParser) -> None:
    """Arguments."""
    board_options(parser)
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    parser.add_argument("--to", metavar="FOLDER", help=f"a folder on the board (default {FILES}; modules: {MODULES})")


def run(arguments: argparse.Namespace, project: Project, ui: Ui) -> int:
    """Copy, and load what is a module."""
    problems = []
    if arguments.to and not arguments.to.startswith("/"):
        problems.append(Problem(f"`{arguments.to}` is no whole path", key="--to", hint="begin it with /"))
    problems += [Problem("there is no such file", where=str(path)) for path in arguments.files if not path.is_file()]
    names = [path.name for path in arguments.files]
    problems += [
        Problem(f"two files are named {name}", hint="push them one after the other, with --to")
        for name in sorted({name for name in names if names.count(name) > 1})
    ]
    if problems:
        raise UserErrors(problems)
    board = boardfile.load(arguments.name)
    modules = {path: kmodule.read_module(path) for path in arguments.files if path.suffix == ".ko" and not arguments.to}
    with ssh.connect(board, arguments.identity) as session, ui:
        # What cannot be loaded is refused before anything changes on the board.
        loaded = {path: kmodule.check(session, module) for path, module in modules.items()}
        for path in arguments.files:
            module = modules.get(path)
            target = str(PurePosixPath(arguments.to or (MODULES if module else FILES), path.name))
            _push(session, ui, path, target)
            if module is not None:
                kmodule.replace(session, module, target, loaded=loaded[path])
                ui.say(f"{module.name}: loaded" + (" in place of the one that ran" if loaded[path] else ""))
    return 0


def _push(session: ssh.Session, ui: Ui, path: Path, target: str) -> None:
    with ui.step(f"push {path.name}") as line:

        def note(done: int) -> None:
            line.note(mebibytes(done))

        session.put(path, target, progress=note)
        line.done(f"{target}, {mebibytes(path.stat().st_size)}, verified")
