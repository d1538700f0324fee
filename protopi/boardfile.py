# SPDX-License-Identifier: MIT
"""Board files: what a user says of one real board, in NAME.yaml outside the repository.

How to reach it (serial line, power, SSH and the key it must show), what it is (revision, memory, EEPROM), which cards
are its own, and what a card gets when it is flashed for it. Read and checked as image files are (protopi.config): every
problem at once, with file, line, key and hint. `extends:` takes what several boards share from another file.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from protopi import boardfile_checks as bc
from protopi import checks, yamledit
from protopi.config import Check, Merge, Place, read, suggest
from protopi.errors import Problem, UserError
from protopi.project import Project

#: Where board files lie by default, below the user's folder of settings.
FOLDER = Path("protopi", "boards")
Word = Annotated[str, Check(checks.check_line)]


@dataclass(frozen=True, slots=True)
class Serial:
    """The serial line: its device on this computer. The image's console runs at 115200 bits a second."""

    device: Annotated[str, Check(bc.check_device)]
    baud: Annotated[int, Check(bc.check_baud)] = 115200


@dataclass(frozen=True, slots=True)
class Power:
    """How the board is switched.

    none      a person does it
    command   `on` and `off`: programs with their arguments, run without a shell
    uhubctl   `location` and `port` of a USB hub, as uhubctl lists them
    relay     `url_on` and `url_off`: addresses that are fetched
    `cycle_seconds` is how long it stays off: capacitors have to empty.
    """

    kind: Literal["none", "command", "uhubctl", "relay"] = "none"
    on: tuple[Word, ...] = ()
    off: tuple[Word, ...] = ()
    cycle_seconds: Annotated[float, Check(bc.check_cycle)] = 2.0
    location: Annotated[str, Check(bc.check_hub)] = ""
    port: Annotated[int, Check(bc.check_hub_port)] = 0
    url_on: Annotated[str, Check(bc.check_url, secret=True)] = ""
    url_off: Annotated[str, Check(bc.check_url, secret=True)] = ""


@dataclass(frozen=True, slots=True)
class SdMux:
    """A switch that connects the card to this computer or to the board: a program for each, run without a shell."""

    to_host: tuple[Word, ...]
    to_board: tuple[Word, ...]


@dataclass(frozen=True, slots=True)
class Ssh:
    """Where SSH answers, and the fingerprint of the only host key that is believed (`flash` writes it)."""

    host: Annotated[str, Check(bc.check_host)]
    port: Annotated[int, Check(bc.check_port)] = 22
    user: Annotated[str, Check(checks.check_account)] = "root"
    host_key: Annotated[str, Check(bc.check_fingerprint)] | None = None


@dataclass(frozen=True, slots=True)
class Card:
    """The board's cards: serials as `flash --list` shows them (of the card, or of its reader), and what they are.

    A registered serial is flashed without a question where there is no terminal, and may be of an eMMC or of a card of
    more than 256 GB.
    """

    serials: tuple[Annotated[str, Check(bc.check_serial)], ...] = ()
    model: Word = ""


@dataclass(frozen=True, slots=True)
class Labgrid:
    """A place of a labgrid coordinator that holds the board; `config`: labgrid's environment file, if it needs one."""

    place: Annotated[str, Check(bc.check_place)]
    config: str | None = None


@dataclass(frozen=True, slots=True)
class Network:
    """A wireless network. The passphrase is here, or the first line of `psk_file`; without either it is an open one."""

    ssid: Annotated[str, Check(checks.check_ssid)]
    psk: Annotated[str, Check(checks.check_psk, secret=True)] = field(default="", repr=False)
    psk_file: Annotated[Path, Check(checks.check_file)] | None = None


@dataclass(frozen=True, slots=True)
class Wifi:
    """Wireless networks, and the country whose radio rules apply."""

    country: Annotated[str, Check(checks.check_country)]
    networks: tuple[Network, ...] = ()


@dataclass(frozen=True, slots=True)
class Provision:
    """What a card gets when it is flashed for this board; `protopi.provision` puts it there.

    hostname          without one, the name of the board file (`_` becomes `-`)
    authorized_keys   public keys; `key_files`: files that hold them, as ~/.ssh/id_ed25519.pub
    token             a secret of the board's for the network, or the first line of `token_file`
    """

    hostname: Annotated[str, Check(checks.check_hostname)] = ""
    timezone: Annotated[str, Check(checks.check_timezone)] | None = None
    authorized_keys: tuple[Annotated[str, Check(checks.check_public_key, secret=True)], ...] = ()
    key_files: tuple[Annotated[Path, Check(checks.check_file)], ...] = ()
    wifi: Wifi | None = None
    token: Annotated[str, Check(bc.check_token, secret=True)] = field(default="", repr=False)
    token_file: Annotated[Path, Check(checks.check_file)] | None = None


