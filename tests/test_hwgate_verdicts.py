# SPDX-License-Identifier: MIT
"""Each verdict of the gate on hardware, reached by a board that does it; none of them by any other way.

The board is a stand-in that plays canned boots over a pseudo-terminal to the real console class.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree

import pytest

from protopi.boot import frames
from protopi.hwgate import history, report
from protopi.hwgate.attempt import Attempt, Patience, Wanted
from protopi.hwgate.run import Run, Subject, concluded, measure, settled
from protopi.hwgate.verdict import Verdict, quarantined, worst
from tests.hwgate_canned import DISK, QUICK, Boot, CannedBench

WANTED = Wanted(limit=0.2, disk_id=DISK)
GOOD = Boot()
_SAID = b'{"v":1,"stage":"insmod","errno":8}'
FAILED = b"@fail " + _SAID + b" " + frames.crc(_SAID) + b"\n"
PANIC = b"[    0.123456] Kernel panic - not syncing: Attempted to kill init!\r\n"


def gated(boots: list[Boot], count: int = 3, wanted: Wanted = WANTED, patience: Patience = QUICK, **facts: Any) -> Run:
    with CannedBench(boots, **facts) as bench:
        attempts = measure(bench, count, wanted, patience)
        known, remarks = settled(bench.facts, attempts)
        subject = Subject("pi4", wanted.disk_id)
        return concluded(known, subject, wanted, count, attempts, None, [], remarks=remarks)


def test_all_of_n_under_the_limit_is_a_pass_with_every_figure() -> None:
    run = gated([replace(GOOD, entry=0.03 + 0.01 * n, firmware=0.35, timer=True) for n in range(3)])
    assert run.verdict is Verdict.PASS, run.reasons
    assert run.verdict.exit_code == 0
    assert [len(run.attempts), len(run.times)] == [3, 3]
    assert run.times == pytest.approx([0.03, 0.04, 0.05], abs=1e-6)
    assert run.phase("firmware") == pytest.approx([0.35] * 3, abs=1e-5)
    assert run.phase("power_to_ready") == pytest.approx([0.38, 0.39, 0.40], abs=1e-5)
    for host, board in zip(run.phase("power_to_ready_host"), run.phase("power_to_ready"), strict=True):
        assert board - 0.01 < host < board + 2.0
    told = run.attempts[0].told
    assert (told["disk_id"], told["memory_mb"], told["card_bytes"]) == (DISK, 3956, 608 * 512)
    assert told["model"] == "Raspberry Pi 4 Model B Rev 1.4"
    assert told["card_init_seconds"] == pytest.approx(0.108)
    assert told["kernel_errors"] == ["brcmfmac: something that only a board says"]


def test_one_boot_of_n_over_the_limit_fails_and_the_others_are_still_measured() -> None:
    run = gated([GOOD, replace(GOOD, entry=0.25), GOOD], 3)
    assert run.verdict is Verdict.FAIL
    assert run.verdict.exit_code == 4
    assert len(run.times) == 3
    assert "boot 2: FAIL: kernel entry -> ready took 0.250 s (estimated); the limit is 0.200 s" in run.reasons


def test_exactly_the_limit_fails() -> None:
    assert gated([replace(GOOD, entry=0.2)], 1).verdict is Verdict.FAIL
    assert gated([replace(GOOD, entry=0.1999)], 1).verdict is Verdict.PASS


@pytest.mark.parametrize(
    ("boot", "verdict", "reason"),
    [
        (replace(GOOD, say=PANIC), Verdict.FAIL, "panicked"),
        (replace(GOOD, say=FAILED), Verdict.FAIL, "insmod"),
        (replace(GOOD, say=b"[    0.1] hello\n" * 9, deaf=True), Verdict.FAIL, "although the board spoke"),
        (replace(GOOD, say=b"", deaf=True), Verdict.INFRA, "nothing came"),
        (replace(GOOD, say=b"\0\0\0", deaf=True), Verdict.INFRA, "nothing came"),
        (replace(GOOD, say=bytes(range(128, 256)) * 2, deaf=True), Verdict.INFRA, "no text"),
        (replace(GOOD, damage=True, deaf=True), Verdict.INFRA, "damaged on its way"),
        (replace(GOOD, switch=False), Verdict.INFRA, "the relay does not answer"),
        (replace(GOOD, deaf=True), Verdict.INFRA, "could not be asked which image"),
        (replace(GOOD, disk_id=None), Verdict.INFRA, "no PARTUUID"),
        (replace(GOOD, disk_id="deadbeef"), Verdict.INVALID, "another image answered: its disk id is deadbeef"),
        (replace(GOOD, frequency=62_500_000), Verdict.INVALID, "62500000 Hz"),
        (replace(GOOD, ahead=0.3), Verdict.INVALID, "power was on for"),
        (replace(GOOD, skew=0.2), Verdict.INVALID, "older than the counter"),
        (replace(GOOD, skew=-0.005), Verdict.INVALID, "by the kernel's clock"),
        (replace(GOOD, firmware=0.05, timer=True), Verdict.INVALID, "not kernel entry"),
        (replace(GOOD, marker={"cntvct": {"init": 9, "ready": 8}}), Verdict.INVALID, "impossible"),
        (replace(GOOD, marker={"cntfrq": None}), Verdict.INVALID, "lacks a number"),
        (replace(GOOD, marker={"uptime_ns": {}}), Verdict.INVALID, "lacks a number"),
        (replace(GOOD, twice=True), Verdict.INVALID, "reset on the way"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_fault_has_its_verdict_and_only_infra_is_tried_again(boot: Boot, verdict: Verdict, reason: str) -> None:
    run = gated([boot], 2)
    assert run.verdict is verdict, run.reasons
    assert reason in run.reasons[0], run.reasons
    tries = [attempt.attempt for attempt in run.attempts if attempt.boot == 1]
    assert tries == ([1, 2, 3] if verdict is Verdict.INFRA else [1])
    assert run.verdict.exit_code == (4 if verdict is Verdict.FAIL else 5)
    assert run.times == []


def test_infra_that_goes_by_is_a_pass_with_all_attempts_kept() -> None:
    run = gated([replace(GOOD, switch=False), replace(GOOD, damage=True, deaf=True), GOOD, GOOD], 2)
    assert run.verdict is Verdict.PASS, run.reasons
    assert [(a.boot, a.attempt, a.verdict.value) for a in run.attempts] == [
        (1, 1, "INFRA"),
        (1, 2, "INFRA"),
        (1, 3, "PASS"),
        (2, 1, "PASS"),
    ]
    assert [row["verdict"] for row in json.loads(report.to_json(run))["attempts"]] == ["INFRA", "INFRA", "PASS", "PASS"]
    suite = ElementTree.fromstring(report.to_junit(run))
    assert (suite.get("tests"), suite.get("skipped"), suite.get("failures"), suite.get("errors")) == (
        "5",
        "2",
        "0",
        "0",
    )
    assert any("2 of 4 attempts were INFRA" in note for note in run.notes)


def test_a_damaged_line_is_asked_for_again_and_counts() -> None:
    run = gated([replace(GOOD, damage=True)], 1)
    assert run.verdict is Verdict.PASS, run.reasons
    assert run.times == pytest.approx([0.03], abs=1e-6)


def test_silence_after_a_boot_that_answered_is_the_boards_own() -> None:
    run = gated([GOOD, replace(GOOD, say=b"", deaf=True), GOOD], 3)
    assert run.verdict is Verdict.FAIL
    assert "on a line that worked before" in run.reasons[0]
    assert len(run.attempts) == 2, "a hang must not be tried again, nor the rest of a failed run be booted"


def test_a_board_that_power_off_does_not_reach_is_infra() -> None:
    run = gated([replace(GOOD, stays_on=True)], 2, patience=replace(QUICK, off=1.0))
    assert run.verdict is Verdict.INFRA
    assert "the board still speaks after it was switched off" in run.reasons[0]


def test_a_board_that_chatters_while_it_should_be_off_is_infra() -> None:
    run = gated([replace(GOOD, stays_on=True, deaf=True, chatter=b"tick\n")], 2, Wanted(0.2), replace(QUICK, off=1.0))
    assert run.verdict is Verdict.INFRA
    assert "tick" in run.reasons[0]


def test_another_image_makes_the_run_invalid_even_beside_a_failure() -> None:
    run = gated([replace(GOOD, entry=0.25), replace(GOOD, disk_id="deadbeef")], 3)
    assert run.verdict is Verdict.INVALID


def test_any_image_is_taken_when_none_is_named_and_that_is_said() -> None:
    run = gated([replace(GOOD, disk_id="deadbeef")], 1, Wanted(0.2))
    assert run.verdict is Verdict.PASS
    assert any("was not checked" in note for note in run.notes)


def test_no_boot_at_all_is_invalid() -> None:
    assert worst([]) is Verdict.INVALID
    with CannedBench([GOOD]) as bench:
        run = concluded(bench.facts, Subject("pi4", DISK), WANTED, 3, [], None, [])
    assert run.verdict is Verdict.INVALID
    assert run.reasons == ("nothing was booted",)
    ElementTree.fromstring(report.to_junit(run))


def test_fewer_boots_than_asked_are_no_pass() -> None:
    with CannedBench([GOOD]) as bench:
        attempts = measure(bench, 2, WANTED, QUICK)
        run = concluded(bench.facts, Subject("pi4", DISK), WANTED, 3, attempts, None, [])
    assert run.verdict is Verdict.INVALID
    assert run.reasons == ("only 2 of 3 boots were made",)


@pytest.mark.parametrize(
    ("found", "wanted"),
    [("PF", "FAIL"), ("PI", "INFRA"), ("PV", "INVALID"), ("FIV", "FAIL"), ("IV", "INVALID"), ("PP", "PASS")],
)
def test_the_verdict_of_a_run_follows_its_boots(found: str, wanted: str) -> None:
    words = {"P": Verdict.PASS, "F": Verdict.FAIL, "I": Verdict.INFRA, "V": Verdict.INVALID}
    assert worst(words[letter] for letter in found).value == wanted


def test_three_infra_in_ten_attempts_warn_and_two_do_not() -> None:
    infra, good = Verdict.INFRA, Verdict.PASS
    assert quarantined([infra, infra, *[good] * 7, infra])
    assert not quarantined([infra, *[good] * 7, infra, good, infra])
    made = Attempt(1, 1, good, phases={"entry_to_ready": 0.1})
    with CannedBench([GOOD]) as bench:
        run = concluded(bench.facts, Subject("pi4", DISK), WANTED, 1, [made], None, [infra] * 3)
        calm = concluded(bench.facts, Subject("pi4", DISK), WANTED, 1, [made], None, [infra] * 2)
    assert any("WARNING" in note for note in run.notes)
    assert not any("WARNING" in note for note in calm.notes)
    assert run.verdict is Verdict.PASS


def test_a_board_that_is_not_what_its_file_says_is_noted() -> None:
    run = gated([GOOD], 1, revision="1.1", memory_mb=8192)
    assert any("revision 1.1" in note for note in run.notes)
    assert any("8192 MiB" in note for note in run.notes)
    assert not any("board file says" in note for note in gated([GOOD], 1, revision="1.4", memory_mb=4096).notes)


def test_eeprom_and_card_are_the_board_s_own_word_and_what_the_file_leaves_out_is_filled_in() -> None:
    word = b"revision=c03114\neeprom=1778284800\ncard_name=SD64G\ncard_serial=0x1a2b3c4d\n"
    run = gated([replace(GOOD, word=word)], 1)
    facts = run.facts
    assert (facts.revision, facts.memory_mb, facts.eeprom) == ("c03114", 4096, "2026-05-09")
    assert facts.card == "SD64G 0x1a2b3c4d"
    assert "the board file says EEPROM 2025-05-08, the board: 2026-05-09" in run.notes
    told = gated([replace(GOOD, word=word)], 1, revision="a03111", card="another").facts
    assert (told.revision, told.card) == ("a03111", "SD64G 0x1a2b3c4d")
    swapped = gated([replace(GOOD, word=word), replace(GOOD, word=b"card_name=SD32G\n")], 2)
    assert any("the card was changed during the run" in note for note in swapped.notes)
    old = gated([replace(GOOD, word=None)], 1)
    assert old.verdict is Verdict.PASS, "an image without that report can be gated too"
    silent = old.facts
    assert (silent.eeprom, silent.card) == ("2025-05-08", None)


def test_where_a_person_switches_there_is_no_time_since_power_on() -> None:
    assert gated([GOOD], 1, by_hand=True).phase("power_to_ready_host") == []
    assert len(gated([GOOD], 1).phase("power_to_ready_host")) == 1


def test_a_stand_in_is_named_as_one_everywhere() -> None:
    run = gated([GOOD], 1)
    assert any("no figure here is a Pi 4's" in note for note in run.notes)
    assert report.document(run)["measured_on"] == "stand-in: canned"
    assert "stand-in" in report.to_junit(run)
    assert json.loads(history.to_line(run))["where"] == "stand-in: canned"
