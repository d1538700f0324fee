# SPDX-License-Identifier: MIT
"""mcp.ko: no checker has anything to say of its source, and it loads and unloads cleanly.

The checkers run in the tools tree, on a copy, against the kernel's devel.tar as any external module would. Each has a
negative control: a copy with one deliberate fault must be reported.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from module_bench import DEVEL, Bench, open_bench, outputs_of

from protopi.api import Session
from protopi.boot.qemu import Options
from protopi.boot.shell import ask, shell
from protopi.project import Project
from protopi.ui import Ui

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conftest import BuiltImage

    Built = Callable[[str], BuiltImage]

pytestmark = pytest.mark.image
PROJECT = Project.here()
IMAGE = "virt-test"
HEADER = "include/uapi/linux/mcp.h"


@pytest.fixture(scope="module")
def bench(built: Built) -> Iterator[Bench]:
    built(IMAGE)
    with open_bench(PROJECT, Path(__file__).parent / "images" / f"{IMAGE}.yaml") as made:
        yield made


def append(path: Path, text: str) -> None:
    path.write_text(path.read_text() + text)


CHECKS = ("W=1", "C=2", "CONFIG_DEBUG_INFO_BTF_MODULES=")
#: Faults by who has to find them: a kernel-doc comment is checked with W=1 only, address spaces by sparse only.
FAULTS = {
    "W=1": ("\n/**\n * mcp_other() - a comment that names another function\n */\nstatic int __used mcp_fault(void)\n"
            "{\n\treturn 0;\n}\n", "expecting prototype for mcp_other"),
    "gcc": ("\nint mcp_fault(void)\n{\n\treturn 0;\n}\n", "no previous prototype"),
    "sparse": ("\nstatic int __used mcp_fault(int __user *p)\n{\n\treturn *p;\n}\n",
               "dereference of noderef expression"),
}  # fmt: skip


def test_it_builds_without_a_word(bench: Bench) -> None:
    bench.copy("good")
    assert bench.build("good", *CHECKS) == (0, "")


def test_the_module_for_policies_builds_without_a_word(bench: Bench) -> None:
    bench.copy("policies")
    assert bench.build("policies", *CHECKS) == (0, "")
    symbols = "KBUILD_EXTRA_SYMBOLS=/host/bench/policies/kernel/Module.symvers"
    assert bench.build("policies", "W=1", "C=2", symbols, folder="bpf") == (0, "")


@pytest.mark.parametrize("finder", FAULTS)
def test_a_fault_is_reported(bench: Bench, finder: str) -> None:
    fault, words = FAULTS[finder]
    append(bench.copy("bad") / "kernel/mcp_info.c", fault)
    _, said = bench.build("bad", *CHECKS)
    assert words in said


def test_the_kernel_s_devel_tar_can_give_a_module_its_btf(bench: Bench) -> None:
    """mcp.ko itself has none (docs/decisions); a module that needs it must be able to."""
    bench.copy("btf")
    assert bench.build("btf") == (0, "")
    _, sections = bench.run("aarch64-linux-gnu-readelf", "-SW", "btf/kernel/mcp.ko")
    assert " .BTF " in sections


#: What checkpatch wants of the kernel's code only: its macros for attributes and bits, its types, its width.
USER_SPACE = ",".join(
    ("VOLATILE", "CAMELCASE", "PREFER_DEFINED_ATTRIBUTE_MACRO", "PREFER_KERNEL_TYPES", "BIT_MACRO", "ENOSYS",
     "MACRO_ARG_REUSE", "LINE_SPACING", "SPLIT_STRING", "LONG_LINE", "LONG_LINE_COMMENT", "LONG_LINE_STRING",
     "STRCPY", "STRNCPY", "EMBEDDED_FUNCTION_NAME", "AVOID_EXTERNS", "MULTIPLE_ASSIGNMENTS", "MACRO_ARG_UNUSED",
     "NEW_TYPEDEFS", "MISSING_SPACE")
)  # fmt: skip


#: What the file is for that asks for the kernel's version; code that is to be merged must not.
COMPAT = "LINUX_VERSION_CODE,CONSTANT_COMPARISON"


def in_kernel(path: Path) -> bool:
    """Is it a module, or the header that it shares with programs? Suites and programs are tests."""
    return path.parent.name in ("bpf", "kernel", "linux", "net")


def checkpatch(bench: Bench, name: str) -> tuple[int, str]:
    """What checkpatch says of every source of ours in a copy."""
    folder = bench.folder / name
    paths = sorted(path for path in folder.rglob("*.[ch]") if not path.name.endswith(".mod.c"))
    assert len(paths) >= 4
    script = ["perl", f"{DEVEL}/scripts/checkpatch.pl", f"--root={DEVEL}", "--strict", "--terse", "--show-types"]
    said, worst = "", 0
    groups: dict[tuple[str, ...], list[Path]] = {(): [], (f"--ignore={USER_SPACE}",): [], (f"--ignore={COMPAT}",): []}
    kernel, programs, compat = groups.values()
    for path in paths:
        (compat if path.name == "compat.h" else kernel if in_kernel(path) else programs).append(path)
    for options, files in groups.items():
        names = [str(path.relative_to(bench.folder)) for path in files]
        status, words = bench.run(*script, *options, "--no-summary", "-f", *names, devel=True)
        said, worst = said + words, max(worst, status)
    return worst, said


def test_checkpatch_is_silent(bench: Bench) -> None:
    bench.copy("style")
    assert checkpatch(bench, "style") == (0, "")


def test_checkpatch_reports_a_fault_of_style(bench: Bench) -> None:
    append(bench.copy("bad-style") / HEADER, "\n#define MCP_TWICE(x) x + x\n")
    append(bench.folder / "bad-style/kernel/mcp_info.c", "\nstatic int mcp_fault( void ) { return 0; }\n")
    status, said = checkpatch(bench, "bad-style")
    assert status != 0
    assert "COMPLEX_MACRO" in said
    assert "SPACING" in said


#: Each prints the name of its semantic patch and what that matches. "context" needs no Python, which `report` does:
#: Coccinelle would look for a library of it that the tools tree does not have.
SPATCH = (
    'for file in "$@"; do\n'
    """  options=$(sed -n 's,^// Options:,,p' $file)\n"""
    '  echo "## ${file##*/}"\n'
    "  for folder in kernel net bpf; do\n"
    "    timeout 600 spatch -D context --very-quiet $options --cocci-file $file --dir $COPY/$folder || echo status $?\n"
    "  done\n"
    "done\n"
)
#: The first finds each function that has a variable for its result, and leaves it to `report` to judge them; the others
#: begin with Python, or with OCaml. Two more are left out because a script decides what they match.
LEFT_OUT = {"returnvar.cocci", "check_bq27xxx_data.cocci", "badzero.cocci"}
#: What is found, and is meant: release_request() and mcp_exchange_finish_locked() give the lock back.
MEANT = {("mini_lock.cocci", "mcp_port.c"), ("mini_lock.cocci", "mcp_exchange.c")}


def coccicheck(bench: Bench, name: str, pattern: str) -> tuple[int, set[tuple[str, str]], str]:
    """How many of the kernel's semantic patches were tried, (patch, file) of what they found, and all that was said."""
    folder = bench.folder / name
    for part in ("kernel/selftests", "net/selftests", "net/tool"):  # programs, which are not the kernel's code
        shutil.rmtree(folder / part)
    script = (
        f"find {DEVEL}/scripts/coccinelle -path '{pattern}' | xargs grep -lE '^virtual( .*)?\\bcontext\\b'"
        " | xargs grep -LE 'initialize:python|^@script:python@' | sort"
    )
    status, found = bench.run("sh", "-c", script, devel=True)
    assert status == 0, found
    files = [path for path in found.split() if path.rsplit("/", 1)[-1] not in LEFT_OUT]
    _, said = bench.run("sh", "-c", f"COPY={name}\n{SPATCH}", "sh", *files, devel=True)
    patch, findings = "", set()
    for line in said.splitlines():
        if line.startswith("## "):
            patch = line[3:]
        elif line.startswith(("--- ", "status ")):
            findings.add((patch, line.rsplit("/", 1)[-1].split()[0]))
    return len(files), findings, said


