# SPDX-License-Identifier: MIT
"""Board files: what is wrong is said all at once, with file, line, key and a hint; the texts are golden files.

`PROTOPI_GOLDEN=1 ./build.py test unit` writes the golden files anew; look at the difference before you commit it.
"""

from __future__ import annotations

import argparse
import json
import os
import stat
import threading
from pathlib import Path

import pytest

from protopi import boardfile, provision
from protopi.boardfile import BoardFile, Card, Power, Serial, Ssh, load
from protopi.boardfile_checks import check_host, check_revision, check_serial, check_url, memory_of
from protopi.commands import board_new, board_show
from protopi.errors import UserError, UserErrors
from protopi.project import Project
from protopi.ui import Ui
from protopi.yamledit import set_values

BAD = sorted((Path(__file__).parent / "bad-boards").glob("*.yaml"))
PIN = "SHA256:" + "A" * 42 + "E"
OTHER = "SHA256:" + "B" * 42 + "E"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIM2TGMxONqEoJGRTB7Ss7Ags59/1wSZLq176HQrS0isK me"
FULL = f"""\
board: pi4
serial: {{device: /dev/serial/by-id/usb-FTDI-if00-port0, baud: 115200}}
power: {{kind: command, on: [pdu, "on"], off: [pdu, "off"], cycle_seconds: 3}}
sd_mux: {{to_host: [mux, host], to_board: [mux, dut]}}
ssh: {{host: robot.lan, port: 2222, user: root, host_key: {PIN}}}
card: {{serials: ["0x1a2b3c4d"], model: SanDisk Extreme}}
revision: c03114
memory_mb: 4096
eeprom: 2025-05-08
labgrid: {{place: shelf-3}}
provision:
  timezone: Europe/Berlin
  authorized_keys: [{KEY}]
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's folder of board files, empty, in a home of its own."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    made = tmp_path / "config/protopi/boards"
    made.mkdir(parents=True)
    return made


def write(folder: Path, text: str, name: str = "robot") -> Path:
    path = folder / f"{name}.yaml"
    path.write_text(text)
    path.chmod(0o600)
    return path


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_a_bad_board_file_is_refused_with_every_problem_in_the_golden_words(path: Path, tmp_path: Path) -> None:
    copies = tmp_path / "boards"
    copies.mkdir()
    for one in BAD:  # the rights of a file with a secret are checked: a clone's umask must not decide
        (copies / one.name).write_text(one.read_text())
        (copies / one.name).chmod(0o644)
    with pytest.raises(UserErrors) as caught:
        load(str(copies / path.name), folder=copies)
    said = str(caught.value).replace(str(copies), "BOARDS") + "\n"
    golden = path.with_suffix(".expected")
    if os.environ.get("PROTOPI_GOLDEN"):
        golden.write_text(said)
    assert said == golden.read_text()
    assert caught.value.exit_code == 2


def test_every_problem_is_named_at_once_with_its_line() -> None:
    with pytest.raises(UserErrors) as caught:
        load(str(Path(__file__).parent / "bad-boards" / "wrong-types.yaml"))
    keys = {problem.key.split(".")[0] for problem in caught.value.problems}
    assert keys == {
        "board", "serial", "power", "sd_mux", "ssh", "card", "revision", "memory_mb", "eeprom", "labgrid", "provision",
    }  # fmt: skip
    assert all(problem.where.count(":") == 1 for problem in caught.value.problems)


def test_a_whole_board_file_is_read(folder: Path) -> None:
    path = write(folder, FULL)
    board = load("robot")
    assert (board.name, board.path, board.board) == ("robot", path, "pi4")
    assert board.serial == Serial("/dev/serial/by-id/usb-FTDI-if00-port0", 115200)
    assert board.power == Power("command", ("pdu", "on"), ("pdu", "off"), 3.0)
    assert board.ssh == Ssh("robot.lan", 2222, "root", PIN)
    assert board.card == Card(("0x1a2b3c4d",), "SanDisk Extreme")
    assert (board.revision, board.memory_mb, board.eeprom) == ("c03114", 4096, "2025-05-08")
    assert board.provision.authorized_keys == (KEY,)


def test_the_smallest_board_file_has_defaults_for_the_rest(folder: Path) -> None:
    path = write(folder, "board: pi4\n")
    assert load("robot") == BoardFile(name="robot", path=path)


def test_what_several_boards_share_stands_in_one_file(folder: Path) -> None:
    write(folder, "provision:\n  wifi: {country: DE, networks: [{ssid: lab, psk: correct horse}]}\n", "lab")
    write(folder, "extends: lab\nssh: {host: a.lan}\n", "a")
    wifi = load("a").provision.wifi
    assert wifi is not None
    assert (wifi.country, wifi.networks[0].ssid, wifi.networks[0].psk) == ("DE", "lab", "correct horse")


def test_a_board_that_does_not_exist_suggests_one(folder: Path) -> None:
    write(folder, "board: pi4\n")
    with pytest.raises(UserError, match="did you mean `robot`"):
        load("robt")
    with pytest.raises(UserError, match=r"make one: \./build\.py board new"):
        load("../../etc/passwd")


@pytest.mark.parametrize(
    "text", ["token: a-token-of-16-characters", "wifi: {country: DE, networks: [{ssid: x, psk: passphrase}]}"]
)
def test_a_file_with_a_secret_that_others_may_read_is_refused(folder: Path, text: str) -> None:
    path = write(folder, f"provision:\n  {text}\n")
    load("robot")
    path.chmod(0o640)
    with pytest.raises(UserErrors, match=f"chmod 600 {path}"):
        load("robot")


def test_a_file_without_a_secret_may_be_read_by_others(folder: Path) -> None:
    write(folder, FULL).chmod(0o644)
    assert load("robot").name == "robot"


def test_no_secret_is_ever_in_a_message_or_in_a_repr(folder: Path) -> None:
    write(folder, "provision:\n  token: SeCrEt\n  wifi: {country: DE, networks: [{ssid: x, psk: SeCrEt}]}\n")
    with pytest.raises(UserErrors) as caught:
        load("robot")
    assert len(caught.value.problems) == 2
    assert "SeCrEt" not in str(caught.value)
    write(folder, "provision:\n  token: SeCrEt-of-16-characters\n")
    assert "SeCrEt" not in repr(load("robot"))


@pytest.mark.parametrize(
    ("value", "good"),
    [("robot", 1), ("robot.lan", 1), ("10.0.0.7", 1), ("fe80::1", 1), ("10.0.0", 0), ("a b", 0), ("-x", 0), ("", 0)],
)
def test_hosts(value: str, good: int) -> None:
    assert bool(check_host(value)) != bool(good)


@pytest.mark.parametrize(
    ("value", "good"),
    [
        ("http://r/on", 1),
        ("https://u:p@r:80/x?a=b", 1),
        ("r/on", 0),
        ("file:///x", 0),
        ("http://", 0),
        ("http://r:x/", 0),
    ],
)
def test_addresses_of_relays(value: str, good: int) -> None:
    assert bool(check_url(value)) != bool(good)


@pytest.mark.parametrize("value", ["", "0", "0000000000", "000-000", "aaaa", "abc"])
def test_a_serial_that_tells_nothing_apart_never_authorises_a_disk(value: str) -> None:
    assert check_serial(value)
    assert not check_serial("0123456789ABCDEF")  # it may be another reader's too: `flash` refuses two of a kind


@pytest.mark.parametrize(
    ("code", "memory"),
    [("a03111", 1024), ("b03115", 2048), ("c03114", 4096), ("d03114", 8192), ("c03130", 4096)],
)
def test_a_revision_code_states_the_memory(code: str, memory: int) -> None:
    """Codes and sizes: Raspberry Pi documentation, "Raspberry Pi revision codes"; c03130 is a Pi 400."""
    assert memory_of(code) == memory
    assert not check_revision(code)
    assert check_revision("a02082")  # a Pi 3 B


COMMENTED = """\
# my board
ssh:            # how to reach it
  host: robot   # its name
  # host_key: goes here
