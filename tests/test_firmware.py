# SPDX-License-Identifier: MIT
from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from protopi import configtxt
from protopi.boot import firmware
from protopi.boot.firmware import FirmwareRefusal
from protopi.errors import UserError
from tests.cards import FILES, KERNEL, TREE, card

PROJECT = Path(__file__).resolve().parent.parent


def config(text: str) -> dict[str, bytes]:
    return {**FILES, "config.txt": text.encode()}


def without(name: str) -> dict[str, bytes]:
    return {key: value for key, value in FILES.items() if key != name}


def test_it_boots_what_autoboot_and_config_say(tmp_path: Path) -> None:
    boot = firmware.boot(card(tmp_path / "card.img"))
    assert (boot.partition, boot.kernel, boot.dtb) == (2, KERNEL, TREE)
    assert boot.cmdline == "root=PARTUUID=50726f74-05 ro"
    assert boot.names["dtb"] == "bcm2711-rpi-4-b.dtb"
    assert firmware.boot(card(tmp_path / "card.img"), model="400").names["dtb"] == "bcm2711-rpi-400.dtb"


def test_tryboot_goes_to_the_other_partition(tmp_path: Path) -> None:
    image = card(tmp_path / "card.img", FILES, {**FILES, "cmdline.txt": b"b\n"})
    assert firmware.boot(image, tryboot=True).partition == 3
    assert firmware.boot(image, tryboot=True).cmdline == "b"
    assert firmware.boot(image, partition=3).partition == 3


def test_tryboot_without_a_b_reads_tryboot_txt(tmp_path: Path) -> None:
    image = card(tmp_path / "card.img", autoboot=b"boot_partition=2\n")
    with pytest.raises(FirmwareRefusal, match=r"tryboot\.txt"):
        firmware.boot(image, tryboot=True)
    files = {**FILES, "tryboot.txt": FILES["config.txt"], "config.txt": b""}
    assert firmware.boot(card(tmp_path / "b.img", files, autoboot=b"boot_partition=2\n"), tryboot=True).kernel == KERNEL


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        (without("start4.elf"), "no start4.elf"),
        (without("fixup4.dat"), "no fixup4.dat"),
        (without("Image"), "no kernel Image"),
        (without("bcm2711-rpi-4-b.dtb"), "no device tree"),
        (without("cmdline.txt"), "no cmdline.txt"),
        (config("kernel=Image\n"), "arm_64bit"),
        (config("arm_64bit=1\nkernel=Image\ndtoverlay=disable-bt\n"), "config.txt:3"),
        (config("arm_64bit=1\nkernel=Image\nos_prefix=new/\n"), "os_prefix"),
        (config("arm_64bit=1\nkernel=Image\nstart_file=start4x.elf\n"), "no pair"),
        (config("arm_64bit=1\nkernel=Image\n[pi44]\n"), "no section"),
        (config("arm_64bit = 1\nkernel=Image\n"), "without blanks"),
        (config("arm_64bit=1\nkernel=Image\ngpio=" + "1," * 50 + "\n"), "98 of a line"),
        (config("arm_64bit=1\nkernel=Image\ninclude gone.txt\n"), "no file gone.txt"),
        (config("arm_64bit=1\nkernel=Image\ninclude config.txt\n"), "include each other"),
        (config("arm_64bit=1\nkernel=Image\ninitramfs gone followkernel\n"), "no initramfs"),
        ({**FILES, "Image": b"\x7fELF" + bytes(100)}, "ARM64 magic"),
        ({**FILES, "Image": gzip.compress(KERNEL)[:30]}, "broken gzip"),
        ({**FILES, "bcm2711-rpi-4-b.dtb": TREE[:40]}, "no complete device tree"),
        ({**FILES, "cmdline.txt": b"a\nb\n"}, "exactly one line"),
        ({**FILES, "cmdline.txt": "\u00e4\n".encode()}, "ASCII"),
    ],
)
def test_it_refuses_what_would_not_boot(files: dict[str, bytes], reason: str, tmp_path: Path) -> None:
    with pytest.raises(FirmwareRefusal, match=reason):
        firmware.boot(card(tmp_path / "card.img", files))


