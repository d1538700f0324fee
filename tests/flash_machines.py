# SPDX-License-Identifier: MIT
"""Makes the /sys, /dev and /proc of the machines in flash-machines.txt, one readable table.

A machine is a system and what is plugged into it: `SYSTEM: story`, and a line for each disk:
`SIGN NAME BUS SIZE OPTIONS : CONTENTS`. SIGN + : it may be written; - : it is refused. `!rule` says which row of the
table has to object (among others). OPTIONS: serial=S, lun=N, type=T (the kernel's), fixed (not removable), ro,
sector=N, noid (no by-id name), noseq (no disk sequence), unread (cannot be opened). CONTENTS are `PARTITION=WHAT`
(0: the disk itself): a type that blkid knows (`?`: several), /LABEL, @MOUNTPOINT, ~ (swap in use),
>HOLDER:WHAT[,HOLDER:WHAT] (what is built on it); `_` is a blank in names. What begins with * is no disk: see
`Machine`.
"""

from __future__ import annotations

import errno
import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from protopi.flash.disks import Roots

TABLE = Path(__file__).with_name("flash-machines.txt")


@dataclass(frozen=True, slots=True)
class Expected:
    """What the table says of a disk: whether it may be written, and which row objects ("": any)."""

    name: str
    allowed: bool
    rule: str
    serial: str


