# SPDX-License-Identifier: MIT
"""Fit the constants of the cost model to the measured boots of a board, and print them as a file.

Takes the JSON of `board gate NAME --json RUN` and, of the same image, that of `gate IMAGE --json COUNTS`; both options
may be repeated, in pairs: a second image that reads more from the card tells the card's rate from the processor's.
The proposal goes to stdout in the form of boards/pi4/cost.yaml; how sure each constant is, and how far the model was
off before and is now, to stderr. A stand-in's boots are refused: they say nothing about a Pi 4.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import boards
from protopi.boot import model
from protopi.errors import UserError
from protopi.hwgate import calibrate
from protopi.project import Project
from protopi.ui import Ui

SUMMARY = "fit the cost model to a board's boots"


def setup(parser: argparse.ArgumentParser) -> None:
    """Arguments."""
    parser.add_argument("--run", action="append", required=True, metavar="FILE", help="JSON of `board gate`")
    parser.add_argument("--counts", action="append", required=True, metavar="FILE", help="JSON of `gate`, same image")
    parser.add_argument("--stand-in", action="store_true", help="fit a stand-in's boots, to try the fit out")


def run(arguments: argparse.Namespace, project: Project, ui: Ui) -> int:
    """Fit and print."""
    if len(arguments.run) != len(arguments.counts):
        raise UserError(
            f"{len(arguments.run)} times --run, {len(arguments.counts)} times --counts", hint="give them in pairs"
        )
    sets = []
    for measured, counted in zip(arguments.run, arguments.counts, strict=True):
        try:
            sets.append(calibrate.boots_of(_read(measured), _read(counted)))
        except UserError as error:
            if any(problem.where for problem in error.problems):
                raise
            first = error.problems[0]
            raise UserError(first.message, where=f"{measured}, {counted}", hint=first.hint) from error
    cost = boards.load("pi4").cost
    assert cost is not None
    made = calibrate.fit(sets, model.load(cost), stand_in=arguments.stand_in)
    for constant in made.constants:
        ui.say(_line(constant))
    for image, measured_seconds, before, after in made.residuals:
        ui.say(
            f"{image}: measured {measured_seconds:.3f} s (median, estimated entry), modelled {before:.3f} s before, "
            f"{after:.3f} s now"
        )
    sys.stdout.write(calibrate.to_yaml(made))
    return 0


def _line(constant: calibrate.Constant) -> str:
    unit = calibrate.UNITS[constant.name]
    if constant.interval is None:
        return f"{constant.name}: {constant.value:.4g} {unit}, held: these boots do not tell it"
    low, high = constant.interval
    return f"{constant.name}: {constant.value:.4g} {unit}, 95 % interval {low:.4g} to {high:.4g}"


def _read(name: str) -> Any:
    try:
        return json.loads(Path(name).read_text())
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}", where=name) from error
    except ValueError as error:
        raise UserError(f"is no JSON: {error}", where=name) from error
