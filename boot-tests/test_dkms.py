# SPDX-License-Identifier: MIT
"""mcp.ko and mcp_net.ko by DKMS: they build without a word on kernels as Debian ships them and are signed by a user's
key; mcp.ko works there.

The real dkms runs, in the tools tree, as on a Debian machine but for three things: it compiles for arm64 on amd64, its
folders lie elsewhere, and there is no depmod. The kernels are recipes/stock_kernel.py's; no image is built.
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

from protopi.api import Session
from protopi.plan import Planner
from protopi.project import Project
from protopi.sandbox import Bind, Sandbox
from protopi.ui import Ui
from recipes.stock_kernel import KERNELS, StockKernel

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.image
PROJECT = Project.here()
CONF = PROJECT.root / "mcp/dkms.conf"
RELEASES = [f"{version}-arm64" for version in KERNELS]
#: Each module, and those that it needs.
MODULES = {"mcp": "", "mcp_net": "mcp,libchacha20poly1305"}
#: What every run begins with. dkms strips with the machine's own strip, which knows no arm64.
PREPARE = """
mkdir -p /tmp/bin && ln -s /usr/bin/aarch64-linux-gnu-strip /tmp/bin/strip && export PATH=/tmp/bin:$PATH
dkms() { command dkms "$@" -a aarch64 --dkmstree $PWD/tree --sourcetree $PWD/src --installtree $PWD/modules; }
"""
#: What the selftests share, two that are about other modules than DKMS builds, one that wants faults injected, and one
#: that wants FUSE.
NOT_HERE = {"mcp_test", "net_test", "xdp_test", "failnth_test", "slow_test"}
TESTS = sorted({path.stem for path in (PROJECT.root / "mcp/kernel/selftests").glob("*_test.c")} - NOT_HERE)


@dataclass(frozen=True, slots=True)
class Machine:
    """Folders as a machine has them, at /host/bench: modules (of /lib), src (of /usr), tree (of dkms), mcp (ours)."""

    folder: Path
    stock: Path
    tools: Path

    def run(self, script: str) -> tuple[int, str]:
        """Run a shell script there, with a function `dkms`; its exit status, and all that it said."""
        binds = [Bind(self.folder, "/host/bench", writable=True), Bind(self.stock, "/host/stock")]
        conf = self.folder / "framework.conf"
        binds += [Bind(conf, "/etc/dkms/framework.conf")] if conf.exists() else []
        done = subprocess.run(
            Sandbox(self.tools, tuple(binds), cwd="/host/bench").argv(["sh", "-c", PREPARE + script]),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        return done.returncode, done.stdout.decode(errors="replace")

    def add(self, release: str, stock: str = "") -> None:
        """A kernel with its headers; `stock` is the release of those headers, if it is another."""
        folder = self.folder / "modules" / release
        folder.mkdir(parents=True)
        stock = stock or release
        (folder / "build").symlink_to(f"/host/stock/{stock}/usr/src/linux-headers-{stock}")

    def install(self, release: str) -> tuple[int, str]:
        """`dkms install` of our source."""
        return self.run(f"dkms install ./mcp -k {release} --no-depmod")

    def log(self, release: str) -> str:
        """What the compiler said: without the lines of kbuild and dkms that are there when all is well."""
        text = next((self.folder / f"tree/mcp/1.0/{release}").rglob("make.log")).read_text()
        assert re.search(r"^# exit code: 0$", text, re.MULTILINE), text
        usual = r"#.*|DKMS .*|[A-Z][a-z]{2} [A-Z][a-z]{2} .*|Building module\(s\)|  [A-Z]+ +(\[M\] +)?\S+|make.*|-*"
        return "\n".join(line for line in text.splitlines() if not re.fullmatch(usual, line))

    def module(self, release: str, module: str = "mcp") -> Path:
        """Where modprobe will find it."""
        top = self.folder / "modules" / release
        found = {path.stem: path for path in top.rglob("mcp*.ko*")}
        places = {name: path.relative_to(top).as_posix() for name, path in found.items()}
        assert places == {name: f"updates/dkms/{name}.ko" for name in MODULES}
        return found[module]

    def field(self, release: str, name: str, module: str = "mcp") -> str:
        """A field of an installed module."""
        path = self.module(release, module).relative_to(self.folder)
        status, said = self.run(f"modinfo -F {name} {path}")
        assert status == 0, said
        return said.strip()


@pytest.fixture(scope="module")
def outputs() -> tuple[Path, Path]:
    """Debian's kernels, and the tools tree."""
    session = Session(PROJECT, Ui())
    image = session.project.image("virt")
    planner = Planner(session.project, session.project.lock(image))
    recipe = StockKernel(image)
    with session.builder() as builder:
        made = builder.build(planner.plan(recipe), (planner.step(recipe), planner.tools), "tests")
    return made[StockKernel.name].out, made["tools"].out


