# SPDX-License-Identifier: MIT
"""Which partition is booted: autoboot.txt, the one-shot tryboot flag, the number given to reboot, the walk."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from protopi.boot import firmware
from protopi.boot.firmware import FirmwareRefusal, FirmwareState
from protopi.boot.firmware.state import partition_of
from tests.cards import FILES, KERNEL, card

B = {**FILES, "cmdline.txt": b"b\n"}
TRY = FirmwareState(tryboot=True)


def test_tryboot_goes_to_the_other_partition(tmp_path: Path) -> None:
    image = card(tmp_path / "card.img", FILES, B)
    boot = firmware.boot(image, state=TRY)
    assert (boot.partition, boot.cmdline, boot.tryboot) == (3, "b", True)


def test_the_flag_is_cleared_before_the_system_starts(tmp_path: Path) -> None:
    image = card(tmp_path / "card.img", FILES, B)
    boot = firmware.boot(image, state=TRY)
    assert boot.after == FirmwareState()
    again = firmware.boot(image, state=boot.after)
    assert (again.partition, again.tryboot) == (2, False)


def test_tryboot_without_a_b_reads_tryboot_txt(tmp_path: Path) -> None:
    image = card(tmp_path / "card.img", autoboot=b"boot_partition=2\n")
    with pytest.raises(FirmwareRefusal, match=r"tryboot\.txt"):
        firmware.boot(image, state=TRY)
    files = {**FILES, "tryboot.txt": FILES["config.txt"], "config.txt": b""}
    assert firmware.boot(card(tmp_path / "b.img", files, autoboot=b"boot_partition=2\n"), state=TRY).kernel == KERNEL


def test_config_txt_may_ask_for_tryboot_too(tmp_path: Path) -> None:
    files = {**FILES, "config.txt": FILES["config.txt"] + b"[tryboot]\ncmdline=b.txt\n", "b.txt": b"try\n"}
    image = card(tmp_path / "card.img", files, autoboot=b"tryboot_a_b=1\nboot_partition=2\n")
    assert firmware.boot(image).cmdline != "try"
    assert firmware.boot(image, state=TRY).cmdline == "try"


def test_the_number_given_to_reboot_comes_before_autoboot(tmp_path: Path) -> None:
    image = card(tmp_path / "card.img", FILES, B)
    boot = firmware.boot(image, state=FirmwareState(partition=3))
    assert (boot.partition, boot.tryboot) == (3, False)
    assert firmware.boot(image, state=boot.after).partition == 2


@pytest.mark.parametrize(("number", "reason"), [(5, "1 to 4"), (62, "1 to 4"), (63, "stay off"), (4, "no partition 4")])
def test_a_number_that_is_no_partition_is_refused(number: int, reason: str, tmp_path: Path) -> None:
    with pytest.raises(FirmwareRefusal, match=reason):
        firmware.boot(card(tmp_path / "card.img"), state=FirmwareState(partition=number))


def test_the_register_keeps_every_partition_number() -> None:
    for number in range(64):
        assert partition_of(FirmwareState(partition=number).rsts) == number
    assert FirmwareState().rsts == 0x1000
    assert FirmwareState(partition=63).rsts & 0xFFF == 0x555


@pytest.mark.parametrize(
    ("autoboot", "reason"),
    [
        (b"#" * 513, "513 bytes"),
        (b"boot_partition=x\n", "not a number"),
        (b"boot_partition=6\n", "1 to 4"),
        (b"boot_partition=4\n", "no partition 4"),
        (b"boot_partition=3\n", "no start4.elf"),
        (b"[pi4]\nboot_partition=2\n", "means nothing"),
        (b"include more.txt\n", "include is not known"),
        (b"kernel=Image\n", "autoboot.txt:1: kernel means nothing"),
    ],
)
def test_it_refuses_a_wrong_autoboot(autoboot: bytes, reason: str, tmp_path: Path) -> None:
    with pytest.raises(FirmwareRefusal, match=reason):
        firmware.boot(card(tmp_path / "card.img", autoboot=autoboot))


def test_512_bytes_of_autoboot_are_read(tmp_path: Path) -> None:
    text = b"[all]\nboot_partition=2\n"
    assert firmware.boot(card(tmp_path / "card.img", autoboot=text + b"#" * (512 - len(text)))).partition == 2


def test_without_autoboot_the_first_fat_partition_is_booted(tmp_path: Path) -> None:
    image = card(tmp_path / "card.img", autoboot=b"[none]\nboot_partition=2\n")
    with pytest.raises(FirmwareRefusal, match=r"partition 1 has no start4\.elf"):
        firmware.boot(image)


def retype(image: Path, number: int, kind: int) -> Path:
    """The image, with another type in a partition's row of the table."""
    data = bytearray(image.read_bytes())
    data[446 + 16 * (number - 1) + 4] = kind
    image.write_bytes(data)
    return image


def test_the_partition_s_type_must_be_a_fat_type(tmp_path: Path) -> None:
    for kind in (0x01, 0x04, 0x06, 0x0B, 0x0C, 0x0E):
        assert firmware.boot(retype(card(tmp_path / "card.img"), 2, kind)).partition == 2
    with pytest.raises(FirmwareRefusal, match="partition 2 is not of a FAT type"):
        firmware.boot(retype(card(tmp_path / "card.img"), 2, 0x83))


def test_a_gpt_is_no_table_of_ours(tmp_path: Path) -> None:
    image = card(tmp_path / "card.img")
    for number in (1, 2, 3):
        retype(image, number, 0xEE)
    with pytest.raises(FirmwareRefusal, match="no FAT partition"):
        firmware.boot(image)


def test_a_card_that_needs_the_walk_is_refused_without_it(tmp_path: Path) -> None:
    image = card(tmp_path / "card.img", {}, B)
    with pytest.raises(FirmwareRefusal, match="would go on to partition 3, but not every EEPROM has it"):
        firmware.boot(image)
    boot = firmware.boot(image, partition_walk=True)
    assert (boot.partition, boot.walked) == (3, True)


def test_the_walk_goes_round_and_reads_no_autoboot(tmp_path: Path) -> None:
    image = card(tmp_path / "card.img", FILES, {"autoboot.txt": b"boot_partition=4\n"})
    boot = firmware.boot(image, state=TRY, partition_walk=True)
    assert (boot.partition, boot.walked, boot.tryboot) == (2, True, True)
    assert not firmware.boot(image, partition_walk=True).walked


def test_the_walk_passes_what_is_no_fat(tmp_path: Path) -> None:
    image = retype(card(tmp_path / "card.img", FILES, B), 2, 0x83)
    assert firmware.boot(image, partition_walk=True).partition == 3
    data = bytearray(image.read_bytes())
    struct.pack_into("<H", data, (2048 + 2 * 8192) * 512 + 510, 0)  # the boot sector of partition 3
    image.write_bytes(data)
    with pytest.raises(FirmwareRefusal, match=r"partition 2 is not of a FAT type \[walk\]"):
        firmware.boot(image, partition_walk=True)


def test_the_running_system_is_told_which_boot_it_is(tmp_path: Path) -> None:
    image = card(tmp_path / "card.img", FILES, B)
    assert "tryboot = <0x0>;" in firmware.chosen(firmware.boot(image))
    text = firmware.chosen(firmware.boot(image, state=TRY))
    assert "\t\tpartition = <0x3>;\n" in text
    assert "\t\ttryboot = <0x1>;\n" in text
    asked = firmware.chosen(firmware.boot(image, state=FirmwareState(partition=3)))
    assert "\t\trsts = <0x1005>;\n" in asked
