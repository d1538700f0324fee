# SPDX-License-Identifier: MIT
"""The campaign "keys": every card that is provisioned is a board of its own, known by its fingerprint beforehand.

Each card goes the whole way: a key is made, laid over the image as `flash` writes it, read from the card by the board's
script, kept, and pinned in the board file; the image is not touched. That no image holds a key, and that the booted
board shows the pinned one, is in boot-tests/test_provisioned.py.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import pytest

from protopi import boardfile, layout, provision
from protopi.boot import firmware
from protopi.boot.tools import TreeTools, run
from protopi.errors import InfraError, UserError, UserErrors
from protopi.provision import Network, Patch, Provisioning
from protopi.sandbox import Bind
from tests.cards import card
from tests.provision_board import Board

CARDS = 50
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIM2TGMxONqEoJGRTB7Ss7Ags59/1wSZLq176HQrS0isK me"


@dataclass(frozen=True, slots=True)
class Provisioned:
    """One card of the campaign: what was pinned, what the board shows, and the private key."""

    pinned: str
    shown: str
    private: bytes


def shown_by(board: Board, tools: TreeTools) -> str:
    """The fingerprint of the key that the board has kept, as dropbear's own program sees it."""
    command = ["dropbearkey", "-y", "-f", "/host/kept/host_key"]
    said = run(tools, command, [Bind(board.store, "/host/kept")])
    return next(line.partition(": ")[2] for line in said.splitlines() if line.startswith("Fingerprint: "))


def written(image: Path, patches: tuple[Patch, ...], target: Path) -> Path:
    """The card as it is after flashing."""
    target.write_bytes(image.read_bytes())
    with target.open("r+b") as raw:
        for patch in patches:
            raw.seek(patch.offset)
            raw.write(patch.path.read_bytes())
    return target


def provision_one(number: int, image: Path, tools: TreeTools, folder: Path) -> Provisioned:
    """One card, from a board file to a board that has booted."""
    folder.mkdir()
    path = folder / f"robot-{number}.yaml"
    path.write_text(f"# robot {number}\nssh:\n  host: robot-{number}.lan  # in the lab\n")
    wanted = provision.with_new_key(provision.of_board(boardfile.load(str(path))), tools)
    assert wanted.host_key is not None
    patches = provision.apply(image, wanted, tools, folder)
    with firmware.Card(written(image, patches, folder / "card.img")) as flashed:
        content = flashed.fat(layout.SELECTOR).read(provision.FILE)
    assert provision.commit(boardfile.load(str(path)), wanted)
    board = Board(folder / "board").prepare()
    board.dropbear(tools)
    assert "refused" not in board.boot(content)
    pinned = boardfile.load(str(path)).ssh
    assert pinned is not None
    assert pinned.host_key is not None
    return Provisioned(pinned.host_key, shown_by(board, tools), wanted.host_key.private)


def campaign(count: int, tools: TreeTools, folder: Path) -> None:
    """`count` cards of one image."""
    image = card(folder / "image.img")
    before = hashlib.sha256(image.read_bytes()).digest()
    cards = [provision_one(number, image, tools, folder / str(number)) for number in range(count)]
    prints = {one.pinned for one in cards}
    wrong = [one for one in cards if one.pinned != one.shown]
    leaked = [one for one in cards if one.private[-64:-32] in image.read_bytes()]
    print(f"\nkeys: {count} cards, {len(prints)} fingerprints, {len(wrong)} not as pinned, {len(leaked)} in the image")
    assert len(cards) == len(prints) == count
    assert wrong == []
    assert leaked == []
    assert hashlib.sha256(image.read_bytes()).digest() == before


@pytest.fixture
def tools(tools_tree: Path) -> TreeTools:
    """The tools tree's programs."""
    return TreeTools(tools_tree)


