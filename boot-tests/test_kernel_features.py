# SPDX-License-Identifier: MIT
"""What later parts build on is in the kernel: by its configuration, and by what a booted machine shows of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

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
IMAGE = "virt-test"

#: By feature: options that must be on, built in ("y") or also as a module ("ym").
OPTIONS = {
    "io_uring": ("y", ["IO_URING"]),
    "eBPF": ("y", ["BPF_SYSCALL", "BPF_JIT", "BPF_JIT_ALWAYS_ON", "DEBUG_INFO_BTF", "DEBUG_INFO_BTF_MODULES"]),
    "sched_ext": ("y", ["SCHED_CLASS_EXT"]),
    "FUSE": ("ym", ["FUSE_FS"]),
    "XDP and packets": ("y", ["XDP_SOCKETS", "PACKET"]),
    "audit": ("y", ["AUDIT", "AUDITSYSCALL"]),
    "seccomp": ("y", ["SECCOMP", "SECCOMP_FILTER"]),
    "Landlock": ("y", ["SECURITY_LANDLOCK"]),
    "cgroup v2": ("y", ["CGROUPS", "MEMCG", "CGROUP_PIDS", "CGROUP_BPF", "CPUSETS", "BLK_CGROUP"]),
    "dm-verity": ("y", ["BLK_DEV_DM", "DM_INIT", "DM_VERITY"]),
    "file systems": ("y", ["EROFS_FS"]),
    "overlayfs": ("ym", ["OVERLAY_FS"]),
    "keyrings": ("y", ["KEYS", "PERSISTENT_KEYRINGS"]),
    "cryptography for sessions": ("y", ["CRYPTO_LIB_CHACHA20POLY1305", "CRYPTO_LIB_BLAKE2S_GENERIC"]),
    "a record of panics": ("y", ["PSTORE", "PSTORE_RAM"]),
}


@pytest.fixture(scope="module")
def config(built: Built) -> dict[str, str]:
    """The built kernel's configuration: option without CONFIG_ -> value."""
    built(IMAGE)
    session = Session(Project.here(), Ui())
    planned = session.plan(str(Path(__file__).parent / "images" / f"{IMAGE}.yaml"))
    step = next(step for step in planned.steps if step.name == "kernel")
    entry = session.store.get("kernel", step.key)
    assert entry is not None
    lines = (entry.out / "config").read_text().splitlines()
    pairs = (line.removeprefix("CONFIG_").split("=", 1) for line in lines if line.startswith("CONFIG_"))
    return dict(pairs)


@pytest.mark.parametrize("feature", OPTIONS)
def test_it_is_configured(feature: str, config: dict[str, str]) -> None:
    allowed, names = OPTIONS[feature]
    missing = [name for name in names if config.get(name, "n") not in allowed]
    assert not missing


@pytest.fixture(scope="module")
def console(built: Built) -> Iterator[Any]:
    image = built(IMAGE)
    with shell(image.path, image.board, image.tools, Options()) as child:
        ask(child, "mkdir -p /tmp/sec; mount -t securityfs securityfs /tmp/sec; modprobe -a fuse overlay")
        yield child


#: By feature: a command, and words that its output must have, in any order.
PROBES = {
    "io_uring, closed but to its group": ("cat /proc/sys/kernel/io_uring_disabled", ["1"]),
    "eBPF is compiled": ("cat /proc/sys/net/core/bpf_jit_enable", ["1"]),
    # 1: not for everybody, and root cannot change that before the next boot.
    "eBPF is closed but to root": ("cat /proc/sys/kernel/unprivileged_bpf_disabled", ["1"]),
    "BTF of the kernel": ("head -c 2 /sys/kernel/btf/vmlinux | od -An -tx2", ["eb9f"]),
    "BTF of a module": ("head -c 2 /sys/kernel/btf/fuse | od -An -tx2", ["eb9f"]),
    "sched_ext": ("cat /sys/kernel/sched_ext/state", ["disabled"]),
    "file systems": ("cat /proc/filesystems", ["erofs", "ext4", "overlay", "fuse", "bpf", "cgroup2", "pstore"]),
    "FUSE's device": ("ls /dev/fuse", ["/dev/fuse"]),
    "AF_XDP and packet sockets": ("cut -d' ' -f1 /proc/net/protocols", ["XDP", "PACKET", "NETLINK", "UNIX"]),
    # The kernel's own socket (port 0) of protocol 9.
    "audit": ("awk '$2 == 9 && $3 == 0 { print \"audit\" }' /proc/net/netlink; cat /proc/self/loginuid",
              ["audit", "4294967295"]),
    "seccomp": ("cat /proc/sys/kernel/seccomp/actions_avail", ["kill_process", "user_notif", "errno", "allow"]),
    "Landlock": ("tr , ' ' < /tmp/sec/lsm", ["landlock"]),
    "cgroup v2": ("cat /sys/fs/cgroup/cgroup.controllers", ["cpuset", "cpu", "io", "memory", "pids"]),
    "device mapper": ("cat /proc/misc", ["device-mapper"]),
    "dm-verity": ("ls -d /sys/module/dm_verity", ["/sys/module/dm_verity"]),
    "keyrings": ("cat /proc/keys", ["_uid.0", "keyring"]),
    "name spaces": ("ls /proc/self/ns", ["user", "pid", "net", "mnt", "uts", "ipc", "cgroup"]),
    "MCP": ("ls -l /dev/mcp", ["crw-rw----"]),
}  # fmt: skip


@pytest.mark.parametrize("feature", PROBES)
def test_it_is_there(feature: str, console: Any) -> None:
    command, wanted = PROBES[feature]
    said = ask(console, command)
    missing = set(wanted) - set(said.replace(":", " ").split())
    assert not missing, said


def test_a_missing_feature_would_be_noticed(console: Any, config: dict[str, str]) -> None:
    assert ask(console, "cat /sys/kernel/btf/no_such_module 2>/dev/null; grep -w btrfs /proc/filesystems") == ""
    assert config.get("BTRFS_FS", "n") == "n"
