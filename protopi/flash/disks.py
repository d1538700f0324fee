# SPDX-License-Identifier: MIT
"""Which disks this machine has, what is on them and who uses them: one reading of /sys, /dev and /proc.

The kernel's own tree says who holds whom (partitions, device mapper, md, bcache, loop devices), so nothing is asked of
lsblk. A fact that cannot be had is an error or is marked as unknown, never left out: what is missing here would make a
disk look free. All roots are parameters, so that tests can give whole machines as folders.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from protopi.errors import InfraError
from protopi.flash.mounts import DISKLESS, UNSAFE, Mount, mount_of, read_mounts, read_swaps
from protopi.flash.signature import Signature, blkid, parse

SECTOR = 512
#: Where cards are: only what hangs there is probed (a probe would wake sleeping disks) and may be written.
CARD_BUSES = ("usb", "mmc")
_BOOT_AREA = re.compile(r"mmcblk\d+(boot\d+|gp\d+|rpmb)")


@dataclass(frozen=True, slots=True)
class Roots:
    """Where this machine's facts are, and how a device is probed: (blkid's status, its text), or OSError."""

    sys: Path = Path("/sys")
    dev: Path = Path("/dev")
    mountinfo: Path = Path("/proc/self/mountinfo")
    swaps: Path = Path("/proc/swaps")
    probe: Callable[[Path], tuple[int, str]] = blkid


@dataclass(frozen=True, slots=True)
class Node:
    """A block device that is a disk, a partition of it, or something built on one.

    `start` and `size` in bytes; `parent`: the disk of a partition; `above`: who holds it; `below`: what it is built on;
    `signature` None: it was not looked at, `unread` says why if it should have been.
    """

    name: str
    number: str
    size: int
    start: int = 0
    parent: str = ""
    above: tuple[str, ...] = ()
    below: tuple[str, ...] = ()
    backing_file: str = ""
    mounted: tuple[str, ...] = ()
    swap: bool = False
    signature: Signature | None = None
    unread: str = ""


@dataclass(frozen=True, slots=True)
class Disk:
    """A whole disk with everything that decides whether it may be written.

    `sequence` is the kernel's number for this very medium: a new one each time something is plugged in or changed.
    `lun` tells the slots of one reader apart; `kind` is the kernel's type ("SD", "MMC"; SCSI's "0"); `by_id` its stable
    names; `nodes` itself, its partitions, and all that is built on them; `backs` what of ours lies on it.
    """

    name: str
    number: str
    sequence: int | None
    size: int
    sector: int
    bus: str
    kind: str
    model: str
    serial: str
    lun: str
    removable: bool
    read_only: bool
    boot_area: bool
    path: Path
    by_id: tuple[Path, ...]
    nodes: tuple[Node, ...]
    backs: tuple[str, ...] = ()

    @property
    def partitions(self) -> tuple[Node, ...]:
        """Its partitions as the kernel sees them now."""
        return tuple(node for node in self.nodes if node.parent == self.name)


@dataclass(frozen=True, slots=True)
class Machine:
    """All disks; `untraced`: what of ours could not be traced to any disk, and why."""

    disks: tuple[Disk, ...]
    untraced: Mapping[str, str] = field(default_factory=dict)


class _Untraced(Exception):
    """Which disk something lies on cannot be said."""


def read(roots: Roots, ours: Mapping[str, str]) -> Machine:
    """Read the machine. `ours`: what must not be harmed, by its name ("/", "the image"): paths without links.

    Raises InfraError when something that decides cannot be read.
    """
    mounts, swaps = read_mounts(roots.mountinfo), read_swaps(roots.swaps)
    nodes = _nodes(roots)
    names = {node.number: node.name for node in nodes.values()}
    for name, points in _mounted(roots, nodes, names, mounts).items():
        nodes[name] = replace(nodes[name], mounted=points)
    for swap in swaps:
        if swap.startswith("/dev/") and (name := _device(roots, swap)) in nodes:
            nodes[name] = replace(nodes[name], swap=True)
    backs, untraced = _backing(roots, nodes, names, mounts, ours)
    links = _by_id(roots)
    disks = []
    for name in sorted(node.name for node in nodes.values() if not node.parent):
        try:
            disks.append(_disk(roots, nodes, name, links.get(name, ()), tuple(backs.get(name, ()))))
        except InfraError:
            if (roots.sys / "block" / name).exists():
                raise  # else it was pulled out while we looked
    return Machine(tuple(disks), untraced)


# --- single facts --------------------------------------------------------------------------------------------------


def _fact(path: Path) -> str:
    """A file that has to be there."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError as error:
        raise InfraError(f"{path} cannot be read: {error.strerror}", hint=UNSAFE) from error


def _number(path: Path) -> int:
    text = _fact(path)
    if not text.isdecimal():
        raise InfraError(f"{path} holds {text!r}, not a number", hint=UNSAFE)
    return int(text)


