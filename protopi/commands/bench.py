# SPDX-License-Identifier: MIT
"""Boot a test image in QEMU and measure what a call over /dev/mcp costs, beside what one would use instead.

Prints instructions, system calls, context switches and copied bytes for one round trip each, and what loading the
module adds to operations that have nothing to do with it. Exit 4 when a row is invalid or an aim is missed
(protopi/benchmark.py). Instructions are counted by QEMU with one CPU: they are no times of a Pi 4.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

from rich.console import Console
from rich.table import Column, Table

from protopi.api import Session
from protopi.benchmark import judge, run_bench
from protopi.boot.tools import TreeTools
from protopi.boot.verdict import load_board
from protopi.commands.image import build_options
from protopi.errors import GateError
from protopi.project import Project
from protopi.ui import Ui

SUMMARY = "measure calls over /dev/mcp in a booted test image"


def setup(parser: argparse.ArgumentParser) -> None:
    """Arguments."""
    build_options(parser)
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")


def run(arguments: argparse.Namespace, project: Project, ui: Ui) -> int:
    """Build if need be, boot, measure, judge."""
    session = Session(project, ui, jobs=arguments.jobs, offline=arguments.offline)
    built = session.build(session.plan(arguments.image))
    result = run_bench(built.disk, load_board(session, built.image.board), TreeTools(built.tools.root))
    if arguments.json:
        print(json.dumps(result, indent=2))
    else:
        print_result(result, Console(highlight=False))
    if reasons := judge(result):
        raise GateError("\n  ".join(["the figures are not what they have to be:", *reasons]))
    return 0


def print_result(result: dict[str, Any], console: Console) -> None:
    """The rows, and the cost to the rest."""
    numbers = ("bytes", "depth", "instructions", "system calls", "switches", "copied")
    table = Table("path", "policy", *(Column(name, justify="right") for name in numbers), box=None)
    for row in result["rows"]:
        if row["instructions"] is None:
            table.add_row(row["path"], row["policy"], f"{row['bytes']:,}", str(row["depth"]), "failed")
            continue
        copied = "" if row["copied"] is None else f"{row['copied']:,.0f}"
        mark = "" if row["valid"] else " (invalid)"
        table.add_row(
            row["path"], row["policy"], f"{row['bytes']:,}", str(row["depth"]), f"{row['instructions']:,.0f}{mark}",
            f"{row['syscalls']:.2f}", f"{row['switches']:.3f}", copied,
        )  # fmt: skip
    console.print(table)
    console.print()
    table = Table(
        "elsewhere", Column("instructions", justify="right"), Column("for the module", justify="right"), box=None
    )
    for name, share in result["idle_overhead"].items():
        table.add_row(name, f"{result['rest'][0][name]:,.0f}", f"{share:.2%}")
    console.print(table)
