# SPDX-License-Identifier: MIT
"""A board that stays powered over resets: what the running system told the firmware reaches the next boot.

QEMU's raspi4b has the two registers of a restart, but no firmware behind them. So QEMU stops at the reset, with all
registers as the system left them, and the stand-in looks: at PM_RSTS, which holds the partition, through QEMU's
monitor; and at QEMU's trace of the property channel for SET_REBOOT_FLAGS, which is the tryboot flag. The trace gives
the tag and its size, not its value: a system that sends the tag with bit 0 clear would be misunderstood here. Ours
sends 1 and nothing else (drivers/firmware; boot-tests/test_tryboot.py looks).
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import re
import socket
import time
from typing import TYPE_CHECKING, Any

from protopi.boot.firmware.state import SET_REBOOT_FLAGS, FirmwareState, partition_of
from protopi.boot.qemu import Machine, Options
from protopi.errors import InfraError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from protopi.boot.board import Board
    from protopi.boot.tools import Tools

#: BCM2711: the power manager's reset status, in the ARM's view of the low peripherals.
PM_RSTS = 0xFE100020
_TAG = re.compile(r"bcm2835_mbox_property .*tag:0x([0-9a-f]{8}) in_sz:(\d+)")


class PoweredBoard:
    """A card in a board that is switched on; each `boot` begins with what the last reset left to the firmware."""

    def __init__(self, image: Path, board: Board, tools: Tools, options: Options | None = None) -> None:
        self.image, self.board, self.tools = image, board, tools
        self.options = options or Options()
        self.state = FirmwareState()

    @contextlib.contextmanager
    def boot(self) -> Iterator[Machine]:
        """Boot. Raises FirmwareRefusal; the one-shot flag is used up then, too."""
        options = dataclasses.replace(self.options, state=self.state, hold=True)
        self.state = FirmwareState()
        with Machine(self.image, self.board, self.tools, options) as machine:
            yield machine

    def reset(self, machine: Machine, seconds: float = 60.0) -> FirmwareState:
        """Wait until the system resets the board; the state that the next `boot` begins with.

        Raises InfraError when no reset comes within `seconds` of host time.
        """
        end = time.monotonic() + seconds
        with _monitor(machine) as monitor:
            while monitor.ask("query-status")["status"] != "shutdown":
                if time.monotonic() > end:
                    raise InfraError(f"the system did not reset the board within {seconds:g} s")
                time.sleep(0.05)
            said = monitor.ask("human-monitor-command", **{"command-line": f"xp /1xw {PM_RSTS:#x}"})
        log = (machine.folder / "qemu.log").read_text(errors="replace")
        self.state = state_after(rsts_of(str(said)), log)
        return self.state

    def power_off(self) -> None:
        """Take the power away: nothing is left of what the system asked for."""
        self.state = FirmwareState()


def rsts_of(said: str) -> int:
    """The register in what the monitor printed: "fe100020: 0x00001000". Raises InfraError for anything else."""
    match = re.fullmatch(rf"0*{PM_RSTS:x}: 0x([0-9a-f]{{8}})\s*", said)
    if match is None:
        raise InfraError(f"QEMU's monitor does not show PM_RSTS: {said.strip()!r}")
    return int(match[1], 16)


def state_after(rsts: int, log: str) -> FirmwareState:
    """What the next boot finds, from PM_RSTS and QEMU's log of one boot."""
    tags = [(int(match[1], 16), int(match[2])) for match in _TAG.finditer(log)]
    return FirmwareState(tryboot=(SET_REBOOT_FLAGS, 4) in tags, partition=partition_of(rsts))


class _Monitor:
    """QEMU's machine protocol over its socket: one question, one answer."""

    def __init__(self, peer: socket.socket) -> None:
        self._peer, self._lines = peer, peer.makefile("rb")
        self._lines.readline()  # the greeting
        self.ask("qmp_capabilities")

    def ask(self, name: str, **arguments: str) -> Any:
        """Run a command; what it returns. Raises InfraError when QEMU has gone or refuses."""
        self._peer.sendall(json.dumps({"execute": name, "arguments": arguments}).encode() + b"\n")
        for line in self._lines:
            answer = json.loads(line)
            if "error" in answer:
                raise InfraError(f"QEMU refuses {name}: {answer['error'].get('desc')}")
            if "return" in answer:  # anything else is an event
                return answer["return"]
        raise InfraError(f"QEMU has gone before it answered {name}")


@contextlib.contextmanager
def _monitor(machine: Machine) -> Iterator[_Monitor]:
    with socket.socket(socket.AF_UNIX) as peer:
        peer.settimeout(10)
        try:
            peer.connect(str(machine.folder / "qmp.sock"))
            yield _Monitor(peer)
        except OSError as error:
            raise InfraError(f"QEMU's monitor does not answer: {error}", hint=machine.complaints()) from error
