# SPDX-License-Identifier: MIT
"""A try of slot B, from the running system to the firmware and back, on a card with two slots in QEMU's raspi4b.

The driver protopi_firmware tells the firmware; the stand-in (protopi.boot.reset) sees it in QEMU's registers and
property channel, boots B with the flag cleared, and boots A after the next reset. The negative controls are a restart
without the driver, and arguments that mean nothing.
"""

from __future__ import annotations

import re
import shutil
import socket
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

import boards
from protopi import api, layout
from protopi.api import Session
from protopi.boot.firmware import Card, FirmwareState
from protopi.boot.firmware.state import SET_REBOOT_FLAGS
from protopi.boot.qemu import Options
from protopi.boot.reset import PoweredBoard
from protopi.boot.tools import TreeTools, run
from protopi.errors import InfraError
from protopi.plan import Planner
from protopi.project import Project
from protopi.sandbox import Bind
from protopi.ui import Ui
from recipes.firmware_module import FirmwareModule

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from protopi.boot.qemu import Machine

pytestmark = [pytest.mark.image, pytest.mark.timeout(900)]
BASE = "pi4-dev"
FILES = ("protopi_firmware.ko", "selftests/timer_test", "selftests/restart")
HOME = "/usr/lib/protopi/tests"
#: PID 1 loads the driver in images that ship it.
DRIVER = f"[ -d /sys/module/protopi_firmware ] || insmod {HOME}/protopi_firmware.ko"
NO_DRIVER = "{ [ ! -d /sys/module/protopi_firmware ] || rmmod protopi_firmware; }"
SECONDS = 120.0


def build_driver() -> Path:
    """The outputs of the driver's recipe, for the kernel of BASE."""
    session = Session(Project.here(), Ui())
    image = session.project.image(BASE)
    planner = Planner(session.project, session.project.lock(image))
    recipe = FirmwareModule(image)
    with session.builder() as builder:
        return builder.build(planner.plan(recipe), (planner.step(recipe),), "tests")[FirmwareModule.name].out


def fill_slot_b(image: Path, tools: TreeTools, folder: Path) -> None:
    """Make slot B a copy of slot A that takes its own root."""
    with Card(image) as card, image.open("r+b") as file:
        for source, target in ((layout.BOOT_A, layout.BOOT_B), (layout.ROOT_A, layout.ROOT_B)):
            part = card.partition(source)
            file.seek(card.partition(target).offset)
            file.write(card.read(part.offset, part.size))
        offset = card.partition(layout.BOOT_B).offset
        line = card.fat(layout.BOOT_A).read("cmdline.txt")
    assert line.count(b"-05 ") == 1
    (folder / "cmdline.txt").write_bytes(line.replace(b"-05 ", b"-06 "))
    copying = ["mcopy", "-o", "-i", f"/host/run/{image.name}@@{offset}", "/host/run/cmdline.txt", "::cmdline.txt"]
    run(tools, copying, [Bind(folder, "/host/run", writable=True)])


@dataclass(slots=True)
class Shell:
    """The root shell on the console of a machine that is up."""

    machine: Machine

    def open(self) -> Shell:
        """Wait for ready, then for the shell. Raises InfraError."""
        console, end = self.machine.console, time.monotonic() + SECONDS
        assert console.wait_marker(SECONDS) is not None, console.tail()
        while not re.search(rb"[#$] (?:\x1b\[6n)?$", console.raw):
            if time.monotonic() > end:
                raise InfraError(f"no shell: {console.tail()}")
            console.send(b"\r")
            time.sleep(0.5)
        return self

    def ask(self, command: str) -> str:
        """What a command printed. The marks cannot be mistaken for the echo of what was typed. Raises InfraError."""
        console, end = self.machine.console, time.monotonic() + SECONDS
        start = len(console.raw)
        console.send(f'echo "<""<"; {command}; echo ">"">"\r'.encode())
        while not (match := re.search(rb"<<\r*\n(.*?)>>\r*\n", console.raw[start:], re.DOTALL)):
            if time.monotonic() > end:
                raise InfraError(f"no answer to {command}: {console.tail()}")
            time.sleep(0.05)
        text = match[1].decode(errors="replace").replace("\r", "")
        # A framed line of a service may come in between.
        return re.sub(r"(?m)^@\w+ .*\n?", "", text).strip()

    def cell(self, name: str) -> int:
        """A cell below /chosen/bootloader of the running system's tree."""
        return int(self.ask(f"hexdump -ve '1/1 \"%02x\"' /proc/device-tree/chosen/bootloader/{name}"), 16)

    def where(self) -> tuple[int, int, str]:
        """Which boot this is, as the system sees it: boot partition, tryboot, the end of root's PARTUUID."""
        match = re.search(r"root=PARTUUID=\w+-(\d+)", self.ask("cat /proc/cmdline"))
        assert match is not None
        return self.cell("partition"), self.cell("tryboot"), match[1]

    def leave(self, command: str) -> None:
        """Type a command that ends the machine."""
        self.machine.console.send(f"{command}\r".encode())