@pytest.mark.full
@pytest.mark.timeout(3600)
def test_coccicheck_is_silent(bench: Bench) -> None:
    bench.copy("cocci")
    tried, findings, said = coccicheck(bench, "cocci", "*.cocci")
    assert tried > 50
    assert findings == MEANT, said


def test_coccicheck_reports_a_fault(bench: Bench) -> None:
    """In each of the modules."""
    fault = "\nstatic void __used mcp_fault(void *p)\n{\n\tif (p)\n\t\tkfree(p);\n}\n"
    bad = bench.copy("bad-cocci")
    files = ("kernel/mcp_info.c", "net/mcp_net_main.c", "bpf/mcp_bpf.c")
    for name in files:
        append(bad / name, fault)
    wanted = {("ifnullfree.cocci", Path(name).name) for name in files}
    assert coccicheck(bench, "bad-cocci", "*/free/ifnullfree.cocci")[:2] == (1, wanted)


def test_the_netlink_code_is_made_of_its_specification(bench: Bench) -> None:
    """It is kept with the sources, since what DKMS builds against has no generator."""
    bench.copy("kept")
    made = bench.copy("made")
    generate = ("python3", "made/netlink/generate.py", DEVEL, "made")
    assert bench.run(*generate, devel=True) == (0, "")
    assert bench.run("diff", "-r", "kept", "made") == (0, "")
    spec = made / "netlink/mcp.yaml"
    spec.write_text(spec.read_text().replace("max-len: mcp-name-max", "max-len: 7"))
    assert bench.run(*generate, devel=True) == (0, "")
    status, said = bench.run("diff", "-r", "kept/kernel", "made/kernel")
    assert status == 1
    assert ".len = 7" in said


