# SPDX-License-Identifier: MIT
"""The proof that an image can run: all that its programs need is in it, and nothing is in it that must not be.

The dynamic loader is modelled as it works in the image: without a cache, so a library must lie in the object's own
search path or in one of the loader's built-in folders. Every problem is reported, not only the first.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Collection, Iterator

from protopi.errors import Problem
from recipes.rootfs_elf import Elf, read_elf
from recipes.rootfs_tree import VOLATILE, Tree

#: Built into Debian's aarch64 loader, in this order (`ld.so --help` prints them).
LIBRARY_FOLDERS = ("lib/aarch64-linux-gnu", "usr/lib/aarch64-linux-gnu", "lib", "usr/lib")
#: musl's loader has its own.
MUSL_FOLDERS = ("lib", "usr/local/lib", "usr/lib")
#: Libraries that are loaded by name at run time, so that no NEEDED entry names them: glibc's thread cancellation.
LOADED_AT_RUN_TIME = ("libgcc_s.so.1",)
_KEY = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----\r?\n[A-Za-z0-9+/=:,\-\s]{16}")
#: A dropbear host key is the public blob with the private part after it: it starts with the name of its kind.
_DROPBEAR_KEY = re.compile(rb"\0\0\0[\x07-\x13](ssh-|ecdsa-)")
_IDENTITIES = ("etc/machine-id", "var/lib/dbus/machine-id", "var/lib/systemd/random-seed", "etc/hostid")


def check_tree(tree: Tree, setuid: Collection[str] = ()) -> list[Problem]:
    """All that is wrong with a tree; `setuid` are the paths that may carry that bit."""
    problems = list(_check_entries(tree, set(setuid)))
    elves, broken = read_elves(tree)
    problems += broken
    for path in sorted(elves):
        problems += _check_elf(tree, elves, path)
    return problems


def read_elves(tree: Tree) -> tuple[dict[str, Elf], list[Problem]]:
    """The ELF files of a tree by path, and a problem for each that cannot be read."""
    found: dict[str, Elf] = {}
    problems = []
    for path, entry in tree.files():
        if entry.data.startswith(b"\x7fELF"):
            try:
                found[path] = read_elf(entry.data)
            except ValueError as error:
                problems.append(_problem(tree, path, str(error), "the package or file is damaged"))
    return found, problems


def find_library(tree: Tree, elf: Elf, path: str, name: str) -> str | None:
    """Where the loader finds a library for an object, as a path of the tree; None if nowhere."""
    origin = posixpath.dirname(path)
    own = [s.replace("${ORIGIN}", "$ORIGIN").replace("$ORIGIN", "/" + origin) for s in elf.search]
    folders = MUSL_FOLDERS if "ld-musl" in elf.interpreter else LIBRARY_FOLDERS
    for folder in (*own, *folders):
        place = tree.resolve(f"{folder}/{name}")
        if place is not None and place in tree and tree[place].kind == "file":
            return place
    return None


def used_libraries(tree: Tree) -> set[str]:
    """Paths of all libraries that a program needs, directly or through other libraries, links included."""
    elves, _ = read_elves(tree)
    todo = [path for path, elf in elves.items() if elf.kind != "ET_REL" and not is_library(path)]
    done: set[str] = set()
    while todo:
        path = todo.pop()
        for name in elves[path].needed:
            place = find_library(tree, elves[path], path, name)
            if place is not None and place in elves and place not in done:
                done.add(place)
                todo.append(place)
    return done


def is_library(path: str) -> bool:
    """Whether a path is a library in one of the loader's folders (plug-ins lie deeper)."""
    folder, _, name = path.rpartition("/")
    return folder in LIBRARY_FOLDERS and ".so" in name


def _problem(tree: Tree, path: str, message: str, hint: str = "") -> Problem:
    package = tree[path].package if path in tree else ""
    return Problem(f"/{path}{f' ({package})' if package else ''}: {message}", hint=hint)


