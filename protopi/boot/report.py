# SPDX-License-Identifier: MIT
"""Shows a gate's result: a table for people, JUnit and Markdown for CI. Every number is printed with its origin."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from rich.table import Table
from rich.text import Text

from protopi import markdown
from protopi.boot.figures import PHASES, Figures
from protopi.boot.gate import GateResult

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from rich.console import Console

#: Said wherever a boot time is stated.
FIRMWARE = (
    "A real Pi 4's firmware takes 3 to 5 s from power-on to kernel entry (DRAM training cannot be skipped);\n"
    "that is not counted here. Nothing here was measured on a Pi 4."
)
_TITLES = {
    "reset_to_init": "reset -> PID 1",
    "init_to_ready": "PID 1 -> ready",
    "reset_to_ready": "reset -> ready",
}


def to_json(result: GateResult) -> str:
    """The gate's JSON document as text."""
    return json.dumps(result.to_json(), indent=2) + "\n"


def to_junit(result: GateResult) -> str:
    """A JUnit document: one test case for each boot and one for the verdict."""
    suite = ElementTree.Element("testsuite", name=f"gate {result.image} on {result.target}", tests="1")
    case = ElementTree.SubElement(
        suite, "testcase", classname=f"gate.{result.image}", name=result.target, time=f"{result.seconds:.3f}"
    )
    if not result.passed:
        failure = ElementTree.SubElement(case, "failure", message=result.reasons[0])
        failure.text = _printable("\n".join((*result.reasons, "", "last lines of the console:", *result.tail)))
    output = ElementTree.SubElement(case, "system-out")
    output.text = _printable(to_json(result))
    suite.set("failures", "0" if result.passed else "1")
    ElementTree.indent(suite)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(suite, encoding="unicode") + "\n"


def to_markdown(result: GateResult) -> str:
    """The result as Markdown, for a CI's job summary: the verdict first, and why."""
    lines = [f"## {result.verdict.upper()}: {markdown.text(f'{result.image} on {result.target}')}"]
    lines += markdown.points(result.reasons)
    if result.tail and not result.passed:
        lines += ["", "Last lines of the console:", "", *markdown.verbatim(result.tail)]
    if result.boots:
        rows = markdown.table(_PHASE_HEADINGS, _phase_rows(result), words=("phase",))
        lines += ["", f"**{markdown.text(_phase_title(result))}**", "", *rows]
    if model := _model_rows(result):
        rows = markdown.table(_MODEL_HEADINGS, model, words=("term", "basis"))
        lines += ["", f"**{markdown.text(_MODEL_TITLE)}**", "", *rows]
    lines += markdown.points([*_other_boots(result), *result.notes])
    lines += ["", *(f"> {markdown.text(line)}" for line in FIRMWARE.splitlines())]
    return "\n".join(lines) + "\n"


def _printable(text: str) -> str:
    """XML 1.0 cannot hold control characters."""
    return "".join(c if c >= " " or c in "\n\t" else "?" for c in text)


def write(result: GateResult, *, json_file: Path | None = None, junit_file: Path | None = None) -> None:
    """Write the documents where they are wanted."""
    if json_file:
        json_file.write_text(to_json(result))
    if junit_file:
        junit_file.write_text(to_junit(result))


def _change(now: float, base: float | None) -> str:
    return "no baseline" if not base else f"{now / base - 1:+.2%}"


_PHASE_HEADINGS = ("phase", "virtual ms", "instructions", "idle ms", "share", "change")
_MODEL_TITLE = "modelled on a Pi 4, kernel entry -> ready (a model, calibrated by no board)"
_MODEL_HEADINGS = ("term", "ms", "basis")


def _phase_title(result: GateResult) -> str:
    return f"{result.image} on {result.target}: {len(result.boots)} boots, QEMU's virtual time (no Pi 4's)"


def _phase_rows(result: GateResult) -> list[tuple[str, ...]]:
    """One row a phase, as `_PHASE_HEADINGS`; the last one is the whole."""
    boot = result.boots[0]
    counted = boot.instructions is not None and boot.idle_ns is not None
    whole = boot.virtual_ns["reset_to_ready"]
    return [
        (
            _TITLES[phase],
            f"{boot.virtual_ns[phase] / 1e6:,.3f}",
            f"{boot.instructions[phase]:,}" if boot.instructions else "not counted",
            f"{boot.idle_ns[phase] / 1e6:,.3f}" if counted and boot.idle_ns else "-",
            f"{boot.virtual_ns[phase] / whole:.1%}",
            _change(boot.virtual_ns[phase], result.budget.baseline.get(f"{phase}_ns")),
        )
        for phase in PHASES
    ]