@dataclass(frozen=True, slots=True)
class BoardFile:
    """One board: everything that a user can say of it. `name` and `path` are the file's own."""

    board: str = "pi4"
    serial: Serial | None = None
    power: Power = field(default_factory=Power)
    sd_mux: SdMux | None = None
    ssh: Ssh | None = None
    card: Card | None = None
    revision: Annotated[str, Check(bc.check_revision)] | None = None
    memory_mb: Annotated[int, Check(bc.check_memory)] | None = None
    eeprom: Annotated[str, Check(bc.check_date)] | None = None
    labgrid: Labgrid | None = None
    provision: Provision = field(default_factory=Provision)
    name: Annotated[str, Merge.NEVER] = ""
    path: Annotated[Path, Merge.NEVER] = Path()


def default_folder() -> Path:
    """Where the user's board files lie: $XDG_CONFIG_HOME/protopi/boards, else ~/.config/protopi/boards."""
    base = os.environ.get("XDG_CONFIG_HOME", "")
    # The XDG specification: a path that is not absolute is to be ignored.
    return (Path(base) if base.startswith("/") else Path.home() / ".config") / FOLDER


def names(folder: Path | None = None) -> list[str]:
    """The boards of a folder."""
    return sorted(path.stem for path in (folder or default_folder()).glob("*.yaml"))


def find(word: str, beside: Path, folder: Path) -> Path:
    """The file of a board: a path that ends in .yaml (relative to `beside`), or a name in `folder`.

    Raises UserError with a suggestion when there is none.
    """
    # A name that no file can have (too long, a NUL, an unknown ~user) is a file that is not there.
    with contextlib.suppress(OSError, RuntimeError, ValueError):
        path = (
            beside / Path(word).expanduser()
            if word.endswith((".yaml", ".yml"))
            else folder / f"{word}.yaml"
            if not checks.check_name(word)
            else None
        )
        if path is not None and path.is_file():
            return path.resolve()
    if word.endswith((".yaml", ".yml")):
        raise UserError(f"there is no board file {beside / word}", hint="make one: ./build.py board new NAME")
    known = names(folder)
    hint = suggest(word, known) or (f"boards: {', '.join(known)}" if known else "")
    raise UserError(
        f"there is no board `{word}` in {folder}",
        hint="; ".join(filter(None, (hint, "make one: ./build.py board new NAME"))),
    )


def load(name_or_path: str, *, folder: Path | None = None) -> BoardFile:
    """Read a board file by name (in `folder`, by default the user's own) or by path. Raises UserErrors."""
    home = folder or default_folder()
    path = find(name_or_path, Path.cwd(), home)

    def check(board: BoardFile, places: Mapping[str, Place], problems: list[Problem]) -> BoardFile:
        if expected := checks.check_name(path.stem):
            problems.append(Problem(f"a board file is named after its board: expected {expected}", where=str(path)))
        known = Project.here().boards()
        if board.board not in known:
            hint = suggest(board.board, known) or "boards: " + ", ".join(known)
            problems.append(bc.at(places, "board", f"there is no board `{board.board}`", hint))
        problems += bc.check_timezone_known(board.provision.timezone, places)
        problems += bc.check_power(board.power, places)
        problems += bc.check_memory_fits(board.revision, board.memory_mb, places)
        problems += bc.check_argv(board, places)
        problems += _check_secrets(board.provision, places)
        return board

    return read(
        path,
        BoardFile,
        lambda word, child: find(word, child.parent, home),
        {"name": path.stem, "path": path},
        check,
    )


def _check_secrets(wanted: Provision, places: Mapping[str, Place]) -> list[Problem]:
    """One source for each secret; and files that hold one are their owner's alone, as OpenSSH wants it of its keys."""
    problems = []
    secrets: list[tuple[str, str, Path | None]] = [("provision.token", wanted.token, wanted.token_file)]
    for index, network in enumerate(wanted.wifi.networks if wanted.wifi else ()):
        secrets.append((f"provision.wifi.networks[{index}].psk", network.psk, network.psk_file))
    open_files: dict[Path, str] = {}
    for key, inline, outside in secrets:
        if inline and outside:
            problems.append(bc.at(places, f"{key}_file", f"`{key}` is there too", "leave one of the two out"))
        if inline and key in places:
            open_files.setdefault(places[key].file, key)
        if outside:
            open_files.setdefault(outside, f"{key}_file")
    for path, key in open_files.items():
        if path.is_file() and stat.S_IMODE(path.stat().st_mode) & 0o077:
            problems.append(bc.at(places, key, f"others may read {path}, which holds a secret", f"chmod 600 {path}"))
    return problems


def update(path: Path, **values: str | int) -> None:
    """Set single values (`**{"ssh.host_key": ...}`) in a board file, in one step; comments and order stay.

    Raises UserError when they cannot be set in place.
    """
    yamledit.update_file(path, values)


def rehearse(path: Path, **values: str | int) -> None:
    """Raise what `update` would raise, and write nothing."""
    yamledit.changed(path, values)
    if not os.access(path.resolve().parent, os.W_OK):
        raise UserError("cannot be changed: its folder is read-only", where=str(path), hint="make it writable")
