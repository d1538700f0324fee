# SPDX-License-Identifier: MIT
"""What an image can be written to: bytes at offsets, read back, flushed. A device or a file; in tests a faulty one."""

from __future__ import annotations

import errno
import mmap
import os
from typing import TYPE_CHECKING, Protocol, Self

from protopi.errors import UserError

if TYPE_CHECKING:
    from pathlib import Path


class Target(Protocol):
    """Where an image goes.

    `device` says whether it is a real device: old contents, capacity and cables are a matter there. Offsets and lengths
    are whole sectors, memory comes from `buffer`. All three raise OSError.
    """

    name: str
    size: int
    device: bool

    def write(self, offset: int, data: memoryview) -> None:
        """Write all of `data` at `offset`."""

    def read(self, offset: int, into: memoryview) -> None:
        """Fill `into` from `offset` on; what a write may still hold in a cache of this computer does not count."""

    def flush(self) -> None:
        """Return when everything written is on the medium, as far as it can say so."""


def buffer(length: int) -> memoryview:
    """Memory that may be used with O_DIRECT: it begins at a page."""
    return memoryview(mmap.mmap(-1, length))


class Descriptor:
    """A target behind a file descriptor, which it owns."""

    def __init__(self, name: str, descriptor: int, size: int, *, device: bool) -> None:
        self.name, self.size, self.device = name, size, device
        self.descriptor = descriptor

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close it, once."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    def write(self, offset: int, data: memoryview) -> None:
        """See Target.write."""
        while data:
            done = os.pwrite(self.descriptor, data, offset)
            if not done:
                raise OSError(errno.ENOSPC, "nothing was written", self.name)
            data, offset = data[done:], offset + done

    def read(self, offset: int, into: memoryview) -> None:
        """See Target.read."""
        while into:
            done = os.preadv(self.descriptor, [into], offset)
            if not done:
                raise OSError(errno.ENXIO, "it ends here", self.name)
            into, offset = into[done:], offset + done

    def flush(self) -> None:
        """See Target.flush."""
        os.fsync(self.descriptor)


class NewFile(Descriptor):
    """A new sparse file of a given size; it has its name only when `finish` was called, so a half-written one has none.

    Raises UserError when the name is taken or cannot be had.
    """

    def __init__(self, path: Path, size: int) -> None:
        self.path = path
        self.temporary = path.with_name(f".{path.name}.{os.getpid()}")
        if path.is_symlink() or path.exists():
            raise UserError(f"{path} exists", hint="remove it, or name another file")
        try:
            descriptor = os.open(self.temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise UserError(f"{path} cannot be made: {error.strerror}") from error
        super().__init__(str(path), descriptor, size, device=False)
        os.ftruncate(descriptor, size)

    def finish(self) -> None:
        """Give it its name. Raises UserError when that was taken meanwhile."""
        try:
            os.link(self.temporary, self.path)
        except FileExistsError as error:
            raise UserError(f"{self.path} exists", hint="remove it, or name another file") from error

    def close(self) -> None:
        """Close it, and drop the temporary name."""
        super().close()
        self.temporary.unlink(missing_ok=True)
