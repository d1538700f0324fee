# SPDX-License-Identifier: MIT
"""Sequences of calls guided by KCOV: no fault, and with the selftests nearly all lines of the modules are run.

The bulk runs on a kernel with KASAN and KCOV alone, some on the debug kernel with every checker, which has the control.
What is counted, and what is not covered and why: docs/coverage.md.
"""

from __future__ import annotations

import contextlib
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from line_coverage import Coverage, blocks_of, measure, parse_places, spans, table
from module_bench import Bench, open_bench
from second_disk import HERE, mount, second_disk
from test_module import OF_THE_CORE, PROGRAMS, REPORTS, SELFTESTS

from protopi.boot.qemu import Options
from protopi.boot.shell import ask, shell
from protopi.project import Project

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conftest import BuiltImage

PROJECT = Project.here()
#: KASAN and KCOV alone: many sequences. All checkers: fewer.
BULK, CHECKED = "virt-kasan", "virt-debug"
#: Sequences of one process; there are four, one a CPU. The issue's are 200,000.
BULK_SEQUENCES = 50_000
CHECKED_SEQUENCES = 200
CPUS = range(4)
#: The issue's, of both modules' lines: by the sequences and the selftests together.
LEAST_SHARE = 0.85
#: The control: a fault that the sequences find without being told of it.
BUG = "exchange-leaked-by-bad-fds"
MODULES = {"mcp": "kernel", "mcp_net": "net"}
#: They load another module, whose places are elsewhere, or rely on it to forget that they have set REQUIRE.
RELOADING = ("load_test", "require_test")
#: Tests of policies, which load mcp_bpf.ko; the last leaves REQUIRE set.
POLICIES = ("shipped_test", "policy_test")

LISTING = """
Disassembly of section .text:

0000000000000000 <one>:
/x/kernel/mcp_info.c:3
   0:\tstp\tx29, x30, [sp, #-16]!
/x/kernel/mcp_info.c:4
   4:\tbl\t0 <__sanitizer_cov_trace_pc>
\t\t\t4: R_AARCH64_CALL26\t__sanitizer_cov_trace_pc
   8:\tcbz\tx0, 20
/x/kernel/mcp_info.c:6 (discriminator 1)
   c:\tbl\t0 <__sanitizer_cov_trace_pc>
\t\t\tc: R_AARCH64_CALL26\t__sanitizer_cov_trace_pc
  10:\tret
/usr/include/linux/list.h:9
  14:\tret

0000000000000020 <two>:
/x/kernel/mcp_info.c:9
  20:\tbl\t0 <__sanitizer_cov_trace_pc>
\t\t\t20: R_AARCH64_CALL26\t__sanitizer_cov_trace_pc
  24:\tret
"""


def test_lines_are_those_of_entered_blocks() -> None:
    blocks = blocks_of(LISTING)
    assert [block.place for block in blocks] == [(".text", 8), (".text", 0x10), (".text", 0x24)]
    some = measure(blocks, parse_places("mcp .text 8\nmcp_net .text 24\n", "mcp"))
    assert some.coverable == {"kernel/mcp_info.c": {3, 4, 6, 9}}
    assert some.covered["kernel/mcp_info.c"] == {3, 4, 6}  # the second call's own line is the first block's
    assert some.untouched == ["two"]
    assert measure(blocks, set()).share == 0
    with pytest.raises(ValueError, match="KCOV_INSTRUMENT"):
        blocks_of(LISTING.replace("__sanitizer_cov_trace_pc", "other"))


def test_spans_of_lines() -> None:
    assert spans([3, 4, 5, 9]) == "3-5, 9"


def build(bench: Bench, name: str, disk: Path) -> dict[str, str]:
    """Both modules of a copy onto the disk, as NAME-MODULE.ko; their listings."""
    listings = {}
    for module, folder in MODULES.items():
        words = ["CONFIG_DEBUG_INFO_BTF_MODULES="]
        if module != "mcp":  # what it uses of mcp.ko
            words.append(f"KBUILD_EXTRA_SYMBOLS=/host/bench/{name}/kernel/Module.symvers")
        assert bench.build(name, *words, folder=folder) == (0, "")
        path = f"{name}/{folder}/{module}.ko"
        status, listings[module] = bench.run("aarch64-linux-gnu-objdump", "-dlr", "--no-show-raw-insn", path)
        assert status == 0
        stripped = f"{name}-{module}.ko"
        assert bench.run("aarch64-linux-gnu-strip", "--strip-debug", "-o", stripped, path) == (0, "")
        (disk / stripped).write_bytes((bench.folder / stripped).read_bytes())
    return listings


def load(child: Any, name: str) -> None:
    """Only the modules of a copy are there after this."""
    ask(child, "rmmod mcp_net 2> /tmp/said", 60)
    assert ask(child, "rmmod mcp; echo status $?", 60) == "status 0"
    for module in MODULES:
        insert = f"{SELFTESTS}/kcov_run /tmp/of.{name}-{module} insmod {HERE}/{name}-{module}.ko"
        assert ask(child, f"{insert}; echo status $?", 120) == "status 0"


