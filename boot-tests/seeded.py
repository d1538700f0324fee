# SPDX-License-Identifier: MIT
"""Seeded bugs: known faults of fixed classes (mcp/seeded/*.patch), each built into an mcp.ko, or an mcp_net.ko, that a
test must fail.

A bug is found when a selftest that its patch names fails, when the kernel reports a fault, when the
module cannot be unloaded afterwards, or when the machine hangs or dies. Machines are used again until one of the last
three happens.
"""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from module_bench import DEVEL, KBUILD, Bench
from pexpect import EOF, TIMEOUT
from second_disk import HERE

from protopi.boot.shell import ask
from protopi.errors import InfraError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

SELFTESTS = "/usr/lib/protopi/selftests"
#: Longest of one program; each ends itself by an alarm before that, unless the kernel holds it.
SECONDS = 300.0
#: What the kernel says when something is wrong, and not of a slow host ("hrtimer: interrupt took ...").
_LOUD = "dmesg | grep -E 'WARNING:|BUG:|Oops|Unable to handle|refcount_t|corruption|Objects remaining|stack guard'"
_HEADER = re.compile(
    r"SPDX-License-Identifier: GPL-2\.0\nClass: (?P<kind>.+)\nFault: (?P<fault>.+)\nTest: (?P<tests>[\w ]+)\n\n"
    r"--- a/(?P<file>\S+)\n"
)


@dataclass(frozen=True, slots=True)
class Bug:
    """A patch with one fault; the selftests of which one must fail, in the order in which they are tried."""

    name: str
    path: Path
    kind: str
    fault: str
    tests: tuple[str, ...]
    #: In mcp_net.ko, which is loaded after an mcp.ko without a fault.
    net: bool


@dataclass(frozen=True, slots=True)
class Verdict:
    """What gave a bug away, or "" when nothing did; `spent`: the machine is not to be used again."""

    bug: str
    by: str
    spent: bool = False


def load(folder: Path) -> list[Bug]:
    """Every patch of a folder. Raises ValueError for a header that is not as it must be."""
    bugs = []
    for path in sorted(folder.glob("*.patch")):
        found = _HEADER.match(path.read_text())
        if not found:
            raise ValueError(f"{path.name}: no Class, Fault and Test before its patch")
        tests, net = tuple(found["tests"].split()), found["file"].startswith("net/")
        bugs.append(Bug(path.stem, path, found["kind"], found["fault"], tests, net))
    return bugs


_BUILD = """
set -e
good=$1; shift
# The path is part of what kbuild remembers, so each copy of the objects stands at the same one.
cp -r good tree
for m in kernel net; do make -s -C "$DEVEL" M=/host/bench/tree/$m $MAKE modules; done
cp tree/kernel/mcp.ko disk/"$good".ko
cp tree/net/mcp_net.ko disk/"$good"-net.ko
mv tree made
for patch; do
    rm -rf tree
    cp -a made tree
    patch -s -F0 -p1 -d tree < patches/"$patch".patch
    m=kernel
    ! grep -q '^--- a/net/' patches/"$patch".patch || m=net
    make -s -C "$DEVEL" M=/host/bench/tree/$m $MAKE modules
    cp tree/$m/mcp*.ko disk/"$patch".ko
done
for module in disk/*.ko; do aarch64-linux-gnu-strip --strip-debug "$module"; done
"""


def build(bench: Bench, bugs: Sequence[Bug]) -> Path:
    """Build the modules without a fault (good.ko, good-net.ko) and with each (NAME.ko); the folder that they are in.

    Only what a fault touches is compiled again. Raises InfraError when a patch does not apply or does not compile.
    """
    bench.copy("good")
    for name in ("disk", "patches"):
        (bench.folder / name).mkdir()
    for bug in bugs:
        (bench.folder / "patches" / bug.path.name).write_text(bug.path.read_text())
    words = " ".join((*KBUILD, "CONFIG_DEBUG_INFO_BTF_MODULES="))
    script = _BUILD.replace("$DEVEL", DEVEL).replace("$MAKE", words)
    status, said = bench.run("sh", "-c", script, "sh", "good", *(bug.name for bug in bugs), devel=True)
    if status:
        raise InfraError(f"a seeded bug cannot be built: {said[-2000:]}")
    return bench.folder / "disk"


def _after(child: Any, before: str) -> str:
    """What is wrong once a program has ended: the module stays, or the kernel has complained."""
    # net_test has unloaded it, if all went well.
    ask(child, "! grep -q '^mcp_net ' /proc/modules || rmmod mcp_net", SECONDS)
    if "status 0" not in ask(child, "rmmod mcp; echo status $?", SECONDS):
        return "rmmod"
    loud = ask(child, _LOUD, SECONDS).removeprefix(before).strip()
    return f"kernel log: {loud.splitlines()[0][:60]}" if loud else ""


def try_one(child: Any, name: str, tests: Sequence[str], *, net: bool = False) -> Verdict:
    """Load NAME.ko on a machine without a module, and run the tests until one fails. `net`: see Bug."""
    load = f"insmod {HERE}/good.ko && modprobe veth && insmod" if net else "insmod"
    try:
        before = ask(child, _LOUD, SECONDS)
        if "status 0" not in ask(child, f"{load} {HERE}/{name}.ko; echo status $?", SECONDS):
            return Verdict(name, "insmod", spent=True)
        by = ""
        for test in tests:
            said = ask(child, f"{SELFTESTS}/{test} > /tmp/tap 2>&1; echo status $?", SECONDS)
            if not said.endswith("status 0"):
                wrong = ask(child, "grep '^not ok\\|^Bail' /tmp/tap | head -1", SECONDS)
                by = f"{test}: {wrong[:70] or said[-40:]}"
                break
        after = _after(child, before)
    except (EOF, TIMEOUT, InfraError, OSError) as error:
        return Verdict(name, f"the machine {'hangs' if isinstance(error, TIMEOUT) else 'dies'}", spent=True)
    return Verdict(name, by or after, spent=bool(after))


def campaign(bugs: Sequence[Bug], machine: Callable[[], contextlib.AbstractContextManager[Any]]) -> Iterator[Verdict]:
    """Try each bug; a new machine (without a module, as its shell) whenever the last is spent."""
    left = list(bugs)
    while left:
        with machine() as child:
            spent = False
            while left and not spent:
                bug = left.pop(0)
                verdict = try_one(child, bug.name, bug.tests, net=bug.net)
                spent = verdict.spent
                yield verdict


def table(bugs: Sequence[Bug], verdicts: Sequence[Verdict]) -> str:
    """One line for each bug: found or not, its name, its class, what gave it away."""
    kinds = {bug.name: bug.kind for bug in bugs}
    lines = [f"{'found' if v.by else 'NOT FOUND':9}  {v.bug:32}  {kinds[v.bug]:42}  {v.by}" for v in verdicts]
    return "\n".join([*lines, f"{sum(bool(v.by) for v in verdicts)} of {len(verdicts)} found"])
