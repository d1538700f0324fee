# SPDX-License-Identifier: MIT
"""Build an image, boot it in QEMU and gate it; the result is in out/IMAGE.

Everything is taken from the store when none of its inputs changed, the gate's verdict too when image, harness, QEMU
and budgets are the same.
"""

from __future__ import annotations

import argparse
import time

from protopi.api import Session
from protopi.boot.verdict import gate_cached
from protopi.errors import GateError
from protopi.project import Project
from protopi.ui import Ui, duration, mebibytes

SUMMARY = "build an image, gate it, and put it in out/IMAGE (`./build.py IMAGE` is the same)"


def positive(text: str) -> int:
    """An argument that is a number of at least 1."""
    value = int(text)
    if value < 1:
        raise ValueError
    return value


def build_options(parser: argparse.ArgumentParser) -> None:
    """The options of every verb that builds."""
    parser.add_argument("image", metavar="IMAGE", help="the name of an image, or the path of a .yaml file")
    parser.add_argument("--offline", action="store_true", help="use the store alone; fetch nothing")
    parser.add_argument("-j", "--jobs", type=positive, default=0, metavar="N", help="processors to use")


def setup(parser: argparse.ArgumentParser) -> None:
    """Arguments."""
    build_options(parser)
    parser.add_argument("--no-gate", action="store_true", help="do not boot the image (it is not proven then)")


def run(arguments: argparse.Namespace, project: Project, ui: Ui) -> int:
    """Build, publish, gate."""
    start = time.monotonic()
    session = Session(project, ui, jobs=arguments.jobs, offline=arguments.offline)
    planned = session.plan(arguments.image)
    built = session.build(planned)
    folder = session.publish(built)
    disk = folder / built.disk.name
    ui.say(f"{disk} ({mebibytes(disk.stat().st_size)}), .img.zst, .bmap, manifest.json")
    if arguments.no_gate:
        ui.warn("not gated: nothing shows that this image boots")
    elif not gate_cached(session, built, ui):
        raise GateError(f"{built.image.name} does not pass its gate (above); the image is in {folder} for a look")
    ui.say(f"{built.image.name}: done in {duration(time.monotonic() - start)}")
    return 0
