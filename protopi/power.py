# SPDX-License-Identifier: MIT
"""A board's power and its card's switch, as the board file says: a person, programs, a USB hub's port, a network relay.

No shell is involved: programs are lists of arguments. A switch that fails, or says that it did not switch, is an
InfraError; that the board has really gone off is proven on its console (`off_proven`), because hubs lie and relays
are wired to the wrong board.
"""

from __future__ import annotations

import base64
import re
import secrets
import shlex
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from protopi.boot import frames
from protopi.errors import InfraError, UserError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from protopi.boardfile import BoardFile, SdMux
    from protopi.boot.console import Console

#: Seconds for a program and for a relay to do their part.
SECONDS = 20.0


class Switch(Protocol):
    """Something that switches a board's power. Raises InfraError when it cannot."""

    def on(self) -> None:
        """Switch on; returns when the switch has said so."""

    def off(self) -> None:
        """Switch off; returns when the switch has said so."""


def call(words: Sequence[str], *, seconds: float = SECONDS) -> str:
    """Run a program of the bench; what it printed. Raises InfraError when it fails or takes too long."""
    shown = shlex.join(words)
    try:
        done = subprocess.run(
            words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=seconds,
            check=False,
        )  # fmt: skip
    except FileNotFoundError as error:
        raise InfraError(f"`{words[0]}` is not installed", hint="install it, or give its whole path") from error
    except subprocess.TimeoutExpired as error:
        raise InfraError(f"`{shown}` did not end within {seconds:g} s") from error
    except OSError as error:
        raise InfraError(f"`{shown}` cannot be run: {error.strerror}") from error
    text = done.stdout.decode(errors="replace").strip()
    if done.returncode:
        raise InfraError(f"`{shown}` failed with status {done.returncode}: {text[-400:] or 'it printed nothing'}")
    return text


@dataclass(frozen=True, slots=True)
class Programs:
    """`kind: command`: a program for each direction."""

    on_words: tuple[str, ...]
    off_words: tuple[str, ...]

    def on(self) -> None:
        """See Switch."""
        call(self.on_words)

    def off(self) -> None:
        """See Switch."""
        call(self.off_words)


