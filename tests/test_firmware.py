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


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        (without("start4.elf"), "no start4.elf"),
        (without("fixup4.dat"), "no fixup4.dat"),
        (without("Image"), "no kernel Image"),
        (without("bcm2711-rpi-4-b.dtb"), "no device tree"),
        (without("cmdline.txt"), "no cmdline.txt"),
        (config("kernel=Image\n"), "arm_64bit"),
        (config("arm_64bit=1\nkernel=kernel7l.img\n"), "32-bit kernel"),
        (config("arm_64bit=1\nkernel=Image\nos_prefix=new/\n"), "os_prefix"),
        (config("arm_64bit=1\nkernel=Image\nstart_file=start4x.elf\n"), "no pair"),
        (config("arm_64bit=1\nkernel=Image\n[pi44]\n"), "no section"),
        (config("arm_64bit = 1\nkernel=Image\n"), "without blanks"),
        (config("arm_64bit=1\nkernel=Image\ngpio=" + "1," * 50 + "\n"), "98 of a line"),
        (config("arm_64bit=1\nkernel=Image\ninclude gone.txt\n"), "no file gone.txt"),
        (config("arm_64bit=1\nkernel=Image\ninclude config.txt\n"), "include each other"),
        (config("arm_64bit=1\nkernel=Image\ninclude " + "x" * 65 + "\n"), "64 characters"),
        (config("arm_64bit=1\nkernel=Image\ninclude a b\n"), "one name"),
        (config("arm_64bit=1\nkernel=Image\ninitramfs gone followkernel\n"), "no initramfs"),
        (config("arm_64bit=1\nkernel=Image\ninitramfs one\n") | {"one": b"1"}, "NAME followkernel"),
        (config("arm_64bit=1\nkernel=Image\ninitramfs one 0x00800000\n") | {"one": b"1"}, "NAME followkernel"),
        (config("arm_64bit=1\nkernel=Image\nauto_initramfs=1\n") | {"initramfs8": b"1"}, "auto_initramfs"),
        (config("arm_64bit=1\nkernel=Image\ndevice_tree=\n"), "no device tree .empty."),
        (config("arm_64bit=1\nkernel=Image\narmstub=stub.bin\n"), "config.txt:3: armstub"),
        (config("arm_64bit=1\nkernel=Image\nboot_ramdisk=1\n"), "boot.img is not opened"),
        (config("arm_64bit=1\nkernel=Image\n[boot_partition=2]\n"), "came in 2025"),
        (config("arm_64bit=1\nkernel=Image\n[partition=2]\n"), "came in 2025"),
        ({**FILES, "Image": b"\x7fELF" + bytes(100)}, "ARM64 magic"),
        ({**FILES, "Image": gzip.compress(KERNEL)[:30]}, "broken gzip"),
        ({**FILES, "bcm2711-rpi-4-b.dtb": TREE[:40]}, "no complete device tree"),
        ({**FILES, "cmdline.txt": b"a\nb\n"}, "exactly one line"),
        ({**FILES, "cmdline.txt": "\u00e4\n".encode()}, "ASCII"),
        ({**FILES, "cmdline.txt": b"x" * 2048}, "2047"),
    ],
)
def test_it_refuses_what_would_not_boot(files: dict[str, bytes], reason: str, tmp_path: Path) -> None:
    with pytest.raises(FirmwareRefusal, match=reason):
        firmware.boot(card(tmp_path / "card.img", files))


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


def test_auto_initramfs_follows_the_default_kernel(tmp_path: Path) -> None:
    files = config("arm_64bit=1\nauto_initramfs=1\n") | {"kernel8.img": KERNEL}
    assert firmware.boot(card(tmp_path / "none.img", files)).initramfs == b""
    assert firmware.boot(card(tmp_path / "card.img", files | {"initramfs8": b"8"})).initramfs == b"8"
    both = config("arm_64bit=1\nkernel=kernel8-own.img\nauto_initramfs=1\n")
    both |= {"kernel8-own.img": KERNEL, "initramfs8-own": b"own"}
    with pytest.raises(FirmwareRefusal, match=r"none or initramfs8-own, by the firmware's age"):
        firmware.boot(card(tmp_path / "own.img", both))


def test_an_included_file_counts_as_if_it_stood_there(tmp_path: Path) -> None:
    files = config("[pi4]\ninclude more.txt\n[none]\ninclude gone.txt\n") | {"more.txt": b"arm_64bit=1\nkernel=Image\n"}
    assert firmware.boot(card(tmp_path / "card.img", files)).kernel == KERNEL
    deep = config("arm_64bit=1\nkernel=Image\ninclude a1\n") | {
        f"a{n}": f"include a{n + 1}\n".encode() for n in range(8)
    }
    assert firmware.boot(card(tmp_path / "deep.img", deep | {"a8": b""})).kernel == KERNEL
    with pytest.raises(FirmwareRefusal, match="include each other"):
        firmware.boot(card(tmp_path / "deeper.img", deep | {"a8": b"include a9\n", "a9": b""}))


