# SPDX-License-Identifier: MIT
"""Run a command on a board over SSH: `./build.py board run NAME -- uname -a`.

What it prints comes as it is printed, and its exit status becomes this command's (255: a signal ended it). Several
words are a program and its arguments, exactly; a single word is a line for the board's shell:
`board run NAME -- 'dmesg | tail'`.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path

from protopi import boardfile, ssh
from protopi.errors import UserError
from protopi.project import Project
from protopi.ui import Ui

SUMMARY = "run a command on a board"


def board_options(parser: argparse.ArgumentParser) -> None:
    """The arguments of every action that logs in."""
    parser.add_argument("name", metavar="NAME", help="the board: a board file's name, or its path")
    parser.add_argument(
        "--identity", "-i", type=Path, metavar="FILE", help="your private key (default: those of your agent, ~/.ssh)"
    )


def setup(parser: argparse.ArgumentParser) -> None:
    """Arguments."""
    board_options(parser)
    parser.add_argument("--stdin", action="store_true", help="give the command this one's standard input")
    # REMAINDER: with other numbers, argparse takes a `--` out of the command itself.
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="-- COMMAND", help="the command and its arguments")


def run(arguments: argparse.Namespace, project: Project, ui: Ui) -> int:
    """Returns the command's exit status."""
    words = arguments.command[1:] if arguments.command[:1] == ["--"] else arguments.command
    if not words or words[0].startswith("-"):
        raise UserError(
            f"`{words[0]}` is no command" if words else "there is no command",
            key="board run",
            hint="./build.py board run [OPTIONS] NAME -- COMMAND: options come before the board's name",
        )
    line = words[0] if len(words) == 1 else shlex.join(words)
    with ssh.connect(boardfile.load(arguments.name), arguments.identity) as session:
        # Unbuffered: what is typed goes on at once.
        stdin = open(0, "rb", buffering=0, closefd=False) if arguments.stdin else None  # noqa: SIM115
        status = session.run(line, out=sys.stdout.buffer, err=sys.stderr.buffer, stdin=stdin)
    if status == ssh.BY_SIGNAL:
        ui.warn("the command ended by a signal, or with status 255")
    return status
