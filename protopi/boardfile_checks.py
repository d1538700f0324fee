# SPDX-License-Identifier: MIT
"""What single values of a board file may be, and which of them belong together. As in protopi.checks, a check returns
what was expected, or "" when the value will do.
"""

from __future__ import annotations

import base64
import binascii
import datetime
import ipaddress
import re
import urllib.parse
import zoneinfo
from collections.abc import Mapping
from typing import TYPE_CHECKING

from protopi.config import Place, suggest
from protopi.errors import Problem

if TYPE_CHECKING:
    from protopi.boardfile import BoardFile, Power

#: Rates that every USB serial adapter has.
BAUD = (9600, 19200, 38400, 57600, 115200, 230400, 460800, 921600)
MEMORY = (1024, 2048, 4096, 8192)
#: Which keys of `power:` each kind needs; all others but cycle_seconds are for other kinds.
POWER_KEYS: Mapping[str, tuple[str, ...]] = {
    "none": (),
    "command": ("on", "off"),
    "uhubctl": ("location", "port"),
    "relay": ("url_on", "url_off"),
}
#: A token for the network: long enough that nobody guesses it.
TOKEN_LEAST, TOKEN_MOST = 16, 256


def at(places: Mapping[str, Place], key: str, message: str, hint: str = "") -> Problem:
    """A problem at the line of a dotted key, or of the nearest key above it."""
    above = key
    while above and above not in places:
        above = above.rpartition(".")[0]
    return Problem(message, where=str(places[above]) if above in places else "", key=key, hint=hint)


def check_device(value: str) -> str:
    """A device file; whether it is there is seen when it is opened: a board may be unplugged."""
    if re.fullmatch(r"/dev(/[\w.:+,@=-]+)+", value) and not {".", ".."} & set(value.split("/")):
        return ""
    return "a device, as /dev/serial/by-id/usb-FTDI_FT232R_USB_UART_A50285BI-if00-port0"


def check_baud(value: int) -> str:
    """A rate of a serial line."""
    return "" if value in BAUD else "a rate of " + ", ".join(map(str, BAUD)) + " (the image's console has 115200)"


def check_cycle(value: float) -> str:
    """Seconds without power."""
    return "" if 0.5 <= value <= 60 else "0.5 to 60 seconds"


def check_hub(value: str) -> str:
    """A hub as uhubctl names it: bus, then ports down to it."""
    return "" if re.fullmatch(r"\d+(-\d+(\.\d+)*)?", value) else 'a hub as uhubctl lists it, in quotes: "1-1.4"'


def check_hub_port(value: int) -> str:
    """A port of a USB hub."""
    return "" if 1 <= value <= 255 else "a port of the hub, from 1 on"


def check_url(value: str) -> str:
    """An address of a network relay."""
    expected = "an address, as http://relay.lan/relay/0?turn=on"
    if not re.fullmatch(r"[!-~]+", value):
        return expected
    try:
        parts = urllib.parse.urlsplit(value)
        port = parts.port
    except ValueError:
        return expected
    return "" if parts.scheme in ("http", "https") and parts.hostname and port != 0 else expected


def check_host(value: str) -> str:
    """A host name, or an address of IPv4 or IPv6."""
    label = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
    try:
        ipaddress.ip_address(value)
        return ""
    except ValueError:
        name = re.fullmatch(rf"({label}\.)*{label}\.?", value) and len(value) <= 253
        # What looks like an address and is none is a slip of the finger, not a name.
        return "" if name and not re.fullmatch(r"[\d.]+", value) else "a host name or an address, as robot.lan"


def check_port(value: int) -> str:
    """A TCP port."""
    return "" if 0 < value < 65536 else "a port from 1 to 65535"


def check_fingerprint(value: str) -> str:
    """SHA256 of a host key as OpenSSH writes it."""
    expected = "a fingerprint as ssh-keygen -l prints it: SHA256: and 43 characters"
    if not re.fullmatch(r"SHA256:[A-Za-z0-9+/]{43}", value):
        return expected
    try:
        return "" if len(base64.b64decode(value[7:] + "=", validate=True)) == 32 else expected
    except binascii.Error:
        return expected


def check_serial(value: str) -> str:
    """A disk's serial. It authorises writing, so it must say something."""
    if not re.fullmatch(r"[!-~]([ -~]{0,126}[!-~])?", value):
        return "a serial as `flash --list` shows it"
    return "" if len(value) >= 4 and len(set(value) - {"0", "-"}) > 1 else "a serial that tells one disk from another"


