# SPDX-License-Identifier: MIT
"""What can be known of an image before anything is built: single values, and the image as a whole."""

from __future__ import annotations

import base64
import os
import re
from pathlib import Path

import pytest

from protopi import checks
from protopi.errors import UserErrors
from protopi.image import Image, load_image
from protopi.project import Project

PROJECT = Project.here()
KEY = "AAAAC3NzaC1lZDI1NTE5AAAAIM2TGMxONqEoJGRTB7Ss7Ags59/1wSZLq176HQrS0isK"


def load(tmp_path: Path, text: str) -> Image:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    return load_image(str(path), PROJECT.root, PROJECT.boards())


def refused(tmp_path: Path, text: str) -> str:
    with pytest.raises(UserErrors) as caught:
        load(tmp_path, text)
    assert all(problem.where.rpartition(":")[2].isdigit() for problem in caught.value.problems)
    return str(caught.value)


@pytest.mark.parametrize(
    ("check", "good", "bad"),
    [
        (checks.check_hostname, ["pi", "a-b", "4"], ["a_b", "-a", "a-", "A", "", "x" * 64, "a\n"]),
        (checks.check_timezone, ["UTC", "Europe/Berlin", "Etc/GMT+1"], ["../x", "/etc", "Europe/", "a b", ""]),
        (checks.check_word, ["a=b", "x"], ["a b", "ü", "x\ny", ""]),
        (checks.check_variable, ["A_1"], ["1A", "A B", "A;reboot", ""]),
        (checks.check_psk, ["", "12345678", 'a"\\#{}$(x)', "0" * 64], ["short", "x" * 64, "a\nbcdefgh", "ünicode99"]),
        (checks.check_ssid, ["home", "x" * 32, "ü"], ["", "x" * 33, "ü" * 17, "a\nb"]),
        (checks.check_config_key, ["gpu_mem", "hdmi_mode:1"], ["kernel", "os_prefix", "dtoverlay", "a b", "a=b"]),
        (checks.check_config_value, [16, True, "21=op,dh"], ["a\nb", "", " a", "x" * 99]),
    ],
)
def test_a_value_that_could_mean_something_where_it_is_written_is_refused(
    check: object, good: list[object], bad: list[object]
) -> None:
    assert callable(check)
    assert [value for value in good if check(value)] == []
    assert [value for value in bad if not check(value)] == []


def test_a_public_key_is_one_line_whose_base64_names_its_type() -> None:
    assert checks.check_public_key(f"ssh-ed25519 {KEY} me@laptop") == ""
    bad = (f"ssh-rsa {KEY}", f"ssh-ed25519 {KEY[:-20]}", "ssh-ed25519 AAAA...", f"ssh-ed25519 {KEY} a\nssh-rsa x", KEY,
           "", f'command="x" ssh-ed25519 {KEY}')  # fmt: skip
    assert [line for line in bad if not checks.check_public_key(line)] == []


def test_a_private_key_is_refused_and_no_secret_is_shown(tmp_path: Path) -> None:
    said = refused(
        tmp_path,
        "board: pi4\nssh: {authorized_keys: ['-----BEGIN OPENSSH PRIVATE KEY----- c2VjcmV0']}\n"
        "wifi: {country: DE, networks: [{ssid: a, psk: secret}]}\n",
    )
    assert "PRIVATE" in said
    assert "c2VjcmV0" not in said
    assert "secret" not in said


@pytest.mark.parametrize("name", ["root", "video", "gpio", "disk", "daemon", "ntpd"])
def test_a_service_cannot_own_an_account_or_group_of_the_base(tmp_path: Path, name: str) -> None:
    said = refused(tmp_path, f"board: pi4\nservices: {{{name}: {{command: [/usr/bin/cat], user: own}}}}\n")
    assert f"services.{name}.user: {name} is an account or group of every image" in said


@pytest.mark.parametrize("name", ["dhcp-eth0", "ssh", "syslog"])
def test_names_of_base_services_are_reserved(tmp_path: Path, name: str) -> None:
    said = refused(
        tmp_path, f"board: pi4\nssh: {{enabled: false}}\nservices: {{{name}: {{command: [/usr/bin/cat]}}}}\n"
    )
    assert "is a service of every image" in said


def test_a_service_may_be_run_by_another_services_account(tmp_path: Path) -> None:
    image = load(
        tmp_path,
        "board: pi4\nservices:\n  a: {command: [/usr/bin/cat], user: b}\n  b: {command: [/usr/bin/cat], user: own}\n",
    )
    assert image.services["a"].user == "b"


@pytest.mark.parametrize("top", ["data", "run", "tmp", "dev", "proc", "sys", "var"])
def test_a_file_that_a_mount_would_hide_is_refused(tmp_path: Path, top: str) -> None:
    (tmp_path / "x").touch()
    assert "would not be seen" in refused(tmp_path, f"board: pi4\nfiles: {{/{top}/x: {{source: x}}}}\n")