@dataclass(frozen=True, slots=True)
class Uhubctl:
    """`kind: uhubctl`: a port of a USB hub that can switch it. What uhubctl reports afterwards must agree."""

    location: str
    port: int
    program: str = "uhubctl"

    def on(self) -> None:
        """See Switch."""
        self._switch("on")

    def off(self) -> None:
        """See Switch."""
        self._switch("off")

    def _switch(self, wanted: str) -> None:
        text = call([self.program, "-l", self.location, "-p", str(self.port), "-a", wanted])
        # A hub of USB 3 is two hubs, each with a report.
        reports = re.findall(r"^New status for hub .*\n((?:\s+Port .*\n?)+)", text, re.M)
        states = re.findall(rf"^\s*Port {self.port}: [0-9a-f]{{4}}\s+(.*)$", "\n".join(reports), re.M)
        if not states:
            raise InfraError(
                f"uhubctl did not say what port {self.port} of hub {self.location} is now: {text[-400:]}",
                hint="uhubctl without arguments lists the hubs that can switch",
            )
        if any(("power" in state.split()) != (wanted == "on") for state in states):
            raise InfraError(
                f"port {self.port} of hub {self.location} is {'off' if wanted == 'on' else 'on'} after `{wanted}`",
                hint="this hub does not switch the port's power; take one from uhubctl's list of supported hubs",
            )


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A relay that sends elsewhere has not switched."""

    def redirect_request(self, *_arguments: object) -> None:
        """Never."""


@dataclass(frozen=True, slots=True)
class Relay:
    """`kind: relay`: an address is fetched for each direction (GET, and POST where the relay refuses GET)."""

    url_on: str
    url_off: str
    seconds: float = SECONDS

    def on(self) -> None:
        """See Switch."""
        self._fetch(self.url_on)

    def off(self) -> None:
        """See Switch."""
        self._fetch(self.url_off)

    def _fetch(self, url: str) -> None:
        parts = urllib.parse.urlsplit(url)
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
        where = f"{host}:{parts.port}" if parts.port else host
        headers = {}
        if parts.username is not None:
            pair = f"{urllib.parse.unquote(parts.username)}:{urllib.parse.unquote(parts.password or '')}"
            headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
        plain = urllib.parse.urlunsplit((parts.scheme, where, parts.path or "/", parts.query, ""))
        # No proxy: a relay is on the bench's own network.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirect())
        for data in (None, b""):
            try:
                with opener.open(urllib.request.Request(plain, data, headers), timeout=self.seconds) as answer:
                    answer.read(65536)
                return
            except urllib.error.HTTPError as error:
                error.close()
                if error.code == 405 and data is None:
                    continue
                raise InfraError(
                    f"the relay at {where} answered {error.code} {error.reason}", hint="try the address in a browser"
                ) from None
            except (OSError, ValueError) as error:
                # `plain` has no password in it, but the path of some relays has one: the host alone is shown.
                reason = getattr(error, "reason", error)
                raise InfraError(
                    f"the relay at {where} cannot be reached: {reason}", hint="is it on, and in this network?"
                ) from None


@dataclass(frozen=True, slots=True)
class ByHand:
    """`kind: none`: a person at the terminal pulls the plug."""

    name: str
    ask: Callable[[str], object]

    def on(self) -> None:
        """See Switch."""
        self.ask(f"{self.name}: switch the board ON, then press Enter ")

    def off(self) -> None:
        """See Switch."""
        self.ask(f"{self.name}: switch the board OFF (pull its plug), then press Enter ")


def _by_hand(board: BoardFile) -> Switch:
    if not sys.stdin.isatty():
        raise UserError(
            "nobody can switch this board: there is no power control and no terminal to ask a person at",
            where=str(board.path),
            key="power",
            hint="give the board file a `power:` (kinds: command, uhubctl, relay), or a labgrid place",
        )

    def ask(text: str) -> None:
        sys.stderr.write(text)
        sys.stderr.flush()
        if not sys.stdin.readline():
            raise InfraError("the terminal has gone: nobody said that it was done")

    return ByHand(board.name, ask)


def switch_of(board: BoardFile) -> Switch:
    """The power switch of a board (labgrid's is protopi.labgrid.Place). Raises UserError where there can be none."""
    power = board.power
    if power.kind == "command":
        return Programs(power.on, power.off)
    if power.kind == "uhubctl":
        return Uhubctl(power.location, power.port)
    if power.kind == "relay":
        return Relay(power.url_on, power.url_off)
    return _by_hand(board)


def off_proven(switch: Switch, console: Console, *, drain: float = 0.5, quiet: float = 2.0) -> None:
    """Switch off and prove it on the console: silent for `quiet` seconds, although it was asked a question.

    A running board is silent too, but answers. `drain`: seconds for what the adapter still holds. Raises InfraError
    when it is still on, or when the line itself is away, so that its silence proves nothing.
    """
    switch.off()
    console.wait(lambda: False, drain)
    heard, gaps = console.size, len(console.gaps)
    for _ in range(2):  # one could be lost
        console.send(frames.request((0, secrets.token_hex(4).encode()), "boot", 0, 0, frames.PART))
    silent = console.silence(quiet, quiet)
    if console.closed:
        raise InfraError("the serial line ended: its silence does not prove that the board is off")
    if len(console.gaps) > gaps:
        raise InfraError("the serial line was interrupted: its silence does not prove that the board is off")
    if not silent or console.size > heard:
        said = console.since(heard)[:80].decode("ascii", "backslashreplace")
        raise InfraError(
            f"the board still speaks after it was switched off: {said!r}",
            hint="the port stays powered, the switch is another board's, or the adapter powers the board: "
            "do not connect its 3.3 V pin",
        )


def cycle(switch: Switch, console: Console | None, seconds: float) -> float:
    """Off (proven where there is a console), `seconds` of rest, on. Returns when it was on (CLOCK_MONOTONIC)."""
    start = time.monotonic()
    if console is None:
        switch.off()
    else:
        off_proven(switch, console, quiet=max(seconds, 1.0))
    time.sleep(max(0.0, start + seconds - time.monotonic()))
    switch.on()
    return time.monotonic()


def card_to_host(mux: SdMux) -> None:
    """Connect the card to this computer. Raises InfraError."""
    call(mux.to_host)


def card_to_board(mux: SdMux) -> None:
    """Connect the card to the board. Raises InfraError."""
    call(mux.to_board)
