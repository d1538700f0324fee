# SPDX-License-Identifier: MIT
"""Write a board file for one real board, with every key explained, for you to fill in.

It goes to your own folder of settings (`./build.py board show` says where), readable by you alone, because it may hold
a Wi-Fi passphrase. What can be seen on this computer is filled in: the serial line when there is exactly one, your
public SSH key. A file that is there already is never touched.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from protopi import boardfile, checks
from protopi import boardfile_checks as bc
from protopi.errors import Problem, UserError, UserErrors
from protopi.project import Project
from protopi.ui import Ui

SUMMARY = "write a commented board file"
_SERIAL = Path("/dev/serial/by-id")
_KEYS = ("id_ed25519.pub", "id_ecdsa.pub", "id_rsa.pub")

_TEMPLATE = """\
# One real board. Every key: docs/boards.md. What is left out is not used.
board: {board}                      # the image that fits it

# The serial line: an adapter of 3.3 volts on GND (pin 6), GPIO14 (pin 8, the board sends) and GPIO15 (pin 10).
# Names below by-id stay the same when something else is plugged in.
{serial}

# Who switches the board on and off. Without this a person is asked to, and gating many boots is not possible.
# power:
#   kind: uhubctl                # a USB hub that can switch its ports: `uhubctl` lists location and port
#   location: "1-1.4"
#   port: 2
# power:
#   kind: relay                  # a network relay
#   url_on: http://relay.lan/relay/0?turn=on
#   url_off: http://relay.lan/relay/0?turn=off
# power:
#   kind: command                # anything else: programs with their arguments, run without a shell
#   on: [pdu, "on", "4"]
#   off: [pdu, "off", "4"]
#   cycle_seconds: 3             # how long it stays off

# A switch that gives the card to this computer or to the board.
# sd_mux:
#   to_host: [usbsdmux, /dev/usb-sd-mux/id-00048.00643, host]
#   to_board: [usbsdmux, /dev/usb-sd-mux/id-00048.00643, dut]

# Where SSH answers. `flash` adds `host_key:`, the fingerprint of the only key that is believed.
ssh:
  host: {host}

# The cards of this board, by serial as `./build.py flash --list` shows it. A serial that stands here is flashed
# without a question where there is no terminal: be sure that it is of the card (or its reader), and of no other disk.
# card:
#   serials: ["0x1a2b3c4d"]
#   model: SanDisk Extreme 32 GB A1

# What it is: for the reports of `board gate`.
# revision: "c03114"             # /proc/cpuinfo on the board, or what is printed on it: "1.4"
# memory_mb: 4096
# eeprom: 2025-05-08             # the date of its boot loader: without a card, the screen on HDMI shows it

# What its card gets when it is flashed; the image holds none of this, and the file is removed by the first boot.
provision:
  hostname: {hostname}
{keys}
  # timezone: Europe/Berlin
  # wifi:
  #   country: DE
  #   networks:
  #     - ssid: home
  #       psk: a passphrase        # or psk_file: a file whose first line it is
  # token_file: {name}.token       # a secret of 16 to 256 characters for the network, on the file's first line

# A place of a labgrid coordinator that has the board: it then switches power and has the serial line.
# labgrid:
#   place: {name}
"""


def setup(parser: argparse.ArgumentParser) -> None:
    """Arguments."""
    parser.add_argument("name", metavar="NAME", help="the board's name: of a-z, 0-9, _ and -")
    parser.add_argument("--board", default="pi4", help="what kind of board it is (pi4)")
    parser.add_argument("--serial", metavar="DEVICE", help="its serial line, as /dev/serial/by-id/...")
    parser.add_argument("--host", metavar="HOST", help="where SSH answers (the board's name)")


def run(arguments: argparse.Namespace, project: Project, ui: Ui) -> int:
    """Write the file and print its path."""
    name = arguments.name
    hostname = name.replace("_", "-").strip("-")
    wrong = [
        Problem(f"expected {expected}, found `{value}`", key=key)
        for key, value, expected in (
            ("NAME", name, checks.check_name(name) or checks.check_hostname(hostname)),
            ("--serial", arguments.serial, bc.check_device(arguments.serial) if arguments.serial else ""),
            ("--host", arguments.host, bc.check_host(arguments.host) if arguments.host else ""),
            (
                "--board",
                arguments.board,
                "" if arguments.board in project.boards() else "one of " + ", ".join(project.boards()),
            ),
        )
        if expected
    ]
    if wrong:
        raise UserErrors(wrong)
    text = _TEMPLATE.format(
        name=name,
        board=arguments.board,
        hostname=hostname,
        host=arguments.host or hostname,
        serial=_serial(arguments.serial),
        keys=_public_key(),
    )
    path = boardfile.default_folder() / f"{name}.yaml"
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as out:
            out.write(text)
    except FileExistsError as error:
        hint = f"look at it: ./build.py board show {name}; or take another name"
        raise UserError("there is a board of this name already", where=str(path), hint=hint) from error
    boardfile.load(name)  # whoever changes the template finds out here
    print(path)
    ui.say(f"fill it in, then: ./build.py board show {name}")
    return 0


def _serial(device: str | None) -> str:
    """The key `serial`: as asked, or what is plugged in when there is no choice, else the choice as a comment."""
    seen = sorted(str(path) for path in _SERIAL.glob("*")) if device is None else [device]
    fit = [path for path in seen if not bc.check_device(path)]
    if len(fit) == 1:
        return f"serial:\n  device: {fit[0]}"
    choice = fit or ["/dev/serial/by-id/usb-FTDI_FT232R_USB_UART_A50285BI-if00-port0"]
    return "\n".join(["# serial:", *(f"#   device: {path}" for path in choice)])


def _public_key() -> str:
    """Who may log in: the user's own key, when it lies where OpenSSH puts it."""
    for name in _KEYS:
        if (Path.home() / ".ssh" / name).is_file():
            return f"  key_files: [~/.ssh/{name}]       # who may log in; or authorized_keys: with the keys themselves"
    return "  # key_files: [~/.ssh/id_ed25519.pub]  # who may log in: without a key, nobody can (make one: ssh-keygen)"
