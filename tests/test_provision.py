# SPDX-License-Identifier: MIT
"""The provisioning script, run on this machine with its folders moved and its mounts left out."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parent.parent / "image/rootfs/usr/lib/protopi/provision"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIM2TGMxONqEoJGRTB7Ss7Ags59/1wSZLq176HQrS0isK old"


@dataclass(frozen=True, slots=True)
class Board:
    """A folder that stands for a board."""

    root: Path

    @property
    def store(self) -> Path:
        return self.root / "data/provision"

    def boot(self, lines: str | None) -> str:
        """Run the script, with a provision.txt of these lines if there are any; what it says."""
        selector = self.root / "selector"
        selector.mkdir(exist_ok=True)
        if lines is not None:
            (selector / "provision.txt").write_text(lines)
        text = SCRIPT.read_text().replace("/data/provision", str(self.store))
        text = text.replace("mount_point=/run/protopi/selector", f"mount_point={selector}")
        text = text.replace("/usr/lib/protopi/wait-data 30", "true").replace("/run/protopi/", f"{self.root}/run-")
        text, found = re.subn(r"^device=.*$", "device=none", text, flags=re.M)
        assert found == 1
        done = subprocess.run(["sh", "-c", text], capture_output=True, text=True, check=False,
                              env={**os.environ, "PATH": f"{self.root}/bin:{os.environ['PATH']}"})  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture
def board(tmp_path: Path) -> Board:
    """A board that was provisioned with a key and a network."""
    (tmp_path / "bin").mkdir()
    for name in ("mount", "umount", "hostname", "sync", "s6-svc"):
        (tmp_path / "bin" / name).write_text("#!/bin/sh\n")
        (tmp_path / "bin" / name).chmod(0o755)
    made = Board(tmp_path)
    made.store.mkdir(parents=True)
    (made.store / "authorized_keys").write_text(KEY + "\n")
    (made.store / "wifi.conf").write_text("old network\n")
    return made


def test_a_file_with_only_invalid_keys_leaves_those_that_are_there(board: Board) -> None:
    said = board.boot("ssh_key=no key\nwifi_ssid=\nwifi_psk=x\nhostname=robot\n")
    assert said.count("refused") == 3
    assert (board.store / "authorized_keys").read_text() == KEY + "\n"
    assert (board.store / "wifi.conf").read_text() == "old network\n"
    assert (board.store / "hostname").read_text() == "robot\n"


def test_valid_keys_replace_the_old_ones(board: Board) -> None:
    board.boot(f"ssh_key={KEY.replace('old', 'new')}\n")
    assert (board.store / "authorized_keys").read_text() == KEY.replace("old", "new") + "\n"
    assert (board.store / "wifi.conf").read_text() == "old network\n"
    assert not (board.root / "selector/provision.txt").exists()


def test_after_a_power_cut_between_the_renames_the_old_store_is_back(board: Board) -> None:
    board.store.rename(board.store.with_name("provision.old"))
    board.boot(None)
    assert (board.store / "authorized_keys").read_text() == KEY + "\n"


def test_a_network_is_written_so_that_no_character_of_its_name_means_anything(board: Board) -> None:
    board.boot('wifi_ssid=a"b}\nwifi_psk=' + "A1" * 32 + "\n")
    text = (board.store / "wifi.conf").read_text()
    assert "\tssid=6122627d\n" in text
    assert f"\tpsk={'A1' * 32}\n" in text