def test_what_a_folder_brings_is_checked_like_single_files(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").touch()
    (tmp_path / "etc/page.j2").write_text("{% if %}")
    said = refused(tmp_path, "board: pi4\nfiles: {/etc: {source: etc}}\n")
    assert "/etc/passwd is made by the build" in said
    assert "page.j2:1: not a template" in said


def test_a_template_that_names_what_nobody_gives_is_refused_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "a.j2").write_text("{{ hostname }}\n{{ nosuch }}\n{% if other is defined %}{{ other }}{% endif %}\n")
    said = refused(tmp_path, "board: pi4\nfiles: {/etc/a: {source: a.j2}}\n")
    assert "a.j2:2: 'nosuch' is undefined" in said
    assert "other" not in said


def test_a_size_that_does_not_fit_is_said_for_each_partition_at_once(tmp_path: Path) -> None:
    said = refused(tmp_path, "board: pi4\npartitions:\n  boot: 5G\n  root: 1K\n  data: 900G\n")
    assert re.findall(r"mine\.yaml:(\d): partitions\.(\w+)", said) == [("3", "boot"), ("4", "root"), ("5", "data")]


def test_a_board_that_does_not_exist_is_said_with_its_line_and_all_else(tmp_path: Path) -> None:
    said = refused(tmp_path, "hostname: 1\nboard: pi44\nbord: x\n")
    assert "mine.yaml:2: board: there is no board `pi44`" in said
    assert "hostname" in said
    assert "bord: unknown key" in said


@pytest.mark.parametrize("pattern", ["/usr/bin/busybox", "/usr/bin/s6-*", "/usr/sbin/dropbear", "/usr"])
def test_what_the_base_needs_cannot_be_excluded(tmp_path: Path, pattern: str) -> None:
    assert "mine.yaml:2: exclude[21]: the image cannot run without" in refused(
        tmp_path, f"extends: pi4\nexclude: ['{pattern}']\n"
    )


def test_a_later_drop_takes_back_a_package_and_a_later_package_a_drop(tmp_path: Path) -> None:
    base = load(tmp_path, "extends: pi4\n")
    image = load(tmp_path, "extends: pi4\ndrop: [openntpd]\npackages: [tar]\n")
    assert set(base.packages) - set(image.packages) == {"openntpd"}
    assert set(image.packages) - set(base.packages) == {"tar"}
    assert ("openntpd" in image.drop, "tar" in image.drop) == (True, False)
    assert image.removed == ("openntpd",)
    assert image.own == {"drop": ("openntpd",), "exclude": (), "unpack_only": ()}
    assert "stands under `packages:` too" in refused(tmp_path, "extends: pi4\ndrop: [htop]\npackages: [htop]\n")


def test_the_place_of_a_key_is_known_to_whoever_finds_a_problem_later(tmp_path: Path) -> None:
    image = load(tmp_path, "board: pi4\nservices:\n  a:\n    command: [/usr/bin/cat]\n")
    assert image.place("services.a.command").endswith("mine.yaml:4")
    assert image.place("services.a.user").endswith("mine.yaml:3")
    assert image.place("debs") == str(tmp_path / "mine.yaml:1")


def test_only_regular_readable_files_are_taken(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "fifo")
    os.mkfifo(tmp_path / "folder/fifo")
    for key in ("debs: [{}]", "kernel: {{fragments: [{}]}}", "kernel: {{patches: [{}]}}", "overlays: [{}]"):
        for name in ("folder", "fifo", "/dev/null"):
            refused(tmp_path, "board: pi4\n" + key.format(name) + "\n")
    for name in ("fifo", "folder", "/dev/null"):
        assert "regular, readable file" in refused(tmp_path, f"board: pi4\nfiles: {{/etc/x: {{source: {name}}}}}\n")


@pytest.mark.parametrize("path", ["x" * 400, '"a\\0b"', "~nosuchuser/x"])
def test_a_path_that_cannot_be_is_a_problem_and_no_crash(tmp_path: Path, path: str) -> None:
    assert "cannot be used" in refused(tmp_path, f"board: pi4\nfiles: {{/etc/x: {{source: {path}}}}}\n")


@pytest.mark.parametrize("word", ["x" * 400 + ".yaml", "a\0b.yaml", "~nosuchuser/x.yaml"])
def test_an_image_file_that_cannot_be_is_not_there(word: str) -> None:
    with pytest.raises(UserErrors, match="there is no image file"):
        load_image(word, PROJECT.root, PROJECT.boards())


def test_a_tag_that_its_value_contradicts_is_a_problem_and_no_crash(tmp_path: Path) -> None:
    assert "`foo` is not of the type !!int" in refused(tmp_path, "board: pi4\nhostname: !!int foo\n")


def test_a_key_is_printed_as_openssh_makes_it() -> None:
    assert base64.b64decode(KEY)[4:15] == b"ssh-ed25519"


@pytest.mark.parametrize("page", ["README.md", "docs/images.md"])
def test_the_examples_of_the_documentation_are_true(tmp_path: Path, page: str) -> None:
    examples = re.findall(r"```yaml\n(.*?)```", (PROJECT.root / page).read_text(), re.S)
    examples = [text for text in examples if re.search(r"^(extends|board):", text, re.M)]
    assert examples
    for text in examples:
        for name in re.findall(r"source: ([\w./]+)", text):
            (tmp_path / name).touch()
        assert load(tmp_path, text).services["robot"].user == "own"
