# SPDX-License-Identifier: MIT
"""Boot a board cold, N times, and judge: all of N under 2.000 s from kernel entry to ready.

Power is switched off (a board that still answers makes the attempt INFRA), on, and the board's own counters are read
from its @boot line. Verdicts: PASS (exit code 0); FAIL (4): too slow, did not come to ready, or slower than the run it
is compared with; INFRA (5): the bench failed, after two more tries; INVALID (5): the run proves nothing, because
another image answered or clocks contradict each other. Every run is kept in the board's history and compared with the
run that was last accepted (--accept), else with the first that passed. Kernel entry is an estimate: docs/board-gate.md.

--stand-in IMAGE boots an image in QEMU instead, which proves the gate and says nothing about a Pi 4.
--power-curve boots nothing: it shows how often the comparison alarms, and what it finds.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from protopi import boardfile
from protopi.api import Session
from protopi.boot.tools import TreeTools
from protopi.boot.verdict import load_board, stdout_console
from protopi.commands.gate import check_targets, put
from protopi.commands.image import positive
from protopi.errors import GateError, InfraError, UserError
from protopi.hwgate import history, html, markdown, power_curve, report, svg
from protopi.hwgate import run as runs
from protopi.hwgate.attempt import Patience, Wanted
from protopi.hwgate.identity import disk_id_of
from protopi.hwgate.realboard import RealBoard
from protopi.hwgate.standin import QemuBench
from protopi.hwgate.verdict import Verdict

if TYPE_CHECKING:
    from protopi.hwgate.bench import Bench
    from protopi.project import Project
    from protopi.ui import Ui

SUMMARY = "boot a board cold several times, and judge its boot"
BOOTS, LIMIT = 20, 2.0
#: For a board; its file's `cycle_seconds` may ask for more.
PATIENCE = Patience()
#: QEMU is off at once; on a busy host its services come up slowly.
_QEMU = Patience(drain=0.1, off=0.5, boot=120.0, answer=60.0)


def setup(parser: argparse.ArgumentParser) -> None:
    """Arguments."""
    parser.add_argument("name", metavar="NAME", nargs="?", help="a board's name, or the path of a board file")
    parser.add_argument("--boots", type=positive, default=BOOTS, metavar="N", help=f"cold boots (default {BOOTS})")
    parser.add_argument(
        "--image", metavar="IMAGE", help="what was flashed: an image's name, or an .img file (default: the board's own)"
    )
    parser.add_argument("--any-image", action="store_true", help="do not check which image answers")
    parser.add_argument("--limit", type=limit, default=LIMIT, metavar="S", help="a stricter limit than 2.000 seconds")
    parser.add_argument("--accept", metavar="REASON", default="", help="make this run the one to compare with")
    parser.add_argument("--json", metavar="FILE", help="write JSON; - is stdout, and nothing else goes there")
    parser.add_argument("--junit", metavar="FILE", help="write the attempts as JUnit XML")
    parser.add_argument("--markdown", metavar="FILE", help="write it for a CI's job summary; - is stdout, as above")
    parser.add_argument("--html", metavar="FILE", help="write a report with pictures")
    parser.add_argument("--history", metavar="FOLDER", type=Path, help="where runs are remembered")
    parser.add_argument("--stand-in", metavar="IMAGE", help="boot a built image in QEMU instead of a board")
    parser.add_argument("--power-curve", action="store_true", help="show what the comparison finds, and how often")
    parser.add_argument("--pairs", type=positive, default=100, metavar="N", help="pairs of runs for --power-curve")
    parser.add_argument("--svg", metavar="FILE", help="write the curve of --power-curve as a picture")


def limit(text: str) -> float:
    """An argument that is a limit: above 0, and no laxer than the project's."""
    value = float(text)
    if not 0 < value <= LIMIT:
        raise ValueError
    return value


