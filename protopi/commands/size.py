# SPDX-License-Identifier: MIT
"""Show what an image is made of, in bytes: the parts of one slot, and the largest files and packages in it."""

from __future__ import annotations

import argparse
import json

from rich.console import Console
from rich.table import Column, Table

from protopi.api import Session
from protopi.boot.sizes import sizes_of
from protopi.boot.verdict import load_board
from protopi.project import Project
from protopi.ui import Ui

SUMMARY = "what takes the space in an image"


def setup(parser: argparse.ArgumentParser) -> None:
    """Arguments."""
    parser.add_argument("image", metavar="IMAGE")
    parser.add_argument("--json", action="store_true", help="print the sizes as JSON")


def run(arguments: argparse.Namespace, project: Project, ui: Ui) -> int:
    """Build if need be, then read the image itself and its manifest."""
    session = Session(project, ui)
    built = session.build(session.plan(arguments.image))
    sizes = sizes_of(built.disk, load_board(session, built.image.board))
    sizes["one slot (boot files + root file system)"] = sizes["boot_partition"] + sizes["rootfs"]
    if arguments.json:
        print(json.dumps(sizes, indent=2))
        return 0
    console = Console(highlight=False)
    table = Table("part", Column("bytes", justify="right"), Column("MiB", justify="right"), box=None)
    for name, size in sizes.items():
        table.add_row(name, f"{size:,}", f"{size / (1 << 20):.2f}")
    console.print(table)
    manifest = json.loads((built.folder / "manifest.json").read_text())
    files = [
        *((f"boot: {name}", entry) for name, entry in manifest["boot"].items()),
        *manifest["rootfs"]["files"].items(),
    ]
    console.print()
    table = Table("largest files", Column("bytes", justify="right"), "package", box=None)
    for name, entry in sorted(files, key=lambda item: -item[1].get("size", 0))[:25]:
        table.add_row(name, f"{entry['size']:,}", entry.get("package", ""))
    console.print(table)
    return 0
