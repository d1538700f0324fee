# SPDX-License-Identifier: MIT
"""What maintainer scripts would have done: a table of packages, and hooks that work on the tree.

A package whose scripts do more than debhelper's known blocks must stand in COVERED, or the image must name it under
`unpack_only:`; anything else is refused by name, because silently skipping a script gives images that half work.
"""

from __future__ import annotations

import importlib.util
import marshal
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from protopi.errors import Problem
from recipes.rootfs_accounts import PACKAGE_ACCOUNTS, Account, Accounts
from recipes.rootfs_debs import Package
from recipes.rootfs_tree import Tree

Hook = Callable[[Tree, Accounts], None]


def accounts(*users: Account, **groups: int) -> Hook:
    """A hook that adds accounts and groups."""

    def hook(_: Tree, known: Accounts) -> None:
        for user in users:
            known.add(user)
        known.groups.update(groups)

    return hook


def without(*patterns: str) -> Hook:
    """A hook that leaves out files which need something that an image has no use for."""

    def hook(tree: Tree, _: Accounts) -> None:
        tree.exclude(patterns)

    return hook


def regulatory_db(tree: Tree, _: Accounts) -> None:
    """Alternatives of wireless-regdb. The upstream signature is known to vanilla and to Debian's kernels alike."""
    for name in ("regulatory.db", "regulatory.db.p7s"):
        path = f"usr/lib/firmware/{name}"
        if f"{path}-upstream" in tree:
            tree.put(path, tree[f"{path}-upstream"])
            tree.exclude((f"{path}-*",))


@dataclass(frozen=True, slots=True)
class Cover:
    """Why no script has to run: the hooks that do its work, or the reason why there is none to do."""

    why: str
    hooks: tuple[Hook, ...] = ()


COVERED: Mapping[str, Cover] = {
    "base-passwd": Cover("accounts are declared"),
    "ca-certificates": Cover("the CA bundle is always made"),
    "i2c-tools": Cover(
        "the group is declared; the Perl helpers would need Perl",
        (without("usr/bin/decode-*", "usr/bin/ddcmon", "usr/sbin/i2c-stub-from-dump"),),
    ),
    "libc6": Cover("upgrades and restarts of running services only"),
    "libpam0g": Cover("restarts of running services only"),
    "libpam-modules": Cover("upgrades only"),
    "libpam-modules-bin": Cover("systemd timers only"),
    "libpython3.13-minimal": Cover("sitecustomize below", (lambda tree, _: sitecustomize(tree),)),
    "libreadline8t64": Cover("upgrades only"),
    "libselinux1": Cover("systemd-tmpfiles only"),
    "login.defs": Cover("upgrades only"),
    "netbase": Cover("/etc/hosts is ours"),
    "openntpd": Cover("an account", (accounts(PACKAGE_ACCOUNTS["openntpd"]),)),
    "openssl": Cover("upgrades only"),
    "perl": Cover("an alternative of upgrades only"),
    "python3-minimal": Cover("byte-compiling"),
    "python3.13-minimal": Cover("byte-compiling"),
    "readline-common": Cover("a default /etc/inputrc, which readline does without"),
    "tar": Cover("rmt is not used"),
    "tzdata": Cover("/etc/localtime is ours"),
    "wireless-regdb": Cover("alternatives", (regulatory_db,)),
    "wpasupplicant": Cover("the group netdev is declared"),
}  # fmt: skip


def uncovered(packages: Iterable[Package], unpack_only: Iterable[str]) -> list[Problem]:
    """A problem for each package whose scripts or triggers nobody covers."""
    allowed, problems = set(unpack_only), []
    for package in packages:
        if package.name in allowed or package.name in COVERED or not (package.scripts or package.triggers):
            continue
        what = [f"{name} script" for name in package.scripts] + [f"trigger {name}" for name in package.triggers]
        first = next((line.strip() for text in package.scripts.values() for line in text.splitlines()), "")
        problems.append(
            Problem(
                f"package {package.name} wants its {' and '.join(what)} run, and no hook of ours covers that"
                + (f" (it starts with: {first[:80]})" if first else ""),
                key="packages",
                hint=f"`unpack_only: [{package.name}]` takes its files as they are, `drop: [{package.name}]` leaves "
                "it out; or add it to COVERED in recipes/rootfs_hooks.py",
            )
        )
    return problems


def run_hooks(tree: Tree, known: Accounts, packages: Iterable[Package], unpack_only: Iterable[str]) -> None:
    """Run the hooks of the packages that are in the image."""
    skipped = set(unpack_only)
    for package in sorted(packages, key=lambda p: p.name):
        if package.name not in skipped and package.name in COVERED:
            for hook in COVERED[package.name].hooks:
                hook(tree, known)


