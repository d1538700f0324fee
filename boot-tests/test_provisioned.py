# SPDX-License-Identifier: MIT
"""A card that was provisioned as it was flashed: its first boot passes the gate, the board is who it should be."""

from __future__ import annotations

import base64
import shutil
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from protopi import boardfile, layout, provision, ssh
from protopi.boot import firmware, judge
from protopi.boot.gate import gate
from protopi.boot.qemu import Machine, Options
from protopi.boot.record import settled_services
from protopi.errors import InfraError, UserError
from protopi.project import Project
from protopi.provision import Network, Provisioning
from tests.secrets import scan

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import BuiltImage

    from protopi.boardfile import BoardFile

    Built = Callable[[str], BuiltImage]

pytestmark = pytest.mark.image
BOOT = 120.0
TOKEN, PSK = "a-token-for-the-network", "correct horse battery"


def card(image: BuiltImage, wanted: Provisioning, folder: Path) -> Path:
    """A copy of the image with its patches laid on, as `flash` writes it."""
    folder.mkdir(exist_ok=True)
    copy = folder / "card.img"
    shutil.copyfile(image.path, copy)
    with copy.open("r+b") as raw:
        for patch in provision.apply(image.path, wanted, image.tools, folder):
            raw.seek(patch.offset)
            raw.write(patch.path.read_bytes())
    return copy