@pytest.mark.image
def test_each_card_has_a_key_of_its_own(tools: TreeTools, tmp_path: Path) -> None:
    campaign(CARDS // 10, tools, tmp_path)


@pytest.mark.image
@pytest.mark.full
def test_each_of_all_cards_has_a_key_of_its_own(tools: TreeTools, tmp_path: Path) -> None:
    campaign(CARDS, tools, tmp_path)


@pytest.mark.image
def test_a_card_of_another_board_is_not_taken_for_this_one(tools: TreeTools, tmp_path: Path) -> None:
    """The negative control: the comparison of the campaign tells two boards apart."""
    image = card(tmp_path / "image.img")
    one, two = (provision_one(number, image, tools, tmp_path / str(number)) for number in range(2))
    assert one.pinned == one.shown
    assert one.pinned != two.shown


@pytest.mark.image
def test_a_patch_holds_the_file_and_leaves_all_others(tools: TreeTools, tmp_path: Path) -> None:
    image = card(tmp_path / "image.img", note=b"of mine")
    (tmp_path / "work").mkdir()
    wanted = Provisioning("robot", "UTC", (KEY,), "DE", (Network("lab", "correct horse"),), "a-token-of-16-characters")
    patches = provision.apply(image, wanted, tools, tmp_path / "work")
    assert [path.name for path in (tmp_path / "work").iterdir()] == [patches[0].path.name]
    assert patches[0].path.stat().st_mode & 0o777 == 0o600
    with firmware.Card(written(image, patches, tmp_path / "card.img")) as flashed:
        fat = flashed.fat(layout.SELECTOR)
        assert fat.read("provision.txt") == provision.provision_txt(wanted)
        assert fat.read("note.txt") == b"of mine"
        assert b"boot_partition=2" in fat.read("autoboot.txt")
    assert firmware.boot(tmp_path / "card.img").partition == layout.BOOT_A


@pytest.mark.image
def test_a_file_that_is_there_is_replaced(tools: TreeTools, tmp_path: Path) -> None:
    image = card(tmp_path / "image.img", provision=b"hostname=old\n")
    patches = provision.apply(image, Provisioning("new"), tools, tmp_path)
    with firmware.Card(written(image, patches, tmp_path / "card.img")) as flashed:
        assert b"hostname=new\n" in flashed.fat(layout.SELECTOR).read("provision.txt")


@pytest.mark.image
def test_a_first_partition_without_room_is_said(tools: TreeTools, tmp_path: Path) -> None:
    image = card(tmp_path / "image.img", filler=bytes((3 << 20) - 60000))
    with pytest.raises(InfraError, match="mcopy failed: Disk full"):
        provision.apply(image, Provisioning(authorized_keys=(KEY,) * 600), tools, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["image.img"]


def test_what_is_no_image_is_refused_before_a_tool_runs(tmp_path: Path) -> None:
    tools = TreeTools(tmp_path / "no tree")
    image = tmp_path / "image.img"
    image.write_bytes(bytes(1 << 20))
    with pytest.raises(UserError, match="no partition table"):
        provision.apply(image, Provisioning("robot"), tools, tmp_path)
    card(image)
    image.write_bytes(image.read_bytes()[: 2 << 20])
    with pytest.raises(UserError, match="shorter than its first partition"):
        provision.apply(image, Provisioning("robot"), tools, tmp_path)


def test_secrets_come_from_files_of_their_own_and_are_checked(tmp_path: Path) -> None:
    for name, text in (("psk", "correct horse\n"), ("token", "short\n"), ("keys", f"# mine\n{KEY}\n\nnot a key\n")):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o600)
    path = tmp_path / "robot_a.yaml"
    networks = "wifi: {country: DE, networks: [{ssid: lab, psk_file: psk}]}"
    path.write_text(f"provision:\n  {networks}\n  token_file: token\n  key_files: [keys]\n")
    with pytest.raises(UserErrors) as caught:
        provision.of_board(boardfile.load(str(path)))
    assert [problem.key for problem in caught.value.problems] == ["provision.key_files", "provision.token_file"]
    assert caught.value.problems[0].where == f"{tmp_path}/keys:4"
    (tmp_path / "token").write_text("a-token-of-16-characters\n")
    (tmp_path / "keys").write_text(f"{KEY}\n{KEY}\n")
    wanted = provision.of_board(boardfile.load(str(path)))
    assert wanted == Provisioning(
        "robot-a", "", (KEY,), "DE", (Network("lab", "correct horse"),), "a-token-of-16-characters"
    )
    assert "correct horse" not in repr(wanted)
    assert "a-token" not in repr(wanted)


def test_a_file_that_the_board_would_not_read_whole_is_refused() -> None:
    with pytest.raises(UserError, match="the board reads 65536"):
        provision.provision_txt(Provisioning(authorized_keys=(KEY + "x" * 300,) * 200))
    with pytest.raises(UserError, match="cannot be printed"):
        provision.provision_txt(Provisioning(hostname="a\nssh_key=x"))


def test_a_board_without_ssh_has_nothing_to_pin(tmp_path: Path) -> None:
    path = tmp_path / "robot.yaml"
    path.write_text("board: pi4\n")
    host_key = provision.HostKey(b"", "", "SHA256:" + "A" * 42 + "E")
    assert not provision.commit(boardfile.load(str(path)), Provisioning(host_key=host_key))
    assert path.read_text() == "board: pi4\n"
