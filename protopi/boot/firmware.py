# SPDX-License-Identifier: MIT
"""Plays the Pi 4's boot ROM and firmware over a raw SD image, so that what is booted is what is flashed.

It reads the partition table, autoboot.txt, config.txt, cmdline.txt, kernel and device tree out of the image, and
refuses what the real one refuses. Where the real one guesses or falls back silently, it refuses too: an image must not
depend on luck. Each rule names its source; all are sections of the Raspberry Pi documentation, under "Computers":
[autoboot] config.txt > autoboot.txt; [boot] config.txt > Boot options; [filters] config.txt > Conditional filters;
[format] config.txt > What is config.txt?; [flow] Raspberry Pi hardware > Raspberry Pi 4 boot flow;
[overlays] Configuration > Device Trees, overlays and parameters.
"""

from __future__ import annotations

import gzip
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NoReturn

from protopi import configtxt, mbr
from protopi.boot.fat import Fat
from protopi.errors import GateError, UserError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

#: Device trees that the firmware asks for by name, by model ([boot] device_tree; [overlays]).
DEVICE_TREES = {
    "4b": "bcm2711-rpi-4-b.dtb",
    "400": "bcm2711-rpi-400.dtb",
    "cm4": "bcm2711-rpi-cm4.dtb",
    "cm4s": "bcm2711-rpi-cm4s.dtb",
}
_FAT_TYPES = (0x01, 0x04, 0x06, 0x0B, 0x0C, 0x0E)
_VARIANTS = {"start_cd": "cd", "start_x": "x", "start_debug": "db"}


class FirmwareRefusal(GateError):
    """The real firmware would not boot this card (or not as meant); the message names the rule's source."""


@dataclass(frozen=True, slots=True)
class Boot:
    """What the firmware hands over.

    `kernel` is the arm64 Image (unpacked if it was a gzip file), `dtb` the tree as it lies on the card (the real
    firmware adds memory, MAC, serial number and seeds to it; QEMU does the first), `cmdline` one line, `partition`
    the boot partition's number, `config` the settings that applied (the last of each key).
    """

    kernel: bytes
    dtb: bytes
    cmdline: str
    partition: int
    config: Mapping[str, str]
    initramfs: bytes = b""
    names: Mapping[str, str] = field(default_factory=dict)


