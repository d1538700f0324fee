# SPDX-License-Identifier: MIT
"""The root file system as data: every path with its mode, owner and content, before any file system exists.

Nothing is unpacked to disk: store entries belong to one user, so owners and modes cannot live in real inodes.
The tree is written as one tar with numeric owners, which mkfs.erofs reads; that needs no root and gives the same
bytes every time. Paths are relative, without a leading slash ("usr/bin/sh"); /bin, /sbin and /lib are links to
their namesakes in /usr, and whatever a package puts there lands in /usr.
"""

from __future__ import annotations

import fnmatch
import functools
import io
import posixpath
import re
import tarfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from protopi.errors import Problem

Kind = Literal["file", "dir", "link", "node"]
#: Folders that were merged into /usr; the key is what an old path starts with.
MERGED = {"bin": "usr/bin", "sbin": "usr/sbin", "lib": "usr/lib"}
#: What is mounted over at run time: a link into it cannot be followed in the image.
VOLATILE = ("dev", "proc", "sys", "run", "tmp", "var", "data")


@dataclass(frozen=True, slots=True)
class Entry:
    """One path. `data` is a file's content or empty, `target` a link's; `package` says where it came from."""

    kind: Kind
    mode: int
    owner: str = "root"
    group: str = "root"
    data: bytes = b""
    target: str = ""
    package: str = ""


@dataclass(slots=True)
class Tree:
    """Paths and what they are. Writing an existing path replaces it; `add` refuses that for packages."""

    entries: dict[str, Entry] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def __contains__(self, path: str) -> bool:
        return path in self.entries

    def __getitem__(self, path: str) -> Entry:
        return self.entries[path]

    def files(self, *patterns: str) -> Iterator[tuple[str, Entry]]:
        """Files whose path matches one of the patterns (all without one), sorted; `*` also matches `/`."""
        for path in sorted(self.entries):
            entry = self.entries[path]
            if entry.kind == "file" and (not patterns or matches(path, patterns)):
                yield path, entry

    def put(self, path: str, entry: Entry) -> None:
        """Set a path, with the folders above it."""
        path = normalise(path)
        if not path:
            return
        self._parents(path, entry.package)
        self.entries[path] = entry

    def add(self, path: str, entry: Entry) -> None:
        """Like `put`, for a package's path: two packages that bring different files of one name are a problem."""
        path = normalise(path)
        old = self.entries.get(path)
        if old is None or entry.kind == "dir" == old.kind:
            if old is None:
                self.put(path, entry)
            return
        if replace(old, package="") != replace(entry, package=""):
            self.problems.append(
                Problem(
                    f"/{path} comes from two packages: {old.package} and {entry.package}",
                    hint="name the one that the image does not need under `drop:`",
                )
            )

    def write(
        self, path: str, text: str | bytes, mode: int = 0o644, *, owner: str = "root", group: str = "root"
    ) -> None:
        """Set a file made by us."""
        data = text if isinstance(text, bytes) else text.encode()
        self.put(path, Entry("file", mode, owner, group, data))

    def link(self, path: str, target: str, package: str = "") -> None:
        """Set a symbolic link."""
        self.put(path, Entry("link", 0o777, target=target, package=package))

    def folder(self, path: str, mode: int = 0o755, *, owner: str = "root", group: str = "root") -> None:
        """Set a folder."""
        self.put(path, Entry("dir", mode, owner, group))

    def remove(self, condition: Callable[[str, Entry], bool]) -> list[str]:
        """Take out the paths for which the condition holds, then folders that it left empty; returns the former."""
        gone = [path for path, entry in self.entries.items() if condition(path, entry)]
        for path in gone:
            del self.entries[path]
        emptied = {parent for path in gone for parent in parents(path)}
        for parent in sorted(emptied, key=len, reverse=True):
            entry = self.entries.get(parent)
            if entry and entry.package and not any(p.startswith(parent + "/") for p in self.entries):
                del self.entries[parent]
        return gone

    def exclude(self, patterns: Iterable[str]) -> set[str]:
        """Take out what the patterns ("/usr/share/doc/*") match; returns the patterns that matched nothing."""
        unused = set()
        for pattern in patterns:
            wanted = pattern.lstrip("/")
            if not self.remove(lambda path, _, w=wanted: matches(path, (w,))):  # type: ignore[misc]
                unused.add(pattern)
        return unused

    def resolve(self, path: str) -> str | None:
        """Follow links as the kernel would; None when something is missing, else a path of the tree.

        A path in a volatile folder is returned as it is: only the running system knows.
        """
        todo, done, hops = path.strip("/").split("/"), "", 0
        while todo:
            part = todo.pop(0)
            if part in ("", "."):
                continue
            if part == "..":
                done = posixpath.dirname(done)
                continue
            step = f"{done}/{part}" if done else part
            if step.split("/")[0] in VOLATILE:
                return posixpath.normpath("/".join([step, *todo]))
            entry = self.entries.get(step)
            if entry is None:
                return None
            if entry.kind == "link":
                hops += 1
                if hops > 40:
                    return None
                todo = entry.target.split("/") + todo
                done = "" if entry.target.startswith("/") else done
            else:
                done = step
        return done

    def tar(self, epoch: int, ids: Mapping[str, int], gids: Mapping[str, int]) -> bytes:
        """The tree as a tar: sorted, one time stamp, numeric owners. Files that share content are hard links.

        Raises KeyError for an owner without an account; `owners` lists those before.
        """
        out = io.BytesIO()
        seen: dict[tuple[int, int, str, str], str] = {}
        with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
            # Without an entry of its own, the root would be 0777.
            for path, entry in [(".", Entry("dir", 0o755)), *sorted(self.entries.items())]:
                info = tarfile.TarInfo(path)
                info.mtime, info.mode = epoch, entry.mode
                info.uid, info.gid = ids[entry.owner], gids[entry.group]
                if entry.kind == "dir":
                    info.type = tarfile.DIRTYPE
                elif entry.kind == "link":
                    info.type, info.linkname = tarfile.SYMTYPE, entry.target
                else:
                    # Identity, not equality: only what was a hard link in a package shares its bytes object.
                    key = (id(entry.data), entry.mode, entry.owner, entry.group)
                    if len(entry.data) > 0 and key in seen:
                        info.type, info.linkname = tarfile.LNKTYPE, seen[key]
                    else:
                        seen[key] = path
                        info.size = len(entry.data)
                tar.addfile(info, io.BytesIO(entry.data) if info.isreg() else None)
        return out.getvalue()

    def _parents(self, path: str, package: str) -> None:
        for parent in parents(path):
            if parent not in self.entries:
                self.entries[parent] = Entry("dir", 0o755, package=package)


