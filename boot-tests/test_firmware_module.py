# SPDX-License-Identifier: MIT
"""protopi_firmware.ko: no checker has anything to say of its source, and its parser takes no nonsense.

The checkers run in the tools tree, on a copy, against the kernel's devel.tar as any external module would. Each has a
negative control: a copy with one deliberate fault must be reported. What it does on a machine: test_tryboot.py.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from protopi.api import Session
from protopi.plan import Planner
from protopi.project import Project
from protopi.sandbox import Bind, Sandbox
from protopi.ui import Ui
from recipes.firmware_module import FirmwareModule

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.image
PROJECT = Project.here()
DEVEL = "/tmp/linux-devel"
#: devel.tar has no device-tree bindings, so checkpatch would take every compatible string for undocumented.
CHECKPATCH = (
    *("perl", f"{DEVEL}/scripts/checkpatch.pl", f"--root={DEVEL}", "--strict", "--terse", "--show-types"),
    *("--no-summary", "--ignore", "UNDOCUMENTED_DT_STRING", "-f"),
)
MAKE = ("make", "-s", "-C", DEVEL, "ARCH=arm64", "CROSS_COMPILE=aarch64-linux-gnu-", "W=1", "C=2", "modules")
FAULTS = {
    "W=1": ("\n/**\n * pf_other() - a comment that names another function\n */\nstatic int __used pf_fault(void)\n"
            "{\n\treturn 0;\n}\n", "expecting prototype for pf_other"),
    "gcc": ("\nint pf_fault(void)\n{\n\treturn 0;\n}\n", "no previous prototype"),
    "sparse": ("\nstatic u32 __used pf_fault(struct protopi_firmware *pf)\n{\n\treturn *(u32 *)pf->pm;\n}\n",
               "removes address space '__iomem'"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Bench:
    """A copy of the driver's source at /host/bench/firmware, and what its recipe has made at /host/module."""

    folder: Path
    sandbox: Sandbox
    module: Path

    def run(self, *command: str) -> tuple[int, str]:
        """Run a program beside the unpacked devel.tar; its exit status, and all that it said."""
        # checkpatch knows a kernel's source by its folders; ipc has no file that a module needs.
        unpack = f"tar -C /tmp -xf /host/kernel/devel.tar && mkdir -p {DEVEL}/ipc"
        script = f'{unpack} && cd /host/bench/firmware && exec "$0" "$@"'
        done = subprocess.run(
            self.sandbox.argv(["sh", "-c", script, *command]),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        # checkpatch looks for the bindings even where it shall not speak of them.
        said = re.sub(r"grep: \S+/bindings/\S*: No such file or directory\n", "", done.stdout.decode(errors="replace"))
        return done.returncode, said

    def build(self) -> tuple[int, str]:
        """Build the copy, silent but for complaints."""
        return self.run(*MAKE, "M=/host/bench/firmware", "CONFIG_DEBUG_INFO_BTF_MODULES=")

    def checkpatch(self) -> tuple[int, str]:
        """What checkpatch says of every source."""
        source = self.folder / "firmware"
        names = sorted(path.relative_to(source).as_posix() for path in source.rglob("*.[ch]"))
        assert len(names) >= 9
        return self.run(*CHECKPATCH, *names)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    session = Session(PROJECT, Ui())
    image = session.project.image("pi4")
    planner = Planner(session.project, session.project.lock(image))
    recipe = FirmwareModule(image)
    with session.builder() as builder:
        made = builder.build(planner.plan(recipe), (planner.step(recipe), planner.tools), "tests")
        kernel = next(step for step in planner.plan(recipe) if step.name == "kernel")
    found = session.store.get("kernel", kernel.key)
    assert found is not None
    shutil.copytree(PROJECT.root / "drivers/firmware", tmp_path / "firmware")
    module = made[FirmwareModule.name].out
    binds = (
        Bind(tmp_path, "/host/bench", writable=True),
        Bind(found.out, "/host/kernel"),
        Bind(module, "/host/module"),
    )
    return Bench(tmp_path, Sandbox(made["tools"].out, binds, cwd="/"), module)


def append(path: Path, text: str) -> None:
    path.write_text(path.read_text() + text)


def test_it_builds_without_a_word(bench: Bench) -> None:
    assert bench.build() == (0, "")


@pytest.mark.parametrize("finder", FAULTS)
def test_a_fault_is_reported(bench: Bench, finder: str) -> None:
    fault, words = FAULTS[finder]
    append(bench.folder / "firmware/firmware_main.c", fault)
    assert words in bench.build()[1]


def test_checkpatch_is_silent_and_reports_a_fault_of_style(bench: Bench) -> None:
    assert bench.checkpatch() == (0, "")
    append(bench.folder / "firmware/reboot_command.c", "\nstatic int pf_fault( void ) { return 0; }\n")
    status, said = bench.checkpatch()
    assert status != 0
    assert "SPACING" in said


def test_it_says_its_licence_and_which_device_it_is_for(bench: Bench) -> None:
    def field(name: str) -> str:
        return bench.run("modinfo", "-F", name, "/host/module/protopi_firmware.ko")[1].strip()

    assert field("license") == "GPL"
    assert field("depends") == ""
    assert field("alias").splitlines()[0] == "of:N*T*Cbrcm,bcm2835-system-timerC*"


def test_the_parser_passes_its_selftest_and_a_wrong_one_does_not(bench: Bench) -> None:
    def test() -> tuple[int, str]:
        status, said = bench.run("make", "-s", "-C", "selftests", "host", "OUT=/host/bench")
        return (status, said) if status else bench.run("/host/bench/command_test", "200000")

    status, said = test()
    assert status == 0, said
    assert "\n1..30\n" in said
    source = bench.folder / "firmware/reboot_command.c"
    text = source.read_text()
    for good, bad in (("length > 2", "length > 3"), ("|| !parse", "&& !parse"), ("(2 * bit)", "bit")):
        assert text.count(good) == 1
        source.write_text(text.replace(good, bad))
        status, said = test()
        assert status != 0, f"{bad} was not found"
        assert "not ok" in said
