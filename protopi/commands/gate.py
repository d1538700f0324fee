# SPDX-License-Identifier: MIT
"""Boot an image in QEMU several times and judge its boot: always boots, whatever the store knows.

Fails (exit 4) when a boot does not reach `ready`, when the kernel log holds an error, a service failed, a limit of
boot-tests/budgets.yaml is exceeded, equal boots count differently, or the boot became more than 1 % dearer than its
baseline. --update-budget stores this run as the new baseline. The numbers are QEMU's virtual time and a model built
on it; neither is a time measured on a Pi 4.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from rich.console import Console

from protopi.api import Session
from protopi.boot import budget
from protopi.boot.report import print_table, to_json, to_junit, to_markdown
from protopi.boot.verdict import BOOTS, budget_file, run_gate, stdout_console
from protopi.commands.image import build_options, positive
from protopi.errors import GateError, UserError
from protopi.picture import as_svg
from protopi.project import Project
from protopi.store import write_atomic
from protopi.ui import Ui

SUMMARY = "boot an image several times and judge its boot"


def setup(parser: argparse.ArgumentParser) -> None:
    """Arguments."""
    build_options(parser)
    parser.add_argument("--boots", type=positive, default=BOOTS, metavar="N", help=f"equal boots (default {BOOTS})")
    parser.add_argument("--json", metavar="FILE", help="write JSON; - is stdout, and nothing else goes there")
    parser.add_argument("--junit", metavar="FILE", help="write the result as JUnit XML")
    parser.add_argument("--markdown", metavar="FILE", help="write it for a CI's job summary; - is stdout, as above")
    parser.add_argument("--svg", metavar="FILE", help="write the table as a picture")
    parser.add_argument("--update-budget", action="store_true", help="store this run as the baseline")


def check_target(path: Path) -> None:
    """Refuse a file that cannot be written before minutes of booting. Raises UserError."""
    parent = path.absolute().parent
    if path.is_dir() or not parent.is_dir() or not os.access(parent, os.W_OK):
        raise UserError(f"{path} cannot be written", hint="name a file in a folder that exists and is yours")


def check_targets(files: list[str | None], documents: list[str | None]) -> bool:
    """Check where reports go. `documents` may go to stdout (-), one of them; returns whether one does."""
    if "-" in files or documents.count("-") > 1:
        raise UserError("stdout takes one document, of --json or --markdown", hint="write the other ones to files")
    for name in (*files, *documents):
        if name and name != "-":
            check_target(Path(name))
    return "-" in documents


def put(target: str | None, text: str) -> None:
    """Write a document to a file, whole or not at all; - is stdout, None is nowhere."""
    if target == "-":
        sys.stdout.write(text)
    elif target:
        write_atomic(Path(target).absolute(), text.encode())


def run(arguments: argparse.Namespace, project: Project, ui: Ui) -> int:
    """Build if need be, boot, judge, report."""
    to_stdout = check_targets([arguments.junit, arguments.svg], [arguments.json, arguments.markdown])
    session = Session(project, ui, jobs=arguments.jobs, offline=arguments.offline)
    built = session.build(session.plan(arguments.image))
    result = run_gate(session, built, ui, boots=arguments.boots)
    print_table(result, Console(stderr=True, highlight=False) if to_stdout else stdout_console())
    put(arguments.json, to_json(result))
    put(arguments.markdown, to_markdown(result))
    put(arguments.junit, to_junit(result))
    if arguments.svg:
        svg = as_svg(f"./build.py gate {arguments.image}", lambda console: print_table(result, console))
        put(arguments.svg, svg)
    if arguments.update_budget:
        if not result.boots or any("baseline" not in reason for reason in result.reasons):
            raise GateError("the baseline was not moved: the image fails for other reasons (above)")
        budget.update(budget_file(session), built.image.name, built.image.board, result.baseline())
        ui.say(f"{budget_file(session)}: new baseline for {built.image.name}; commit it with its reason")
        return 0
    if not result.passed:
        raise GateError(f"{built.image.name} does not pass its gate (reasons above)")
    return 0
