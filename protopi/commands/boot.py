# SPDX-License-Identifier: MIT
"""Boot an image in QEMU with its console in this terminal; Ctrl-A x ends it.

What is booted is what is flashed: kernel, device tree and command line come out of the image's own FAT. Writes go to a
temporary file. `--ssh PORT` gives it a network (a USB adapter on the Pi 4, virtio on virt) and forwards a port of this
machine's loopback to the image's SSH.
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
import tempfile
from pathlib import Path

from protopi.api import Session
from protopi.boot.qemu import Options, interactive
from protopi.boot.tools import TreeTools
from protopi.boot.verdict import load_board
from protopi.commands.image import build_options
from protopi.errors import UserError
from protopi.project import Project
from protopi.ui import Ui

SUMMARY = "boot an image in QEMU, console in this terminal"


def setup(parser: argparse.ArgumentParser) -> None:
    """Arguments."""
    build_options(parser)
    parser.add_argument("--dry-run", action="store_true", help="print the command; its files are left in a folder")
    parser.add_argument("--ssh", type=int, metavar="PORT", help="forward 127.0.0.1:PORT to the image's port 22")
    parser.add_argument("--append", action="append", default=[], metavar="WORD", help="one more kernel parameter")


def run(arguments: argparse.Namespace, project: Project, ui: Ui) -> int:
    """Returns QEMU's exit status."""
    if arguments.ssh is not None and not 0 < arguments.ssh < 65536:
        raise UserError(f"{arguments.ssh} is no port", key="--ssh", hint="1 to 65535")
    session = Session(project, ui, jobs=arguments.jobs, offline=arguments.offline)
    built = session.build(session.plan(arguments.image))
    board = load_board(session, built.image.board)
    if arguments.ssh and not board.network:
        raise UserError(f"board {board.name} has no network in QEMU", key="--ssh", hint="boards with one: pi4, virt")
    forward = ((arguments.ssh, 22),) if arguments.ssh else ()
    options = Options(forward=forward, append=tuple(arguments.append), realtime=True)
    tools = TreeTools(built.tools.root)
    if arguments.dry_run:
        folder = Path(tempfile.mkdtemp(prefix="protopi-boot-"))
        print(shlex.join(interactive(built.disk, board, tools, folder, options)))
        return 0
    with tempfile.TemporaryDirectory(prefix="protopi-boot-") as name:
        ui.say(f"booting {built.image.name} on {board.title}; Ctrl-A x ends QEMU, Ctrl-A h helps")
        return subprocess.run(interactive(built.disk, board, tools, Path(name), options), check=False).returncode
