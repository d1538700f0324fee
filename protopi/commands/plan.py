# SPDX-License-Identifier: MIT
"""Show the steps that would run for an image, and with --explain which of their inputs changed.

A step whose output is in the store is shown as `store`; one that would run as `run`; one that nobody asks for, because
what is made of it is finished, as `-`.
"""

from __future__ import annotations

import argparse

from rich.console import Console
from rich.table import Table

from protopi.api import Session
from protopi.fetch import missing
from protopi.key import explain
from protopi.project import Project
from protopi.ui import Ui, duration, mebibytes

SUMMARY = "what would run, and why"


def setup(parser: argparse.ArgumentParser) -> None:
    """Arguments."""
    parser.add_argument("image", metavar="IMAGE")
    parser.add_argument("--explain", action="store_true", help="say which input of each step changed")


def run(arguments: argparse.Namespace, project: Project, ui: Ui) -> int:
    """Print the plan."""
    session = Session(project, ui)
    planned = session.plan(arguments.image)
    with session.builder() as builder:
        todo = {step.key for step in builder.missing(planned.steps, planned.roots)}
        table = Table(box=None, pad_edge=False)
        for column in ("step", "state", "last took", "key", "needs"):
            table.add_column(column)
        for step in planned.steps:
            entry = session.store.get(step.name, step.key)
            state = "run" if step.key in todo else "store" if entry else "-"
            took = duration(entry.seconds) if entry else ""
            table.add_row(step.name, state, took, step.key[:12], " ".join(step.needs))
        Console(highlight=False).print(table)
        fetched = missing(session.store, [p for step in planned.steps if step.key in todo for p in step.packages])
        if fetched:
            print(f"to fetch: {len(fetched)} packages, {mebibytes(sum(p.size for p in fetched))}")
        if arguments.explain:
            for step in planned.steps:
                if step.key in todo:
                    what = f" ({step.recipe.summary}; {step.recipe.licence})" if step.recipe else ""
                    print(f"{step.name}{what} runs because:")
                    for line in explain(builder.remembered(step, planned.image.name), step.document)[:40]:
                        print(f"  {line}")
    return 0
