# SPDX-License-Identifier: MIT
"""Reports say where a number was measured and what is estimated; the HTML loads nothing, and shows every boot."""

from __future__ import annotations

import io
import json
import random
import re
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from rich.console import Console

from protopi.hwgate import clocks, html, power_curve, report, svg
from protopi.hwgate.attempt import Attempt, Wanted
from protopi.hwgate.bench import BOARD
from protopi.hwgate.power_curve import Noise, Point
from protopi.hwgate.run import Run, Subject, concluded
from protopi.hwgate.verdict import Verdict
from tests.hwgate_canned import CannedBench

HOSTILE = "<script>alert(1)</script> & \x1b[2J"


def run_of(times: list[float], *, where: str = BOARD, last: Attempt | None = None, timer: bool = True) -> Run:
    rows = []
    for number, time in enumerate(times, 1):
        phases = {
            "power_to_ready_host": 3.5 + time,
            "power_to_ready": 3.4 + time if timer else None,
            "firmware": 3.4 if timer else None,
            "entry_to_init": 0.9 * time,
            "init_to_ready": 0.1 * time,
            "entry_to_ready": time,
            "kernel_clock_at_ready": time - 0.03,
        }
        rows.append(Attempt(number, 1, Verdict.PASS, phases=phases))
    rows += [last] if last else []
    with CannedBench([], where=where) as bench:
        return concluded(bench.facts, Subject("pi4", "1c4e9131"), Wanted(2.0, "1c4e9131"), len(rows), rows, None, [])


def table(run: Run) -> str:
    out = io.StringIO()
    report.print_table(run, Console(file=out, width=200))
    return out.getvalue()


TIMES = Noise(late_share=0.0).draw(random.Random(1), 20)
BROKEN = Attempt(21, 1, Verdict.FAIL, f"the board said {HOSTILE}", tail=(HOSTILE,))


def test_the_document_has_every_figure_with_its_origin() -> None:
    document = json.loads(report.to_json(run_of(TIMES)))
    assert document["verdict"] == "PASS"
    assert document["measured_on"] == "board"
    assert document["bench"]["eeprom"] == "2025-05-08"
    assert set(document["phases"]) == set(clocks.PHASES)
    for phase in document["phases"].values():
        assert phase["count"] == 20
        assert phase["min"] <= phase["median"] <= phase["p95"] <= phase["max"]
        assert phase["clock"]
    gated = document["phases"]["entry_to_ready"]
    assert (gated["gated"], gated["estimated"]) == (True, True)
    assert document["assured"]["share"] == pytest.approx(0.8609)
    assert len(document["attempts"]) == 20


def test_kernel_entry_is_called_an_estimate_in_every_output() -> None:
    run = run_of(TIMES)
    row = next(line for line in table(run).splitlines() if "kernel entry -> ready" in line)
    assert "estimated" in row
    page = html.render(run)
    found = re.search(r'<tr class="gated".*?</tr>', page, re.DOTALL)
    assert found is not None
    assert "estimated" in found[0]
    late = replace(run, attempts=(replace(run.attempts[0], verdict=Verdict.FAIL, reason="2.1 s (estimated)"),))
    assert "estimated" in report.to_junit(late)


def test_figures_that_nothing_measured_are_said_to_be_missing() -> None:
    run = run_of(TIMES, timer=False)
    rows = [line for line in table(run).splitlines() if "not measured" in line]
    assert len(rows) == 2
    assert any("the board gave no system timer" in note for note in run.notes)
    assert json.loads(report.to_json(run))["phases"]["power_to_ready"]["count"] == 0
    assert "(host)" in html.render(run)


@pytest.mark.parametrize("where", ["stand-in: QEMU pi4", BOARD])
def test_a_stand_in_s_page_says_that_no_board_was_measured_and_a_board_s_does_not(where: str) -> None:
    run = run_of(TIMES, where=where)
    assert ("No board was measured" in html.render(run)) == (where != BOARD)
    assert ("no figure here is a Pi 4" in table(run)) == (where != BOARD)