def test_it_is_made_for_this_kernel_and_says_its_licence(bench: Bench) -> None:
    other = next((bench.kernel / "modules").rglob("ext4.ko*"))
    _, wanted = bench.run("modinfo", "-F", "vermagic", f"/host/kernel/{other.relative_to(bench.kernel)}")
    release = (bench.kernel / "release").read_text().strip()
    assert wanted.split()[0] == release
    assert bench.run("modinfo", "-F", "vermagic", "/host/module/mcp.ko") == (0, wanted)
    assert bench.run("modinfo", "-F", "license", "/host/module/mcp.ko") == (0, "GPL\n")
    assert bench.run("modinfo", "-F", "depends", "/host/module/mcp.ko") == (0, "\n")


# ---- On a booted machine ---------------------------------------------------------------------------------------------

SELFTESTS = "/usr/lib/protopi/selftests"
TEST = f"{SELFTESTS}/info_test"
#: The programs, and the fewest checks that each makes: one that ends early must not pass.
PROGRAMS = {
    "info_test": 30,
    "envelope_test": 700,
    "serve_test": 146,
    "netlink_test": 150,
    "audit_calls_test": 45,
    "handle_test": 355,
    "exchange_test": 1000,
    "arena_test": 95,
    "fds_test": 170,
    "uring_test": 232,
    "require_test": 65,
    "hold_test": 11,
    "audit_test": 35,
    "race_test": 30,
    "slow_test": 32,
    "memory_test": 22,
    "process_test": 50,
    "stress_test": 6,
    "load_test": 4,
}
#: Those that need what only the debug kernel has (faults, tracepoints), and one that can do more there (suspend).
WITH_DEBUG = {"failnth_test": 105, "audit_calls_test": 48, "trace_test": 36, "process_test": 70}
#: KASAN keeps for a while what was freed, so that slabs do grow; failnth_test loads the module forty times there.
NOT_WITH_DEBUG = {"load_test"}
#: 6.12's io_uring warns of itself when a ring with DEFER_TASKRUN ends while commands can be cancelled: its own
#: io_ring_exit_work() flushes completions where its own assertion does not expect it. No frame of ours is in the trace.
OF_THE_CORE = "io_lockdep_assert_cq_locked"
#: What a checker of the debug kernel begins its report with.
REPORTS = "BUG:|WARNING:|possible circular|suspicious RCU|unreferenced object|possible recursive|sleeping function"
LEAKS = "/sys/kernel/debug/kmemleak"
#: Records of the kernel's own at warning or worse, but for what a slow host makes it say.
LOUD = "dmesg -r | grep '^<[0-4]>' | grep -v 'hrtimer: interrupt took'"
#: Wait until what is loaded after ready has said what it has to say: two (virtual) seconds without a message.
SETTLED = 'while n=$(dmesg | wc -l); sleep 2; [ "$n" != "$(dmesg | wc -l)" ]; do :; done'


