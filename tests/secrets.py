# SPDX-License-Identifier: MIT
"""Looks through a whole SD image for what must never be in one: private keys and a machine's identity.

Twice: over all bytes of the image, free blocks included, and over the files in it, because the root file system is
compressed and its bytes say nothing.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from protopi import layout, mbr
from protopi.boot.fat import Fat
from protopi.boot.tools import run
from protopi.sandbox import Bind

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from protopi.boot.tools import Tools

#: What private keys look like.
KEYS = {
    "a key in PEM": re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----[\r\n]"),
    "an OpenSSH key": re.compile(rb"openssh-key-v1\0\0\0\0"),
    "dropbear's Ed25519 key": re.compile(rb"\0\0\0\x0bssh-ed25519\0\0\0\x40"),
    "dropbear's Ed25519 key in base64": re.compile(rb"AAAAC3NzaC1lZDI1NTE5AAAAQ"),
    "dropbear's ECDSA key": re.compile(rb"\A\0\0\0\x13ecdsa-sha2-nistp"),
    "dropbear's RSA key": re.compile(rb"\A\0\0\0\x07ssh-rsa"),
}
_OVERLAP = 256


def scan(image: Path, tools: Tools, folder: Path) -> list[str]:
    """What is found, as "PLACE: WHAT". `folder` is an empty one for unpacked files."""
    found = [f"byte {at}: {what}" for at, what in _bytes(image)]
    for path, content in _files(image, tools, folder):
        found += [f"{path}: {what}" for what, pattern in KEYS.items() if pattern.search(content)]
        if path.endswith("/machine-id") and content.strip() not in (b"", b"uninitialized"):
            found.append(f"{path}: a machine's identity")
    return sorted(found)


def _bytes(image: Path) -> Iterator[tuple[int, str]]:
    """Keys anywhere in the image; holes are zeros and hold none."""
    with image.open("rb") as raw:
        before, at = b"", 0
        while piece := raw.read(4 << 20):
            if piece.count(0) != len(piece):
                window = before + piece
                for what, pattern in KEYS.items():
                    if rb"\A" not in pattern.pattern:
                        yield from ((at - len(before) + m.start(), what) for m in pattern.finditer(window))
            before, at = piece[-_OVERLAP:], at + len(piece)


def _files(image: Path, tools: Tools, folder: Path) -> Iterator[tuple[str, bytes]]:
    """Every file of every file system of the image that has one."""
    with image.open("rb") as raw:

        def read(offset: int, length: int) -> bytes:
            raw.seek(offset)
            return raw.read(length)

        _, partitions = mbr.parse(read)
        for part in partitions:
            if part.number in (layout.SELECTOR, layout.BOOT_A, layout.BOOT_B):
                fat = Fat(lambda offset, length, base=part.offset: read(base + offset, length))  # type: ignore[misc]
                yield from ((f"p{part.number}:{path}", fat.read(path)) for path, _ in fat.walk())
            elif part.number in (layout.ROOT_A, layout.DATA):
                home = folder / f"p{part.number}"
                home.mkdir()
                with (folder / "part").open("wb") as out:
                    for at in range(0, part.size, layout.MIB):
                        out.write(read(part.offset + at, min(layout.MIB, part.size - at)))
                inside = f"/host/work/p{part.number}"
                command = (
                    ["fsck.erofs", f"--extract={inside}", "--overwrite", "--no-preserve", "/host/work/part"]
                    if part.number == layout.ROOT_A
                    else ["debugfs", "-R", f"rdump / {inside}", "/host/work/part"]
                )
                run(tools, command, [Bind(folder, "/host/work", writable=True)])
                for path in sorted(home.rglob("*")):
                    if path.is_file() and not path.is_symlink():
                        path.chmod(0o600)
                        yield f"p{part.number}:/{path.relative_to(home)}", path.read_bytes()