def _maybe(path: Path) -> str:
    """A file that not every kind of disk has. One that is there and cannot be read is an error all the same."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except OSError as error:
        raise InfraError(f"{path} cannot be read: {error.strerror}") from error


def _entries(folder: Path, *, must: bool = False) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except (FileNotFoundError, NotADirectoryError) as error:
        if must:
            raise InfraError(f"{folder} is not there, so the disks are not known") from error
        return []
    except OSError as error:
        raise InfraError(f"{folder} cannot be read: {error.strerror}") from error


def _device(roots: Roots, path: str) -> str:
    """The kernel's name of a device node; `path` begins with /dev/, and may be a link."""
    real = os.path.realpath(roots.dev / path.removeprefix("/dev/"))
    return os.path.relpath(real, os.path.realpath(roots.dev)).replace("/", "!")


def _by_id(roots: Roots) -> dict[str, tuple[Path, ...]]:
    folder = roots.dev / "disk/by-id"
    links: dict[str, tuple[Path, ...]] = {}
    for name in _entries(folder):
        target = _device(roots, f"/dev/disk/by-id/{name}")
        links[target] = (*links.get(target, ()), folder / name)
    return links


# --- the tree of devices -------------------------------------------------------------------------------------------


def _nodes(roots: Roots) -> dict[str, Node]:
    nodes: dict[str, Node] = {}
    folder = roots.sys / "block"
    for name in _entries(folder, must=True):
        try:
            for node in _node_and_partitions(folder / name):
                nodes[node.name] = node
        except InfraError:
            if (folder / name).exists():
                raise
    if not nodes:
        raise InfraError(f"{folder} is empty, so the disks are not known")
    # A loop device is no entry in `holders`; and what is below something says so itself too.
    above: dict[str, set[str]] = {name: set(node.above) for name, node in nodes.items()}
    for node in nodes.values():
        below = set(node.below)
        if node.backing_file.startswith("/dev/"):
            below.add(_device(roots, node.backing_file))
        for name in below & above.keys():
            above[name].add(node.name)
    return {name: replace(node, above=tuple(sorted(above[name]))) for name, node in nodes.items()}


def _node_and_partitions(folder: Path) -> Iterator[Node]:
    yield Node(
        folder.name,
        _fact(folder / "dev"),
        _number(folder / "size") * SECTOR,
        above=tuple(_entries(folder / "holders")),
        below=tuple(_entries(folder / "slaves")),
        backing_file=_maybe(folder / "loop/backing_file"),
    )
    for name in _entries(folder, must=True):
        part = folder / name
        if (part / "partition").is_file():
            yield Node(
                name,
                _fact(part / "dev"),
                _number(part / "size") * SECTOR,
                start=_number(part / "start") * SECTOR,
                parent=folder.name,
                above=tuple(_entries(part / "holders")),
            )


def _family(nodes: Mapping[str, Node], name: str) -> tuple[Node, ...]:
    """A disk, its partitions, what holds them, the partitions of that, and so on."""
    found: dict[str, Node] = {}
    todo = [name]
    while todo:
        here = todo.pop(0)
        if here in found or here not in nodes:
            continue
        found[here] = nodes[here]
        todo += sorted(node.name for node in nodes.values() if node.parent == here)
        todo += nodes[here].above
    return tuple(found.values())


# --- who uses what -------------------------------------------------------------------------------------------------


def _mounted(
    roots: Roots, nodes: Mapping[str, Node], names: Mapping[str, str], mounts: tuple[Mount, ...]
) -> dict[str, tuple[str, ...]]:
    """Node -> where it is mounted. A btrfs names one of its members; the kernel lists all of a mounted one."""
    found: dict[str, list[str]] = {}
    for mount in mounts:
        name = names.get(mount.number) or (_device(roots, mount.source) if mount.source.startswith("/dev/") else "")
        if name in nodes:
            found.setdefault(name, []).append(mount.point)
    for uuid in _entries(roots.sys / "fs/btrfs"):
        for name in _entries(roots.sys / "fs/btrfs" / uuid / "devices"):
            if name in nodes and name not in found:
                found[name] = [f"a part of the btrfs {uuid}"]
    return {name: tuple(points) for name, points in found.items()}