def test_a_product_image_carries_no_selftest(built: Built) -> None:
    built("pi4")
    session = Session(PROJECT, Ui())
    rootfs = outputs_of(session, session.plan("pi4"), "rootfs")["rootfs"]
    listing = (rootfs / "rootfs.json").read_text()
    assert "/usr/lib/protopi/mcp.ko" in listing
    assert "info_test" not in listing


def run_selftest(child: Any, name: str, seconds: float, fewest: int | None = None) -> None:
    """Run one program on the machine; all of its checks pass, and there are as many as it planned."""
    program = f"TEST_SECONDS={seconds - 10:.0f} {SELFTESTS}/{name}"
    said = ask(child, f"{program} > /tmp/tap; echo status $?", seconds)
    wrong = ask(child, "grep -A2 '^not ok\\|^Bail' /tmp/tap | head -20")
    assert (said, wrong) == ("status 0", ""), f"{name}: {said}\n{wrong}"
    passed = int(ask(child, "grep -c '^ok' /tmp/tap"))
    assert ask(child, "grep '^1[.][.]' /tmp/tap") == f"1..{passed}"
    assert passed >= (PROGRAMS[name] if fewest is None else fewest), f"{name} made {passed} checks"


def test_every_selftest_is_run_here() -> None:
    sources = {path.stem for path in (PROJECT.root / "mcp/kernel/selftests").glob("*_test.c")}
    assert sources - {"mcp_test"} == set(PROGRAMS | WITH_DEBUG)  # what they share


def test_its_selftests_pass(built: Built) -> None:
    image = built(IMAGE)
    with shell(image.path, image.board, image.tools, Options(realtime=True)) as child:
        ask(child, SETTLED, 60)
        before = ask(child, LOUD)
        for name in PROGRAMS:
            run_selftest(child, name, 120)
        assert ask(child, "rmmod mcp; echo status $?") == "status 0", "nothing of the tests holds it"
        assert ask(child, LOUD).removeprefix(before) == ""


def leaked(child: Any) -> list[str]:
    """Reports of kmemleak that are the module's; once it is unloaded, its frames have no names.

    6.12's own sysfs_slab_add() does not free the name of a cache that it could not show, as failnth_test has it fail.
    """
    scan = f"echo scan > {LEAKS}; sleep 10"
    reports = ask(child, f"test -e {LEAKS} || echo none; {scan}; {scan}; cat {LEAKS}", 600)
    assert not reports.startswith("none"), "a kernel without kmemleak"
    found = reports.split("unreferenced object")[1:]
    ours = re.compile(r"mcp|^\s+0x[0-9a-f]{16}$", re.MULTILINE)
    return [report for report in found if ours.search(report) and "sysfs_slab_add" not in report]


