# SPDX-License-Identifier: MIT
"""The Markdown that a CI shows: verdict, figures and where they are from; what a console says is never markup."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from protopi import markdown
from protopi.boot import report
from protopi.boot.gate import GateResult
from protopi.commands.gate import check_targets, put
from protopi.errors import UserError
from protopi.hwgate import clocks
from protopi.hwgate import markdown as board_markdown
from protopi.hwgate.attempt import Attempt
from protopi.hwgate.bench import BOARD
from protopi.hwgate.verdict import Verdict
from tests.test_gate import OK, judged, shifted
from tests.test_hwgate_report import TIMES, run_of

HOSTILE = "``` </details><img src=x> | [a](b) **bold** \x1b[31mred"


def rows(text: str, first: str) -> list[list[str]]:
    """The cells of the table whose first heading is `first`, headings left out."""
    lines = text.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(f"| {first} |"))
    found = []
    for line in lines[start:]:
        if not line.startswith("|"):
            break
        found.append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
    assert len({len(row) for row in found}) == 1, found
    return found[2:]


def test_a_pass_has_its_verdict_its_figures_and_the_firmwares_time() -> None:
    text = report.to_markdown(judged())
    assert text.startswith("## PASS: pi4 on ")
    phases = rows(text, "phase")
    assert [row[0] for row in phases] == ["reset -\\> PID 1", "PID 1 -\\> ready", "reset -\\> ready"]
    assert phases[2][1:5] == ["100.000", "90,000,000", "10.000", "100.0%"]
    model = rows(text, "term")
    assert model[-1][:2] == ["sum", f"{(0.09 + 0.01 + 0.11 + 2010 * 512 / 10e6) * 1e3:.1f}"]
    assert "QEMU's virtual time (no Pi 4's)" in text
    assert "takes 3 to 5 s from power-on to kernel entry" in text
    assert "Nothing here was measured on a Pi 4." in text


@pytest.mark.parametrize("result", [judged([OK, shifted(1)]), judged([])], ids=["unequal", "nothing"])
def test_a_failure_gives_every_reason_before_the_figures(result: GateResult) -> None:
    text = report.to_markdown(result)
    assert text.startswith("## FAIL: pi4 on ")
    head = text.partition("| phase |")[0]
    assert result.reasons
    for reason in result.reasons:
        assert f"- {markdown.text(reason)}\n" in head
    assert "3 to 5 s" in text


def test_what_a_console_says_is_shown_and_is_no_markup() -> None:
    failed = judged([replace(OK, marker=None, fault=f"the board said {HOSTILE}", tail=(HOSTILE, "````"))])
    text = report.to_markdown(failed)
    shown = re.search(r"^(`{5,})text\n(.*?)\n\1$", text, re.DOTALL | re.MULTILINE)
    assert shown is not None
    assert shown[2].splitlines() == [HOSTILE.replace("\x1b", "?"), "````"]
    outside = text.replace(shown[0], "")
    assert "\x1b" not in text
    assert not re.search(r"(?<!\\)<|(?<!\\)\]\(|\*\*bold", outside)


def test_a_board_s_summary_says_where_it_was_measured_and_what_is_estimated() -> None:
    text = board_markdown.to_markdown(run_of(TIMES))
    assert text.startswith("## PASS: pi4 on desk (board)")
    found = {row[0].replace("\\", ""): row[1:] for row in rows(text, "phase")}
    assert set(found) == {phase.title for phase in clocks.PHASES.values()}
    gated = found["kernel entry -> ready"]
    assert gated[0] == "estimated"
    assert [float(cell) for cell in gated[1:4]] == sorted(float(cell) for cell in gated[1:4])
    bare = board_markdown.to_markdown(run_of(TIMES, timer=False))
    assert ["firmware", "not measured", *["-"] * 5] in rows(bare, "phase")
    assert f"measured on: {BOARD}" in text
    stand_in = board_markdown.to_markdown(run_of(TIMES, where="stand-in: QEMU"))
    assert "measured on: stand-in: QEMU" in stand_in


def test_a_board_s_failure_shows_its_last_lines() -> None:
    broken = Attempt(21, 1, Verdict.FAIL, f"the board said {HOSTILE}", tail=(HOSTILE,))
    text = board_markdown.to_markdown(run_of(TIMES, last=broken))
    assert text.startswith("## FAIL: ")
    assert "Last lines of the console" in text
    assert HOSTILE.replace("\x1b", "?") in text.splitlines()


def test_stdout_takes_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    assert check_targets([None], ["-", None])
    assert check_targets([None], [None, "-"])
    assert not check_targets([None], [None, None])
    for files, documents in (([None], ["-", "-"]), (["-"], [None])):
        with pytest.raises(UserError, match="stdout takes one document"):
            check_targets([*files], [*documents])
    put("-", "text\n")
    put(None, "nowhere\n")
    assert capsys.readouterr().out == "text\n"
