# SPDX-License-Identifier: MIT
"""The KUnit suites of mcp/kunit, on the debug kernel: the product's has no CONFIG_KUNIT, and no image carries them.

They are built here against that kernel and reach the machine on a second disk; loading the module runs them. The same
.c files run on a host in seconds: tests/test_mcp_fuzz.py.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from module_bench import Bench, open_bench
from second_disk import HERE, mount, second_disk

from protopi.boot.qemu import Options
from protopi.boot.shell import ask, shell
from protopi.project import Project

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import BuiltImage

pytestmark = pytest.mark.image
PROJECT = Project.here()
IMAGE = "virt-debug"
#: The suites, and the fewest results of each: one that lost its cases must not pass.
SUITES = {"mcp_charge": 5, "mcp_envelope": 43, "mcp_quota": 6, "mcp_replay": 6, "mcp_rules": 9, "mcp_slots": 8}
#: The control: a fault, and the one suite that must say so.
FAULT = ("kernel/mcp_slots.c", "__set_bit(0, slots->map);", "__set_bit(1, slots->map);", "mcp_slots")
RESULTS = "/sys/kernel/debug/kunit"


def test_every_suite_is_run_here() -> None:
    stems = {path.stem.removesuffix("_kunit") for path in (PROJECT.root / "mcp/kunit").glob("*_kunit.c")}
    assert {f"mcp_{stem}" for stem in stems} == set(SUITES)
    listed = (PROJECT.root / "mcp/kunit/Kbuild").read_text()
    assert all(f"{stem}_kunit.o" in listed for stem in stems)


def build_suites(bench: Bench, disk: Path, name: str) -> None:
    """Build mcp_kunit.ko of the copy `name` onto the disk as NAME.ko."""
    assert bench.build(name, "CONFIG_DEBUG_INFO_BTF_MODULES=", "KCFLAGS=-Werror", folder="kunit") == (0, "")
    shutil.copyfile(bench.folder / name / "kunit/mcp_kunit.ko", disk / f"{name}.ko")


def results_of(text: str) -> dict[str, tuple[str, int]]:
    """What each suite said of itself, and how many results it had."""
    found = re.findall(r"^# Totals: .* total:(\d+)\n(ok|not ok) 1 (\w+)$", text, re.MULTILINE)
    return {suite: (said, int(total)) for total, said, suite in found}


@pytest.mark.full
@pytest.mark.timeout(5400)
def test_the_suites_pass_and_a_fault_is_found(built: Callable[[str], BuiltImage], tmp_path: Path) -> None:
    image = built(IMAGE)
    disk = tmp_path / "disk"
    disk.mkdir()
    with open_bench(PROJECT, Path(__file__).parent / "images" / f"{IMAGE}.yaml") as bench:
        bench.copy("good")
        build_suites(bench, disk, "good")
        path, old, new, _ = FAULT
        broken = bench.copy("bad") / path
        assert old in broken.read_text()
        broken.write_text(broken.read_text().replace(old, new))
        build_suites(bench, disk, "bad")
    # KUnit is off unless the command line asks for it. A scan for leaks would take the whole machine for minutes.
    options = Options(realtime=True, append=("kunit.enable=1", "kmemleak=off"))
    card, options = second_disk(image, tmp_path, disk, options)
    with shell(card, image.board, image.tools, options, 900) as child:
        assert mount(child, 900) == ["bad.ko", "good.ko"]
        ask(child, "test -d /sys/kernel/debug/kunit || mount -t debugfs none /sys/kernel/debug", 900)
        said = {}
        for name in ("good", "bad"):
            assert ask(child, f"insmod {HERE}/{name}.ko; echo status $?", 900).endswith("status 0")
            said[name] = ask(child, f"cat {RESULTS}/mcp_*/results", 900)
            assert ask(child, "rmmod mcp_kunit; echo status $?", 900) == "status 0"
    good, bad = results_of(said["good"]), results_of(said["bad"])
    assert {suite: result[0] for suite, result in good.items()} == dict.fromkeys(SUITES, "ok"), said["good"]
    assert all(good[suite][1] >= least for suite, least in SUITES.items()), good
    assert {suite for suite, result in bad.items() if result[0] != "ok"} == {FAULT[3]}, said["bad"]