@pytest.mark.full
@pytest.mark.timeout(5400)
def test_its_selftests_pass_under_every_checker(built: Built) -> None:
    """KASAN, lockdep, sleeping in the wrong place, RCU; and kmemleak after the module has gone."""
    image = built("virt-debug")
    with shell(image.path, image.board, image.tools, Options(realtime=True), 900) as child:
        for name, fewest in (PROGRAMS | WITH_DEBUG).items():
            if name not in NOT_WITH_DEBUG:
                run_selftest(child, name, 1800, fewest)
        for seed in range(1, 4):
            said = ask(child, f"TEST_SECONDS=900 {SELFTESTS}/stress_test 10000 {seed} > /tmp/tap; echo $?", 900)
            assert said == "0", ask(child, "cat /tmp/tap")
        ask(child, f"test -e {LEAKS} || mount -t debugfs none /sys/kernel/debug")
        assert leaked(child) == []
        assert ask(child, "rmmod mcp; echo status $?", 60) == "status 0"
        assert leaked(child) == []
        assert ask(child, f"dmesg | grep -E '{REPORTS}' | grep -v {OF_THE_CORE}", 60) == ""


@pytest.mark.full
@pytest.mark.timeout(1800)
def test_it_loads_and_unloads_2000_times(built: Built) -> None:
    """And the kernel's slabs are as large as before, within 200 KiB."""
    image = built(IMAGE)
    with shell(image.path, image.board, image.tools, Options(realtime=True)) as child:
        ask(child, SETTLED, 60)
        before = ask(child, LOUD)
        said = ask(child, f"TEST_SECONDS=1500 {SELFTESTS}/load_test 2000; echo status $?", 1510)
        assert said.endswith("status 0"), said
        assert ask(child, LOUD).removeprefix(before) == ""


#: The issue's aim for what is loaded before ready: no symbols, no type information.
MOST_BYTES = 64 << 10


def test_it_is_small(bench: Bench) -> None:
    _, sizes = bench.run("aarch64-linux-gnu-size", "/host/module/mcp.ko")
    text, data, *_ = (int(word) for word in sizes.splitlines()[1].split()[:3])
    assert 1000 < text + data <= MOST_BYTES


def test_its_selftest_passes_and_it_unloads_and_loads(built: Built) -> None:
    image = built(IMAGE)
    with shell(image.path, image.board, image.tools, Options()) as child:
        ask(child, SETTLED, 60)
        before = ask(child, LOUD)
        tap = ask(child, f"{TEST}; echo status $?")
        assert "not ok" not in tap, tap
        plan = re.search(r"^1\.\.(\d+)$", tap, re.MULTILINE)
        assert plan is not None, tap
        assert len(re.findall(r"^ok \d+", tap, re.MULTILINE)) == int(plan[1]) > 30, tap
        assert tap.endswith("status 0"), tap

        assert ask(child, "grep -c '^mcp .* 0 - Live' /proc/modules") == "1"
        # An open file keeps it loaded; a closed one does not.
        refused = ask(child, "exec 5<>/dev/mcp; rmmod mcp; echo status $?; exec 5>&-")
        assert re.search("in use|busy|temporarily unavailable", refused), refused
        assert "status 0" not in refused
        again = "rmmod mcp && test ! -e /dev/mcp && insmod /usr/lib/protopi/mcp.ko && test -c /dev/mcp || echo bad"
        assert ask(child, f"i=0; while [ $i -lt 20 ]; do {again}; i=$((i+1)); done; echo end") == "end"
        assert ask(child, f"{TEST} > /tmp/tap; echo status $?") == "status 0"
        # Without it there is nothing to test, which is not a pass.
        gone = ask(child, f"rmmod mcp; {TEST}; echo status $?")
        assert "SKIP" in gone, gone
        assert gone.endswith("status 4"), gone
        assert ask(child, LOUD).removeprefix(before) == ""
        assert ask(child, "cat /proc/sys/kernel/tainted") == str(1 << 12), "O: a module from outside the kernel's tree"
