# SPDX-License-Identifier: MIT
"""The real pi4 image on QEMU's raspi4b, with a network: which drivers probe, and does SSH work?

One boot for all tests here. The card is provisioned with a key as a user would do it, so the image is the one that is
flashed. Its network is a USB adapter on DWC2, which stands in for the Ethernet that QEMU does not have. What probes
here is marked in docs/hardware.md; whatever is not in PROBED was tried nowhere.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import paramiko
import pytest

from protopi import layout
from protopi.boot import firmware, judge
from protopi.boot.qemu import Machine, Options, command, enlarge
from protopi.boot.record import settled_services
from protopi.boot.tools import run
from protopi.sandbox import Bind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from conftest import BuiltImage

    Built = Callable[[str], BuiltImage]

pytestmark = pytest.mark.image
BOOT = 120.0

#: "bus/driver" below /sys/bus -> the devices of the shipped tree that it drives in QEMU.
PROBED = {
    "amba/uart-pl011": {"fe201000.serial"},
    "mmc/mmcblk": {"mmc0:*"},
    "platform/bcm2835-aux-clk": {"fe215000.aux"},
    "platform/bcm2835-clk": {"fe101000.cprman"},
    "platform/bcm2835-dma": {"fe007000.dma-controller"},
    "platform/bcm2835-mbox": {"fe00b880.mailbox"},
    "platform/bcm2835-pwm": {"fe20c800.pwm"},
    "platform/cpufreq-dt": {"cpufreq-dt"},
    "platform/dwc2": {"fe980000.usb"},
    "platform/i2c-bcm2835": {"fe205000.i2c", "fe804000.i2c"},
    "platform/i2c-mux-pinctrl": {"i2c-mux0"},
    "platform/pinctrl-bcm2835": {"fe200000.gpio"},
    "platform/ramoops": {"b000000.ramoops"},
    "platform/protopi-firmware": {"fe003000.timer"},
    "platform/raspberrypi-clk": {"soc:firmware:clocks"},
    "platform/raspberrypi-cpufreq": {"raspberrypi-cpufreq"},
    "platform/raspberrypi-firmware": {"soc:firmware"},
    "platform/raspberrypi-hwmon": {"raspberrypi-hwmon"},
    "platform/raspberrypi-power": {"soc:power"},
    "platform/raspberrypi-reset": {"soc:firmware:reset"},
    "platform/sdhci-iproc": {"fe300000.mmc"},
    "platform/spi-bcm2835": {"fe204000.spi"},
    "platform/usb_phy_generic": {"phy"},
    "spi/spidev": {"spi0.0", "spi0.1"},
    "usb/cdc_ether": {"1-1.1:1.0", "1-1.1:1.1"},
}
#: Platform devices that no driver binds, though they are in the tree that QEMU boots -> why.
UNBOUND = {
    "fd5d2000.avs-monitor": "registers that the thermal driver below it reads; QEMU removes that one",
    "fe100000.syscon": "QEMU's overlay: a register block for two drivers that find it themselves",
    "ff800000.interrupt-controller": "bound by the interrupt core before there are devices",
    "leds": "waits for the firmware's expander, which QEMU does not have",
    "timer": "bound by the clock core before there are devices",
}
LIST = (
    "for d in /sys/bus/*/drivers/*/*; do [ -L $d ] && [ ${d##*/} != module ] && echo $d; done;"
    "for d in /sys/bus/platform/devices/*; do [ -e $d/driver ] || echo unbound ${d##*/}; done"
)


@dataclass(slots=True)
class Board:
    """A machine that is up, and an SSH session to it."""

    machine: Machine
    image: BuiltImage
    client: paramiko.SSHClient

    def ask(self, command: str) -> str:
        """Run a command over SSH; what it printed, errors too. It must succeed."""
        _, out, _ = self.client.exec_command(f"{{ {command}\n}} 2>&1", timeout=60)
        text = out.read().decode().strip()
        assert out.channel.recv_exit_status() == 0, f"{command}: {text}"
        return text

    def devices(self) -> dict[str, set[str]]:
        """ "bus/driver" -> devices that are bound to it, and "unbound" -> platform devices without a driver."""
        found: dict[str, set[str]] = {}
        for line in self.ask(f"{LIST}; true").splitlines():
            words = line.split()
            if words[0] == "unbound":
                found.setdefault("unbound", set()).add(words[1])
            else:
                _, _, _, bus, _, driver, device = words[0].split("/", 6)
                name = "mmc0:*" if bus == "mmc" else device  # the rest is the card's address, which QEMU draws
                found.setdefault(f"{bus}/{driver}", set()).add(name)
        return found

    def errors(self) -> list[str]:
        """What the gate would say against the kernel log."""
        return judge.kernel_log(
            judge.parse_kmsg(self.machine.console.get("kmsg")), judge.load_allowed(self.image.board.allow)
        )


def provision(image: BuiltImage, folder: Path, text: str) -> Path:
    """A copy of the image, on a larger card, with a provision.txt on its first partition."""
    copy = enlarge(image.path, folder / "card.img")
    (folder / "provision.txt").write_text(text)
    with firmware.Card(copy) as card:
        offset = card.partition(layout.SELECTOR).offset
    copying = ["mcopy", "-i", f"/host/run/card.img@@{offset}", "/host/run/provision.txt", "::provision.txt"]
    run(image.tools, copying, [Bind(folder, "/host/run", writable=True)])
    return copy


@pytest.fixture(scope="module")
def pi(
    built: Built,
    ssh_key: paramiko.PKey,
    free_port: Callable[[], int],
    connect: Callable[..., paramiko.SSHClient],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Board]:
    """The pi4 image, provisioned, booted, reached over its USB network, with all that hardware asked for loaded."""
    image = built("pi4")
    lines = f"ssh_key={ssh_key.get_name()} {ssh_key.get_base64()} boot-tests\nhostname=bench\n"
    card = provision(image, tmp_path_factory.mktemp("pi"), lines)
    port = free_port()
    options = Options(realtime=True, forward=((port, 22),))
    with Machine(card, image.board, image.tools, options) as machine:
        assert machine.console.wait_marker(BOOT) is not None, machine.console.tail()
        with contextlib.closing(connect(machine, port, 90)) as client:
            board = Board(machine, image, client)
            end = time.monotonic() + 60
            while not set(PROBED) <= board.devices().keys() and time.monotonic() < end:
                time.sleep(1)
            yield board


def test_boots_that_are_counted_have_no_network(built: Built, tmp_path: Path) -> None:
    image = built("pi4")
    counted = command(image.path, image.board, image.tools, tmp_path, Options(), serial=())
    assert not [word for word in counted if "usb-net" in word or "netdev" in word]
    asked = command(image.path, image.board, image.tools, tmp_path, Options(forward=((2222, 22),)), serial=())
    assert "user,id=net0,hostfwd=tcp:127.0.0.1:2222-:22" in asked


def test_ssh_reaches_the_real_image_over_usb(pi: Board) -> None:
    assert pi.ask("uname -m; hostname").split() == ["aarch64", "bench"]
    assert "10.0.2.15" in pi.ask("ip -4 addr show usb0")
    assert "10.0.2.2" in pi.ask("ip route")


def test_what_qemu_emulates_probes(pi: Board) -> None:
    found = pi.devices()
    assert {name: devices - found.get(name, set()) for name, devices in PROBED.items()} == {
        name: set() for name in PROBED
    }
    assert found["unbound"] == set(UNBOUND)


def test_nothing_complains(pi: Board) -> None:
    assert pi.errors() == []
    assert not judge.service_faults(judge.parse_services(settled_services(pi.machine.console)))


def test_spi_has_its_dma(pi: Board) -> None:
    """Without it the driver polls, and says so in an error line. Mainline's tree leaves it out (boards/pi4/board.dtso).

    bcm2835_dma cannot be loaded twice: its removal leaves a stale entry behind, and SPI's next probe is an oops.
    """
    devices = "/sys/devices/platform/soc/fe204000.spi"
    assert "tx-dma" not in pi.ask("dmesg")
    for channel in ("dma:tx", "dma:rx"):
        assert "/fe007000.dma-controller/" in pi.ask(f"readlink -f {devices}/{channel}")


def test_header_buses_are_there_for_programs(pi: Board) -> None:
    nodes = pi.ask("ls /dev").split()
    assert {"gpiochip0", "i2c-0", "i2c-1", "i2c-10", "spidev0.0", "spidev0.1", "ttyAMA0"} <= set(nodes)
    assert "/fe804000.i2c/" in pi.ask("readlink -f /sys/bus/i2c/devices/i2c-1")
    assert pi.ask("cat /sys/class/pwm/pwmchip0/npwm") == "2"
    governors = pi.ask("cat /sys/devices/system/cpu/cpu0/cpufreq/scaling_available_governors")
    assert "schedutil" in governors
