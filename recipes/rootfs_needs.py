# SPDX-License-Identifier: MIT
"""What the base system runs on: programs that PID 1 and the services of every image call, by path and package."""

from __future__ import annotations

from protopi.errors import Problem
from recipes.rootfs_tree import Tree

SSH_PACKAGE = "dropbear-bin"
#: Path in the image -> the Debian package that has it.
BASE = {
    "usr/bin/busybox": "busybox-static",
    **{f"usr/bin/s6-{name}": "s6" for name in ("log", "setuidgid", "socklog", "supervise", "svc", "svdt", "svlisten1",
                                               "svscan", "svscanctl", "svstat", "ftrigrd")},
}  # fmt: skip
SSH = {"usr/sbin/dropbear": SSH_PACKAGE, "usr/bin/dropbearkey": SSH_PACKAGE}


def needed(*, ssh: bool) -> dict[str, str]:
    """The programs without which no image runs, with their packages; `ssh`: the image offers SSH."""
    return {**BASE, **SSH} if ssh else dict(BASE)


def packages(*, ssh: bool) -> list[str]:
    """The packages of those programs."""
    return sorted(set(needed(ssh=ssh).values()))


def missing(tree: Tree, *, ssh: bool) -> list[Problem]:
    """A problem for each of those programs that a tree lacks."""
    return [
        Problem(f"/{path} is not in the image, and the image cannot run without it",
                hint=f"it comes from {package}: see `packages:`, `drop:` and `exclude:`")
        for path, package in needed(ssh=ssh).items()
        if path not in tree or tree[path].kind == "dir"
    ]  # fmt: skip


def unmatched(
    what: dict[str, list[str]], packages_found: set[str], removed: set[str], patterns_unused: set[str]
) -> list[Problem]:
    """A problem for each entry of a user's `drop:`, `unpack_only:` and `exclude:` that has no effect.

    packages_found   what resolution brought and the user's .debs are
    removed          packages that a `drop:` took back from an image below
    patterns_unused  patterns that matched no path
    """
    idle = {
        "drop": [name for name in what.get("drop", []) if name not in packages_found | removed],
        "unpack_only": [name for name in what.get("unpack_only", []) if name not in packages_found],
        "exclude": [pattern for pattern in what.get("exclude", []) if pattern in patterns_unused],
    }
    return [
        Problem(f"{word} matches nothing in the image", key=key, hint="a misspelling, or no longer needed: take it out")
        for key, words in idle.items()
        for word in words
    ]
