# SPDX-License-Identifier: MIT
"""A run as Markdown, for a CI's job summary. Where it was measured and what is estimated stands beside each number."""

from __future__ import annotations

from typing import TYPE_CHECKING

from protopi import markdown
from protopi.hwgate import report
from protopi.hwgate.verdict import Verdict

if TYPE_CHECKING:
    from protopi.hwgate.run import Run

_FIGURES = ("min", "median", "p95", "max", "mad")


def to_markdown(run: Run) -> str:
    """The verdict first, and why; then the figures."""
    where = f"{run.subject.name} on {run.facts.name} ({run.facts.where})"
    lines = [f"## {run.verdict.value}: {markdown.text(where)}"]
    lines += markdown.points(run.reasons)
    shown = next((attempt for attempt in run.final if attempt.verdict is not Verdict.PASS and attempt.tail), None)
    if shown:
        lines += ["", "Last lines of the console:", "", *markdown.verbatim(shown.tail)]
    if run.times:
        title = f"seconds over {len(run.times)} boots, measured on: {run.facts.where}"
        rows = markdown.table(("phase", "basis", *_FIGURES), _rows(run), words=("phase", "basis"))
        lines += ["", f"**{markdown.text(title)}**", "", *rows]
    lines += markdown.points(report.lines(run))
    return "\n".join(lines) + "\n"


def _rows(run: Run) -> list[tuple[str, ...]]:
    rows = []
    for phase in report.document(run)["phases"].values():
        basis = "estimated" if phase["estimated"] else "exact"
        if not phase["count"]:
            rows.append((phase["title"], "not measured", *["-"] * len(_FIGURES)))
            continue
        rows.append((phase["title"], basis, *(f"{phase[name]:.3f}" for name in _FIGURES)))
    return rows
