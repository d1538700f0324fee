# SPDX-License-Identifier: MIT
"""What start4.elf loads from the boot partition: kernel, tree, overlays, command line, initramfs."""

from __future__ import annotations

import gzip
import re
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from protopi import configtxt
from protopi.boot.firmware.card import refusal
from protopi.boot.firmware.state import FirmwareState

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from protopi.boot.fat import Fat
    from protopi.boot.firmware.select import Choice

#: Device trees that the firmware asks for by name, by model ([boot] device_tree; [overlays]).
DEVICE_TREES = {
    "4b": "bcm2711-rpi-4-b.dtb",
    "400": "bcm2711-rpi-400.dtb",
    "cm4": "bcm2711-rpi-cm4.dtb",
    "cm4s": "bcm2711-rpi-cm4s.dtb",
}
#: "arm_64bit will be set accordingly" when `kernel` names one of these, whatever the file says [boot: arm_64bit].
KERNELS_32 = ("kernel.img", "kernel7.img", "kernel7l.img")
#: COMMAND_LINE_SIZE of an arm64 kernel, with its final zero.
MAX_CMDLINE = 2047
_VARIANTS = {"start_cd": "cd", "start_x": "x", "start_db": "db", "start_debug": "db"}
#: Read by the EEPROM's bootloader, which knows no `include` ([format] include; raspberrypi/firmware#1332, #1810).
_EARLY = frozenset((
    *("start_file", "fixup_file", *_VARIANTS, "uart_2ndstage", "bootcode_delay"),
    *("gpu_mem", "gpu_mem_256", "gpu_mem_512", "gpu_mem_1024", "total_mem"),
))  # fmt: skip
#: The real firmware acts on these; this one cannot, and says so instead of booting something else.
_NOT_PLAYED = {
    "arm_control": "use arm_64bit",
    "armstub": "QEMU has its own",
    "boot_ramdisk": "boot.img is not opened",
    "device_tree_address": "QEMU chooses it",
    "device_tree_end": "QEMU chooses it",
    "kernel_address": "QEMU chooses it",
    "kernel_old": "QEMU chooses the address",
    "ramfsaddr": "QEMU chooses it",
    "total_mem": "QEMU's board has a fixed size",
}
_OVERLAY_KEYS = ("dtoverlay", "device_tree_overlay")
_PARAMETER_KEYS = ("dtparam", "device_tree_param")


@dataclass(frozen=True, slots=True)
class Boot:
    """What the firmware hands over, and what it keeps.

    kernel     the arm64 Image (unpacked if it was a gzip file)
    dtb        the tree as it lies on the card
    overlays   name and content of each overlay that config.txt asks for, in the order of merging
    cmdline    one line
    partition  the boot partition's number
    config     the settings that applied (the last of each key)
    names      which file was taken for what
    before     the state that this boot began with
    after      the state that it leaves to the next one: the one-shot flag was cleared before the system starts
    walked     True: PARTITION_WALK found the partition, because the one that was asked for cannot be booted from
    """

    kernel: bytes
    dtb: bytes
    cmdline: str
    partition: int
    config: Mapping[str, str]
    initramfs: bytes = b""
    overlays: tuple[tuple[str, bytes], ...] = ()
    names: Mapping[str, str] = field(default_factory=dict)
    before: FirmwareState = field(default_factory=FirmwareState)
    after: FirmwareState = field(default_factory=FirmwareState)
    walked: bool = False

    @property
    def tryboot(self) -> bool:
        """Whether this boot is a try."""
        return self.before.tryboot