def _phase_table(result: GateResult) -> Table:
    table = Table(title=_phase_title(result))
    for heading in _PHASE_HEADINGS:
        table.add_column(heading, justify="left" if heading == "phase" else "right")
    for row in _phase_rows(result):
        table.add_row(*row, style="bold" if row[0] == _TITLES["reset_to_ready"] else "")
    return table


def _model_rows(result: GateResult) -> list[tuple[str, ...]]:
    """One row a term, as `_MODEL_HEADINGS`; the last one is the sum. Empty where nothing was modelled."""
    if result.modelled is None:
        return []
    limit = result.budget.limits.get("modelled_seconds")
    return [
        *((term.name, f"{term.seconds * 1e3:,.1f}", term.basis) for term in result.modelled.terms),
        ("sum", f"{result.modelled.seconds * 1e3:,.1f}", f"at most {limit:g} s" if limit else "no limit"),
    ]


def _model_table(result: GateResult) -> Table | None:
    rows = _model_rows(result)
    if not rows:
        return None
    table = Table(title=_MODEL_TITLE)
    for heading in _MODEL_HEADINGS:
        table.add_column(heading, justify="right" if heading == "ms" else "left")
    for row in rows:
        table.add_row(*row, style="bold" if row is rows[-1] else "")
    return table


def _other_boots(result: GateResult) -> Iterable[str]:
    named: tuple[tuple[str, Figures | None], ...] = (
        ("first boot on a larger card", result.first_boot),
        ("second boot of it", result.second_boot),
    )
    for name, boot in named:
        if boot:
            yield f"{name}: {boot.virtual_ns['reset_to_ready'] / 1e6:,.3f} virtual ms to ready"
    if result.boots:
        boot = result.boots[0]
        commands = "" if boot.sd_commands is None else f" in {boot.sd_commands} commands"
        yield f"read from the card before ready: {boot.sd_bytes_read:,} bytes{commands}"
        yield f"console bytes before ready: {boot.console_bytes}"
    for key, unit in (("reset_to_ready", "virtual ms"), ("instructions", "million instructions")):
        low, middle, high = result.spread.get(key, (0, 0.0, 0))
        if low != high:
            spread = f"min {low / 1e6:,.3f}, median {middle / 1e6:,.3f}, max {high / 1e6:,.3f}"
            yield f"reset -> ready over the boots: {spread} {unit}"
    if result.carried_us is not None:
        parts = ", ".join(f"{name} {cost} us" for name, cost in result.carried_us.items())
        yield f"drivers that are built in for QEMU's virt: {sum(result.carried_us.values())} virtual us ({parts})"
    if result.sizes:
        yield "sizes: " + ", ".join(f"{name} {size / 2**20:.2f} MiB" for name, size in result.sizes.items())


def print_table(result: GateResult, console: Console, *, cached_from: str = "") -> None:
    """Print the result; `cached_from` is the date of a verdict that came from the store."""
    if result.boots:
        console.print(_phase_table(result))
    model = _model_table(result)
    if model:
        console.print(model)
    for line in (*_other_boots(result), *result.notes):
        console.print(Text(line))
    console.print(Text(FIRMWARE, style="dim"))
    print_verdict(result, console, cached_from=cached_from)


def print_verdict(result: GateResult, console: Console, *, cached_from: str = "") -> None:
    """Print the verdict alone: pass, or every reason with the last lines of the console."""
    cached = f" (cached, from {cached_from})" if cached_from else ""
    if result.passed:
        console.print(Text(f"PASS  {result.image} on {result.target}{cached}", style="bold green"))
        return
    console.print(Text(f"FAIL  {result.image} on {result.target}{cached}", style="bold red"))
    for reason in result.reasons:
        console.print(Text(f"  - {reason}"))
    if result.tail:
        console.print(Text("last lines of the console:"))
        for line in result.tail:
            console.print(Text(f"  | {line}"))