A, B, TRY = (2, 0, "05"), (3, 0, "06"), (3, 1, "06")


@pytest.fixture(scope="module")
def power(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], PoweredBoard]:
    """`power()`: a board that has just been switched on, with a card whose two slots can be booted."""
    folder, driver = tmp_path_factory.mktemp("tryboot"), build_driver()
    lines = [f"extends: {BASE}", "files:"]
    for name in FILES:
        short = name.rpartition("/")[2]
        shutil.copy(driver / name, folder / short)
        mode = "0644" if short.endswith(".ko") else "0755"
        lines.append(f'  {HOME}/{short}: {{source: {short}, mode: "{mode}"}}')
    (folder / "two-slots.yaml").write_text("\n".join(lines) + "\n")
    made = api.build_image(str(folder / "two-slots.yaml"))
    tools, card = TreeTools(made.tools.root), folder / "card.img"
    shutil.copyfile(made.disk, card)
    fill_slot_b(card, tools, folder)
    return lambda: PoweredBoard(card, boards.load("pi4"), tools)


def restart(board: PoweredBoard, *commands: str) -> tuple[int, int, str]:
    """Boot, run commands, of which the last one resets the board; which boot it was."""
    with board.boot() as machine:
        shell = Shell(machine).open()
        where = shell.where()
        for command in commands[:-1]:
            assert shell.ask(f"{command} && echo done") == "done"
        shell.leave(commands[-1])
        board.reset(machine, SECONDS)
    return where


def test_a_try_boots_b_once_and_the_next_reset_boots_a(power: Callable[[], PoweredBoard]) -> None:
    board = power()
    assert restart(board, DRIVER, f"{HOME}/restart '0 tryboot'") == A
    assert board.state == FirmwareState(tryboot=True)
    # The try comes to nothing: it resets without a word to the firmware, as a crash would.
    assert restart(board, NO_DRIVER, f"{HOME}/restart") == TRY
    assert board.state == FirmwareState()
    assert restart(board, f"{HOME}/restart") == A


class Debugger:
    """QEMU's end of gdb's remote protocol, as far as one breakpoint needs it. Connecting stops the machine."""

    def __init__(self, peer: socket.socket, machine: Machine) -> None:
        self._peer, self._data = peer, b""
        peer.settimeout(SECONDS)
        peer.connect(str(machine.folder / "gdb.sock"))

    def ask(self, packet: str, *, answer: bool = True) -> str:
        """Send a packet; its answer, which for "c" and "s" comes when the machine stops."""
        self._peer.sendall(f"${packet}#{sum(packet.encode()) & 0xFF:02x}".encode())
        return self.answer() if answer else ""

    def answer(self) -> str:
        """The next packet."""
        while not (match := re.search(rb"\$([^#]*)#..", self._data)):
            self._data += self._peer.recv(4096)
        self._data = self._data[match.end() :]
        self._peer.sendall(b"+")
        return match[1].decode()

    def registers(self) -> list[int]:
        """x0 to x30 of the processor that has stopped."""
        raw = bytes.fromhex(self.ask("g")[: 31 * 16])
        return [int.from_bytes(raw[at : at + 8], "little") for at in range(0, len(raw), 8)]