class Card:
    """A raw SD image, opened for reading."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("rb")
        self.size = path.stat().st_size
        try:
            self.disk, self.partitions = mbr.parse(self.read)
            for part in self.partitions:
                if part.offset + part.size > self.size:
                    raise UserError(f"partition {part.number} ends beyond the image ({path.name}, {self.size} bytes)")
        except UserError:
            self._file.close()
            raise

    def __enter__(self) -> Card:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def read(self, offset: int, length: int) -> bytes:
        """`length` bytes from `offset` on; fewer at the end of the image."""
        self._file.seek(offset)
        return self._file.read(length)

    def partition(self, number: int) -> mbr.Partition:
        """The partition of that number. Raises UserError when there is none."""
        for part in self.partitions:
            if part.number == number:
                return part
        raise UserError(f"the card has no partition {number}")

    def fat(self, number: int) -> Fat:
        """The FAT file system in a partition. Raises UserError when it is none."""
        part = self.partition(number)
        return Fat(lambda offset, length: self.read(part.offset + offset, length))


def _refuse(message: str, source: str) -> NoReturn:
    raise FirmwareRefusal(f"the firmware would not boot this card: {message} [{source}]")


def boot(image: Path, *, model: str = "4b", tryboot: bool = False, partition: int = 0) -> Boot:
    """Boot the card as `model` ("4b", "400", "cm4", "cm4s").

    `tryboot` is the one-shot flag of `reboot "0 tryboot"`, `partition` the number given to `reboot` (0: the default).
    Raises FirmwareRefusal.
    """
    try:
        with Card(image) as card:
            number, config_name = _choose(card, model, tryboot, partition)
            return _load(card.fat(number), number, config_name, model, tryboot)
    except UserError as error:
        raise FirmwareRefusal(f"the firmware would not boot this card: {error}") from error


def _first_fat(card: Card) -> int:
    for part in card.partitions:
        if part.number <= 4 and part.type in _FAT_TYPES:
            return part.number
    _refuse("no FAT partition among 1 to 4", "autoboot: boot_partition")


def _choose(card: Card, model: str, tryboot: bool, asked: int) -> tuple[int, str]:
    """The boot partition's number and the name of its config file."""
    first = _first_fat(card)
    selector = card.fat(first)
    number, a_b = asked, False
    if selector.exists("autoboot.txt"):
        raw = selector.read("autoboot.txt")
        if len(raw) > 512:
            _refuse(f"autoboot.txt has {len(raw)} bytes, 512 are read", "autoboot: limited to 512 bytes")
        text = raw.decode("ascii", "replace")
        rows = configtxt.settings(
            text, name="autoboot.txt", model=model, tryboot=tryboot, sections=("all", "none", "tryboot")
        )
        chosen = {row.key: row.value for row in rows}
        a_b = chosen.get("tryboot_a_b", "0") == "1"
        # "... unless the partition number was already specified as a parameter to the reboot command" [autoboot]
        if not number and "boot_partition" in chosen:
            number = _number(chosen["boot_partition"], "boot_partition")
    number = number or first
    if not 1 <= number <= 4:
        _refuse(f"boot_partition={number}; MBR partitions are 1 to 4", "autoboot: boot_partition")
    if card.partition(number).type not in _FAT_TYPES:
        _refuse(f"partition {number} is not of a FAT type", "autoboot: boot_partition")
    # With tryboot_a_b=1 the normal config.txt is loaded from the other partition [autoboot: tryboot_a_b].
    return number, "tryboot.txt" if tryboot and not a_b else "config.txt"


def _number(value: str, key: str) -> int:
    try:
        return int(value, 0)
    except ValueError:
        _refuse(f"{key}={value} is not a number", "format")


def _load(fat: Fat, number: int, config_name: str, model: str, tryboot: bool) -> Boot:
    if not fat.exists(config_name) and config_name != "config.txt":
        _refuse(f"tryboot without {config_name} on partition {number}", "flow: fail-safe OS updates (tryboot)")
    text = fat.read(config_name).decode("utf-8", "replace") if fat.exists(config_name) else ""
    rows = configtxt.settings(
        text,
        name=config_name,
        model=model,
        tryboot=tryboot,
        include=lambda name: fat.read(name).decode("utf-8", "replace"),
    )
    config = {row.key: row.value for row in rows}
    start, fixup = _start_files(config)
    for name in (start, fixup):
        if not fat.exists(name):
            _refuse(f"partition {number} has no {name}", "autoboot: bootable partitions; boot: start_file, fixup_file")
    for row in rows:
        if row.key in ("dtoverlay", "dtparam") and row.value:
            _refuse(f"{row.where}: {row.key}={row.value}: overlays are merged when the image is built", "overlays")
    kernel_name, tree_name = _kernel_name(config), config.get("device_tree", DEVICE_TREES[model])
    prefix = _prefix(fat, config, kernel_name, tree_name)
    kernel_path, tree_path = _with_prefix(prefix, kernel_name), _with_prefix(prefix, tree_name)
    cmdline_path = _with_prefix(prefix, config.get("cmdline", "cmdline.txt"))
    if not fat.exists(kernel_path):
        _refuse(f"no kernel {kernel_path} on partition {number}", "boot: kernel")
    if not tree_name or not fat.exists(tree_path):
        _refuse(f"no device tree {tree_path or '(empty)'} for model {model} on partition {number}", "overlays")
    return Boot(
        kernel=_kernel(fat.read(kernel_path), kernel_path),
        dtb=_tree(fat.read(tree_path), tree_path),
        cmdline=_cmdline(fat, cmdline_path),
        partition=number,
        config=config,
        initramfs=_initramfs(fat, config, prefix),
        names={"kernel": kernel_path, "dtb": tree_path, "cmdline": cmdline_path, "start": start, "fixup": fixup},
    )