def ca_bundle(tree: Tree) -> int:
    """Make /etc/ssl/certs/ca-certificates.crt from the packaged and the user's certificates; returns their number.

    OpenSSL looks in /usr/lib/ssl, so that points to it. The single files are taken out: nothing reads them.
    """
    sources = ("usr/share/ca-certificates/*.crt", "usr/local/share/ca-certificates/*.crt")
    found = [entry.data.rstrip(b"\n") + b"\n" for _, entry in tree.files(*sources)]
    if found:
        tree.exclude((*sources, "etc/ssl/private"))
        tree.write("etc/ssl/certs/ca-certificates.crt", b"".join(found))
        tree.link("usr/lib/ssl/certs", "/etc/ssl/certs")
        tree.link("usr/lib/ssl/cert.pem", "/etc/ssl/certs/ca-certificates.crt")
    return len(found)


def sitecustomize(tree: Tree) -> None:
    """Python's postinst writes this file, which a link of the package's points to."""
    if "etc/python3.13/sitecustomize.py" not in tree:
        tree.write("etc/python3.13/sitecustomize.py", "# Empty: the target of a link.\n")


def byte_compile(tree: Tree) -> int:
    """Byte-compile the image's Python, when it is the version that runs here; returns how many files.

    Unchecked-hash .pyc files: no time stamp in them, and no look at the source when they are loaded.
    """
    tag = sys.implementation.cache_tag
    if f"usr/bin/python3.{sys.version_info.minor}" not in tree or tag is None:
        return 0
    count = 0
    for path, entry in list(tree.files("usr/lib/python3*.py", "usr/local/lib/python3*.py")):
        try:
            code = compile(entry.data, "/" + path, "exec", dont_inherit=True, optimize=0)
        except (SyntaxError, ValueError):
            continue  # Templates and Python 2 files lie in library folders too; Debian's py3compile skips them as well.
        folder, _, name = path.rpartition("/")
        flags = 0b01
        pyc = importlib.util.MAGIC_NUMBER + flags.to_bytes(4, "little") + importlib.util.source_hash(entry.data)
        tree.write(f"{folder}/__pycache__/{name.removesuffix('.py')}.{tag}.pyc", pyc + marshal.dumps(code))
        count += 1
    return count


#: Applets that would log somebody in, manage Debian packages, or are PID 1's own.
NO_APPLETS = frozenset(
    (
        "init", "linuxrc", "run-init", "switch_root", "resume", "nuke",
        "login", "su", "sulogin", "passwd", "mkpasswd", "telnetd", "dpkg", "dpkg-deb", "rpm", "rpm2cpio",
        "busybox", "svc", "svok", "logread", "ftpget", "ftpput", "tftp", "ubirename",
    )
)  # fmt: skip
#: Applets that are called by a path in /sbin: by the kernel, by other programs, by habit.
SBIN_APPLETS = frozenset(
    (
        "modprobe", "insmod", "rmmod", "lsmod", "depmod", "modinfo", "mdev", "getty", "halt", "poweroff", "reboot",
        "ip", "ifconfig", "route", "udhcpc", "sysctl", "syslogd", "klogd", "hwclock", "watchdog", "pivot_root",
        "fdisk", "losetup", "mkswap", "swapon", "swapoff", "fstrim", "findfs", "blockdev",
    )
)  # fmt: skip


def applets(binary: bytes) -> list[str]:
    """The applets of a busybox binary, from the NUL-separated, sorted table of names in it. Raises ValueError."""
    found = re.search(rb"\[\0\[\[\0(?:[a-z0-9][\w.-]*\0)+", binary)
    names = found.group(0).decode().rstrip("\0").split("\0") if found else []
    if len(names) < 50 or names != sorted(names) or "sh" not in names:
        raise ValueError("no table of applets in the busybox binary")
    return names


def busybox_links(tree: Tree) -> list[str]:
    """Link each applet to busybox, except where a package brings the real program; returns the names."""
    made = []
    for name in applets(tree["usr/bin/busybox"].data):
        if name in NO_APPLETS or f"usr/bin/{name}" in tree or f"usr/sbin/{name}" in tree:
            continue
        if name in SBIN_APPLETS:
            tree.link(f"usr/sbin/{name}", "../bin/busybox", "busybox-static")
        else:
            tree.link(f"usr/bin/{name}", "busybox", "busybox-static")
        made.append(name)
    return made


def var_folders(tree: Tree) -> None:
    """/var is a fresh tmpfs on every boot: turn what packages have there into a list that start-services makes.

    Lines of /usr/lib/protopi/var-folders: mode, owner:group, path.
    """
    lines = []
    for path, entry in sorted(tree.entries.items()):
        if path.startswith("var/"):
            if entry.kind == "dir":
                lines.append(f"{entry.mode:o} {entry.owner}:{entry.group} /{path}\n")
            del tree.entries[path]
    tree.write("usr/lib/protopi/var-folders", "".join(lines))
