# SPDX-License-Identifier: MIT
"""A second disk for a machine under test: a test's own files, read-only, which the machine has at `HERE`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from protopi.boot.qemu import Options, enlarge
from protopi.boot.shell import ask
from protopi.boot.tools import run
from protopi.sandbox import Bind

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import BuiltImage

#: Where `mount` puts it.
HERE = "/tmp/tools"
_FILE = "tools.erofs"


def second_disk(image: BuiltImage, folder: Path, files: Path, options: Options) -> tuple[Path, Options]:
    """A copy of the image in `folder`, and these options with the disk added, which holds what is in `files` now."""
    binds = [Bind(folder, "/host/run", writable=True), Bind(files, "/host/disk")]
    run(image.tools, ["mkfs.erofs", "--quiet", f"/host/run/{_FILE}", "/host/disk"], binds)
    drive = ("-drive", f"if=none,id=tools,file=/host/image/{_FILE},format=raw,readonly=on")
    extra = (*options.extra, *drive, "-device", "virtio-blk-device,drive=tools")
    return enlarge(image.path, folder / "card.img"), replace(options, extra=extra)


def mount(child: Any, seconds: float = 300) -> list[str]:
    """Mount the disk at `HERE`; the names that it has. Which of the disks it is depends on the kernel's order."""
    tried = f"for d in /dev/vd?; do mount -t erofs -o ro $d {HERE} 2>/dev/null && break; done"
    names = ask(child, f"mkdir {HERE}; {tried}; ls {HERE}", seconds).split()
    assert names, "the second disk was not found"
    return names
