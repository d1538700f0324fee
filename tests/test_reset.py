# SPDX-License-Identifier: MIT
"""What a reset leaves to the next boot, read from what QEMU says."""

from __future__ import annotations

import pytest

from protopi.boot.firmware import FirmwareState
from protopi.boot.reset import rsts_of, state_after
from protopi.errors import InfraError

SET = "bcm2835_mbox_property mbox property tag:0x00038064 in_sz:4 out_sz:0\n"
NOTIFY = "bcm2835_mbox_property mbox property tag:0x00030048 in_sz:0 out_sz:0\n"


@pytest.mark.parametrize(
    ("rsts", "log", "state"),
    [
        (0x1000, "", FirmwareState()),
        (0x1000, NOTIFY, FirmwareState()),
        (0x1000, SET + NOTIFY, FirmwareState(tryboot=True)),
        (0x1005, SET, FirmwareState(tryboot=True, partition=3)),
        (0x1004, NOTIFY, FirmwareState(partition=2)),
        (0x1555, NOTIFY, FirmwareState(partition=63)),
        (0x1000, SET.replace("in_sz:4", "in_sz:0"), FirmwareState()),
        (0x1000, SET.replace("00038064", "00030064"), FirmwareState()),
    ],
)
def test_register_and_tags_become_the_next_state(rsts: int, log: str, state: FirmwareState) -> None:
    assert state_after(rsts, log) == state


def test_only_the_register_is_taken_for_the_register() -> None:
    assert rsts_of("00000000fe100020: 0x00001005\r\n") == 0x1005
    assert rsts_of("fe100020: 0x00000000") == 0
    for said in ("", "fe100024: 0x00001005", "Cannot access memory", "fe100020: 0x1005 0x1"):
        with pytest.raises(InfraError, match="does not show PM_RSTS"):
            rsts_of(said)