def test_the_firmware_is_told_1(power: Callable[[], PoweredBoard]) -> None:
    """QEMU's trace shows no values, so the kernel is stopped where it is about to send one."""
    board = power()
    board.options = Options(extra=("-gdb", "unix:/host/run/gdb.sock,server=on,wait=off"))
    with board.boot() as machine, socket.socket(socket.AF_UNIX) as peer:
        shell = Shell(machine).open()
        shell.ask(f"{DRIVER}; echo 0 > /proc/sys/kernel/kptr_restrict")
        line = shell.ask("grep ' rpi_firmware_property$' /proc/kallsyms")
        place = f"1,{int(line.split()[0], 16):x},4"
        debugger = Debugger(peer, machine)
        assert debugger.ask(f"Z{place}") == "OK"
        debugger.ask("c", answer=False)
        shell.leave(f"{HOME}/restart '0 tryboot'")
        while True:
            assert debugger.answer().startswith("T05")
            _, tag, data, size, *_ = debugger.registers()
            value = debugger.ask(f"m{data:x},{size:x}") if data else ""
            assert debugger.ask(f"z{place}") == "OK"
            if tag == SET_REBOOT_FLAGS:
                break
            assert debugger.ask("s").startswith("T05")
            assert debugger.ask(f"Z{place}") == "OK"
            debugger.ask("c", answer=False)
        debugger.ask("c", answer=False)
        assert (size, value) == (4, "01000000")
        assert board.reset(machine, SECONDS).tryboot


def test_the_flag_is_lost_with_the_power(power: Callable[[], PoweredBoard]) -> None:
    board = power()
    assert restart(board, DRIVER, f"{HOME}/restart tryboot") == A
    assert board.state.tryboot
    board.power_off()
    with board.boot() as machine:
        assert Shell(machine).open().where() == A


def test_reboot_with_a_number_boots_that_partition_and_no_try(power: Callable[[], PoweredBoard]) -> None:
    board = power()
    assert restart(board, DRIVER, f"{HOME}/restart 3") == A
    assert board.state == FirmwareState(partition=3)
    assert restart(board, DRIVER, f"{HOME}/restart") == B
    assert board.state == FirmwareState()


@pytest.mark.parametrize(
    "commands",
    [
        pytest.param((NO_DRIVER, f"{HOME}/restart '0 tryboot'"), id="no driver"),
        pytest.param((DRIVER, NO_DRIVER, f"{HOME}/restart '0 tryboot'"), id="driver unloaded"),
        pytest.param((DRIVER, f"{HOME}/restart '63'"), id="partition 63 is halt"),
        pytest.param((DRIVER, f"{HOME}/restart 'tryboot 3'"), id="the wrong way round"),
    ],
)
def test_without_driver_or_sense_nothing_reaches_the_firmware(
    power: Callable[[], PoweredBoard], commands: tuple[str, ...]
) -> None:
    board = power()
    assert restart(board, *commands) == A
    assert board.state == FirmwareState()


def test_reboot_passes_on_what_lies_in_run(power: Callable[[], PoweredBoard]) -> None:
    """The way of an update: PID 1 stops everything in order, and then restarts with the argument."""
    board = power()
    assert restart(board, "echo '0 tryboot' > /run/protopi/restart", "reboot") == A
    assert board.state == FirmwareState(tryboot=True)
    assert restart(board, "reboot") == TRY
    assert board.state == FirmwareState()


def test_programs_read_the_system_timer(power: Callable[[], PoweredBoard]) -> None:
    with power().boot() as machine:
        shell = Shell(machine).open()
        assert shell.ask(f"{DRIVER}; {HOME}/timer_test > /tmp/tap; echo $?") == "0", shell.ask("cat /tmp/tap")
        assert shell.ask("grep -c '^ok' /tmp/tap") == "4"
        timer = "/sys/devices/platform/soc/fe003000.timer/system_timer_us"
        assert "No such file" in shell.ask(f"{NO_DRIVER}; cat {timer} 2>&1")
        loud = shell.ask("dmesg -r | grep '^<[0-4]>' | grep protopi; true")
        assert loud == ""
