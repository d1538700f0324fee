# SPDX-License-Identifier: MIT
"""The board's half of provisioning: its script, run on this machine with its folders moved and its mounts left out.

boot-tests/test_provisioned.py runs it where it belongs, on a booted image with that image's own shell.
"""

from __future__ import annotations

import base64
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from protopi import provision
from protopi.boot.tools import TreeTools
from protopi.provision import Network, Provisioning
from tests.provision_board import FOLDER, Board

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIM2TGMxONqEoJGRTB7Ss7Ags59/1wSZLq176HQrS0isK old"
TOKEN = "t0ken-of-16-chars"


@pytest.fixture
def board(tmp_path: Path) -> Board:
    """A board that was provisioned with a key and a network."""
    made = Board(tmp_path).prepare()
    made.program("sync")
    made.store.mkdir(parents=True)
    (made.store / "authorized_keys").write_text(KEY + "\n")
    (made.store / "wifi.conf").write_text("old network\n")
    return made


@pytest.fixture
def tools(tools_tree: Path) -> TreeTools:
    """The tools tree's programs."""
    return TreeTools(tools_tree)


@pytest.fixture
def with_dropbear(board: Board, tools: TreeTools) -> Board:
    """The board, with the real dropbearkey."""
    board.dropbear(tools)
    return board


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
    assert not board.file.exists()


def test_after_a_power_cut_between_the_renames_the_old_store_is_back(board: Board) -> None:
    board.store.rename(board.store.with_name("provision.old"))
    board.boot(None)
    assert (board.store / "authorized_keys").read_text() == KEY + "\n"


def test_a_network_is_written_so_that_no_character_of_its_name_means_anything(board: Board) -> None:
    board.boot('wifi_ssid=a"b}\nwifi_psk=' + "A1" * 32 + "\n")
    text = (board.store / "wifi.conf").read_text()
    assert "\tssid=6122627d\n" in text
    assert f"\tpsk={'A1' * 32}\n" in text


def test_a_country_alone_leaves_the_networks(board: Board) -> None:
    board.boot("wifi_country=DE\n")
    assert (board.store / "wifi.conf").read_text() == "old network\n"
    assert (board.store / "wifi_country").read_text() == "country=DE\n"


def test_all_that_a_board_file_can_say_is_taken(board: Board) -> None:
    wanted = Provisioning("robot", "", (KEY,), "DE", (Network("höme", "pass phrase"), Network("open")), TOKEN)
    said = board.boot(provision.provision_txt(wanted))
    assert "refused" not in said
    found = {path.name: path.read_text() for path in board.store.iterdir()}
    networks = [("höme", '\tpsk="pass phrase"\n'), ("open", "\tkey_mgmt=NONE\n")]
    assert found == {
        "hostname": "robot\n",
        "authorized_keys": KEY + "\n",
        "wifi_country": "country=DE\n",
        "wifi.conf": "".join(
            f"network={{\n\tssid={name.encode().hex()}\n\tscan_ssid=1\n{rest}}}\n" for name, rest in networks
        ),
        "token": TOKEN + "\n",
    }


def test_what_is_kept_is_for_root_alone(board: Board) -> None:
    board.boot(f"token={TOKEN}\nwifi_ssid=x\nwifi_psk=pass phrase\n")
    assert stat.S_IMODE(board.store.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in board.store.iterdir()} == {0o600}


@pytest.mark.parametrize(
    "line",
    [
        "token=short",
        "token=with a blank inside it",
        f"token={'x' * 257}",
        "ssh_host_key=AAAA",
        "ssh_host_key=$(touch owned)",
        "ssh_key=ssh-ed25519 AAAA",
        f"ssh_key={KEY[:60]};{KEY[61:]}",
        f'ssh_key=command="x" {KEY}',
        "hostname=-robot",
        "hostname=a" + "b" * 63,
        "timezone=../../etc/passwd",
        "timezone=Nowhere/Land",
        "wifi_country=de",
        f"wifi_ssid={'x' * 33}",
        "wifi_psk=no network before it",
        "root_password=hunter22",
        "no pair at all",
        "token=\x1b]0;escape\x07 and more of it",
    ],
)
def test_a_line_that_is_refused_never_makes_the_rest_fail(board: Board, line: str) -> None:
    board.program("dropbearkey", "exit 1")
    before = board.kept()
    said = board.boot(f"{line}\nhostname=after\n")
    assert said.count("provision.txt:1: refused: ") == 1
    assert board.kept() == {**before, "hostname": b"after\n"}
    assert not board.file.exists()


def test_the_log_never_shows_a_secret(board: Board) -> None:
    board.program("dropbearkey", "exit 1")
    secret = "SeCrEt-that-is-too-long-or-wrong-" * 9
    said = board.boot(f"token={secret}\nssh_host_key={secret}\n{secret}=x\n{secret}\nwifi_ssid=x\nwifi_psk={secret}\n")
    assert said.count("refused") == 5
    assert "SeCrEt" not in said