def load(fat: Fat, choice: Choice, model: str, state: FirmwareState) -> Boot:
    """Load a boot partition. Raises FirmwareRefusal, and UserError for files that cannot be read."""
    number, config_name = choice.partition, choice.config_name
    if not fat.exists(config_name) and config_name != "config.txt":
        raise refusal(f"tryboot without {config_name} on partition {number}", "flow: fail-safe OS updates (tryboot)")
    rows = _settings(fat, config_name, model, state)
    config = {row.key: row.value for row in rows}
    start, fixup = _start_files(config)
    for name in (start, fixup):
        if not fat.exists(name):
            raise refusal(f"partition {number} has no {name}", "boot: start_file, fixup_file")
    kernel_name, tree_name = _kernel_name(config), config.get("device_tree", DEVICE_TREES[model])
    prefix = _prefix(fat, config, kernel_name, tree_name)
    kernel_path, tree_path = with_prefix(prefix, kernel_name), with_prefix(prefix, tree_name)
    cmdline_path = with_prefix(prefix, config.get("cmdline", "cmdline.txt"))
    if not fat.exists(kernel_path):
        raise refusal(f"no kernel {kernel_path} on partition {number}", "boot: kernel")
    if not tree_name or not fat.exists(tree_path):
        raise refusal(f"no device tree {tree_path or '(empty)'} for model {model} on partition {number}", "overlays")
    return Boot(
        kernel=_kernel(fat.read(kernel_path), kernel_path),
        dtb=_tree(fat.read(tree_path), tree_path),
        cmdline=_cmdline(fat, cmdline_path),
        partition=number,
        config=config,
        initramfs=_initramfs(fat, config, prefix, kernel_name),
        overlays=_overlays(fat, rows, config, prefix),
        names={"kernel": kernel_path, "dtb": tree_path, "cmdline": cmdline_path, "start": start, "fixup": fixup},
        before=state,
        walked=choice.walked,
    )


def _settings(fat: Fat, name: str, model: str, state: FirmwareState) -> list[configtxt.Setting]:
    text = fat.read(name).decode("utf-8", "replace") if fat.exists(name) else ""
    rows = configtxt.settings(
        text,
        name=name,
        model=model,
        tryboot=state.tryboot,
        include=lambda other: fat.read(other).decode("utf-8", "replace"),
    )
    for row in rows:
        if row.key in _EARLY and row.where.rpartition(":")[0] != name:
            raise refusal(f"{row.where}: {row.key} is read by the EEPROM, which includes no files", "format: include")
        if row.key in _NOT_PLAYED and row.value not in ("", "0"):
            what = f"{row.where}: {row.key}={row.value} is not played here: {_NOT_PLAYED[row.key]}"
            raise refusal(what, f"boot: {row.key}")
    return rows


def _start_files(config: Mapping[str, str]) -> tuple[str, str]:
    """[boot] start_file, fixup_file: a matched pair; on a Pi 4 the names have a 4 in them."""
    for key, variant in _VARIANTS.items():
        if config.get(key, "0") not in ("", "0"):
            return f"start4{variant}.elf", f"fixup4{variant}.dat"
    start, fixup = config.get("start_file", "start4.elf"), config.get("fixup_file", "fixup4.dat")
    if start.removeprefix("start").removesuffix(".elf") != fixup.removeprefix("fixup").removesuffix(".dat"):
        raise refusal(f"{start} and {fixup} are no pair", "boot: start_file, fixup_file")
    return start, fixup


def _kernel_name(config: Mapping[str, str]) -> str:
    if config.get("arm_64bit", "0") == "0":
        # Newer firmware defaults to 1 on a Pi 4; the default moved once, so an image states it.
        raise refusal("arm_64bit=1 is not set, so a 32-bit kernel is looked for", "boot: arm_64bit")
    name = config.get("kernel", "kernel8.img")
    if name in KERNELS_32:
        raise refusal(f"kernel={name} is the name of a 32-bit kernel, which undoes arm_64bit=1", "boot: arm_64bit")
    return name


def with_prefix(prefix: str, name: str) -> str:
    """[boot] os_prefix: an absolute name bypasses all prefixes."""
    return name if name.startswith("/") else prefix + name


def _prefix(fat: Fat, config: Mapping[str, str], kernel: str, tree: str) -> str:
    prefix = config.get("os_prefix", "upstream/" if config.get("upstream_kernel", "0") == "1" else "")
    # "unless the expected kernel and .dtb can be found at the new location/name, the prefix is ignored"
    usable = fat.exists(with_prefix(prefix, kernel)) and fat.exists(with_prefix(prefix, tree))
    if prefix and not usable and "os_prefix" in config:
        raise refusal(f"os_prefix={prefix} would be ignored: kernel or tree is not there", "boot: os_prefix")
    return prefix if usable else ""


def _kernel(raw: bytes, name: str) -> bytes:
    """[boot] arm_64bit: 64-bit kernels may be raw images or gzip files, told apart by their first bytes."""
    if raw[:2] == b"\x1f\x8b":
        try:
            raw = gzip.decompress(raw)
        except (OSError, EOFError, zlib.error) as error:
            raise refusal(f"{name} is a broken gzip file", "boot: arm_64bit") from error
    if raw[56:60] != b"ARM\x64":
        raise refusal(f"{name} is no arm64 kernel image (no ARM64 magic at byte 56)", "boot: arm_64bit")
    return raw