def _check_entries(tree: Tree, setuid: set[str]) -> Iterator[Problem]:
    for path in sorted(tree.entries):
        entry = tree[path]
        if entry.kind == "link":
            if tree.resolve(path) is None:
                yield _problem(
                    tree,
                    path,
                    f"the link's target {entry.target} is not in the image",
                    "add what it points to, or leave the link out with `exclude:`",
                )
            continue
        if entry.mode & 0o6000 and entry.kind == "file" and path not in setuid:
            yield _problem(tree, path, f"is setuid or setgid ({entry.mode:o})", "leave it out with `exclude:`")
        if entry.mode & 0o002 and not (entry.kind == "dir" and entry.mode & 0o1000 and path == "tmp"):
            yield _problem(tree, path, f"anybody may write to it ({entry.mode:o})", "give it a mode under `files:`")
        if path in _IDENTITIES:
            yield _problem(tree, path, "every board would have the same identity", "leave it out")
        if entry.kind != "file":
            continue
        if _KEY.search(entry.data) or _DROPBEAR_KEY.match(entry.data):
            yield _problem(tree, path, "holds a private key", "keys are made on the board or provisioned to it")
        if path in ("etc/passwd", "etc/shadow"):
            for line in entry.data.decode().splitlines():
                name, _, rest = line.partition(":")
                if rest.split(":")[0] not in ("x", "*", "!", "!*"):
                    yield _problem(tree, path, f"account {name} has a password", "no password logs in anywhere")
        if entry.data.startswith(b"#!") and entry.mode & 0o111:
            yield from _check_script(tree, path, entry.data)


def _check_script(tree: Tree, path: str, data: bytes) -> Iterator[Problem]:
    words = data.split(b"\n", 1)[0][2:].decode(errors="replace").split()
    if not words:
        return
    found = _runnable(tree, words[0])
    wanted = words[0]
    if found and posixpath.basename(words[0]) == "env":
        name = next((w for w in words[1:] if not w.startswith("-") and "=" not in w), "")
        found = any(_runnable(tree, f"{folder}/{name}") for folder in ("usr/sbin", "usr/bin"))
        wanted = name
    if not found:
        yield _problem(
            tree,
            path,
            f"its interpreter {wanted} is not in the image",
            "add the package that has it, or leave the script out with `exclude:`",
        )


def _runnable(tree: Tree, path: str) -> bool:
    place = tree.resolve(path)
    return place is not None and (place.split("/")[0] in VOLATILE or (place in tree and bool(tree[place].mode & 0o111)))


def _check_elf(tree: Tree, elves: dict[str, Elf], path: str) -> Iterator[Problem]:
    elf = elves[path]
    # Objects for the kernel's BPF machine are data to user space.
    if elf.machine != "EM_AARCH64" and not (elf.machine == "EM_BPF" and elf.kind == "ET_REL"):
        yield _problem(tree, path, f"is not for aarch64 but {elf.machine}", "use a file for arm64")
        return
    if elf.interpreter and not _runnable(tree, elf.interpreter):
        yield _problem(tree, path, f"its loader {elf.interpreter} is not in the image", "add the C library it needs")
    places: dict[str, str] = {}
    for name in elf.needed:
        place = find_library(tree, elf, path, name)
        if place is None:
            other = next((p for p in tree.entries if p.endswith("/" + name)), None)
            yield _problem(
                tree,
                path,
                f"the library {name} is not in the image"
                if other is None
                else f"the loader does not look for {name} where it is, /{other}",
                "its package may stand in `drop:`; naming it under `packages:` brings it back",
            )
        else:
            places[name] = place
    for name, version in sorted(elf.wants):
        place = places.get(name) or find_library(tree, elf, path, name)
        if place is not None and place in elves and version not in elves[place].offers:
            yield _problem(
                tree,
                path,
                f"wants version {version} of {name}, which /{place} does not have",
                "the package was built for another release",
            )
