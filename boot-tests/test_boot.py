# SPDX-License-Identifier: MIT
"""Does it boot, and does it behave? Real images in QEMU."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import paramiko
import pexpect
import pytest

from protopi import configtxt, layout
from protopi.boot import firmware, judge
from protopi.boot import shell as console_shell
from protopi.boot.qemu import Machine, Options, enlarge
from protopi.boot.record import settled_services
from protopi.boot.shell import ask
from protopi.boot.tools import run
from protopi.sandbox import Bind

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import BuiltImage

    Built = Callable[[str], BuiltImage]

pytestmark = pytest.mark.image
BOOT = 120.0


def shell(image: BuiltImage, options: Options) -> contextlib.AbstractContextManager[Any]:
    """A root shell on the serial console, as `./build.py boot` gives it."""
    return console_shell.shell(image.path, image.board, image.tools, options, BOOT)


@pytest.mark.parametrize("name", ["pi4", "virt"])
def test_it_boots_to_ready(name: str, built: Built) -> None:
    image = built(name)
    with Machine(image.path, image.board, image.tools) as machine:
        marker = machine.console.wait_marker(BOOT)
        assert marker is not None, machine.console.tail()
        assert marker.data["v"] == 1
        assert marker.data["mcp"]["abi"] >= 1
        assert not judge.service_faults(judge.parse_services(settled_services(machine.console)))


def test_every_key_of_config_txt_is_known_to_the_firmware(built: Built) -> None:
    image = built("pi4")
    with firmware.Card(image.path) as card:
        fat = card.fat(layout.BOOT_A)
        start = firmware.boot(image.path).names["start"]
        text = fat.read("config.txt").decode()
        assert configtxt.unknown_keys(text, fat.read(start)) == []
        assert configtxt.unknown_keys("no_such_key=1\n", fat.read(start))


@pytest.fixture
def tree(built: Built, tmp_path: Path) -> Callable[..., str]:
    """`tree("/chosen", "stdout-path")`: a property of the shipped tree as fdtget prints it, "" where there is none."""
    image = built("pi4")
    (tmp_path / "card.dtb").write_bytes(firmware.boot(image.path).dtb)

    def get(node: str, name: str, kind: str = "s") -> str:
        command = ["fdtget", "-d", "", "-t", kind, "/host/run/card.dtb", node, name]
        return run(image.tools, command, [Bind(tmp_path, "/host/run")]).strip()

    return get


def test_the_header_s_serial_port_is_the_pl011(tree: Callable[..., str]) -> None:
    """GPIO 14 and 15 carry uart0 = ttyAMA0, in QEMU and on the board; Bluetooth and the mini UART are off."""
    uart = tree("/aliases", "serial0")
    assert uart == tree("/__symbols__", "uart0")
    assert tree(uart, "compatible").startswith("arm,pl011")
    pins = tree("/__symbols__", "uart0_gpio14")
    assert tree(uart, "pinctrl-0", "u") == tree(pins, "phandle", "u")
    assert tree(pins, "brcm,pins", "u") == "14 15"
    assert tree("/chosen", "stdout-path").startswith("serial0")
    for label in ("bt", "uart1"):
        assert tree(tree("/__symbols__", label), "status") == "disabled"


def test_the_firmware_will_make_a_frame_buffer(tree: Callable[..., str]) -> None:
    """It does where it finds an enabled HVS or a node /soc/fb (firmware issues 763, 771); else HDMI stays black."""
    hvs = tree("/__symbols__", "hvs")
    assert tree(hvs, "status") != "disabled" or tree("/soc/fb", "status")


def test_the_selector_chooses_slot_a_and_tryboot_slot_b(built: Built) -> None:
    image = built("pi4")
    assert firmware.boot(image.path).partition == layout.BOOT_A
    assert firmware.boot(image.path, model="400").partition == layout.BOOT_A
    with pytest.raises(firmware.FirmwareRefusal, match=r"partition 3 has no start4\.elf"):
        firmware.boot(image.path, state=firmware.FirmwareState(tryboot=True))
    for model in ("cm4", "cm4s"):
        with pytest.raises(firmware.FirmwareRefusal, match="is-not-supported"):
            firmware.boot(image.path, model=model)


def test_a_product_image_has_no_shell_on_its_console(built: Built) -> None:
    image = built("pi4")
    with Machine(image.path, image.board, image.tools) as machine:
        assert machine.console.wait_marker(BOOT) is not None
        machine.console.send(b"\n\necho pwn''ed\n")
        machine.console.wait(lambda: False, 3)
        assert b"pwned" not in machine.console.raw


def test_shell_over_serial_and_a_root_that_cannot_be_written(built: Built) -> None:
    with shell(built("virt"), Options(realtime=True)) as child:
        assert ask(child, "id -u") == "0"
        assert "erofs" in ask(child, "grep ' / ' /proc/mounts")
        assert "Read-only file system" in ask(child, "touch /etc/x 2>&1")
        assert "Read-only file system" in ask(child, "mount -o remount,rw / 2>&1; touch /x 2>&1")
        assert ask(child, "echo kept > /data/kept && cat /data/kept") == "kept"
        assert ask(child, "touch /run/x /tmp/x && echo yes") == "yes"


def test_poweroff_ends_qemu(built: Built) -> None:
    with shell(built("virt"), Options(realtime=True)) as child:
        child.sendline(b"poweroff")
        child.expect(pexpect.EOF, timeout=30)
        child.wait()
        assert child.exitstatus == 0


def test_ssh_with_a_key_and_with_nothing_else(
    built: Built, free_port: Callable[[], int], connect: Callable[..., paramiko.SSHClient]
) -> None:
    image, port = built("virt-test"), free_port()
    options = Options(realtime=True, forward=((port, 22),))
    with Machine(image.path, image.board, image.tools, options) as machine:
        assert machine.console.wait_marker(BOOT) is not None, machine.console.tail()
        with contextlib.closing(connect(machine, port)) as client:
            _, out, _ = client.exec_command("uname -m; id -un", timeout=30)
            assert out.read().decode().split() == ["aarch64", "root"]
        transport = paramiko.Transport(("127.0.0.1", port))
        try:
            transport.start_client(timeout=30)
            with pytest.raises(paramiko.AuthenticationException):
                transport.auth_password("root", "")
        finally:
            transport.close()


WATCHDOG = ("-device", "i6300esb", "-action", "watchdog=reset")


def test_the_watchdog_resets_a_pid_1_that_hangs(built: Built) -> None:
    image = built("virt-test")
    options = Options(extra=WATCHDOG, append=("protopi.test=hang",), reboot=True)
    with Machine(image.path, image.board, image.tools, options) as machine:
        assert machine.console.wait_marker(BOOT) is not None, machine.console.tail()
        assert machine.console.wait_marker(BOOT, count=2) is not None, "no reset: " + "\n".join(machine.console.tail())


def test_the_watchdog_leaves_a_pid_1_alone_that_feeds_it(built: Built) -> None:
    """Three timeouts of 15 s pass in virtual time, which takes little of the host's."""
    image = built("virt-test")
    options = Options(extra=WATCHDOG, reboot=True)
    with shell(image, options) as child:
        end = time.monotonic() + 60
        while "/dev/watchdog" not in ask(child, "ls -l /proc/1/fd"):
            assert time.monotonic() < end, "PID 1 never opened the watchdog"
            time.sleep(1)
        start = float(ask(child, "cut -d' ' -f1 /proc/uptime"))
        end = time.monotonic() + BOOT
        now = start
        while now < start + 3 * 15 + 5 and time.monotonic() < end:
            time.sleep(1)
            now = float(ask(child, "cut -d' ' -f1 /proc/uptime"))
        assert now >= start + 3 * 15 + 5, f"only {now - start} s of virtual time went by"


def test_the_data_partition_grows_on_a_larger_card(built: Built, tmp_path: Path) -> None:
    image = built("pi4")
    copy = enlarge(image.path, tmp_path / "card.img")
    with firmware.Card(image.path) as card:
        small, disk = card.partition(layout.DATA), card.disk
    for boot in (1, 2):
        with Machine(copy, image.board, image.tools, Options(keep=True)) as machine:
            assert machine.console.wait_marker(BOOT) is not None, machine.console.tail()
            settled_services(machine.console)
            facts = disk_facts(machine)
            assert facts["data"].startswith("mounted"), facts
        assert int(facts["data_bytes"]) > small.size + image.path.stat().st_size * 0.9, f"boot {boot}: {facts}"
    with firmware.Card(copy) as card:
        assert card.disk == disk
        assert card.partition(layout.DATA).size > small.size
        assert card.partition(layout.DATA).offset == small.offset


def disk_facts(machine: Machine) -> dict[str, str]:
    """What the board says of its card, once growing has had its time."""
    facts: dict[str, str] = {}
    for _ in range(20):
        text = machine.console.get("disk").decode()
        now = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
        if now == facts and now["data"] != "pending":
            break
        facts = now
        machine.console.wait(lambda: False, 0.5)
    return facts