def _start_files(config: Mapping[str, str]) -> tuple[str, str]:
    """[boot] start_file, fixup_file: a matched pair; on a Pi 4 the names have a 4 in them."""
    for key, variant in _VARIANTS.items():
        if config.get(key, "0") not in ("", "0"):
            return f"start4{variant}.elf", f"fixup4{variant}.dat"
    start, fixup = config.get("start_file", "start4.elf"), config.get("fixup_file", "fixup4.dat")
    if start.removeprefix("start").removesuffix(".elf") != fixup.removeprefix("fixup").removesuffix(".dat"):
        _refuse(f"{start} and {fixup} are no pair", "boot: start_file, fixup_file")
    return start, fixup


def _kernel_name(config: Mapping[str, str]) -> str:
    if config.get("arm_64bit", "0") == "0":
        # Newer firmware defaults to 1 on a Pi 4; the default moved once, so an image states it.
        _refuse("arm_64bit=1 is not set, so a 32-bit kernel is looked for", "boot: arm_64bit")
    return config.get("kernel", "kernel8.img")


def _with_prefix(prefix: str, name: str) -> str:
    """[boot] os_prefix: an absolute name bypasses all prefixes."""
    return name if name.startswith("/") else prefix + name


def _prefix(fat: Fat, config: Mapping[str, str], kernel: str, tree: str) -> str:
    prefix = config.get("os_prefix", "upstream/" if config.get("upstream_kernel", "0") == "1" else "")
    # "unless the expected kernel and .dtb can be found at the new location/name, the prefix is ignored"
    usable = fat.exists(_with_prefix(prefix, kernel)) and fat.exists(_with_prefix(prefix, tree))
    if prefix and not usable and "os_prefix" in config:
        _refuse(f"os_prefix={prefix} would be ignored: kernel or tree is not there", "boot: os_prefix")
    return prefix if usable else ""


def _kernel(raw: bytes, name: str) -> bytes:
    """[boot] arm_64bit: 64-bit kernels may be raw images or gzip files, told apart by their first bytes."""
    if raw[:2] == b"\x1f\x8b":
        try:
            raw = gzip.decompress(raw)
        except (OSError, EOFError, zlib.error):
            _refuse(f"{name} is a broken gzip file", "boot: arm_64bit")
    if raw[56:60] != b"ARM\x64":
        _refuse(f"{name} is no arm64 kernel image (no ARM64 magic at byte 56)", "boot: arm_64bit")
    return raw


def _tree(raw: bytes, name: str) -> bytes:
    if raw[:4] != b"\xd0\x0d\xfe\xed" or int.from_bytes(raw[4:8], "big") > len(raw):
        _refuse(f"{name} is no complete device tree", "overlays")
    return raw


def _cmdline(fat: Fat, name: str) -> str:
    """[boot] cmdline: one line; the firmware passes no more than the first."""
    if not fat.exists(name):
        _refuse(f"no {name}", "boot: cmdline")
    try:
        lines = fat.read(name).decode("ascii").splitlines()
    except UnicodeDecodeError:
        _refuse(f"{name} is not plain ASCII", "boot: cmdline")
    if not lines or any(line.strip() for line in lines[1:]):
        _refuse(f"{name} must be exactly one line", "boot: cmdline")
    return lines[0].strip()


def _initramfs(fat: Fat, config: Mapping[str, str], prefix: str) -> bytes:
    """[boot] initramfs, ramfsfile, auto_initramfs: comma-separated names, loaded one after the other."""
    words = config.get("initramfs", "").split()
    names = words[0] if words else config.get("ramfsfile", "")
    if not names and config.get("auto_initramfs", "0") == "1":
        names = "initramfs8" if fat.exists(_with_prefix(prefix, "initramfs8")) else ""
    pieces = []
    for name in filter(None, names.split(",")):
        path = _with_prefix(prefix, name)
        if not fat.exists(path):
            _refuse(f"no initramfs {path}", "boot: initramfs")
        pieces.append(fat.read(path))
    return b"".join(pieces)
