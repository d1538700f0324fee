# SPDX-License-Identifier: MIT
"""The gate on hardware with the real image and its real report service; QEMU plays the board."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from protopi.hwgate.attempt import Patience, Wanted
from protopi.hwgate.identity import disk_id_of
from protopi.hwgate.run import Subject, concluded, measure, settled
from protopi.hwgate.standin import QemuBench
from protopi.hwgate.verdict import Verdict

if TYPE_CHECKING:
    from conftest import BuiltImage

PATIENCE = Patience(drain=0.1, off=0.5, boot=120.0, answer=60.0)


@pytest.mark.image
def test_the_flashed_image_passes_and_another_one_is_invalid(built: Callable[[str], BuiltImage]) -> None:
    image = built("pi4")
    subject = Subject("pi4", disk_id_of(image.path))
    with QemuBench(image.path, image.board, image.tools) as bench:
        attempts = measure(bench, 2, Wanted(2.0, subject.disk_id), PATIENCE)
        facts, _ = settled(bench.facts, attempts)
        run = concluded(facts, subject, Wanted(2.0, subject.disk_id), 2, attempts, None, [])
        other = measure(bench, 1, Wanted(2.0, "00000000"), PATIENCE)
    assert run.verdict is Verdict.PASS, run.reasons
    assert not run.facts.real
    assert run.times[0] == run.times[1], "virtual time is exact"
    assert run.phase("power_to_ready_host") == [], "QEMU has no power-on"
    assert run.phase("kernel_clock_at_ready")[0] < run.times[0] < 0.5
    # The report `board` answered, with QEMU's card in it.
    assert facts.card == "QEMU! 0xdeadbeef"
    assert attempts[0].told["model"] == "Raspberry Pi 4 Model B"
    assert [(attempt.verdict, attempt.other_image) for attempt in other] == [(Verdict.INVALID, True)]


@pytest.mark.image
def test_a_stand_in_can_not_pass_as_a_pi_4(built: Callable[[str], BuiltImage]) -> None:
    """Whatever a board file says: QEMU's counter runs at 62.5 MHz, a Pi 4's at 54."""
    image = built("pi4")
    with QemuBench(image.path, image.board, image.tools) as bench:
        bench.facts = replace(bench.facts, where="board", frequency=54_000_000)
        (attempt,) = measure(bench, 1, Wanted(2.0), PATIENCE)
    assert attempt.verdict is Verdict.INVALID
    assert "62500000 Hz" in attempt.reason