def new_machine(folder: Path, outputs: tuple[Path, Path]) -> Machine:
    shutil.copytree(PROJECT.root / "mcp", folder / "mcp")
    for name in ("modules", "src", "tree"):
        (folder / name).mkdir()
    return Machine(folder, *outputs)


@pytest.fixture
def machine(tmp_path: Path, outputs: tuple[Path, Path]) -> Machine:
    return new_machine(tmp_path, outputs)


#: A user's key, as docs/dkms.md has it made.
NAME = "A user of Protopi"
MAKE_KEY = (
    f"openssl req -new -x509 -newkey rsa:2048 -nodes -sha256 -days 3650 -subj '/CN={NAME}/' -outform DER -out mok.pub"
    " -keyout mok.key 2>&1"
)


@pytest.fixture(scope="module", params=RELEASES)
def installed(request: pytest.FixtureRequest, outputs: tuple[Path, Path]) -> Iterator[tuple[Machine, str]]:
    """A machine with the module, signed, for one kernel; and that kernel's release."""
    release = str(request.param)
    with tempfile.TemporaryDirectory(prefix="protopi-dkms-") as name:
        machine = new_machine(Path(name), outputs)
        machine.add(release)
        status, said = machine.run(MAKE_KEY)
        assert status == 0, said
        conf = "mok_signing_key=/host/bench/mok.key\nmok_certificate=/host/bench/mok.pub\n"
        (machine.folder / "framework.conf").write_text(conf)
        status, said = machine.install(release)
        assert status == 0, said
        yield machine, release


# ---- Building --------------------------------------------------------------------------------------------------------


def test_it_builds_without_a_word(installed: tuple[Machine, str]) -> None:
    machine, release = installed
    assert machine.log(release) == ""
    for module, needs in MODULES.items():
        assert machine.field(release, "vermagic", module).split()[0] == release
        assert machine.field(release, "license", module) == "GPL"
        assert machine.field(release, "depends", module) == needs
    assert f"mcp/1.0, {release}, aarch64: installed" in machine.run("dkms status")[1]


def test_a_warning_is_seen(machine: Machine) -> None:
    source = machine.folder / "mcp/kernel/mcp_info.c"
    source.write_text(source.read_text() + "\nint mcp_fault(void)\n{\n\treturn 0;\n}\n")
    machine.add(RELEASES[0])
    assert machine.install(RELEASES[0])[0] == 0
    assert "no previous prototype" in machine.log(RELEASES[0])


#: Kernels, and whether the module is for them. Each is asked of compat.h and of dkms.conf.
VERSIONS = {
    (6, 11): False,
    (6, 12): True,
    (6, 13): False,
    (6, 18): False,
    (7, 0): False,
    (7, 1): False,
    (7, 2): True,
    (7, 9): True,
    (7, 10): True,
    (8, 0): True,
}


@pytest.mark.parametrize(("version", "wanted"), VERSIONS.items(), ids=str)
def test_other_kernels_are_refused_by_name_and_passed_over_by_dkms(
    machine: Machine, version: tuple[int, int], wanted: bool
) -> None:
    major, minor = version
    stubs = machine.folder / "stubs/linux"
    (stubs / "io_uring").mkdir(parents=True)
    for name in ("hrtimer.h", "io_uring/cmd.h", "kcov.h", "skbuff.h", "workqueue.h"):
        (stubs / name).write_text("")
    (stubs / "version.h").write_text(
        "#define KERNEL_VERSION(a, b, c) (((a) << 16) + ((b) << 8) + (c))\n"
        f"#define LINUX_VERSION_CODE KERNEL_VERSION({major}, {minor}, 7)\n"
    )
    status, said = machine.run("gcc -E -nostdinc -I stubs mcp/kernel/compat.h > preprocessed")
    assert (status == 0) == wanted, said
    assert ("#error" in said) != wanted

    # dkms needs no headers to see that a kernel is not on the list; one that is on it fails for the lack of them.
    status, said = machine.run(f"dkms build ./mcp -k {major}.{minor}.7-arm64")
    assert ("BUILD_EXCLUSIVE" in said) != wanted, said
    assert status != 0


# ---- A user's key ----------------------------------------------------------------------------------------------------

MAGIC = b"~Module signature appended~\n"


def split_signature(data: bytes) -> tuple[bytes, bytes]:
    """A module's own bytes, and its signature (PKCS#7). See scripts/sign-file.c and linux/module_signature.h."""
    assert data.endswith(MAGIC)
    end = len(data) - len(MAGIC) - 12
    size = int.from_bytes(data[end + 8 : end + 12], "big")
    return data[: end - size], data[end - size : end]


