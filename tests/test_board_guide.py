# SPDX-License-Identifier: MIT
"""docs/boards.md tells the truth: its example is a board file, it names every key, and its picture is up to date."""

from __future__ import annotations

import dataclasses
import re
import runpy
from pathlib import Path

import pytest

from protopi import boardfile, provision
from protopi.config import Merge
from protopi.project import Project

DOCS = Project.here().root / "docs"
GUIDE = (DOCS / "boards.md").read_text()
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIM2TGMxONqEoJGRTB7Ss7Ags59/1wSZLq176HQrS0isK me"


def test_the_example_is_a_board_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh/id_ed25519.pub").write_text(KEY + "\n")
    (tmp_path / "workshop.psk").write_text("correct horse\n")
    (tmp_path / "workshop.psk").chmod(0o600)
    example = re.search(r"```yaml\n(.*?)```", GUIDE, re.S)
    assert example
    (tmp_path / "robot-1.yaml").write_text(example[1])
    wanted = provision.of_board(boardfile.load(str(tmp_path / "robot-1.yaml")))
    assert (wanted.hostname, wanted.authorized_keys, wanted.networks[0].psk) == ("robot-1", (KEY,), "correct horse")


def test_every_key_of_a_board_file_is_explained() -> None:
    rows = "".join(re.findall(r"^\| `.*", GUIDE, re.M))
    kinds = (boardfile.BoardFile, boardfile.Serial, boardfile.Power, boardfile.SdMux, boardfile.Ssh, boardfile.Card,
             boardfile.Labgrid, boardfile.Provision, boardfile.Wifi, boardfile.Network)  # fmt: skip
    own = [f.name for kind in kinds for f in dataclasses.fields(kind) if str(Merge.NEVER.name) not in str(f.type)]
    assert len(own) > 30
    assert [name for name in own if f"`{name}`" not in rows] == []


def test_every_key_of_provision_txt_is_explained() -> None:
    script = (DOCS.parent / "image/rootfs/usr/lib/protopi/provision").read_text()
    taken = re.findall(r"^\t([a-z_]+)\)$", script.partition("\ntake() {")[2], re.M)
    text = (DOCS / "images.md").read_text().partition("## Provisioning a card")[2]
    assert len(taken) == 8
    assert [key for key in taken if f"`{key}`" not in text] == []


def test_the_picture_is_what_its_script_draws() -> None:
    assert (DOCS / "wiring.svg").read_text() == runpy.run_path(str(DOCS / "wiring.py"))["draw"]()