@contextlib.contextmanager
def machine(image: BuiltImage, folder: Path, bug: str = "") -> Iterator[tuple[Any, dict[str, str]]]:
    """A shell on a machine with "good" modules loaded, and their listings; those with the bug are "bad" at HERE."""
    disk = folder / "disk"
    disk.mkdir()
    with open_bench(PROJECT, Path(__file__).parent / "images" / f"{image.name}.yaml") as bench:
        bench.copy("good")
        listings = build(bench, "good", disk)
        if bug:
            patch = ["patch", "-s", "-F0", "-p1", "-d", str(bench.copy("bad"))]
            subprocess.run([*patch, "-i", str(PROJECT.root / f"mcp/seeded/{bug}.patch")], check=True)
            build(bench, "bad", disk)
    card, options = second_disk(image, folder, disk, Options(realtime=True))
    with shell(card, image.board, image.tools, options, 900) as child:
        mount(child)
        # The product hides addresses of the kernel.
        ask(child, "modprobe veth; echo 0 > /proc/sys/kernel/kptr_restrict", 300)
        ask(child, "test -d /sys/kernel/debug/kcov || mount -t debugfs none /sys/kernel/debug", 60)
        load(child, "good")
        yield child, listings


def complaints(child: Any) -> str:
    """What the kernel has reported, leaks too where it looks for them, once the modules have gone; "" is good."""
    gone = ask(child, "rmmod mcp_net && rmmod mcp; echo status $?", 120)
    if gone != "status 0":
        return gone
    leaks = "/sys/kernel/debug/kmemleak"
    scan = f"echo scan > {leaks}; sleep 10"
    leaked = ask(child, f"test ! -e {leaks} || {{ {scan}; {scan}; head -60 {leaks}; }}", 600)
    return leaked or ask(child, f"dmesg | grep -E '{REPORTS}' | grep -v {OF_THE_CORE}", 60)


def fuzz(child: Any, sequences: int, seconds: int) -> list[str]:
    """One kcov_fuzz on each CPU; their last lines. What they ran is in /tmp/pcs.CPU of the machine."""
    words = f"--net --sequences {sequences} --seconds {seconds} --seed $c --cpu $c --pcs /tmp/pcs.$c"
    one = f"({SELFTESTS}/kcov_fuzz {words}; echo $?) > /tmp/said.$c 2>&1 &"
    cpus = " ".join(map(str, CPUS))
    ask(child, f"for c in {cpus}; do {one} done; wait", seconds + 600)
    return [ask(child, f"tail -30 /tmp/said.{cpu}", 60) for cpu in CPUS]


def fuzz_without_fault(child: Any, sequences: int, seconds: int) -> None:
    """As `fuzz`; each has made all of its sequences."""
    for said in fuzz(child, sequences, seconds):
        print(said)
        assert said.endswith("0 batches died or hung\n0"), said
        made = re.findall(r"^(\d+) sequences,", said, re.MULTILINE)
        assert made, said
        assert int(made[-1]) >= sequences, "too few within the time"


def places(child: Any, pattern: str) -> str:
    """What was run, as the machine has it in these files, each place once."""
    return ask(child, f"cat {pattern} | sort -u", 300)


def report(name: str, listings: dict[str, str], said: str) -> dict[str, Coverage]:
    """Print the table of both modules, and give what is covered."""
    found = {}
    for module, listing in listings.items():
        found[module] = measure(blocks_of(listing), parse_places(said, module))
        print(f"{name}, {module}.ko\n{table(found[module])}")
    return found


def share(found: dict[str, Coverage]) -> float:
    """Of the lines of both modules."""
    sums = [(sum(map(len, one.covered.values())), sum(map(len, one.coverable.values()))) for one in found.values()]
    return sum(hit for hit, _ in sums) / sum(all_ for _, all_ in sums)


@pytest.mark.image
@pytest.mark.full
@pytest.mark.timeout(10800)
def test_many_sequences_find_no_fault_and_cover_the_lines(built: Callable[[str], BuiltImage], tmp_path: Path) -> None:
    with machine(built(BULK), tmp_path) as (child, listings):
        # A control: a module without traffic is not covered.
        assert ask(child, f"{SELFTESTS}/kcov_run /tmp/idle true; echo status $?", 60) == "status 0"
        assert share(report("idle", listings, places(child, "/tmp/idle"))) < 0.2
        fuzz_without_fault(child, BULK_SEQUENCES, 7200)
        fuzzed = places(child, "/tmp/pcs.?")
        report("sequences", listings, fuzzed)
        for name in PROGRAMS:
            if name not in RELOADING:
                ask(child, f"{SELFTESTS}/kcov_run /tmp/of.{name} {SELFTESTS}/{name} > /tmp/tap", 900)
        for name in ("net_test", *POLICIES):
            ask(child, f"{SELFTESTS}/kcov_run /tmp/of.{name} {SELFTESTS}/{name} > /tmp/tap", 1800)
        ask(child, "rmmod mcp_bpf", 60)
        tested = places(child, "/tmp/of.*")
        report("selftests", listings, tested)
        both = report("both", listings, fuzzed + "\n" + tested)
        for one in both.values():
            for path in sorted(one.coverable):
                print(f"{path}: {spans(one.uncovered(path))}")
        ask(child, f"insmod {HERE}/good-mcp_net.ko", 60)  # net_test has unloaded it
        assert complaints(child) == ""
        assert share(both) >= LEAST_SHARE


@pytest.mark.image
@pytest.mark.full
@pytest.mark.timeout(7200)
def test_every_checker_finds_no_fault_but_a_seeded_one(built: Callable[[str], BuiltImage], tmp_path: Path) -> None:
    with machine(built(CHECKED), tmp_path, BUG) as (child, _):
        fuzz_without_fault(child, CHECKED_SEQUENCES, 3600)
        assert complaints(child) == ""
        for module in MODULES:
            assert ask(child, f"insmod {HERE}/bad-{module}.ko; echo status $?", 60) == "status 0"
        for said in fuzz(child, CHECKED_SEQUENCES, 600):
            assert re.search(r"^[1-9]\d* sequences,", said, re.MULTILINE), said
        # Not any text: a module that cannot be unloaded would be one, too.
        said = complaints(child)
        assert re.search(REPORTS, said), f"{BUG} is not found: {said}"
