# SPDX-License-Identifier: MIT
"""Shows a run: JSON, JUnit and a table. Where it was measured, and what is estimated, stands beside every number."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from rich.table import Table
from rich.text import Text

from protopi.hwgate import clocks, statistics
from protopi.hwgate.run import summaries
from protopi.hwgate.verdict import Verdict

if TYPE_CHECKING:
    from rich.console import Console

    from protopi.hwgate.attempt import Attempt
    from protopi.hwgate.run import Run


def document(run: Run) -> dict[str, Any]:
    """The gate's JSON document; docs/board-gate.md names its fields."""
    rows = summaries(run)
    return {
        "v": 1,
        "kind": "protopi board gate",
        "verdict": run.verdict.value,
        "reasons": list(run.reasons),
        "measured_on": run.facts.where,
        "bench": run.facts.to_json(),
        "image": {"name": run.subject.name, "disk_id": run.subject.disk_id},
        "started": run.started,
        "limit_seconds": run.wanted.limit,
        "boots": run.boots,
        "phases": {
            name: {
                "title": phase.title,
                "clock": phase.clock,
                "estimated": phase.estimated,
                "gated": name == clocks.GATED,
                **(rows[name].to_json() if name in rows else {"count": 0}),
            }
            for name, phase in clocks.PHASES.items()
        },
        "assured": {"share": round(assured(run), 4), "confidence": 0.95},
        "comparison": run.compared.to_json() if run.compared else None,
        "accepted": run.accepted,
        "notes": list(run.notes),
        "attempts": [attempt.to_json() for attempt in run.attempts],
    }


def assured(run: Run) -> float:
    """What part of this image's boots is under the limit at least, at 95 % confidence; 0 where one was not."""
    times = run.times
    clean = len(times) == run.boots and all(value < run.wanted.limit for value in times)
    return statistics.assured(len(times)) if clean else 0.0


def to_json(run: Run) -> str:
    """The document as text."""
    return json.dumps(document(run), indent=2) + "\n"


def to_junit(run: Run) -> str:
    """A JUnit document: a test case for each attempt, and one for the verdict over all.

    An attempt that was tried again is a skipped case, so that it is seen and does not fail the suite.
    """
    name = f"board gate {run.subject.name} on {run.facts.name} ({run.facts.where})"
    suite = ElementTree.Element("testsuite", name=name)
    final = {id(attempt) for attempt in run.final}
    counts = {"failure": 0, "error": 0, "skipped": 0}
    for attempt in run.attempts:
        case = _case(suite, run, f"boot {attempt.boot} attempt {attempt.attempt}", attempt.seconds)
        if kind := _kind(attempt, last=id(attempt) in final):
            _note(case, kind, f"{attempt.verdict.value}: {attempt.reason}", attempt.tail)
            counts[kind] += 1
    case = _case(suite, run, "verdict", 0.0)
    if run.verdict is not Verdict.PASS:
        kind = "failure" if run.verdict is Verdict.FAIL else "error"
        _note(case, kind, f"{run.verdict.value}: {run.reasons[0]}", run.reasons)
        counts[kind] += 1
    output = ElementTree.SubElement(case, "system-out")
    output.text = _printable(to_json(run))
    suite.set("tests", str(len(run.attempts) + 1))
    for kind, attribute in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
        suite.set(attribute, str(counts[kind]))
    ElementTree.indent(suite)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(suite, encoding="unicode") + "\n"


def _case(suite: ElementTree.Element, run: Run, name: str, seconds: float) -> ElementTree.Element:
    classname = f"board.{run.facts.name}.{run.subject.name}"
    return ElementTree.SubElement(suite, "testcase", classname=classname, name=name, time=f"{seconds:.3f}")


def _kind(attempt: Attempt, *, last: bool) -> str:
    if attempt.verdict is Verdict.PASS:
        return ""
    if not last:
        return "skipped"
    return "failure" if attempt.verdict is Verdict.FAIL else "error"


def _note(case: ElementTree.Element, kind: str, message: str, lines: tuple[str, ...]) -> None:
    note = ElementTree.SubElement(case, kind, message=_printable(message))
    note.text = _printable("\n".join(lines))


def _printable(text: str) -> str:
    """XML 1.0 cannot hold control characters."""
    return "".join(c if c >= " " or c in "\n\t" else "?" for c in text)


def seconds(value: float | None) -> str:
    """A time as people read it."""
    return "-" if value is None else f"{value:.3f}"


def print_table(run: Run, console: Console) -> None:
    """Print the figures, the comparison, the notes and the verdict."""
    if run.times:
        console.print(_phases(run))
    for line in lines(run):
        console.print(Text(line))
    style = {Verdict.PASS: "bold green", Verdict.FAIL: "bold red"}.get(run.verdict, "bold yellow")
    console.print(Text(f"{run.verdict.value}  {run.subject.name} on {run.facts.name} ({run.facts.where})", style=style))
    for reason in run.reasons:
        console.print(Text(f"  - {reason}"))
    shown = next((attempt for attempt in run.final if attempt.verdict is not Verdict.PASS and attempt.tail), None)
    if shown:
        console.print(Text("last lines of the console:"))
        for row in shown.tail:
            console.print(Text(f"  | {row}"))


def _phases(run: Run) -> Table:
    table = Table(
        title=f"{run.subject.name} on {run.facts.name}: seconds over {len(run.times)} boots, measured on: "
        f"{run.facts.where}"
    )
    for heading in ("phase", "basis", "min", "median", "p95", "max", "MAD"):
        table.add_column(heading, justify="left" if heading in ("phase", "basis") else "right")
    rows = summaries(run)
    for name, phase in clocks.PHASES.items():
        basis = "estimated" if phase.estimated else "exact"
        if name not in rows:
            table.add_row(phase.title, "not measured", *["-"] * 5, style="dim")
            continue
        s = rows[name]
        cells = (f"{value:.3f}" for value in (s.least, s.median, s.p95, s.most, s.mad))
        table.add_row(phase.title, basis, *cells, style="bold" if name == clocks.GATED else "")
    return table


def lines(run: Run) -> list[str]:
    """What there is to say beside the figures."""
    facts, rows = run.facts, []
    bench = {
        "revision": facts.revision,
        "memory": f"{facts.memory_mb} MiB" if facts.memory_mb else None,
        "EEPROM": facts.eeprom,
        "card": facts.card,
        "power": facts.power or None,
        "serial": facts.serial or None,
    }
    rows.append("board: " + ", ".join(f"{name} {value or 'not stated'}" for name, value in bench.items()))
    models = sorted({str(attempt.told["model"]) for attempt in run.attempts if "model" in attempt.told})
    if models:
        rows.append(f"by its own word: {', '.join(models)}")
    if share := assured(run):
        rows.append(
            f"{run.boots} of {run.boots} boots under {run.wanted.limit:.3f} s: at least {share:.1%} of all boots are "
            "(95 % confidence)"
        )
    if run.compared and run.compared.result:
        made = run.compared.result
        rows.append(
            f"against {run.compared.earlier}: {made.finding}, {made.shift * 1e3:+.1f} ms "
            f"(interval {made.low * 1e3:+.1f} to {made.high * 1e3:+.1f} ms, each end missed {made.alpha:.1%} of times)"
        )
    elif run.compared:
        rows.append(f"against {run.compared.earlier}: too few boots to compare")
    if facts.powered:
        rows.append(
            "A Pi 4's firmware takes 3 to 5 s from power-on to kernel entry; the limit is for what comes after."
        )
    return [*rows, *run.notes]
