# SPDX-License-Identifier: MIT
"""KCSAN finds no data race in mcp.ko while its selftests run; and finds one that was put there. Full runs only."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from module_bench import open_bench
from second_disk import HERE, mount, second_disk
from test_module import SELFTESTS

from protopi.boot.qemu import Options
from protopi.boot.shell import ask, shell
from protopi.project import Project

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conftest import BuiltImage

pytestmark = [pytest.mark.image, pytest.mark.full, pytest.mark.timeout(5400)]
PROJECT = Project.here()
IMAGE = "virt-kcsan"
#: Programs of many tasks, or of tasks beside interrupts and workers; stress_test most of all.
PROGRAMS = ("race_test", "exchange_test", "uring_test", "handle_test", "serve_test", "netlink_test", "fds_test")
STRESS = (1, 2, 3)
#: One fault: the counters of messages are one CPU's for all CPUs.
COUNTERS = "struct mcp_stats *stats = get_cpu_ptr(&mcp_stats);"
RACY = "struct mcp_stats *stats = (get_cpu(), per_cpu_ptr(&mcp_stats, 0));"
#: The kernel's get_cred() writes 0 to a field that others write 0 to; two calls of open() share a credential.
OF_THE_CORE = re.compile(r"data-race in (init_file / mcp_port_new|mcp_port_new \[mcp\] / init_file)")
#: Of the kernel: the first line of a report names the functions, with their module.
_REPORT = re.compile(r"BUG: KCSAN: .*")


def of_ours(log: str) -> list[str]:
    """The first lines of reports that name a function of mcp.ko."""
    return [line for line in _REPORT.findall(log) if "[mcp]" in line and not OF_THE_CORE.search(line)]


@contextlib.contextmanager
def machine(image: BuiltImage, folder: Path, module: Path | None) -> Iterator[Any]:
    """A shell on the machine; with another module in place of the image's, if there is one."""
    card, options = image.path, Options(realtime=True)
    if module is not None:
        (folder / "disk").mkdir()
        (folder / "disk/mcp.ko").write_bytes(module.read_bytes())
        card, options = second_disk(image, folder, folder / "disk", options)
    with shell(card, image.board, image.tools, options, 600) as child:
        ask(child, "dmesg -n 1")  # reports are read from the log, not in what a program says
        if module is not None:
            assert mount(child) == ["mcp.ko"]
            assert ask(child, f"rmmod mcp && insmod {HERE}/mcp.ko; echo status $?", 60) == "status 0"
        yield child


def races(child: Any, programs: tuple[str, ...], seeds: tuple[int, ...]) -> list[str]:
    """Run the programs, each to its end, and the stress with each seed; the reports that name mcp.ko."""
    for name in programs:
        said = ask(child, f"{SELFTESTS}/{name} > /tmp/tap; echo status $?", 900)
        assert said == "status 0", name + ask(child, "grep -A2 '^not ok' /tmp/tap | head")
    for seed in seeds:
        said = ask(child, f"TEST_SECONDS=600 {SELFTESTS}/stress_test 5000 {seed} > /tmp/tap; echo status $?", 900)
        assert said == "status 0", ask(child, "grep -A2 '^not ok' /tmp/tap | head")
    return of_ours(ask(child, "dmesg | grep 'BUG: KCSAN'", 60))


def test_no_data_race_is_found(built: Callable[[str], BuiltImage], tmp_path: Path) -> None:
    with machine(built(IMAGE), tmp_path, None) as child:
        assert "selftest: 3/3 tests passed" in ask(child, "dmesg | grep kcsan")
        assert races(child, PROGRAMS, STRESS) == []


def test_a_data_race_is_found(built: Callable[[str], BuiltImage], tmp_path: Path) -> None:
    """The control: what the other test reads is there when there is a race."""
    image = built(IMAGE)
    with open_bench(PROJECT, Path(__file__).parent / "images" / f"{IMAGE}.yaml") as bench:
        header = bench.copy("racy") / "kernel/mcp_internal.h"
        text = header.read_text()
        assert text.count(COUNTERS) == 1
        header.write_text(text.replace(COUNTERS, RACY))
        assert bench.build("racy", "CONFIG_DEBUG_INFO_BTF_MODULES=") == (0, "")
        module = bench.folder / "racy/kernel/mcp.ko"
        assert bench.run("aarch64-linux-gnu-strip", "--strip-debug", "racy/kernel/mcp.ko") == (0, "")
        with machine(image, tmp_path, module) as child:
            assert any("mcp_" in line for line in races(child, (), STRESS))
