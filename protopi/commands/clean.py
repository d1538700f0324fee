# SPDX-License-Identifier: MIT
"""Remove out/, and with --store what the store holds (all of it can be made again)."""

from __future__ import annotations

import argparse
import shutil

from protopi.project import Project
from protopi.store import DIRECTORIES, TAG, default_store, remove_tree
from protopi.ui import Ui, mebibytes

SUMMARY = "remove finished images; with --store the store too"


def setup(parser: argparse.ArgumentParser) -> None:
    """Arguments."""
    parser.add_argument("--store", action="store_true", help="remove the store: downloads, outputs, caches")


def run(arguments: argparse.Namespace, project: Project, ui: Ui) -> int:
    """Remove only folders that protopi makes."""
    shutil.rmtree(project.out, ignore_errors=True)
    ui.say(f"removed {project.out}")
    root = default_store()
    if arguments.store:
        tag = root / "CACHEDIR.TAG"
        if not tag.is_file() or tag.read_bytes() != TAG:
            ui.say(f"there is no store at {root}")
            return 0
        size = sum(path.stat().st_size for path in root.glob("files/*"))
        for name in DIRECTORIES:
            remove_tree(root / name)
        tag.unlink()
        ui.say(f"removed the store {root} ({mebibytes(size)} of downloads and all that was built)")
    return 0
