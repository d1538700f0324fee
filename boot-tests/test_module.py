# SPDX-License-Identifier: MIT
"""mcp.ko: no checker has anything to say of its source, its interface has one layout, and it loads and unloads cleanly.

The checkers run in the tools tree, on a copy, against the kernel's devel.tar as any external module would. Each has a
negative control: a copy with one deliberate fault must be reported.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from protopi.api import Planned, Session
from protopi.boot.qemu import Options
from protopi.boot.shell import ask, shell
from protopi.project import Project
from protopi.sandbox import Bind
from protopi.ui import Ui

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conftest import BuiltImage

    Built = Callable[[str], BuiltImage]

pytestmark = pytest.mark.image
PROJECT = Project.here()
IMAGE = "virt-test"
KBUILD = ("ARCH=arm64", "CROSS_COMPILE=aarch64-linux-gnu-")
DEVEL = "/tmp/linux-devel"
HEADER = "include/uapi/linux/mcp.h"


@dataclass(frozen=True, slots=True)
class Bench:
    """A folder for copies of our source, seen at /host/bench by programs of the tools tree.

    `kernel` and `module` are the outputs of the two recipes.
    """

    folder: Path
    session: Session
    planned: Planned
    kernel: Path
    module: Path

    def run(self, *command: str, devel: bool = False) -> tuple[int, str]:
        """Run a program in the folder; its exit status, and all that it said.

        devel   with the unpacked devel.tar at /tmp/linux-devel: in memory, its many files are not worth a disk's time
        """
        binds = (
            Bind(self.folder, "/host/bench", writable=True),
            Bind(self.kernel, "/host/kernel"),
            Bind(self.module, "/host/module"),
        )
        # checkpatch knows a kernel's source by its folders; ipc has no file that a module needs.
        unpack = f"tar -C /tmp -xf /host/kernel/devel.tar && mkdir -p {DEVEL}/ipc && " if devel else ""
        script = f'{unpack}cd /host/bench && exec "$0" "$@"'
        done = subprocess.run(
            self.session.tools(self.planned, *binds).argv(["sh", "-c", script, *command]),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        return done.returncode, done.stdout.decode(errors="replace")

    def copy(self, name: str) -> Path:
        """A fresh copy of mcp/ as NAME."""
        target = self.folder / name
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(PROJECT.root / "mcp", target)
        return target

    def build(self, name: str, *words: str) -> tuple[int, str]:
        """Build the module of a copy, silent but for complaints."""
        make = ("make", "-s", "-C", DEVEL, f"M=/host/bench/{name}/kernel", *KBUILD)
        return self.run(*make, *words, "modules", devel=True)


def outputs_of(session: Session, planned: Planned, *names: str) -> dict[str, Path]:
    """The outputs of recipes of an image that is built."""
    outputs = {}
    for step in planned.steps:
        if step.name in names:
            entry = session.store.get(step.name, step.key)
            assert entry is not None, step.name
            outputs[step.name] = entry.out
    return outputs


@pytest.fixture(scope="module")
def bench(built: Built) -> Iterator[Bench]:
    built(IMAGE)
    session = Session(PROJECT, Ui())
    planned = session.plan(str(Path(__file__).parent / "images" / f"{IMAGE}.yaml"))
    outputs = outputs_of(session, planned, "kernel", "mcp_module")
    with tempfile.TemporaryDirectory(prefix="protopi-module-") as name:
        yield Bench(Path(name), session, planned, outputs["kernel"], outputs["mcp_module"])


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


def checkpatch(bench: Bench, name: str) -> tuple[int, str]:
    """What checkpatch says of every source of ours in a copy."""
    folder = bench.folder / name
    paths = sorted(path for path in folder.rglob("*.[ch]") if not path.name.endswith(".mod.c"))
    assert len(paths) >= 4
    script = ["perl", f"{DEVEL}/scripts/checkpatch.pl", f"--root={DEVEL}", "--strict", "--terse", "--show-types"]
    names = [str(path.relative_to(bench.folder)) for path in paths]
    return bench.run(*script, "--no-summary", "-f", *names, devel=True)


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


def test_it_is_made_for_this_kernel_and_says_its_licence(bench: Bench) -> None:
    other = next((bench.kernel / "modules").rglob("ext4.ko*"))
    _, wanted = bench.run("modinfo", "-F", "vermagic", f"/host/kernel/{other.relative_to(bench.kernel)}")
    release = (bench.kernel / "release").read_text().strip()
    assert wanted.split()[0] == release
    assert bench.run("modinfo", "-F", "vermagic", "/host/module/mcp.ko") == (0, wanted)
    assert bench.run("modinfo", "-F", "license", "/host/module/mcp.ko") == (0, "GPL\n")
    assert bench.run("modinfo", "-F", "depends", "/host/module/mcp.ko") == (0, "\n")


# ---- The layout of the interface -------------------------------------------------------------------------------------

ARM = ("-isystem", "/usr/aarch64-linux-gnu/include")
X86 = ("-isystem", "/usr/include", "-isystem", "/usr/include/x86_64-linux-gnu")
#: i386 aligns u64 to 4 bytes, so a hole shows there that no other shows.
COMPILERS = {
    "arm64": ("aarch64-linux-gnu-gcc", *ARM),
    "arm64-clang": ("clang-19", "--target=aarch64-linux-gnu", *ARM),
    "arm": ("clang-19", "--target=arm-linux-gnueabihf", *ARM),
    "i386": ("clang-19", "--target=i386-linux-gnu", *X86),
    "x86_64": ("gcc", *X86),
}
_ROW = re.compile(r"^\| (\d+) \| `(u32|u64) (\w+)(?:\[(\d+)\])?` \|", re.MULTILINE)


def layout_of_the_manual() -> str:
    """A C file that compiles where struct mcp_info is what docs/uapi.md says: offset, size, no hole, the number."""
    lines, end = ["#include <linux/mcp.h>"], 0
    for offset, kind, name, count in _ROW.findall((PROJECT.root / "docs/uapi.md").read_text()):
        size = int(kind[1:]) // 8 * int(count or 1)
        assert int(offset) == end, f"the manual has a hole before {name}"
        end += size
        lines.append(f'_Static_assert(__builtin_offsetof(struct mcp_info, {name}) == {offset}, "{name}");')
        lines.append(f'_Static_assert(sizeof(((struct mcp_info *)0)->{name}) == {size}, "{name}");')
    assert len(lines) > 20
    lines.append(f'_Static_assert(sizeof(struct mcp_info) == {end}, "size");')
    # Direction both ways, 64 bytes, magic 0xfa, number 0.
    lines.append('_Static_assert(MCP_IOC_INFO == 0xc040fa00u, "number");')
    return "\n".join(lines) + "\n"


def compile_layout(bench: Bench, compiler: str, name: str) -> tuple[int, str]:
    (bench.folder / "layout.c").write_text(layout_of_the_manual())
    flags = ["-std=c17", "-Wall", "-Wextra", "-Wpadded", "-Werror", "-nostdinc", "-fsyntax-only"]
    return bench.run(*COMPILERS[compiler], *flags, "-I", f"{name}/include/uapi", "layout.c")


@pytest.mark.parametrize("compiler", COMPILERS)
def test_the_layout_is_the_manual_s_on_every_machine(bench: Bench, compiler: str) -> None:
    bench.copy("abi")
    assert compile_layout(bench, compiler, "abi") == (0, "")
    header = bench.copy("bad-abi") / HEADER
    text = header.read_text()
    header.write_text(text.replace("\t__u32 max_name;\n", "", 1))
    assert header.read_text() != text
    status, said = compile_layout(bench, compiler, "bad-abi")
    assert status != 0
    assert "max_name" in said


# ---- On a booted machine ---------------------------------------------------------------------------------------------

TEST = "/usr/lib/protopi/selftests/info_test"
#: Records of the kernel's own at warning or worse.
LOUD = "dmesg -r | grep '^<[0-4]>'"
#: Wait until what is loaded after ready has said what it has to say: two (virtual) seconds without a message.
SETTLED = 'while n=$(dmesg | wc -l); sleep 2; [ "$n" != "$(dmesg | wc -l)" ]; do :; done'


def test_a_product_image_carries_no_selftest(built: Built) -> None:
    built("pi4")
    session = Session(PROJECT, Ui())
    rootfs = outputs_of(session, session.plan("pi4"), "rootfs")["rootfs"]
    listing = (rootfs / "rootfs.json").read_text()
    assert "/usr/lib/protopi/mcp.ko" in listing
    assert "info_test" not in listing


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
