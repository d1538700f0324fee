# SPDX-License-Identifier: MIT
"""Pin a board's SSH host key: from then on no other key is believed in its place.

Without --fingerprint the board is asked over its serial line, where nobody can be in between. `flash` pins the key of
a card that it provisions, so that this is for cards that came about in another way.
"""

from __future__ import annotations

import argparse
import re

from protopi import boardfile
from protopi.boardfile import BoardFile
from protopi.boardline import console_of
from protopi.boot.console import Timeout
from protopi.errors import InfraError, UserError
from protopi.project import Project
from protopi.ui import Ui

SUMMARY = "pin a board's SSH host key"
_FINGERPRINT = re.compile(r"SHA256:[A-Za-z0-9+/]{43}")


def setup(parser: argparse.ArgumentParser) -> None:
    """Arguments."""
    parser.add_argument("name", metavar="NAME", help="the board: a board file's name, or its path")
    parser.add_argument("--fingerprint", metavar="SHA256:...", help="the key's fingerprint, if you have it otherwise")


def run(arguments: argparse.Namespace, project: Project, ui: Ui) -> int:
    """Write the pin into the board file."""
    board = boardfile.load(arguments.name)
    if board.ssh is None:
        raise UserError("there is no `ssh:` to pin a key for", where=str(board.path), key="ssh", hint="add its `host:`")
    if arguments.fingerprint and not _FINGERPRINT.fullmatch(arguments.fingerprint):
        raise UserError(
            f"{arguments.fingerprint} is no fingerprint",
            key="--fingerprint",
            hint="SHA256: and 43 characters, as `ssh-keygen -l` and the board's console print it",
        )
    found = arguments.fingerprint or _asked(board)
    if found == board.ssh.host_key:
        ui.say(f"{board.name}: {found} was pinned already")
        return 0
    boardfile.update(board.path, **{"ssh.host_key": found})
    before = f", in place of {board.ssh.host_key}" if board.ssh.host_key else ""
    ui.say(f"{board.name}: pinned {found}{before}")
    return 0


def _asked(board: BoardFile) -> str:
    with console_of(board) as console:
        try:
            answer = console.get("hostkey").decode("ascii", "replace").strip()
        except Timeout as error:
            raise InfraError(
                f"{board.name} does not answer on its serial line: {error}",
                hint="is it on, and was it given time to start? Are the two data lines crossed?",
            ) from error
        except ValueError as error:
            raise InfraError(f"{board.name}: {error}", hint="its image is older than this command") from error
    if not _FINGERPRINT.fullmatch(answer):
        raise InfraError(
            f"{board.name} has no SSH host key: {answer!r}", hint="a new card makes one within seconds after `ready`"
        )
    return answer