def _backing(
    roots: Roots,
    nodes: Mapping[str, Node],
    names: Mapping[str, str],
    mounts: tuple[Mount, ...],
    ours: Mapping[str, str],
) -> tuple[dict[str, list[str]], dict[str, str]]:
    """Disk -> what of ours lies on it; and what could not be traced."""

    def disks_below(name: str, seen: frozenset[str]) -> set[str]:
        node = nodes[name]
        if node.parent:
            return disks_below(node.parent, seen)
        found = {name}
        for below in node.below:
            if below not in nodes:
                raise _Untraced(f"{name} lies on {below}, which is unknown")
            found |= disks_below(below, seen)
        if node.backing_file.startswith("/dev/") and (device := _device(roots, node.backing_file)) in nodes:
            return found | disks_below(device, seen)
        return found | trace(node.backing_file, seen) if node.backing_file else found

    def trace(path: str, seen: frozenset[str]) -> set[str]:
        mount = mount_of(path, mounts)
        if mount.point in seen:
            raise _Untraced(f"the {mount.kind} at {mount.point} seems to lie on itself")
        seen |= {mount.point}
        if mount.number in names:
            return disks_below(names[mount.number], seen)
        if mount.kind in DISKLESS:
            return set()
        if mount.kind == "overlay":
            layers = re.findall(r"(?:^|,)(?:lowerdir|upperdir)\+?=([^,]*)", mount.options)
            folders = [folder for layer in layers for folder in layer.split(":") if folder]
            if not folders or not all(folder.startswith("/") for folder in folders):
                raise _Untraced(f"the overlay at {mount.point} does not name its layers")
            return set().union(*(trace(folder, seen) for folder in folders))
        if mount.kind == "zfs":
            return set()  # its members are known by their label, and refused for it
        if mount.source.startswith("/dev/") and (name := _device(roots, mount.source)) in nodes:
            found = disks_below(name, seen)
            for uuid in _entries(roots.sys / "fs/btrfs"):
                members = _entries(roots.sys / "fs/btrfs" / uuid / "devices")
                if mount.kind == "btrfs" and name in members:
                    found = found.union(*(disks_below(member, seen) for member in members if member in nodes))
            return found
        raise _Untraced(f"{mount.kind} at {mount.point} from {mount.source}")

    backs: dict[str, list[str]] = {}
    untraced: dict[str, str] = {}
    for what, path in ours.items():
        try:
            for name in trace(path, frozenset()):
                backs.setdefault(name, []).append(what)
        except _Untraced as error:
            untraced[what] = str(error)
    return backs, untraced


# --- a disk --------------------------------------------------------------------------------------------------------


def _bus(real: Path, sys: Path) -> str:
    """What a disk hangs on, from its place in the kernel's tree; the innermost counts (an mmc host can be on USB)."""
    parts = real.relative_to(os.path.realpath(sys)).parts
    if parts[:2] == ("devices", "virtual"):
        return "virtual"
    for pattern, bus in (("mmc_host", "mmc"), (r"usb\d+", "usb"), ("nvme", "nvme"), (r"ata\d+", "ata")):
        if any(re.fullmatch(pattern, part) for part in parts):
            return bus
    return "virtio" if any(re.fullmatch(r"virtio\d+", part) for part in parts) else "other"


def _serial(real: Path, bus: str, sys: Path) -> str:
    if bus == "usb":
        top = Path(os.path.realpath(sys))
        for folder in real.parents:
            if folder == top:
                return ""
            if (folder / "idVendor").is_file():
                return _maybe(folder / "serial")
    return _maybe(real / "device/serial") or _maybe(real / "serial")


def _disk(roots: Roots, nodes: Mapping[str, Node], name: str, by_id: tuple[Path, ...], backs: tuple[str, ...]) -> Disk:
    folder = roots.sys / "block" / name
    real = Path(os.path.realpath(folder))
    bus = _bus(real, roots.sys)
    words = (_maybe(folder / "device" / key) for key in ("vendor", "model", "name"))
    sequence = _maybe(folder / "diskseq")
    size = nodes[name].size
    family = _family(nodes, name)
    if bus in CARD_BUSES and size:
        family = tuple(_probed(roots, node) if node.name == name or node.parent == name else node for node in family)
    return Disk(
        name=name,
        number=nodes[name].number,
        sequence=int(sequence) if sequence.isdecimal() else None,
        size=size,
        sector=_number(folder / "queue/logical_block_size"),
        bus=bus,
        kind=_maybe(folder / "device/type"),
        model=" ".join(" ".join(words).split()),
        serial=_serial(real, bus, roots.sys),
        lun=os.path.basename(os.path.realpath(folder / "device")).rpartition(":")[2] if bus == "usb" else "",
        removable=_number(folder / "removable") == 1,
        read_only=_number(folder / "ro") != 0,
        boot_area=_BOOT_AREA.fullmatch(name) is not None,
        path=roots.dev / name.replace("!", "/"),
        by_id=by_id,
        nodes=family,
        backs=backs,
    )


def _probed(roots: Roots, node: Node) -> Node:
    try:
        return replace(node, signature=parse(*roots.probe(roots.dev / node.name.replace("!", "/"))))
    except OSError as error:
        return replace(node, unread=error.strerror or str(error))
    except ValueError as error:
        return replace(node, unread=str(error))
