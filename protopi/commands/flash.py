# SPDX-License-Identifier: MIT
"""Write an image to an SD card, and read all of it back.

IMAGE is an image (built if need be) or the path of a .img; DEVICE a disk (sdb, /dev/disk/by-id/...), a new file that
ends in .img, or - for standard output. Without DEVICE it is the one disk whose serial the board file registers.
`--list` shows which disks may be written, and why each other one may not; nothing can make a refused disk writable,
except that a serial in the board file admits a card of more than 256 GB or an eMMC. In a terminal you confirm by typing
the disk's name; without one the serial must be registered. `--board NAME` also gives the card what the board file says
(host name, a new SSH host key, who may log in, Wi-Fi), and pins the key there once the card is proven.

A card that boots is a whole one: the first sector is written last, when everything else was read back.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import tempfile
from pathlib import Path

from protopi import boardfile, power, provision
from protopi.api import Session
from protopi.boardfile import BoardFile
from protopi.boot.tools import TreeTools
from protopi.errors import UserError
from protopi.flash import job, listing, write
from protopi.flash.job import Host
from protopi.flash.progress import FlashProgress
from protopi.flash.provenance import admit, provenance
from protopi.flash.rules import Wish
from protopi.flash.source import Source
from protopi.plan import Planner
from protopi.project import Project
from protopi.provision import Provisioning
from protopi.store import default_store
from protopi.ui import Ui, duration, mebibytes

SUMMARY = "write an image to an SD card and read it back; --list shows the cards"
#: How long a card may take to appear after an SD mux has given it to this computer.
MUX_SECONDS = 15.0
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def size(text: str) -> int:
    """A number of bytes as 64M or 32G (powers of 1024)."""
    found = re.fullmatch(r"(\d+)([KMG]?)(?:iB)?", text)
    if not found:
        raise ValueError
    return int(found[1]) * _UNITS[found[2]]


def setup(parser: argparse.ArgumentParser) -> None:
    """Arguments."""
    parser.add_argument("image", nargs="?", metavar="IMAGE", help="an image's name, a .yaml file, or a .img")
    parser.add_argument("device", nargs="?", metavar="DEVICE", default="", help="a disk, a new .img file, or -")
    parser.add_argument("--list", action="store_true", help="show which disks may be written, and why others may not")
    parser.add_argument("--board", metavar="NAME", help="the board that the card is for (a board file)")
    parser.add_argument("--no-provision", action="store_true", help="give the card nothing of the board file's")
    parser.add_argument("--dev", action="store_true", help="a development image, or one of unknown origin, is meant")
    parser.add_argument("--size", type=size, default=0, metavar="BYTES", help="how large a new file is to be (as 32G)")


def run(arguments: argparse.Namespace, project: Project, ui: Ui) -> int:
    """Show the disks, or write one."""
    board = boardfile.load(arguments.board) if arguments.board else None
    if arguments.list:
        if arguments.image:
            raise UserError("--list takes no image", hint="./build.py flash --list")
        found = _host(None, project).read()
        print(listing.table(found, Wish(registered=_serials(board))))
        return 0
    if not arguments.image:
        raise UserError("no image was named", hint="./build.py flash IMAGE DEVICE; ./build.py flash --list")
    if arguments.device == "-" and sys.stdout.isatty():
        raise UserError(
            "an image is not for a terminal to show", hint="./build.py flash IMAGE - > FILE, or | a program"
        )
    to_file = arguments.device.endswith(".img") and not Path(arguments.device).is_block_device()
    if arguments.size and not to_file:
        raise UserError("a size is for a new file", key="--size", hint="./build.py flash IMAGE NEW.img --size 32G")
    session = Session(project, ui)
    image = _image(arguments.image, session)
    with tempfile.TemporaryDirectory(prefix="protopi-flash-") as folder:
        given, patches = _provisioning(board, image, arguments, session, Path(folder))
        with Source(image, patches) as source:
            admit(provenance(source), image.name, dev=arguments.dev)
            if not source.mapped:
                ui.warn(f"{source.map_path.name} is not there: all {mebibytes(source.size)} are written")
            _write(arguments, source, board, to_file, project, ui)
    if board and given and provision.commit(board, given):
        ui.say(f"{board.path}: SSH host key pinned: {given.host_key.fingerprint if given.host_key else ''}")
    return 0


def _serials(board: BoardFile | None) -> frozenset[str]:
    return frozenset(board.card.serials if board and board.card else ())


def _image(word: str, session: Session) -> Path:
    if word.endswith(".img"):
        path = Path(word)
        if not path.is_file():
            raise UserError(f"there is no image file {path}", hint="build it: ./build.py pi4; or name an image: pi4")
        return path.resolve()
    return session.build(session.plan(word)).disk.resolve()


def _provisioning(
    board: BoardFile | None, image: Path, arguments: argparse.Namespace, session: Session, folder: Path
) -> tuple[Provisioning | None, tuple[provision.Patch, ...]]:
    """What the card gets beyond the image, in files in `folder` that only we may read."""
    if board is None or arguments.no_provision:
        return None, ()
    step = Planner(session.project, session.project.lock()).tools
    with session.builder() as builder:
        tools = TreeTools(builder.build([step], [step], "flash")["tools"].out)
    given = provision.with_new_key(provision.of_board(board), tools)
    return given, provision.apply(image, given, tools, folder)


def _write(
    arguments: argparse.Namespace, source: Source, board: BoardFile | None, to_file: bool, project: Project, ui: Ui
) -> None:
    to_disk = not to_file and arguments.device != "-"
    host, wish = _host(source.image, project), Wish(source.size, _serials(board))
    mux = board.sd_mux if board and to_disk else None
    if mux:
        power.card_to_host(mux)
    if to_disk:
        # A mistake is said before the work begins. A reader behind a mux takes a moment to be there.
        job.await_disk(host, arguments.device, wish, seconds=MUX_SECONDS if mux else 0.0)
    done = 0
    with FlashProgress(ui) as report:

        def checked(length: int) -> None:
            nonlocal done
            done += length
            report("check", done, source.map.mapped)

        digests = source.check(checked)
    if arguments.device == "-":
        with FlashProgress(ui) as report:
            write.stream(sys.stdout.fileno(), source, digests, report)
        ui.say("written; a stream cannot be read back: check what came of it")
        return
    if to_file:
        with FlashProgress(ui) as report:
            proven = job.to_file(Path(arguments.device), arguments.size, source, digests, report)
        name = arguments.device
    else:
        with FlashProgress(ui) as report:
            disk, proven = job.to_disk(host, arguments.device, wish, source, digests, ui.say, report)
        name = disk.name
        if mux:
            power.card_to_board(mux)
    speeds = [proven.bytes / 1e6 / max(seconds, 1e-9) for seconds in (proven.write_seconds, proven.read_seconds)]
    ui.say(
        f"{name}: {mebibytes(proven.bytes)} written in {duration(proven.write_seconds)} ({speeds[0]:.1f} MB/s), "
        f"read back in {duration(proven.read_seconds)} ({speeds[1]:.1f} MB/s): every byte is as in the image"
    )


def _host(image: Path | None, project: Project) -> Host:
    terminal = sys.stdin.isatty() and sys.stderr.isatty()
    return Host(ours=job.ours(image, store=default_store(), project=project.root), ask=_ask if terminal else None)


def _ask(question: str) -> str:
    sys.stderr.write(question)
    sys.stderr.flush()
    return os.fsdecode(sys.stdin.buffer.readline())
