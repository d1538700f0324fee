# SPDX-License-Identifier: MIT
"""Boot a test image in QEMU and measure what a call over /dev/mcp costs, beside what one would use instead.

Prints instructions, system calls, context switches and copied bytes for one round trip each, what loading the module
adds to operations that have nothing to do with it, and each aim beside what was measured. Exit 4 when a row is invalid
or an aim is missed (docs/bench.md). Instructions are counted by QEMU with one CPU: they are no times of a Pi 4.
"""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

from rich.bar import Bar
from rich.table import Column, Table

from protopi.api import Session
from protopi.benchmark import aims, judge, run_bench
from protopi.boot.tools import TreeTools
from protopi.boot.verdict import load_board, stdout_console
from protopi.commands.gate import check_targets, put
from protopi.commands.image import build_options
from protopi.errors import GateError
from protopi.picture import as_svg
from protopi.project import Project
from protopi.ui import Ui

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import Console

SUMMARY = "measure calls over /dev/mcp in a booted test image"


def setup(parser: argparse.ArgumentParser) -> None:
    """Arguments."""
    build_options(parser)
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument("--svg", metavar="FILE", help="write the tables as a picture")


def run(arguments: argparse.Namespace, project: Project, ui: Ui) -> int:
    """Build if need be, boot, measure, judge."""
    check_targets([arguments.svg], [])
    session = Session(project, ui, jobs=arguments.jobs, offline=arguments.offline)
    built = session.build(session.plan(arguments.image))
    result = run_bench(built.disk, load_board(session, built.image.board), TreeTools(built.tools.root))
    if arguments.json:
        print(json.dumps(result, indent=2))
    else:
        print_result(result, stdout_console())
    if arguments.svg:
        title = f"./build.py bench {arguments.image}"
        put(arguments.svg, as_svg(title, lambda console: print_result(result, console)))
    if reasons := judge(result):
        raise GateError("\n  ".join(["the figures are not what they have to be:", *reasons]))
    return 0


#: Columns of a terminal at least, to have room for bars.
BARS_FROM = 105


def print_result(result: dict[str, Any], console: Console) -> None:
    """The rows, the cost to the rest, and the aims."""
    _print_rows(result["rows"], console)
    console.print()
    table = Table("elsewhere", _right("instructions"), _right("for the module"), **PLAIN)
    for name, share in result["idle_overhead"].items():
        table.add_row(name, f"{result['rest'][0][name]:,.0f}", f"{share:.2%}")
    console.print(table)
    console.print()
    table = Table("aim", _right("measured"), _right("at most"), "", "", **PLAIN)
    for aim in aims(result):
        measured = "failed" if aim.cost is None else aim.shown(aim.cost)
        mark = "[red]missed[/]" if aim.missed else ""
        table.add_row(aim.title, measured, aim.shown(aim.most), aim.unit, mark)
    console.print(table)


#: Tables that fit 80 columns.
PLAIN: dict[str, Any] = {"box": None, "padding": (0, 1, 0, 0), "pad_edge": False}


def _right(heading: str) -> Column:
    return Column(heading, justify="right", no_wrap=True)


def _print_rows(rows: Sequence[Mapping[str, Any]], console: Console) -> None:
    """A line for each; its bar is its part of the dearest row with bodies of that size."""
    numbers = ("bytes", "depth", "instructions", "syscalls", "switches", "copied")
    table = Table("path", "policy", *(_right(name) for name in numbers), **PLAIN)
    bars = console.width >= BARS_FROM
    if bars:
        table.add_column("beside its like")
    dearest: dict[int, float] = {}
    for row in rows:
        dearest[row["bytes"]] = max(dearest.get(row["bytes"], 1.0), row["instructions"] or 0.0)
    before = None
    for row in rows:
        if before not in {None, (row["bytes"], row["policy"])}:
            table.add_row()
        before = row["bytes"], row["policy"]
        words = [row["path"], row["policy"], f"{row['bytes']:,}", str(row["depth"])]
        if row["instructions"] is None:
            table.add_row(*words, "failed")
            continue
        words += [
            f"{row['instructions']:,.0f}" + ("" if row["valid"] else " (invalid)"),
            f"{row['syscalls']:.2f}",
            f"{row['switches']:.3f}",
            "" if row["copied"] is None else f"{row['copied']:,.0f}",
        ]
        bar = [Bar(dearest[row["bytes"]], 0, row["instructions"], width=24)] if bars else []
        table.add_row(*words, *bar)
    console.print(table)