def test_the_page_loads_nothing_and_runs_nothing() -> None:
    page = html.render(run_of(TIMES, last=BROKEN), TIMES)
    bare = page.replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"https?:|src=|href=|@import|url\(|<script|<link|<iframe|<img", bare)
    assert "&lt;script&gt;" in page
    assert "\x1b" not in report.to_junit(run_of(TIMES, last=BROKEN))
    ElementTree.fromstring(report.to_junit(run_of(TIMES, last=BROKEN)))


def test_the_page_is_made_for_dark_and_light() -> None:
    page = html.render(run_of(TIMES))
    assert page.count("prefers-color-scheme: dark") >= 3
    assert '<meta name="color-scheme" content="light dark">' in page


def pictures(page: str) -> list[ElementTree.Element]:
    return [ElementTree.fromstring(text) for text in re.findall(r"<svg.*?</svg>", page, re.DOTALL)]


def dots(picture: ElementTree.Element) -> int:
    return len(picture.findall(".//{http://www.w3.org/2000/svg}circle"))


def test_every_boot_is_a_dot_and_a_bar() -> None:
    page = html.render(run_of(TIMES), TIMES[:15])
    against, close, *bars = pictures(page)
    assert dots(against) == 20
    assert dots(close) == 35
    assert len(bars) == 20


def test_a_boot_far_off_is_named_at_the_edge_and_presses_nothing_together() -> None:
    _, close, *_ = pictures(html.render(run_of([*TIMES[:19], 1.9])))
    assert dots(close) == 19
    assert "far off: 1.90 s" in "".join(close.itertext())


@pytest.mark.parametrize("times", [[], [0.5], [0.5, 0.5, 0.5], [0.5, 1.9], [0.0001, 0.0002]])
def test_a_page_can_be_made_of_any_number_of_boots(times: list[float]) -> None:
    page = html.render(run_of(times), times)
    assert "</html>" in page
    for picture in pictures(page):
        assert "nan" not in ElementTree.tostring(picture, encoding="unicode")


@pytest.mark.parametrize("verdict", list(Verdict))
def test_each_verdict_has_a_page_a_table_and_a_junit_that_agree(verdict: Verdict) -> None:
    last = Attempt(21, 1, verdict, "" if verdict is Verdict.PASS else "some reason")
    run = run_of(TIMES, last=last)
    assert run.verdict is verdict
    assert f"<strong>{verdict.value}</strong>" in html.render(run)
    assert f"{verdict.value}  pi4 on desk (board)" in table(run)
    suite = ElementTree.fromstring(report.to_junit(run))
    failed = {"PASS": ("0", "0"), "FAIL": ("2", "0")}.get(verdict.value, ("0", "2"))
    assert (suite.get("failures"), suite.get("errors")) == failed
    assert suite.get("tests") == "22"


def test_firmware_time_is_named_beside_a_board_s_boot_time() -> None:
    assert "3 to 5 s from power-on to kernel entry" in table(run_of(TIMES))
    assert "3 to 5 s from power-on to kernel entry" in html.render(run_of(TIMES))


def test_no_share_is_assured_where_a_boot_missed_the_limit() -> None:
    assert report.assured(run_of(TIMES, last=BROKEN)) == 0.0
    assert report.assured(run_of([*TIMES, 2.0])) == 0.0
    assert "at least" not in table(run_of(TIMES, last=BROKEN))


def test_the_power_curve_is_a_picture_of_its_own() -> None:
    points = [Point(0.0, 0, 10), Point(0.05, 9, 10), Point(0.1, 10, 10)]
    picture = ElementTree.fromstring(svg.power_curve("20 boots", points))
    assert dots(picture) == 3
    assert "90.0%" in "".join(picture.itertext())
    assert power_curve.table(points, 20)[1].startswith("     unchanged: alarm in    0 of 10 pairs")
