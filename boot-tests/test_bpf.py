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
from second_disk import HERE, mount, second_disk

from protopi.boot.qemu import Options
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


def card(image: BuiltImage, folder: Path, options: Options) -> tuple[Path, Options]:
    """A copy of the image, with a disk beside it that holds the program; the options with that disk."""
    (folder / "disk").mkdir()
    shutil.copyfile(SOURCE, folder / SOURCE.name)
    binds = [Bind(folder, "/host/run", writable=True)]
    run(image.tools, [*COMPILE, "-o", "/host/run/disk/struct_ops", f"/host/run/{SOURCE.name}"], binds)
    return second_disk(image, folder, folder / "disk", options)


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
    path, options = card(image, tmp_path, Options(realtime=realtime))
    with shell(path, image.board, image.tools, options, seconds) as child:
        assert mount(child) == ["struct_ops"]
        tap = ask(child, f"{HERE}/struct_ops; echo status $?", seconds / 2)
        assert "not ok" not in tap, tap
        assert re.search(r"^1\.\.18$", tap, re.MULTILINE), tap
        assert tap.endswith("status 0"), tap
        # sched_ext and TCP say what happened; nobody has anything to complain of.
        assert ask(child, "dmesg | grep -E 'WARNING|BUG|Oops|cannot be described|Call trace'") == ""
        # All can be had again.
        assert ask(child, "/tmp/tools/struct_ops | grep -c '^ok'", seconds / 2) == "18"