def test_a_file_that_is_too_long_is_taken_up_to_its_last_whole_line(board: Board) -> None:
    line = f"ssh_key={KEY}\n"
    said = board.boot(line * (provision.MOST // len(line) + 2))
    assert "only whole lines" in said
    assert set((board.store / "authorized_keys").read_text().splitlines()) == {KEY}


def test_the_bytes_of_the_file_are_overwritten_before_it_is_removed(board: Board) -> None:
    board.program("rm", f'case $* in *provision.txt) cp "{board.file}" "{board.root}/last" ;; esac; exec /bin/rm "$@"')
    board.boot(f"token={TOKEN}\nhostname=robot\n")
    assert (board.root / "last").read_bytes() == bytes(len(f"token={TOKEN}\nhostname=robot\n"))
    assert not board.file.exists()


def test_a_power_cut_after_the_overwriting_changes_nothing(board: Board) -> None:
    before = board.kept()
    said = board.boot(bytes(600))
    assert board.kept() == before
    assert not board.file.exists(), said


OLD = {"authorized_keys": KEY.encode() + b"\n", "wifi.conf": b"old network\n"}
NEW = {**OLD, "hostname": b"robot\n", "token": TOKEN.encode() + b"\n"}


def sweep(folder: Path, edit: Callable[[str], str] = str, enough: int = 1000) -> tuple[int, list[str]]:
    """Cut the power before and after each step that changes a file: how many cuts, and the bad ones, `enough` at most.

    Bad: what is there is neither all old nor all new, or the next boot does not get to all new.
    """
    bad: list[str] = []
    cuts = 0
    for number in range(1, 1000):
        for when in ("before", "after"):
            board = Board(folder / f"{number}-{when}").prepare()
            board.cuts()
            board.store.mkdir()
            for name, content in OLD.items():
                (board.store / name).write_bytes(content)
            cut = board.start(f"hostname=robot\ntoken={TOKEN}\n", cut=f"{number}-{when}", edit=edit)
            if cut.returncode == 0 or len(bad) >= enough:
                return cuts, bad
            cuts += 1
            assert cut.returncode == -9, cut.stderr
            between = board.kept()
            if between not in ({}, OLD, NEW) or (not between and not board.store.with_name("provision.old").is_dir()):
                bad.append(f"{number}-{when}: {sorted(between)}")
            again = board.start(None, edit=edit)
            if again.returncode or board.kept() != NEW or board.file.exists():
                bad.append(f"{number}-{when}, next boot: {sorted(board.kept())} {again.stderr}")
    raise AssertionError("the script never ends")


def test_a_power_cut_at_any_step_leaves_all_old_or_all_new_and_the_next_boot_gets_there(tmp_path: Path) -> None:
    cuts, bad = sweep(tmp_path)
    print(f"\nprovisioning: {cuts} power cuts, {len(bad)} bad")
    assert cuts > 20
    assert bad == []


def test_the_sweep_finds_a_script_that_forgets_the_old_store(tmp_path: Path) -> None:
    _, bad = sweep(tmp_path, lambda text: text.replace("\trestore\n", "\t:\n"), enough=1)
    assert any("next boot" in line for line in bad)


def test_without_a_data_partition_nothing_is_taken_and_nobody_waits(board: Board) -> None:
    said = board.boot("hostname=robot\n", data=False)
    assert "no data partition" in said
    assert board.file.exists()
    assert not (board.store / "hostname").exists()


def test_those_who_wait_for_provisioning_go_on_once_it_is_through(tmp_path: Path) -> None:
    done = tmp_path / "provisioned"
    text = (FOLDER / "wait-provisioned").read_text().replace("/run/protopi/provisioned", str(done))
    text = text.replace("usleep 200000", f": > {done}.asked")
    late = subprocess.run(["sh", "-c", text, "wait-provisioned", "1"], capture_output=True, text=True, check=False)
    assert (late.returncode, "not through after 1 s" in late.stdout) == (1, True)
    done.touch()
    ready = subprocess.run(["sh", "-c", text, "wait-provisioned", "1"], capture_output=True, text=True, check=False)
    assert (ready.returncode, ready.stdout) == (0, "")


def test_nothing_restarts_a_service_after_provisioning() -> None:
    """The gate counts a service that had to be started again as a fault: a provisioned first boot must have none."""
    assert "s6-svc" not in (FOLDER / "provision").read_text()
    for name, reads in (("ssh", "/data/provision"), ("wifi", "/data/provision"), ("dhcp-run", "$(hostname)")):
        code = "".join(line for line in (FOLDER / name).read_text().splitlines(True) if not line.startswith("#"))
        assert code.index("/usr/lib/protopi/wait-provisioned") < code.index(reads)


@pytest.mark.image
def test_a_host_key_made_at_flash_time_is_the_one_that_the_board_keeps(with_dropbear: Board, tools: TreeTools) -> None:
    wanted = provision.with_new_key(Provisioning(hostname="robot"), tools)
    assert wanted.host_key is not None
    said = with_dropbear.boot(provision.provision_txt(wanted))
    assert "refused" not in said
    kept = with_dropbear.store / "host_key"
    assert kept.read_bytes() == wanted.host_key.private
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600


@pytest.mark.image
@pytest.mark.parametrize("damage", [lambda raw: raw[:-1], lambda raw: b"", lambda raw: b"\0\0\0\x07ssh-rsa" + raw[15:]])
def test_a_damaged_host_key_is_refused(with_dropbear: Board, tools: TreeTools, damage: object) -> None:
    assert callable(damage)
    raw = damage(provision.new_host_key(tools).private)
    said = with_dropbear.boot(b"ssh_host_key=" + base64.b64encode(raw) + b"\nhostname=robot\n")
    assert said.count("refused") == 1
    assert {path.name for path in with_dropbear.store.iterdir()} == {"authorized_keys", "wifi.conf", "hostname"}
