# SPDX-License-Identifier: MIT
"""What the last build of the kernel made, kept, so that kbuild compiles again only what a change touches.

kbuild records for every object which files, options and flags it was made from, and asks again in each build. So a tree
with the objects of another configuration is a valid start; the result is the same, bit for bit, as that of a build
from nothing (boot-tests/test_reproducible.py compares them). See docs/decisions/008.

Sources carry the time stamps of Debian's archive, which are older than every object. Files that a patch changed are
known by their hash: one that is as it was at the last build is made to look old, any other one new.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from protopi.errors import StepError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from protopi.step import Context

FOLDER = Path("/cache")
#: In the archive, beside the tree: patched file -> sha256 at that build.
PATCHED = ".protopi-patched.json"
#: Not kept: what every link makes anew, and modules, because BTF that is added to one that has some lies elsewhere.
LINKED = re.compile(r"\.tmp_vmlinux.*|vmlinux\.o|.*\.ko")
_SUFFIX = ".tar.zst"


def archive(source: str, variant: str) -> Path | None:
    """Where the objects for a source package (its sha256) and a kernel variant are kept; None without a cache."""
    return FOLDER / f"{source[:32]}-{variant}{_SUFFIX}" if FOLDER.is_dir() else None


def files(tree: Path) -> dict[str, int]:
    """All files and links below `tree`: name -> time of the last change (ns)."""
    found: dict[str, int] = {}
    for folder, _, names in os.walk(tree):
        for name in names:
            path = os.path.join(folder, name)
            found[os.path.relpath(path, tree)] = os.lstat(path).st_mtime_ns
    return found


def digests(tree: Path, names: Iterable[str]) -> dict[str, str]:
    """File -> sha256."""
    return {name: hashlib.sha256((tree / name).read_bytes()).hexdigest() for name in names}


def restore(ctx: Context, tree: Path, kept: Path, patched: Mapping[str, str]) -> bool:
    """Lay the kept objects over an unpacked and patched tree; False when there are none.

    Raises StepError when the archive is damaged (and removes it); the tree is then of no use.
    """
    if not kept.is_file():
        return False
    try:
        ctx.run(["tar", "-C", tree, "--zstd", "-xf", kept])
        before: dict[str, str] = json.loads((tree / PATCHED).read_text())
    except (StepError, OSError, ValueError):
        kept.unlink(missing_ok=True)
        raise StepError(f"the kept objects are damaged and were removed: {kept.name}") from None
    old = (tree / "Makefile").stat()
    for name in {*before, *patched}:
        path = tree / name
        if path.exists():
            if before.get(name) == patched.get(name):
                os.utime(path, ns=(old.st_mtime_ns, old.st_mtime_ns))
            else:
                os.utime(path)
    return True


def keep(ctx: Context, tree: Path, kept: Path, patched: Mapping[str, str], sources: Collection[str]) -> None:
    """Store every file in the tree that is no source (not even one of a patch), for the next build."""
    (tree / PATCHED).write_text(json.dumps(patched))
    names = sorted(n for n in files(tree) if n not in sources and n not in patched and not LINKED.fullmatch(n))
    listing = ctx.work / "kept.list"
    listing.write_text("".join(f"{name}\0" for name in names))
    with (FOLDER / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for left in FOLDER.glob("*.tmp"):
            left.unlink()
        for other in FOLDER.glob(f"*{_SUFFIX}"):
            if other.name.split("-")[0] != kept.name.split("-")[0]:
                other.unlink()  # of another source package
        part = FOLDER / f"{secrets.token_hex(8)}.tmp"
        with contextlib.ExitStack() as undo:
            undo.callback(part.unlink, missing_ok=True)
            ctx.run(["tar", "-C", tree, "-I", "zstd -q -1 -T0", "--null", "-T", listing, "-cf", part])
            part.rename(kept)