def check_place(value: str) -> str:
    """The name of a labgrid place."""
    return "" if re.fullmatch(r"[\w.:+-]+", value) else "the name of a labgrid place"


def check_token(value: str) -> str:
    """A token for the network: printable ASCII without blanks; "" for none."""
    fits = re.fullmatch(r"[!-~]*", value) and (not value or TOKEN_LEAST <= len(value) <= TOKEN_MOST)
    return "" if fits else f"{TOKEN_LEAST} to {TOKEN_MOST} printable ASCII characters without blanks"


def check_date(value: str) -> str:
    """The date of an EEPROM release."""
    try:
        return "" if datetime.date.fromisoformat(value).isoformat() == value else "a date, as 2025-05-08"
    except ValueError:
        return "a date, as 2025-05-08"


def check_memory(value: int) -> str:
    """What a Pi 4 is made with."""
    return "" if value in MEMORY else "a number of MiB: " + ", ".join(map(str, MEMORY))


def check_revision(value: str) -> str:
    """What is printed on the board, or the revision code of a Pi 4 B or 400.

    Source: Raspberry Pi documentation, "Raspberry Pi revision codes", new-style: bit 23 set; bits 4 to 11 the type, 11
    hexadecimal for 4B and 13 for 400.
    """
    expected = 'what is printed on the board ("1.0" to "1.5"), or the code in /proc/cpuinfo, as "c03114", in quotes'
    if re.fullmatch(r"1\.[0-5]", value):
        return ""
    if not re.fullmatch(r"[0-9a-f]{6}", value):
        return expected
    code = int(value, 16)
    return "" if code >> 23 & 1 and (code >> 4 & 0xFF) in (0x11, 0x13) else f"{expected}; this is no Pi 4's"


def memory_of(revision: str) -> int | None:
    """MiB of memory that a revision code states (bits 20 to 22), or None when it is no code."""
    return 256 << (int(revision, 16) >> 20 & 7) if len(revision) == 6 else None


def check_memory_fits(revision: str | None, memory: int | None, places: Mapping[str, Place]) -> list[Problem]:
    """The revision code states the memory too."""
    stated = memory_of(revision) if revision else None
    if stated is None or memory is None or stated == memory:
        return []
    return [at(places, "memory_mb", f"expected {stated}, as the revision {revision} says; found `{memory}`")]


def check_timezone_known(name: str | None, places: Mapping[str, Place]) -> list[Problem]:
    """A slip in a time zone is found here and not on the board, where only the log would say it.

    A computer without a time-zone database says nothing; the board checks again.
    """
    known = zoneinfo.available_timezones() if name else set()
    if not name or not known or name in known:
        return []
    return [at(places, "provision.timezone", f"there is no time zone `{name}`", suggest(name, known))]


def check_power(power: Power, places: Mapping[str, Place]) -> list[Problem]:
    """Each kind of power control has keys of its own, and needs them."""
    problems = []
    own = POWER_KEYS[power.kind]
    for key in (key for keys in POWER_KEYS.values() for key in keys):
        given = bool(getattr(power, key))
        if key in own and not given and f"power.{key}" not in places:
            problems.append(at(places, f"power.{key}", "is missing", f"`kind: {power.kind}` needs {_words(own)}"))
        elif key not in own and given:
            kind = next(kind for kind, keys in POWER_KEYS.items() if key in keys)
            problems.append(at(places, f"power.{key}", f"is for `kind: {kind}`; this is `kind: {power.kind}`"))
    return problems


def check_argv(board: BoardFile, places: Mapping[str, Place]) -> list[Problem]:
    """Commands are lists of words that begin with a program."""
    commands = {"power.on": board.power.on, "power.off": board.power.off}
    if board.sd_mux:
        commands |= {"sd_mux.to_host": board.sd_mux.to_host, "sd_mux.to_board": board.sd_mux.to_board}
    hint = "a list of words, run without a shell: [usbsdmux, /dev/sg1, host]"
    return [
        at(places, key, "expected a program and its arguments, found nothing", hint)
        for key, words in commands.items()
        if key in places and not (words and words[0])
    ]


def _words(keys: tuple[str, ...]) -> str:
    return " and ".join(f"`{key}`" for key in keys)