@dataclass(slots=True)
class Machine:
    """A machine as folders. Words of the table that begin with *:

    mount KIND SOURCE POINT [OPTIONS]; btrfs MEMBER ... @POINT ... (without a point: one more member of the system's);
    backing LOOP PATH; part HOLDER NUMBER WHAT; swapfile PATH; ours NAME PATH
    """

    name: str
    root: Path
    disks: list[Expected] = field(default_factory=list)
    ours: dict[str, str] = field(default_factory=lambda: {"/": "/", "/home": "/home", "/boot": "/boot"})
    probes: dict[str, tuple[int, str] | OSError] = field(default_factory=dict)
    _mounts: list[str] = field(default_factory=list)
    _swaps: list[str] = field(default_factory=list)
    _numbers: dict[str, str] = field(default_factory=dict)
    _btrfs: list[list[str]] = field(default_factory=list)

    @property
    def roots(self) -> Roots:
        """What protopi.flash.disks.read takes."""
        return Roots(
            self.root / "sys", self.root / "dev", self.root / "mountinfo", self.root / "swaps", probe=self._probe
        )

    def _probe(self, path: Path) -> tuple[int, str]:
        found = self.probes[path.name]
        if isinstance(found, OSError):
            raise found
        return found

    # --- making ------------------------------------------------------------------------------------------------------

    def make(self, words: list[str]) -> Machine:
        """Write the folders of what these lines say."""
        for folder in ("sys/block", "dev/disk/by-id", "sys/fs/btrfs/features"):
            (self.root / folder).mkdir(parents=True)
        for one in words:
            if not one.startswith("*"):
                self._disk(one)
        for one in words:
            if one.startswith("*"):
                getattr(self, f"_say_{one.split()[0][1:]}")(*one.split()[1:])
        for index, (members, points) in enumerate(self._pools()):
            uuid = f"0000000{index}-1111-2222-3333-444444444444"
            for member in members:
                (self.root / "sys/fs/btrfs" / uuid / "devices").mkdir(parents=True, exist_ok=True)
                (self.root / "sys/fs/btrfs" / uuid / "devices" / member).touch()
            for point in points:
                self._mounts.append(f"0:{50 + index} / {point} rw - btrfs /dev/{members[0]} rw")
        rows = [f"{30 + n} 1 {row}" for n, row in enumerate(["0:22 / /proc rw - proc proc rw", *self._mounts])]
        (self.root / "mountinfo").write_text("\n".join(rows) + "\n")
        head = "Filename\t\t\t\tType\t\tSize\tUsed\tPriority\n"
        (self.root / "swaps").write_text(head + "".join(f"{s}\tpartition\t1\t0\t-2\n" for s in self._swaps))
        return self

    def _pools(self) -> list[tuple[list[str], list[str]]]:
        pools: list[tuple[list[str], list[str]]] = []
        for words in self._btrfs:
            members, points = [w for w in words if w[0] != "@"], [w[1:] for w in words if w[0] == "@"]
            if points:
                pools.append((members, points))
            else:
                pools[0][0].extend(members)
        return pools

    def _disk(self, text: str) -> None:
        head, _, contents = text.partition(" : ")
        sign, (name, bus, size, *options) = head[0], head[1:].split()
        plain = {word for word in options if "=" not in word}
        option = dict(word.split("=", 1) for word in options if "=" in word)
        rule = next((word[1:].replace("_", " ") for word in plain if word[0] == "!"), "")
        serial = option.get("serial", "")
        self.disks.append(Expected(name, sign == "+", rule, serial))
        folder = self._place(name, bus, option)
        self._node(name, folder, _bytes(size), link=True)
        (folder / "removable").write_text("0\n" if "fixed" in plain or bus not in ("usb", "mmcusb") else "1\n")
        (folder / "ro").write_text("1\n" if "ro" in plain else "0\n")
        (folder / "queue").mkdir()
        (folder / "queue/logical_block_size").write_text(option.get("sector", "512") + "\n")
        if "noseq" not in plain:
            (folder / "diskseq").write_text(f"{len(self._numbers) + 10}\n")
        if "noid" not in plain and bus != "virtual":
            label = f"{bus}-Some_Model_{serial or 'x' + name}-0:{option.get('lun', '0')}"
            link = self.root / "dev/disk/by-id" / label
            link.unlink(missing_ok=True)  # of two disks with one name udev keeps the last
            link.symlink_to(f"../../{name}")
        self.probes[name] = (2, "")
        parts: dict[str, str] = dict(word.partition("=")[::2] for word in contents.split())
        for number, what in parts.items():
            if number == "0":
                self._what(name, what)
                continue
            node = f"{name}p{number}" if name[-1].isdigit() else f"{name}{number}"
            self._partition(node, folder, int(number))
            self._what(node, what)
        if parts.keys() - {"0"}:
            self.probes[name] = (0, f"DEVNAME=/dev/{name}\nPTUUID=12345678\nPTTYPE=dos\n")
        if "unread" in plain:
            self.probes |= {
                key: PermissionError(errno.EACCES, "Permission denied") for key in self.probes if name in key
            }

    def _place(self, name: str, bus: str, option: dict[str, str]) -> Path:
        top, index = self.root / "sys/devices", len(self._numbers)
        pci = top / "pci0000:00/0000:00:14.0"
        usb = pci / f"usb1/1-{index}"
        lun = option.get("lun", "0")
        kind = option.get("type", "0")
        if bus == "virtual":
            return _made(top / "virtual/block" / name)
        if bus == "nvme":
            return _made(pci / "nvme/nvme0" / name)
        if bus == "virtio":
            return _made(pci / "virtio1/block" / name)
        if bus in ("mmc", "mmcusb"):
            card = _made((pci if bus == "mmc" else usb) / f"mmc_host/mmc{index}/mmc{index}:0001")
            (card / "name").write_text("SC32G\n")
        else:
            base = {"usb": usb / f"1-{index}:1.0", "ata": pci / f"ata{index}", "other": top / "platform/session1"}[bus]
            card = _made(base / f"host{index}/target{index}:0:0/{index}:0:0:{lun}")
            (card / "vendor").write_text("Generic \n")
            (card / "model").write_text("STORAGE DEVICE  \n")
        (card / "type").write_text(kind + "\n")
        if bus == "usb" or bus == "mmcusb":
            (usb / "idVendor").write_text("05e3\n")
        if serial := option.get("serial"):
            ((usb if bus == "usb" else card) / "serial").write_text(serial + "\n")
        folder = _made(card / "block" / name)
        (folder / "device").symlink_to(os.path.relpath(card, folder))
        return folder

    def _node(self, name: str, folder: Path, size: int, *, link: bool = False) -> None:
        self._numbers[name] = f"{7 if 'loop' in name else 253 if '-' in name else 8}:{len(self._numbers)}"
        (folder / "dev").write_text(self._numbers[name] + "\n")
        (folder / "size").write_text(f"{size // 512}\n")
        (folder / "holders").mkdir()
        (self.root / "dev" / name).touch()
        if link:
            (folder / "slaves").mkdir()
            (self.root / "sys/block" / name).symlink_to(os.path.relpath(folder, self.root / "sys/block"))

    def _partition(self, node: str, disk: Path, number: int) -> None:
        folder = _made(disk / node)
        self._node(node, folder, 1 << 20)
        (folder / "partition").write_text(f"{number}\n")
        (folder / "start").write_text(f"{2048 * number}\n")

    def _what(self, node: str, text: str) -> None:
        """A signature, its mounts, and what is built on it."""
        own, *above = text.split(">", 1)
        found = re.fullmatch(r"([^/@~]*)(?:/([^@~]*))?((?:@[^@~]*)*)(~?)", own)
        assert found, text
        kind, label, points, swap = found.groups()
        self.probes[node] = _blkid(node, kind, label or "")
        for point in points.split("@")[1:]:
            self._mounts.append(f"{self._numbers[node]} / {point.replace('_', chr(92) + '040')} rw shared:1 - {kind} "
                                f"/dev/{node} rw")  # fmt: skip
        if swap:
            self._swaps.append(f"/dev/{node}")
        for holder in above[0].split(",") if above else ():
            name, _, more = holder.partition(":")
            folder = self.root / "sys/devices/virtual/block" / name
            if not folder.exists():
                self._node(name, _made(folder), 1 << 30, link=True)
                (folder / "removable").write_text("0\n")
                (folder / "ro").write_text("0\n")
                _made(folder / "queue").joinpath("logical_block_size").write_text("512\n")
                (folder / "diskseq").write_text("5\n")
                self._what(name, more)
            (self._folder(node) / "holders" / name).touch()
            (folder / "slaves" / node).touch()

    def _folder(self, node: str) -> Path:
        direct = self.root / "sys/block" / node
        return direct if direct.exists() else next((self.root / "sys/block").glob(f"*/{node}"))

    # --- what is no disk ---------------------------------------------------------------------------------------------

    def _say_mount(self, kind: str, source: str, point: str, options: str = "rw") -> None:
        self._mounts.append(f"0:{60 + len(self._mounts)} / {point} rw - {kind} {source} {options}")

    def _say_btrfs(self, *words: str) -> None:
        self._btrfs.append([*words])

    def _say_backing(self, loop: str, path: str) -> None:
        folder = _made(self.root / "sys/devices/virtual/block" / loop / "loop")
        (folder / "backing_file").write_text(path + "\n")

    def _say_part(self, holder: str, number: str, what: str) -> None:
        self._partition(f"{holder}p{number}", self._folder(holder), int(number))
        self._what(f"{holder}p{number}", what)

    def _say_swapfile(self, path: str) -> None:
        self._swaps.append(path)

    def _say_ours(self, name: str, path: str) -> None:
        self.ours[f"the {name}"] = path


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _bytes(text: str) -> int:
    units = {"K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
    number = int(text[:-1]) * units[text[-1]] if text[-1] in units else int(text)
    return number // 512 * 512


def _blkid(node: str, kind: str, label: str) -> tuple[int, str] | OSError:
    """What blkid would say; what its families are is its own knowledge (libblkid's superblocks)."""
    if kind == "EIO":
        return OSError(errno.EIO, "Input/output error")
    if kind == "?":
        return 8, ""
    if not kind:
        return 2, ""
    raid = ("_member", "bcache", "drbd", "stratis")
    usage = "crypto" if kind in ("crypto_LUKS", "BitLocker", "DM_verity_hash") else "filesystem"
    usage = "raid" if kind.endswith(raid) else "other" if kind in ("swap", "ceph_bluestore") else usage
    return 0, f"DEVNAME=/dev/{node}\n" + (f"LABEL={label}\n" if label else "") + f"TYPE={kind}\nUSAGE={usage}\n"


def rows() -> list[tuple[str, list[str]]]:
    """(name, specification) of each machine."""
    parts: dict[str, dict[str, list[str]]] = {}
    lines: list[str] = []
    for line in TABLE.read_text().splitlines():
        if line.startswith("["):
            entries = parts.setdefault(line.strip("[]"), {})
        elif line.startswith(" "):
            lines.append(line.strip())
        elif line and line[0] != "#":
            assert line not in entries, line
            entries[line] = lines = []
    systems = parts["systems"]
    return [(name, [*systems[name.partition(":")[0]], *own]) for name, own in parts["machines"].items()]


def machines(folder: Path) -> list[Machine]:
    """All of them, made in a folder."""
    return [Machine(name, folder / f"m{n:03d}").make(spec) for n, (name, spec) in enumerate(rows())]