def _tree(raw: bytes, name: str) -> bytes:
    if raw[:4] != b"\xd0\x0d\xfe\xed" or int.from_bytes(raw[4:8], "big") > len(raw):
        raise refusal(f"{name} is no complete device tree", "overlays")
    return raw


def _overlays(
    fat: Fat, rows: Sequence[configtxt.Setting], config: Mapping[str, str], prefix: str
) -> tuple[tuple[str, bytes], ...]:
    """[overlays] DTBs, overlays and config.txt. The loader skips what it does not find; we refuse.

    Parameters need `__overrides__`, which no tree of mainline's has, so each of them would be skipped too.
    """
    folder = config.get("overlay_prefix", "overlays/")
    if fat.exists(f"{prefix}{folder}README"):
        folder = prefix + folder
    found: list[tuple[str, bytes]] = []
    for row in rows:
        name, parameters = (*re.split(r"[,:]", row.value, maxsplit=1), "")[:2]
        if row.value and (row.key in _PARAMETER_KEYS or (row.key in _OVERLAY_KEYS and parameters)):
            raise refusal(f"{row.where}: {row.key}={row.value}: no parameters are played", "overlays: DT parameters")
        if row.key not in _OVERLAY_KEYS or not row.value:
            continue
        if fat.exists(f"{folder}overlay_map.dtb"):
            raise refusal(f"{row.where}: {folder}overlay_map.dtb may rename {name}", "overlays: overlay_map")
        path = f"{folder}{name}.dtbo"
        if not fat.exists(path):
            raise refusal(f"{row.where}: no overlay {path}, which would be skipped", "overlays: debugging")
        found.append((name, _tree(fat.read(path), path)))
    return tuple(found)


def _cmdline(fat: Fat, name: str) -> str:
    """[boot] cmdline: one line; the firmware passes no more than the first."""
    if not fat.exists(name):
        raise refusal(f"no {name}", "boot: cmdline")
    try:
        lines = fat.read(name).decode("ascii").splitlines()
    except UnicodeDecodeError as error:
        raise refusal(f"{name} is not plain ASCII", "boot: cmdline") from error
    if not lines or any(line.strip() for line in lines[1:]):
        raise refusal(f"{name} must be exactly one line", "boot: cmdline")
    line = lines[0].strip()
    if len(line) > MAX_CMDLINE:
        raise refusal(f"{name} has {len(line)} characters, an arm64 kernel reads {MAX_CMDLINE}", "boot: cmdline")
    return line


def _initramfs(fat: Fat, config: Mapping[str, str], prefix: str, kernel: str) -> bytes:
    """[boot] initramfs, ramfsfile: comma-separated names, loaded one after the other, behind the kernel."""
    words = config.get("initramfs", "").split()
    if words and (len(words) != 2 or words[1] not in ("followkernel", "0")):
        raise refusal(f"initramfs {' '.join(words)}: not of the form NAME followkernel", "boot: initramfs")
    names = words[0] if words else config.get("ramfsfile", "")
    if not names and config.get("auto_initramfs", "0") == "1":
        names = _auto_initramfs(fat, prefix, kernel)
    pieces = []
    for name in filter(None, names.split(",")):
        path = with_prefix(prefix, name)
        if not fat.exists(path):
            raise refusal(f"no initramfs {path}", "boot: initramfs")
        pieces.append(fat.read(path))
    return b"".join(pieces)


def _auto_initramfs(fat: Fat, prefix: str, kernel: str) -> str:
    """[boot] auto_initramfs: for kernel8.img, initramfs8 when it is there; for other names it depends on the firmware.

    Before April 2025 the board's default name was taken, since then one made of the kernel's name: a card on which
    the two differ is refused (raspberrypi/firmware#1965, raspberrypi/documentation#4085).
    """
    older = "initramfs8" if fat.exists(with_prefix(prefix, "initramfs8")) else ""
    if kernel == "kernel8.img":
        return older
    match = re.fullmatch(r"kernel(.*)\.img", kernel)
    newer = f"initramfs{match[1]}" if match and fat.exists(with_prefix(prefix, f"initramfs{match[1]}")) else ""
    if older != newer:
        names = f"{older or 'none'} or {newer or 'none'}"
        raise refusal(f"auto_initramfs=1 with kernel={kernel}: {names}, by the firmware's age", "boot: auto_initramfs")
    return older
