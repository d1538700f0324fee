# SPDX-License-Identifier: MIT
"""Firmware that drivers ask for, and kernel modules: what of them goes into an image.

The table names what is kept of a firmware package; links are followed, so that both ends are there.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path

from protopi.errors import Problem, StepError
from recipes.rootfs_tree import Entry, Tree, matches

#: Package -> patterns of files that are kept, with who asks for them.
FIRMWARE: Mapping[str, tuple[str, ...]] = {
    "firmware-brcm80211": (
        # Wi-Fi of the Pi 4 B and of the CM4 (CYW43455). The Pi 400's chip (43456) has no file in Debian.
        "usr/lib/firmware/brcm/brcmfmac43455-sdio.bin",
        "usr/lib/firmware/brcm/brcmfmac43455-sdio.clm_blob",
        "usr/lib/firmware/brcm/brcmfmac43455-sdio.raspberrypi,4-model-b.txt",
        "usr/lib/firmware/brcm/brcmfmac43455-sdio.raspberrypi,4-compute-module.txt",
    ),
}
#: modprobe reads modules.dep and modules.alias; the rest is for kmod's own index format or for building.
MODULE_INDEXES = ("modules.dep", "modules.alias", "modules.builtin", "modules.devname", "modules.softdep")


def copy_firmware(tree: Tree, package: str, unpacked: Tree) -> None:
    """Copy what FIRMWARE names of a package, links with all that they lead to. Raises StepError if one is missing."""
    for pattern in FIRMWARE[package]:
        found = [path for path in unpacked.entries if matches(path, (pattern,))]
        if not found:
            raise StepError(f"{package} no longer has {pattern}")
        for path in found:
            tree.put(path, unpacked[path])
            end = unpacked.resolve(path)
            if end is None:
                raise StepError(f"{package}: /{path} leads nowhere")
            tree.put(end, unpacked[end])


def unknown_modules(tree: Tree, release: str, names: Iterable[str]) -> list[Problem]:
    """A problem for each name that is neither a module of the kernel nor built into it."""
    top = f"usr/lib/modules/{release}"
    known = {_module_name(path) for path in tree.entries if path.startswith(f"{top}/") and path.endswith(".ko")}
    if f"{top}/modules.builtin" in tree:
        known |= {_module_name(line) for line in tree[f"{top}/modules.builtin"].data.decode().splitlines()}
    problems = []
    for name in names:
        if _module_name(name) not in known:
            near = difflib.get_close_matches(_module_name(name), known, n=1)
            hint = f"did you mean {near[0]}?" if near else "an option in `kernel: {fragments: [...]}` may build it"
            problems.append(Problem(f"the kernel has no module {name}", key="modules", hint=hint))
    return problems


def _module_name(path: str) -> str:
    return path.rpartition("/")[2].removesuffix(".ko").replace("-", "_")


#: What modules of ours need of each other; modprobe loads it first.
NEEDS: Mapping[str, tuple[str, ...]] = {"mcp_bpf.ko": ("mcp.ko",), "mcp_net.ko": ("mcp.ko",)}


def copy_modules(tree: Tree, source: Path, extra: Mapping[str, Path]) -> str:
    """Copy /lib/modules/VERSION from a folder that holds lib/modules; returns the version.

    `extra` are modules built apart from the kernel (name -> file): they go to extra/ and into modules.dep; they may
    need each other (NEEDS), and none of the kernel's.
    """
    versions = sorted(path for path in (source / "lib/modules").iterdir() if path.is_dir())
    if len(versions) != 1:
        raise StepError(f"{len(versions)} kernel versions below {source}, expected one")
    base = versions[0]
    top = f"usr/lib/modules/{base.name}"
    for path in sorted(base.rglob("*")):
        relative = path.relative_to(base).as_posix()
        if path.is_file() and not path.is_symlink() and (path.suffix == ".ko" or relative in MODULE_INDEXES):
            tree.put(f"{top}/{relative}", Entry("file", 0o644, data=path.read_bytes(), package="kernel"))
    lines = b""
    for name, path in sorted(extra.items()):
        tree.put(f"{top}/extra/{name}", Entry("file", 0o644, data=path.read_bytes(), package=name.partition(".")[0]))
        needs = "".join(f" extra/{other}" for other in NEEDS.get(name, ()))
        lines += f"extra/{name}:{needs}\n".encode()
    index = f"{top}/modules.dep"
    if index in tree:
        tree.write(index, tree[index].data + lines)
    return base.name