def run(arguments: argparse.Namespace, project: Project, ui: Ui) -> int:
    """Boot, judge, remember, report."""
    check_targets([arguments.junit, arguments.html, arguments.svg], [arguments.json, arguments.markdown])
    if arguments.power_curve:
        return _power_curve(arguments, ui)
    if (arguments.name is None) == (arguments.stand_in is None):
        raise UserError("name one board", hint="./build.py board gate NAME; boards: ./build.py board show")
    if arguments.stand_in:
        return _stand_in(arguments, project, ui)
    board = boardfile.load(arguments.name)
    if arguments.any_image:
        subject = runs.Subject(arguments.image or board.board, None)
    else:
        subject = _subject(arguments.image or board.board, project)
    patience = replace(PATIENCE, off=max(PATIENCE.off, board.power.cycle_seconds))
    with RealBoard(board) as bench:
        return _gate(bench, subject, patience, arguments, ui)


def _subject(word: str, project: Project) -> runs.Subject:
    """The image that was flashed, by an image file's path or by the name of a built image."""
    path = Path(word) if word.endswith(".img") else project.out / word / f"{word}.img"
    if not path.is_file():
        raise UserError(
            f"there is no {path}: which image was flashed?",
            hint=f"build it (./build.py {word}), name it (--image FILE.img), or check nothing (--any-image)",
        )
    return runs.Subject(path.stem, disk_id_of(path))


def _stand_in(arguments: argparse.Namespace, project: Project, ui: Ui) -> int:
    session = Session(project, ui)
    built = session.build(session.plan(arguments.stand_in))
    subject = runs.Subject(built.image.name, None if arguments.any_image else disk_id_of(built.disk))
    with QemuBench(built.disk, load_board(session, built.image.board), TreeTools(built.tools.root)) as bench:
        return _gate(bench, subject, _QEMU, arguments, ui)


def _gate(bench: Bench, subject: runs.Subject, patience: Patience, arguments: argparse.Namespace, ui: Ui) -> int:
    facts, started = bench.facts, runs.now()
    path = history.path_of(facts.name, arguments.history)
    entries, bad = history.read(path)
    if bad:
        ui.warn(f"{path}: {bad} lines cannot be understood and are left out")
    wanted = Wanted(arguments.limit, subject.disk_id)
    with ui, ui.step(f"board gate {facts.name}") as line:
        attempts = runs.measure(bench, arguments.boots, wanted, patience, progress=line.note)
        facts, remarks = runs.settled(facts, attempts)
        earlier = history.reference(entries, facts, subject.name)
        made = runs.concluded(
            facts,
            subject,
            wanted,
            arguments.boots,
            attempts,
            earlier,
            history.recent(entries, where=facts.where),
            started=started,
            accepted=arguments.accept,
            remarks=remarks,
        )
        line.done(made.verdict.value)
    history.append(path, made)
    _write(made, earlier.times if earlier else (), arguments)
    if made.verdict is Verdict.FAIL:
        raise GateError(f"{subject.name} does not pass on {facts.name} ({facts.where}); reasons above")
    if made.verdict is not Verdict.PASS:
        raise InfraError(
            f"{made.verdict.value}: there is no verdict on {subject.name} (reasons above)",
            hint="look at power, cable and card, then repeat" if made.verdict is Verdict.INFRA else "",
        )
    return 0


def _write(made: runs.Run, earlier: tuple[float, ...], arguments: argparse.Namespace) -> None:
    to_stdout = "-" in (arguments.json, arguments.markdown)
    report.print_table(made, Console(stderr=True, highlight=False) if to_stdout else stdout_console())
    put(arguments.json, report.to_json(made))
    put(arguments.markdown, markdown.to_markdown(made))
    put(arguments.junit, report.to_junit(made))
    if arguments.html:
        put(arguments.html, html.render(made, earlier))


def _power_curve(arguments: argparse.Namespace, ui: Ui) -> int:
    with ui, ui.step("power curve") as line:
        points = power_curve.curve(arguments.pairs, boots=arguments.boots, progress=line.note)
        line.done()
    print("\n".join(power_curve.table(points, arguments.boots)))
    if arguments.svg:
        name = f"{arguments.boots} boots a run, {arguments.pairs} pairs of runs"
        put(arguments.svg, svg.power_curve(name, points))
    return 0
