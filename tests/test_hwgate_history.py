# SPDX-License-Identifier: MIT
"""A board's history loses no run, mixes none, and a board cannot become slower by a little each time, unseen."""

from __future__ import annotations

import random
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from protopi.errors import InfraError
from protopi.hwgate import history
from protopi.hwgate.attempt import Attempt, Wanted
from protopi.hwgate.bench import BOARD, Facts
from protopi.hwgate.run import Run, Subject, concluded
from protopi.hwgate.verdict import Verdict
from tests.hwgate_canned import CannedBench

FACTS = Facts(where=BOARD, name="desk", eeprom="2025-05-08", card="SD64G", revision="1.4", memory_mb=4096)


def made(
    times: list[float], earlier: history.Entry | None = None, *, accepted: str = "", image: str = "pi4", **facts: Any
) -> Run:
    bench = CannedBench([])
    bench.facts = replace(FACTS, **facts)
    attempts = [Attempt(n, 1, Verdict.PASS, phases={"entry_to_ready": t}) for n, t in enumerate(times, 1)]
    with bench:
        wanted = Wanted(2.0, "1c4e9131")
        subject = Subject(image, "1c4e9131")
        return concluded(bench.facts, subject, wanted, len(times), attempts, earlier, [], accepted=accepted)


def around(centre: float, seed: int = 1) -> list[float]:
    dice = random.Random(seed)
    return [centre + dice.gauss(0, 0.01) for _ in range(20)]


def remembered(path: Path, *runs: Run) -> list[history.Entry]:
    for run in runs:
        history.append(path, run)
    entries, bad = history.read(path)
    assert bad == 0
    return entries


def test_what_is_written_is_read(tmp_path: Path) -> None:
    run = made([0.5, 0.6])
    (entry,) = remembered(tmp_path / "deep" / "desk.jsonl", run)
    assert entry.times == (0.5, 0.6)
    assert (entry.image, entry.disk_id, entry.where, entry.verdict) == ("pi4", "1c4e9131", "board", Verdict.PASS)
    assert entry.differences(FACTS) == []
    assert entry.attempts == (Verdict.PASS, Verdict.PASS)
    assert history.read(tmp_path / "none.jsonl") == ([], 0)


@pytest.mark.parametrize("cut", range(1, 400, 37))
def test_a_line_that_a_power_cut_left_half_written_costs_only_itself(cut: int, tmp_path: Path) -> None:
    path = tmp_path / "desk.jsonl"
    remembered(path, made([0.5]))
    line = history.to_line(made([0.6]))
    with path.open("ab") as file:
        file.write(line[: min(cut, len(line) - 2)])
    history.append(path, made([0.7]))
    entries, bad = history.read(path)
    assert [entry.times for entry in entries] == [(0.5,), (0.7,)]
    assert bad == 1


def test_many_gates_at_once_mix_no_lines(tmp_path: Path) -> None:
    path = tmp_path / "desk.jsonl"
    runs = [made([n / 100] * 50) for n in range(8)]

    def write(run: Run) -> None:
        for _ in range(25):
            history.append(path, run)

    threads = [threading.Thread(target=write, args=(run,)) for run in runs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    entries, bad = history.read(path)
    assert (len(entries), bad) == (200, 0)
    assert all(len(set(entry.times)) == 1 and len(entry.times) == 50 for entry in entries)


def test_a_file_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(InfraError, match="could not be remembered"):
        history.append(tmp_path / "file" / "desk.jsonl", made([0.5]))


def test_lines_of_another_version_are_counted_and_left(tmp_path: Path) -> None:
    path = tmp_path / "desk.jsonl"
    path.write_bytes(b'{"v":2}\nnonsense\n[]\n' + history.to_line(made([0.5])))
    entries, bad = history.read(path)
    assert (len(entries), bad) == (1, 3)


def test_a_slower_image_fails_and_says_by_how_much(tmp_path: Path) -> None:
    entries = remembered(tmp_path / "h", made(around(0.5)))
    run = made(around(0.55, 2), history.reference(entries, FACTS, "pi4"))
    assert run.verdict is Verdict.FAIL
    assert "slower by" in run.reasons[0]
    same = made(around(0.5, 3), history.reference(entries, FACTS, "pi4"))
    assert same.verdict is Verdict.PASS, same.reasons


def test_an_alarm_does_not_go_by_itself_and_accepting_ends_it(tmp_path: Path) -> None:
    path = tmp_path / "h"
    entries = remembered(path, made(around(0.5)))
    slower = made(around(0.55, 2), history.reference(entries, FACTS, "pi4"))
    entries = remembered(path, slower)
    again = made(around(0.55, 3), history.reference(entries, FACTS, "pi4"))
    assert again.verdict is Verdict.FAIL
    accepted = made(around(0.55, 4), history.reference(entries, FACTS, "pi4"), accepted="the new driver")
    assert accepted.verdict is Verdict.PASS, accepted.reasons
    assert any("slower, and accepted (the new driver)" in note for note in accepted.notes)
    entries = remembered(path, accepted)
    assert made(around(0.55, 5), history.reference(entries, FACTS, "pi4")).verdict is Verdict.PASS


def test_becoming_slower_a_little_each_time_is_found(tmp_path: Path) -> None:
    path = tmp_path / "h"
    verdicts = []
    for step in range(12):
        entries, _ = history.read(path)
        run = made(around(0.5 + 0.003 * step, step), history.reference(entries, FACTS, "pi4"))
        history.append(path, run)
        verdicts.append(run.verdict)
    assert verdicts[0] is Verdict.PASS
    assert verdicts[-1] is Verdict.FAIL


@pytest.mark.parametrize(
    "change", [{"eeprom": "2026-01-01"}, {"card": "another"}, {"memory_mb": 8192}, {"revision": "1.5"}]
)
def test_unlike_boards_are_shown_beside_each_other_and_not_judged(change: dict[str, Any], tmp_path: Path) -> None:
    entries = remembered(tmp_path / "h", made(around(0.5)))
    facts = replace(FACTS, **change)
    run = made(around(0.6, 2), history.reference(entries, facts, "pi4"), **change)
    assert run.verdict is Verdict.PASS
    assert run.compared is not None
    assert run.compared.result is not None
    assert run.compared.result.finding == "slower"
    assert any("not judged, because not alike" in note for note in run.notes)


def test_an_alike_board_is_preferred_and_other_images_and_places_are_never_taken(tmp_path: Path) -> None:
    entries = remembered(
        tmp_path / "h", made([0.1] * 9), made([0.2] * 9, eeprom="2026-01-01"), made([0.3] * 9, image="other")
    )
    found = history.reference(entries, replace(FACTS, eeprom="2026-01-01"), "pi4")
    assert found is not None
    assert found.times[0] == 0.2
    assert history.reference(entries, FACTS, "third") is None
    assert history.reference(entries, replace(FACTS, where="stand-in: QEMU"), "pi4") is None
    assert history.recent(entries, where="stand-in: QEMU") == []


def test_a_failed_run_is_compared_with_by_nobody(tmp_path: Path) -> None:
    entries = remembered(tmp_path / "h", replace(made([0.5] * 9), boots=10))
    assert entries[0].verdict is Verdict.INVALID
    assert history.reference(entries, FACTS, "pi4") is None