@pytest.mark.parametrize("line", ["start_file=start4db.elf", "start_x=1", "gpu_mem=16"])
def test_what_the_eeprom_reads_cannot_be_included(line: str, tmp_path: Path) -> None:
    files = config("arm_64bit=1\nkernel=Image\ninclude more.txt\n") | {"more.txt": f"{line}\n".encode()}
    with pytest.raises(FirmwareRefusal, match=r"more\.txt:1: .* is read by the EEPROM"):
        firmware.boot(card(tmp_path / "card.img", files))


def test_start_file_variants_are_pairs(tmp_path: Path) -> None:
    files = config("arm_64bit=1\nkernel=Image\nstart_cd=1\n")
    with pytest.raises(FirmwareRefusal, match=r"no start4cd\.elf"):
        firmware.boot(card(tmp_path / "card.img", files))
    files |= {"start4cd.elf": b"", "fixup4cd.dat": b""}
    assert firmware.boot(card(tmp_path / "cd.img", files)).names["fixup"] == "fixup4cd.dat"


def test_upstream_kernel_prefers_its_folder(tmp_path: Path) -> None:
    files = config("arm_64bit=1\nkernel=Image\nupstream_kernel=1\n")
    assert firmware.boot(card(tmp_path / "no.img", files)).names["kernel"] == "Image"
    files |= {"upstream/Image": KERNEL + b"up", "upstream/bcm2711-rpi-4-b.dtb": TREE, "upstream/cmdline.txt": b"up\n"}
    boot = firmware.boot(card(tmp_path / "card.img", files))
    assert (boot.kernel[-2:], boot.cmdline, boot.names["dtb"]) == (b"up", "up", "upstream/bcm2711-rpi-4-b.dtb")
    absolute = config("arm_64bit=1\nkernel=/Image\nos_prefix=upstream/\n")
    absolute |= {name: files[name] for name in files if name.startswith("upstream/")}
    assert firmware.boot(card(tmp_path / "absolute.img", absolute)).kernel == KERNEL


def overlays(*lines: str, **more: bytes) -> dict[str, bytes]:
    files = config("\n".join(["arm_64bit=1", "kernel=Image", *lines, ""]))
    return {**files, "overlays/one.dtbo": TREE, "overlays/two.dtbo": TREE + b"2", **more}


def test_overlays_are_named_in_the_order_of_the_file(tmp_path: Path) -> None:
    boot = firmware.boot(card(tmp_path / "card.img", overlays("dtoverlay=two", "dtoverlay=", "dtoverlay=one")))
    assert boot.overlays == (("two", TREE + b"2"), ("one", TREE))
    assert firmware.boot(card(tmp_path / "none.img", overlays("dtparam="))).overlays == ()
    moved = overlays("dtoverlay=one", "overlay_prefix=other/", **{"other/one.dtbo": TREE + b"o"})
    assert firmware.boot(card(tmp_path / "moved.img", moved)).overlays == (("one", TREE + b"o"),)


def test_overlays_follow_os_prefix_where_a_readme_is(tmp_path: Path) -> None:
    new = {"new-Image": KERNEL, "new-bcm2711-rpi-4-b.dtb": TREE, "new-cmdline.txt": b"new\n"}
    files = overlays("dtoverlay=one", "os_prefix=new-", **new, **{"new-overlays/one.dtbo": TREE + b"n"})
    assert firmware.boot(card(tmp_path / "shared.img", files)).overlays == (("one", TREE),)
    files["new-overlays/README"] = b"here"
    assert firmware.boot(card(tmp_path / "own.img", files)).overlays == (("one", TREE + b"n"),)


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        (overlays("dtoverlay=three"), "config.txt:3: no overlay overlays/three.dtbo"),
        (overlays("dtoverlay=one,level=42"), "config.txt:3: dtoverlay=one,level=42: no parameters"),
        (overlays("dtparam=audio=on"), "config.txt:3: dtparam=audio=on: no parameters"),
        (overlays("device_tree_param=i2c"), "no parameters"),
        (overlays("dtoverlay=one", **{"overlays/one.dtbo": TREE[:40]}), "no complete device tree"),
        (overlays("dtoverlay=one", **{"overlays/overlay_map.dtb": TREE}), "may rename one"),
    ],
)
def test_an_overlay_that_would_be_skipped_is_refused(files: dict[str, bytes], reason: str, tmp_path: Path) -> None:
    with pytest.raises(FirmwareRefusal, match=reason):
        firmware.boot(card(tmp_path / "card.img", files))


def test_every_refusal_names_its_source(tmp_path: Path) -> None:
    for number, files in enumerate([without("Image"), config("x y\n"), without("start4.elf")]):
        with pytest.raises(FirmwareRefusal, match=r" \[[a-z]+[^\]]*\]$"):
            firmware.boot(card(tmp_path / f"{number}.img", files))


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