@dataclass(frozen=True, slots=True)
class Own:
    """A user's key pair: the private key's file, and the public line."""

    path: Path
    public: str


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Own:
    """A key that no image lets in."""
    secret = Ed25519PrivateKey.generate()
    form = serialization.PrivateFormat.OpenSSH
    path = tmp_path_factory.mktemp("own") / "id_ed25519"
    path.write_bytes(secret.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
    openssh = serialization.PublicFormat.OpenSSH
    return Own(path, secret.public_key().public_bytes(serialization.Encoding.OpenSSH, openssh).decode())


@dataclass(frozen=True, slots=True)
class Seen:
    """What two boots of one provisioned card showed; `refused`: what was said where another key was pinned."""

    wanted: Provisioning
    told: tuple[str, ...]
    faults: tuple[str, ...]
    console: bytes
    answers: dict[str, str]
    refused: str
    card: Path


ASKED = {
    "hostname": "hostname",
    "kept": "ls -1 /data/provision",
    "modes": "stat -c %a /data/provision /data/provision/*",
    "token": "cat /data/provision/token",
    "zone": "readlink /run/protopi/localtime",
    "made": "ls /data/ssh 2> /dev/null; true",
    "wifi": "cat /data/provision/wifi.conf /data/provision/wifi_country",
    "refused": "cat /data/log/provision/* | grep -c refused; true",
}


def answers_of(board: BoardFile, own: Own) -> dict[str, str]:
    """Log in as `board run` does, once the board's network is up; what the commands print."""
    end = time.monotonic() + 180  # a busy host: QEMU with four processors gets what is left
    while True:
        try:
            session = ssh.connect(board, own.path)
            break
        except InfraError:
            if time.monotonic() > end:
                raise
            time.sleep(0.5)
    with session:
        found = {name: session.ask(command) for name, command in ASKED.items()}
    assert {name: status for name, (status, _, _) in found.items() if status} == {}
    return {name: text.strip() for name, (_, text, _) in found.items()}


@pytest.fixture(scope="module")
def seen(built: Built, own: Own, free_port: Callable[[], int], tmp_path_factory: pytest.TempPathFactory) -> Seen:
    """A virt image that was provisioned from a board file, booted twice and logged in to with the pinned key."""
    image, port = built("virt"), free_port()
    folder = tmp_path_factory.mktemp("provisioned")
    path = folder / "bench-7.yaml"
    path.write_text(
        f"board: virt\nssh: {{host: 127.0.0.1, port: {port}}}\nprovision:\n  timezone: Europe/Berlin\n"
        f"  key_files: [{own.path}.pub]\n  token: {TOKEN}\n"
        f"  wifi: {{country: DE, networks: [{{ssid: lab, psk: {PSK}}}]}}\n"
    )
    path.chmod(0o600)
    own.path.with_suffix(".pub").write_text(f"{own.public} boot-tests\n")
    wanted = provision.with_new_key(provision.of_board(boardfile.load(str(path))), image.tools)
    copy = card(image, wanted, folder)
    assert provision.commit(boardfile.load(str(path)), wanted)
    board = boardfile.load(str(path))
    assert board.ssh is not None
    other = replace(board, ssh=replace(board.ssh, host_key=provision.new_host_key(image.tools).fingerprint))
    told: list[str] = []
    faults: list[str] = []
    answers: dict[str, str] = {}
    refused, console = "", b""
    for _ in range(2):
        options = Options(realtime=True, keep=True, forward=((port, 22),))
        with Machine(copy, image.board, image.tools, options) as machine:
            assert machine.console.wait_marker(BOOT) is not None, machine.console.tail()
            answers = answers_of(board, own)
            with pytest.raises(UserError) as caught:
                ssh.connect(other, own.path)
            refused = str(caught.value)
            told.append(machine.console.get("hostkey", seconds=30).decode().strip())
            faults += judge.service_faults(judge.parse_services(settled_services(machine.console)))
            console += machine.console.raw
    return Seen(wanted, tuple(told), tuple(faults), console, answers, refused, copy)


def test_the_first_connection_is_verified_and_so_are_all_others(seen: Seen) -> None:
    """The fixture has logged in on both boots with the fingerprint that was pinned before the card was ever booted."""
    assert seen.wanted.host_key is not None
    assert seen.told == (seen.wanted.host_key.fingerprint,) * 2  # what the board says on its console
    assert seen.answers["made"] == ""  # it made no key of its own
    assert b"@hostkey" not in seen.console


def test_a_board_that_shows_another_key_than_the_pinned_one_is_refused(seen: Seen) -> None:
    assert seen.wanted.host_key is not None
    assert "another host key" in seen.refused
    assert f"shown:  {seen.wanted.host_key.fingerprint}" in seen.refused


def test_a_provisioned_first_boot_restarts_nothing(seen: Seen) -> None:
    assert seen.faults == ()


def test_all_that_was_wanted_is_there_and_root_alone_can_read_it(seen: Seen) -> None:
    assert seen.answers["hostname"] == "bench-7"
    assert seen.answers["zone"] == "/usr/share/zoneinfo/Europe/Berlin"
    assert seen.answers["token"] == TOKEN
    assert seen.answers["kept"].split() == [
        "authorized_keys", "host_key", "hostname", "timezone", "token", "wifi.conf", "wifi_country",
    ]  # fmt: skip
    assert f'psk="{PSK}"' in seen.answers["wifi"]
    assert seen.answers["wifi"].endswith("country=DE")
    assert set(seen.answers["modes"].split()) == {"700", "600"}
    assert seen.answers["refused"] == "0"


def test_after_the_first_boot_the_first_partition_holds_no_secret_not_even_in_free_blocks(
    seen: Seen, built: Built, tmp_path: Path
) -> None:
    assert seen.wanted.host_key is not None
    secrets = [TOKEN.encode(), PSK.encode(), base64.b64encode(seen.wanted.host_key.private)]

    def found(path: Path) -> list[bool]:
        with firmware.Card(path) as opened:
            part = opened.partition(layout.SELECTOR)
            assert opened.fat(layout.SELECTOR).exists("provision.txt") == (path != seen.card)
        with path.open("rb") as raw:
            raw.seek(part.offset)
            content = raw.read(part.size)
        return [secret in content for secret in secrets]

    assert found(seen.card) == [False] * 3
    assert found(card(built("virt"), seen.wanted, tmp_path)) == [True] * 3  # the search finds what is there


@pytest.mark.parametrize("name", ["pi4", "virt"])
def test_the_gate_passes_a_provisioned_card(name: str, built: Built, own: Own, tmp_path: Path) -> None:
    image = built(name)
    wanted = Provisioning("bench-7", "Europe/Berlin", (own.public,), "DE", (Network("lab", PSK),), TOKEN)
    copy = card(image, provision.with_new_key(wanted, image.tools), tmp_path)
    result = gate(
        copy,
        image.board,
        image.tools,
        image.plugin,
        name=name,
        boots=1,
        budget_file=Project.here().root / "boot-tests" / "budgets.yaml",
    )
    assert result.reasons == ()
    assert result.first_boot is not None
    assert result.second_boot is not None


@pytest.mark.parametrize("name", ["pi4", "virt"])
def test_an_image_holds_no_private_key_and_no_machine_s_identity(name: str, built: Built, tmp_path: Path) -> None:
    assert scan(built(name).path, built(name).tools, tmp_path) == []


def test_the_search_for_keys_finds_those_of_a_provisioned_card(built: Built, tmp_path: Path) -> None:
    image = built("virt")
    wanted = provision.with_new_key(Provisioning(), image.tools)
    copy = card(image, wanted, tmp_path / "card")
    (tmp_path / "scan").mkdir()
    found = scan(copy, image.tools, tmp_path / "scan")
    assert "p1:/provision.txt: dropbear's Ed25519 key in base64" in found
    assert any(line.startswith("byte ") for line in found)
