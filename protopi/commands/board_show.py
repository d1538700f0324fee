# SPDX-License-Identifier: MIT
"""Show what a board file says, whether what it names is there, and what can be done with it. Without NAME: all boards.

Nothing is contacted and nothing secret is printed. `--json` is for programs.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from protopi import boardfile, provision
from protopi.errors import UserErrors

if TYPE_CHECKING:
    from collections.abc import Iterator

    from protopi.boardfile import BoardFile
    from protopi.project import Project
    from protopi.ui import Ui

SUMMARY = "what a board file says, and what can be done with it"


def setup(parser: argparse.ArgumentParser) -> None:
    """Arguments."""
    parser.add_argument("name", metavar="NAME", nargs="?", help="a board's name, or the path of a board file")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace, _project: Project, ui: Ui) -> int:
    """Print one board, or the names of all."""
    if arguments.name is None:
        return _all(as_json=arguments.json, ui=ui)
    board = boardfile.load(arguments.name)
    wanted = provision.of_board(board, pin=False)
    if not wanted.authorized_keys:
        ui.warn("`provision:` names no public key: nobody can log in, unless the image lets somebody in")
    document = {**_said(board), "provision": _provisioned(wanted), "can": dict(_can(board))}
    if arguments.json:
        print(json.dumps({"name": board.name, "path": str(board.path), **document}, indent=1))
        return 0
    print(f"{board.name}: {board.path}")
    for name, value in document.items():
        if isinstance(value, dict):
            print(f"{name}:")
            for key, text in value.items():
                print(f"  {key:<22}{_text(text)}")
        else:
            print(f"{name + ':':<24}{_text(value)}")
    return 0


def _all(*, as_json: bool, ui: Ui) -> int:
    folder = boardfile.default_folder()
    names = boardfile.names()
    if as_json:
        print(json.dumps({"folder": str(folder), "boards": names}, indent=1))
        return 0
    for name in names:
        try:
            board = boardfile.load(name)
            print(f"{name:<16}{board.board:<6}{'; '.join(f'{k}: {v}' for k, v in _can(board))}")
        except UserErrors as error:
            print(f"{name:<16}refused ({len(error.problems)}): ./build.py board show {name}")
    ui.say(
        f"{len(names)} board{'' if len(names) == 1 else 's'} in {folder}"
        + ("" if names else "; make one: ./build.py board new NAME")
    )
    return 0


def _said(board: BoardFile) -> dict[str, Any]:
    """What the file says, section by section; addresses of relays may hold a password and are not shown."""
    said: dict[str, Any] = {"board": board.board}
    if board.serial:
        there = Path(board.serial.device).exists()
        said["serial"] = {
            "device": board.serial.device,
            "baud": board.serial.baud,
            "state": "there" if there else "not plugged in",
        }
    power = board.power
    detail: dict[str, Any] = {"kind": power.kind}
    if power.kind == "command":
        detail |= {"on": list(power.on), "off": list(power.off)}
    elif power.kind == "uhubctl":
        detail |= {"location": power.location, "port": power.port}
    if power.kind != "none":
        detail["cycle_seconds"] = power.cycle_seconds
    said["power"] = detail
    if board.sd_mux:
        said["sd_mux"] = {"to_host": list(board.sd_mux.to_host), "to_board": list(board.sd_mux.to_board)}
    if board.ssh:
        address = f"{board.ssh.user}@{board.ssh.host}"
        port = "" if board.ssh.port == 22 else f" port {board.ssh.port}"
        said["ssh"] = {"address": address + port, "host_key": board.ssh.host_key}
    if board.card:
        said["card"] = {"serials": list(board.card.serials), "model": board.card.model or None}
    facts = {"revision": board.revision, "memory_mb": board.memory_mb, "eeprom": board.eeprom}
    said |= {key: value for key, value in facts.items() if value is not None}
    if board.labgrid:
        said["labgrid"] = {"place": board.labgrid.place, "config": board.labgrid.config}
    return said


def _provisioned(wanted: provision.Provisioning) -> dict[str, Any]:
    """What a card gets; of secrets, that they are there."""
    return {
        "hostname": wanted.hostname,
        "timezone": wanted.timezone or None,
        "authorized_keys": [_key_name(key) for key in wanted.authorized_keys],
        "wifi": [f"{network.ssid}{'' if network.psk else ' (open)'}" for network in wanted.networks],
        "country": wanted.country or None,
        "token": "given" if wanted.token else None,
        "host_key": "made anew for each card that is flashed",
    }


def _key_name(line: str) -> str:
    """A public key as its fingerprint and comment."""
    words = line.split(None, 2)
    return " ".join([provision.fingerprint(words[1]), *words[2:]])


def _can(board: BoardFile) -> Iterator[tuple[str, str]]:
    """The commands that work with a board, or what they need first."""
    lacks = [] if board.ssh else ["`ssh:`"]
    lacks += [] if board.ssh and board.ssh.host_key else ["a pinned host key (flash its card, or `board pin`)"]
    yield "run, push, log, shell", _verdict(lacks)
    lacks = [] if board.serial or board.labgrid else ["`serial:`"]
    lacks += [] if board.power.kind != "none" or board.labgrid else ["`power:`"]
    yield "gate", _verdict(lacks)
    yield "flash unattended", _verdict([] if board.card and board.card.serials else ["`card: {serials: [...]}`"])


def _verdict(lacks: list[str]) -> str:
    return f"needs {' and '.join(lacks)}" if lacks else "yes"


def _text(value: Any) -> str:
    """A value for a person."""
    if value is None:
        return "-"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "-"
    return str(value)