def test_a_user_s_key_signs_it(installed: tuple[Machine, str]) -> None:
    machine, release = installed
    assert {machine.field(release, "signer", module) for module in MODULES} == {NAME}
    assert machine.field(release, "sig_id") == "PKCS#7"
    assert machine.field(release, "sig_hashalgo") in ("sha256", "sha512")
    body, signature = split_signature(machine.module(release).read_bytes())
    (machine.folder / "signature").write_bytes(signature)
    verify = (
        "openssl x509 -inform DER -in mok.pub -out mok.pem && openssl cms -verify -binary -inform DER -in signature"
        " -content body -certfile mok.pem -nointern -noverify -out /dev/null"
    )
    (machine.folder / "body").write_bytes(body)
    assert machine.run(verify)[0] == 0
    changed = bytearray(body)
    changed[len(body) // 2] ^= 1
    (machine.folder / "body").write_bytes(changed)
    assert machine.run(verify)[0] != 0


def test_without_a_key_it_is_not_signed(machine: Machine) -> None:
    """dkms makes a key of its own where it can; the sandbox's /var is read-only."""
    machine.add(RELEASES[0])
    status, said = machine.install(RELEASES[0])
    assert status == 0, said
    assert "modules won't be signed" in said
    assert machine.field(RELEASES[0], "signer") == ""


# ---- Running ---------------------------------------------------------------------------------------------------------

INIT = """#!/bin/busybox sh
B=/bin/busybox
$B mkdir -p /proc /sys /dev /tmp /applets && $B --install -s /applets && export PATH=/bin:/applets
mount -t proc proc /proc && mount -t sysfs sys /sys && mount -t devtmpfs dev /dev && mkdir -p /dev/shm
mount -t tmpfs tmp /tmp && mount -t tmpfs tmp /dev/shm && ip link set lo up
mount -t cgroup2 none /sys/fs/cgroup
echo "@release $(uname -r)"
insmod /mcp.ko 2>&1; echo "@insmod $?"
if [ -c /dev/mcp ]; then
for test in TESTS; do test=/tests/$test
    $test > /tmp/tap; echo "@test ${test##*/} $? $(grep -c '^ok' /tmp/tap) $(sed -n 's/^1[.][.]//p' /tmp/tap)"
    grep -A2 '^not ok' /tmp/tap
done
rmmod mcp; echo "@rmmod $?"
fi
dmesg | grep -A30 -E 'BUG:|WARNING|Oops|leaked|mcp:'
echo "@end"
poweroff -f
"""


def boot(machine: Machine, release: str, *append: str) -> list[str]:
    """Boot Debian's kernel with the installed module and the selftests in memory; what the console said."""
    root = machine.folder / "root"
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(machine.stock / "selftests", root / "tests")
    (root / "bin").mkdir()
    shutil.copy(machine.stock / "busybox", root / "bin/busybox")
    shutil.copy(machine.module(release), root / "mcp.ko")
    (root / "init").write_text(INIT.replace("in TESTS;", f"in {' '.join(TESTS)};"))
    (root / "init").chmod(0o755)
    words = " ".join(("rdinit=/init", "console=ttyAMA0", "loglevel=4", "panic=-1", *append))
    status, said = machine.run(
        "(cd root && find . | cpio -o -H newc -R 0:0 --quiet) > initramfs && exec timeout 500 qemu-system-aarch64"
        " -M virt -cpu cortex-a72 -smp 2 -m 1G -nographic -nodefaults -no-reboot -serial stdio"
        f" -kernel /host/stock/{release}/Image -initrd initramfs -append '{words}'"
    )
    lines = said.replace("\r", "").splitlines()
    assert status == 0, said[-2000:]
    assert "@end" in lines, said[-2000:]
    return lines


def test_its_selftests_pass_on_debian_s_kernel(installed: tuple[Machine, str]) -> None:
    machine, release = installed
    lines = boot(machine, release)
    assert f"@release {release}" in lines
    assert "@insmod 0" in lines
    said = "\n".join(lines)
    for name in TESTS:
        match = re.search(rf"^@test {name} 0 (\d+) (\d+)$", said, re.MULTILINE)
        assert match, said
        assert int(match[1]) == int(match[2]) >= 3, said
    assert "@rmmod 0" in lines
    assert not re.search("BUG:|WARNING|Oops|leaked", said), said


def test_a_kernel_that_asks_for_signatures_refuses_a_key_that_it_does_not_know(installed: tuple[Machine, str]) -> None:
    """What a signature is good for: here the user's key is in no keyring of the kernel's, so it counts for nothing."""
    machine, release = installed
    lines = boot(machine, release, "module.sig_enforce=1")
    assert any("@insmod" in line for line in lines)
    assert "@insmod 0" not in lines
    assert not any(line.startswith("@test") for line in lines)
