# SPDX-License-Identifier: MIT
"""The report of a run as one HTML file: nothing is loaded from anywhere, and it is readable on dark and light."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2

from protopi.hwgate import clocks, report, svg
from protopi.hwgate.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from protopi.hwgate.attempt import Attempt
    from protopi.hwgate.run import Run

_TEMPLATE = Path(__file__).with_name("report.html.j2")
#: Beyond so many boots a picture of each says no more.
_BARS = 120
#: Phases of a boot's bar: name, colour, title.
_PARTS = (
    ("firmware", "rest", "firmware"),
    ("entry_to_init", "now", "kernel"),
    ("init_to_ready", "then", "PID 1 → ready"),
)


def render(run: Run, earlier: Sequence[float] = ()) -> str:
    """The document; `earlier` are the times of the run that it is compared with."""
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, keep_trailing_newline=True)
    document = report.document(run)
    shown = next((a for a in run.final if a.verdict is not Verdict.PASS and a.tail), None)
    return environment.from_string(_TEMPLATE.read_text()).render(
        d=document,
        style=svg.STYLE,
        colours=svg.COLOURS,
        powered=run.facts.powered,
        pictures=_pictures(run, earlier),
        rows=[_row(run, attempt) for attempt in run.attempts],
        legend=[(kind, words) for name, kind, words in _PARTS if run.phase(name)],
        tail=shown.tail if shown else (),
        board=_board(run),
    )


def _pictures(run: Run, earlier: Sequence[float]) -> list[tuple[str, str]]:
    if not run.times:
        return []
    words = f"kernel entry → ready in seconds (estimated), measured on: {run.facts.where}"
    close = svg.distribution(run.times, words, earlier)
    return [
        ("Every boot against the limit.", svg.against_limit(run.times, run.wanted.limit, words)),
        ("Close up: one dot a boot; the line is the median, the broken one the 95th percentile.", close),
    ]


def _row(run: Run, attempt: Attempt) -> dict[str, Any]:
    phases = attempt.phases
    power = phases.get("power_to_ready") or phases.get("power_to_ready_host")
    seen = "" if phases.get("power_to_ready") or not power else " (host)"
    return {
        "boot": attempt.boot,
        "attempt": attempt.attempt,
        "verdict": attempt.verdict.value,
        "reason": attempt.reason,
        "entry": report.seconds(phases.get(clocks.GATED)),
        "within": report.seconds(phases.get("init_to_ready")),
        "power": report.seconds(power) + seen,
        "bar": _bar(run, attempt) if len(run.attempts) <= _BARS else "",
    }


def _bar(run: Run, attempt: Attempt) -> str:
    parts = [(value, kind, words) for name, kind, words in _PARTS if (value := attempt.phases.get(name))]
    longest = max(sum(other.phases.get(name) or 0.0 for name, _, _ in _PARTS) for other in run.attempts)
    return svg.bar(parts, longest) if parts else ""


def _board(run: Run) -> list[tuple[str, str]]:
    facts = run.facts
    told = [attempt.told for attempt in run.attempts]
    models = sorted({str(said["model"]) for said in told if said.get("model")})
    rows = {
        "name": facts.name,
        "model, by its own word": ", ".join(models),
        "revision": facts.revision,
        "memory": f"{facts.memory_mb} MiB" if facts.memory_mb else None,
        "EEPROM": facts.eeprom,
        "card": facts.card,
        "power": facts.power,
        "serial line": facts.serial,
        "counter": f"{facts.frequency:,} Hz" if facts.frequency else None,
    }
    return [(name, str(value or "not stated")) for name, value in rows.items()]
