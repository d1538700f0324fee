# SPDX-License-Identifier: MIT
"""Log in to a board over SSH: an interactive shell in this terminal. Only the pinned host key is believed."""

from __future__ import annotations

import argparse

from protopi import boardfile, ssh
from protopi.commands.board_run import board_options
from protopi.project import Project
from protopi.ui import Ui

SUMMARY = "an interactive shell on a board"


def setup(parser: argparse.ArgumentParser) -> None:
    """Arguments."""
    board_options(parser)


def run(arguments: argparse.Namespace, project: Project, ui: Ui) -> int:
    """Returns the shell's exit status."""
    with ssh.connect(boardfile.load(arguments.name), arguments.identity) as session:
        return session.shell()
