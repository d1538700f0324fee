# SPDX-License-Identifier: MIT
"""struct_ops work, although our kernel describes them late (docs/decisions): schedulers and congestion controls in BPF.

The program (programs/struct_ops.c) is compiled here and reaches the machine on a second disk, so no image carries it.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from protopi.boot.qemu import Options, enlarge
from protopi.boot.shell import ask, shell
from protopi.boot.tools import run
from protopi.sandbox import Bind

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import BuiltImage

    Built = Callable[[str], BuiltImage]

pytestmark = pytest.mark.image
SOURCE = Path(__file__).parent / "programs/struct_ops.c"
COMPILE = ("aarch64-linux-gnu-gcc", "-std=gnu17", "-O2", "-Wall", "-Wextra", "-Werror", "-static", "-s")
DISK = "tools.erofs"


def card(image: BuiltImage, folder: Path) -> Path:
    """A copy of the image, with a disk beside it that holds the program."""
    (folder / "disk").mkdir()
    shutil.copyfile(SOURCE, folder / SOURCE.name)
    binds = [Bind(folder, "/host/run", writable=True)]
    run(image.tools, [*COMPILE, "-o", "/host/run/disk/struct_ops", f"/host/run/{SOURCE.name}"], binds)
    run(image.tools, ["mkfs.erofs", "--quiet", f"/host/run/{DISK}", "/host/run/disk"], binds)
    return enlarge(image.path, folder / "card.img")


@pytest.mark.parametrize(
    ("name", "realtime", "seconds"),
    [
        pytest.param("virt-test", False, 120, id="one CPU at a time"),
        pytest.param("virt-test", True, 120, id="CPUs in parallel"),
        # lockdep and KASAN look on.
        pytest.param("virt-debug", True, 900, id="debug", marks=[pytest.mark.full, pytest.mark.timeout(5400)]),
    ],
)
def test_struct_ops_register_and_work(name: str, realtime: bool, seconds: float, built: Built, tmp_path: Path) -> None:
    """In parallel too: the kernel's first use of struct_ops is several processes' at once."""
    image = built(name)
    disk = ("-drive", f"if=none,id=tools,file=/host/image/{DISK},format=raw,readonly=on")
    options = Options(realtime=realtime, extra=(*disk, "-device", "virtio-blk-device,drive=tools"))
    with shell(card(image, tmp_path), image.board, image.tools, options, seconds) as child:
        tried = "for d in /dev/vd?; do mount -t erofs -o ro $d /tmp/tools 2>/dev/null && break; done"
        assert ask(child, f"mkdir /tmp/tools; {tried}; ls /tmp/tools") == "struct_ops"
        tap = ask(child, "/tmp/tools/struct_ops; echo status $?", seconds / 2)
        assert "not ok" not in tap, tap
        assert re.search(r"^1\.\.18$", tap, re.MULTILINE), tap
        assert tap.endswith("status 0"), tap
        # sched_ext and TCP say what happened; nobody has anything to complain of.
        assert ask(child, "dmesg | grep -E 'WARNING|BUG|Oops|cannot be described|Call trace'") == ""
        # All can be had again.
        assert ask(child, "/tmp/tools/struct_ops | grep -c '^ok'", seconds / 2) == "18"
