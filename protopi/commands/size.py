# SPDX-License-Identifier: MIT
"""Show what an image is made of, in bytes: the parts of one slot, and the largest files and packages in it."""

from __future__ import annotations

import argparse
import json

from rich.console import Console
from rich.table import Table

from protopi.api import Session
from protopi.project import Project
from protopi.ui import Ui

SUMMARY = "what takes the space in an image"


def setup(parser: argparse.ArgumentParser) -> None:
    """Arguments."""
    parser.add_argument("image", metavar="IMAGE")
    parser.add_argument("--json", action="store_true", help="print the manifest's sizes as JSON")


def run(arguments: argparse.Namespace, project: Project, ui: Ui) -> int:
    """Build if need be, then print from the manifest."""
    session = Session(project, ui)
    built = session.build(session.plan(arguments.image))
    manifest = json.loads((built.folder / "manifest.json").read_text())
    if arguments.json:
        print(json.dumps(manifest["sizes"], indent=2))
        return 0
    console = Console(highlight=False)
    table = Table("part", "bytes", "MiB", box=None)
    for name, size in manifest["sizes"].items():
        table.add_row(name, f"{size:,}", f"{size / (1 << 20):.2f}")
    console.print(table)
    console.print()
    largest = sorted(manifest["files"], key=lambda f: -f.get("size", 0))[:20]
    table = Table("largest files", "bytes", "package", box=None)
    for entry in largest:
        table.add_row(entry["path"], f"{entry['size']:,}", entry.get("package", ""))
    console.print(table)
    return 0