@pytest.mark.parametrize(
    ("autoboot", "reason"),
    [
        (b"#" * 513, "513 bytes"),
        (b"boot_partition=x\n", "not a number"),
        (b"boot_partition=6\n", "1 to 4"),
        (b"boot_partition=4\n", "no partition 4"),
        (b"boot_partition=3\n", "no start4.elf"),
        (b"[pi4]\nboot_partition=2\n", "means nothing"),
    ],
)
def test_it_refuses_a_wrong_autoboot(autoboot: bytes, reason: str, tmp_path: Path) -> None:
    with pytest.raises(FirmwareRefusal, match=reason):
        firmware.boot(card(tmp_path / "card.img", autoboot=autoboot))


def test_a_truncated_image_is_refused(tmp_path: Path) -> None:
    image = card(tmp_path / "card.img")
    image.write_bytes(image.read_bytes()[: 6 << 20])
    with pytest.raises(FirmwareRefusal, match="beyond the image"):
        firmware.boot(image)


def test_gzip_kernels_are_unpacked_and_initramfs_loaded(tmp_path: Path) -> None:
    files = config("arm_64bit=1\nkernel=Image\ninitramfs one,two followkernel\n")
    files |= {"Image": gzip.compress(KERNEL), "one": b"1", "two": b"2"}
    boot = firmware.boot(card(tmp_path / "card.img", files))
    assert (boot.kernel, boot.initramfs) == (KERNEL, b"12")


def test_os_prefix_chooses_when_kernel_and_tree_are_there(tmp_path: Path) -> None:
    files = config("arm_64bit=1\nkernel=Image\nos_prefix=new-\n")
    files |= {"new-Image": KERNEL + b"new", "new-bcm2711-rpi-4-b.dtb": TREE, "new-cmdline.txt": b"new\n"}
    boot = firmware.boot(card(tmp_path / "card.img", files))
    assert boot.kernel.endswith(b"new")
    assert boot.cmdline == "new"


def values(text: str, **more: object) -> dict[str, str]:
    return {row.key: row.value for row in configtxt.settings(text, **more)}  # type: ignore[arg-type]


def test_sections_combine_as_documented() -> None:
    text = (
        "a=0\n[pi3]\na=3\n[pi4]\na=4\n[none]\na=5\n[all]\nb=1\n[pi400]\nb=400\n[cm4]\nb=44\n[EDID=X]\nb=2\n[all]\nc=1\n"
    )
    assert values(text) == {"a": "4", "b": "1", "c": "1"}
    assert values(text, model="400")["b"] == "400"
    assert values(text, model="cm4")["b"] == "44"
    both = "[gpio4=1]\n[pi4]\na=1\n[all]\n[HDMI:0]\nhdmi_mode=1\n"
    assert values(both) == {"hdmi_mode": "1"}
    assert values("[tryboot]\na=1\n[all]\nb=1\n", tryboot=True) == {"a": "1", "b": "1"}


def test_every_key_is_looked_up_in_the_firmware() -> None:
    text = "# comment=1\n[pi4]\nkernel=Image\nhdmi_mode:1=4\nnew_key=1\ninclude a.txt\n"
    elf = b"\x7fELF\0kernel\0not_new_key\0hdmi_mode\0include\0"
    assert configtxt.unknown_keys(text, elf) == [("new_key", "config.txt:5")]
    assert configtxt.unknown_keys("kernel=1\n", b"kernel_old\0") == [("kernel", "config.txt:1")]


def test_a_card_without_fat_is_refused(tmp_path: Path) -> None:
    image = tmp_path / "card.img"
    image.write_bytes(bytes(1 << 20))
    with pytest.raises(FirmwareRefusal, match="partition table"):
        firmware.boot(image)
    with pytest.raises(UserError):
        firmware.Card(image)