def parents(path: str) -> list[str]:
    """The folders above a path, the topmost first: a/b/c -> [a, a/b]."""
    parts = path.split("/")[:-1]
    return ["/".join(parts[: n + 1]) for n in range(len(parts))]


def matches(path: str, patterns: Iterable[str]) -> bool:
    """Whether a path, or a folder above it, matches one of the patterns (`*` also matches `/`)."""
    return any(_pattern(pattern).match(path) for pattern in patterns)


@functools.cache
def _pattern(pattern: str) -> re.Pattern[str]:
    return re.compile(f"{fnmatch.translate(pattern)}|{fnmatch.translate(pattern + '/*')}")


def normalise(path: str) -> str:
    """A clean relative path with /bin, /sbin and /lib moved into /usr; "" for the root itself."""
    clean = posixpath.normpath("/" + path).lstrip("/")
    first, slash, rest = clean.partition("/")
    return f"{MERGED[first]}/{rest}" if slash and first in MERGED else clean


def skeleton() -> Tree:
    """The folders and links that every image has."""
    tree = Tree()
    for path in ("data", "dev", "etc", "proc", "run", "sys", "usr/bin", "usr/sbin", "usr/lib", "usr/share", "var"):
        tree.folder(path)
    tree.folder("tmp", 0o1777)
    tree.folder("root", 0o700)
    for name, target in MERGED.items():
        tree.link(name, target)
    return tree


def merge_tar(
    tree: Tree, package: str, stream: bytes, patterns: Iterable[str], unmatched: set[str] | None = None
) -> None:
    """Add the files of a package (an uncompressed tar, as `dpkg-deb --fsys-tarfile` gives it) but for excludes.

    Patterns that match something are taken out of `unmatched`.
    """
    wanted = tuple(pattern.lstrip("/") for pattern in patterns)
    found: dict[str, Entry] = {}
    with tarfile.open(fileobj=io.BytesIO(stream)) as tar:
        for info in tar:
            path = normalise(info.name)
            # GNU tar names owners; a package without names has numbers that mean nothing here.
            owner, group = info.uname or "root", info.gname or "root"
            if info.isdir():
                entry = Entry("dir", info.mode & 0o7777, owner, group, package=package)
            elif info.issym():
                entry = Entry("link", 0o777, owner, group, target=info.linkname, package=package)
            elif info.isfile():
                handle = tar.extractfile(info)
                entry = Entry("file", info.mode & 0o7777, owner, group, handle.read() if handle else b"", "", package)
            elif info.islnk():
                entry = found.get(normalise(info.linkname)) or Entry("file", info.mode & 0o7777, owner, group)
            else:
                tree.problems.append(
                    Problem(
                        f"/{path} of {package} is a device node or a pipe", hint=f"leave it out: `exclude: [/{path}]`"
                    )
                )
                continue
            found[path] = entry
    for pattern in tuple(unmatched or ()):
        if unmatched and any(matches(path, (pattern.lstrip("/"),)) for path in found):
            unmatched.remove(pattern)
    kept = {path for path in found if path not in MERGED and not matches(path, wanted)}
    # A folder that only held excluded files is not worth an inode; one that the package has empty is kept.
    full = {parent for path in found for parent in parents(path)}
    needed = {parent for path in kept if found[path].kind != "dir" or path not in full for parent in parents(path)}
    for path in sorted(kept):
        if found[path].kind != "dir" or path in needed or path not in full:
            tree.add(path, found[path])