power: {kind: none}

eeprom: 2024-01-01  # old
"""


def test_an_update_changes_one_value_and_no_other_byte(folder: Path) -> None:
    path = write(folder, COMMENTED)
    boardfile.update(path, **{"ssh.host_key": PIN, "eeprom": "2025-05-08"})
    assert path.read_text() == COMMENTED.replace("  host: robot", f"  host_key: {PIN}\n  host: robot").replace(
        "2024-01-01", "2025-05-08"
    )
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    boardfile.update(path, **{"ssh.host_key": OTHER})
    assert path.read_text().count("SHA256") == 1
    board = load("robot")
    assert board.ssh is not None
    assert (board.ssh.host_key, board.eeprom) == (OTHER, "2025-05-08")
    assert [item.name for item in folder.iterdir()] == ["robot.yaml"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "ssh:\n  host_key: {}\n"),
        ("# nothing yet\n", "# nothing yet\nssh:\n  host_key: {}\n"),
        ("ssh:\n", "ssh:\n  host_key: {}\n"),
        ("ssh:  # later\nboard: pi4", "ssh:  # later\n  host_key: {}\nboard: pi4"),
        ("ssh:\n    host: a\n", "ssh:\n    host_key: {}\n    host: a\n"),
        ("ssh: {host: a}", "ssh: {host_key: {}, host: a}"),
        ("ssh: {}", "ssh: {host_key: {}}"),
        ("board: pi4", "board: pi4\nssh:\n  host_key: {}\n"),
        ("ssh:\n  host_key: 'x'  # old\n", "ssh:\n  host_key: {}  # old\n"),
        ("ssh:\n  host_key:\n  host: a\n", "ssh:\n  host_key: {}\n  host: a\n"),
        ("{board: pi4}", "{ssh: {host_key: {}}, board: pi4}"),
        ("ssh:\n  host_key: |\n    old\n  host: a\n", None),
        ("a: &x {host: y}\nssh: *x\n", None),
        ("a: &x y\nssh: {host_key: *x}\n", None),
        ("ssh: text\n", None),
        ("- a\n", None),
    ],
)
def test_a_value_is_set_in_any_style_or_nothing_is_written(folder: Path, text: str, expected: str | None) -> None:
    path = write(folder, text)
    if expected is None:
        with pytest.raises(UserError) as caught:
            boardfile.update(path, **{"ssh.host_key": PIN})
        assert str(path) in str(caught.value)
        assert path.read_text() == text
    else:
        boardfile.update(path, **{"ssh.host_key": PIN})
        assert path.read_text() == expected.replace("{}", PIN, 1) if text != "ssh: {}" else f"ssh: {{host_key: {PIN}}}"


def test_a_text_that_yaml_would_take_for_something_else_is_quoted() -> None:
    for value in ("no", "1.4", "a: b", 'a"b\\', "# x", " x "):
        assert set_values("card: {model: x}", {"card.model": value}).startswith('card: {model: "')


def test_an_update_through_a_link_changes_the_file_behind_it(folder: Path, tmp_path: Path) -> None:
    real = write(tmp_path, "ssh: {host: a}\n", "real")
    (folder / "robot.yaml").symlink_to(real)
    boardfile.update(folder / "robot.yaml", **{"ssh.host_key": PIN})
    assert (folder / "robot.yaml").is_symlink()
    assert PIN in real.read_text()


def test_a_file_that_cannot_be_pinned_is_refused_before_a_card_is_written(folder: Path) -> None:
    path = write(folder, f"eeprom: &x {PIN}\nssh: {{host: robot, host_key: *x}}\n")
    text = path.read_text()
    with pytest.raises(UserError, match="alias"):
        boardfile.rehearse(path, **{"ssh.host_key": PIN})
    assert path.read_text() == text
    write(folder, "ssh: {host: robot}\n")
    before = path.read_text()
    provision.of_board(load("robot"))
    assert path.read_text() == before


def test_a_slip_in_a_time_zone_is_found(folder: Path) -> None:
    write(folder, "provision: {timezone: Europe/Berln}\n")
    with pytest.raises(UserErrors, match="did you mean `Europe/Berlin`"):
        load("robot")


def test_updates_at_the_same_time_lose_nothing_and_no_reader_sees_half_a_file(folder: Path) -> None:
    path = write(folder, FULL)
    seen: set[int] = set()
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            seen.add(path.read_text().count("\n"))

    def set_all(key: str) -> None:
        for number in range(20):
            boardfile.update(path, **{key: f"value {number}"})

    reader = threading.Thread(target=read)
    writers = [threading.Thread(target=set_all, args=[key]) for key in ("card.model", "labgrid.place", "ssh.user")]
    reader.start()
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    stop.set()
    reader.join()
    assert seen == {FULL.count("\n")}
    assert path.read_text().count('"value 19"') == 3


def command(name: str, *words: str) -> int:
    module = {"new": board_new, "show": board_show}[name]
    parser = argparse.ArgumentParser()
    module.setup(parser)
    return int(module.run(parser.parse_args(words), Project.here(), Ui()))


def test_board_new_writes_a_file_that_can_be_read_back(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home = Path(os.environ["HOME"])
    (home / ".ssh").mkdir(parents=True)
    (home / ".ssh/id_ed25519.pub").write_text(KEY + "\n")
    assert command("new", "robot_1", "--serial", "/dev/ttyUSB3", "--host", "10.1.2.3") == 0
    path = folder / "robot_1.yaml"
    assert capsys.readouterr().out == f"{path}\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    board = load("robot_1")
    assert board.serial == Serial("/dev/ttyUSB3")
    assert board.ssh == Ssh("10.1.2.3")
    assert board.provision.hostname == "robot-1"
    assert board.provision.key_files == (home / ".ssh/id_ed25519.pub",)


def test_every_example_in_a_new_board_file_is_right(folder: Path) -> None:
    """Each commented section is what it would be without its `# `: a user who takes that away has a board file."""
    command("new", "robot", "--serial", "/dev/ttyUSB3")
    path = folder / "robot.yaml"
    (folder / "robot.token").write_text("a-token-of-16-characters\n")
    (folder / "robot.token").chmod(0o600)
    (Path(os.environ["HOME"]) / ".ssh").mkdir(parents=True)
    (Path(os.environ["HOME"]) / ".ssh/id_ed25519.pub").write_text(KEY + "\n")
    lines = path.read_text().splitlines()
    keys = (
        "key_files",
        "timezone",
        "wifi",
        "token_file",
        "revision",
        "memory_mb",
        "eeprom",
        "card",
        "sd_mux",
        "labgrid",
        "power",
    )
    tried = 0
    for number, line in enumerate(lines):
        bare = line.lstrip()
        if not bare.startswith("# ") or not bare[2:].startswith(tuple(f"{key}:" for key in keys)):
            continue
        indent = line[: len(line) - len(bare)]
        section = list(lines)
        for at in range(number, len(lines)):
            if at > number and not lines[at].startswith(f"{indent}#  "):
                break
            section[at] = indent + lines[at].removeprefix(f"{indent}# ")
        path.write_text("\n".join(section) + "\n")
        plain = load("robot")
        assert plain != load_text(folder, "\n".join(lines))
        tried += 1
    assert tried == 13


def load_text(folder: Path, text: str) -> BoardFile:
    """The board of another text, as if it were the same file."""
    path = folder / "robot.yaml"
    kept = path.read_text()
    try:
        path.write_text(text)
        return load("robot")
    finally:
        path.write_text(kept)


def test_board_new_never_touches_a_file_that_is_there(folder: Path) -> None:
    path = write(folder, FULL)
    with pytest.raises(UserError, match="already"):
        command("new", "robot")
    assert path.read_text() == FULL


def test_board_new_says_all_that_is_wrong(folder: Path) -> None:
    with pytest.raises(UserErrors) as caught:
        command("new", "Robot", "--serial", "ttyUSB0", "--host", "a b", "--board", "pi5")
    assert [problem.key for problem in caught.value.problems] == ["NAME", "--serial", "--host", "--board"]
    assert not list(folder.iterdir())


def test_board_show_says_what_can_be_done_and_hides_secrets(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    secret = "  token: SeCrEt-of-16-characters\n  wifi: {country: DE, networks: [{ssid: lab, psk: SeCrEt-psk}]}\n"
    write(folder, FULL + secret)
    assert command("show", "robot") == 0
    text = capsys.readouterr().out
    assert command("show", "robot", "--json") == 0
    said = capsys.readouterr().out
    assert "SeCrEt" not in text + said
    document = json.loads(said)
    assert document["can"] == {"run, push, log, shell": "yes", "gate": "yes", "flash unattended": "yes"}
    assert document["serial"]["state"] == "not plugged in"
    assert document["provision"]["wifi"] == ["lab"]
    assert document["provision"]["token"] == "given"
    assert PIN in text


def test_board_show_names_what_is_missing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(folder, "board: pi4\nssh: {host: a}\n")
    assert command("show", "robot", "--json") == 0
    said = capsys.readouterr()
    assert "names no public key" in said.err
    can = json.loads(said.out)["can"]
    assert "flash its card" in can["run, push, log, shell"]
    assert can["gate"] == "needs `serial:` and `power:`"


def test_board_show_lists_the_boards_and_those_that_are_broken(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(folder, FULL, "good")
    write(folder, "bord: pi4\n", "broken")
    assert command("show") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["broken", "good"]
    assert "refused (1)" in lines[0]
    assert "gate: yes" in lines[1]
