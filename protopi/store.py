# SPDX-License-Identifier: MIT
"""The store: downloads by hash and finished outputs by key.

    files/<sha256>              downloads
    builds/<recipe>-<key>/out   finished outputs, with entry.json beside them
    logs/<recipe>-<key>/        log and repeat.sh of the last try
    locks/ tmp/ cache/ last/ verdicts/

A name in files/ or builds/ means complete: everything is written under tmp/, synced, then renamed. One writer a key
(flock, which the kernel drops when its holder dies). An entry lists size, times, inode and sha256 of each of its
files: as any change of a file's bytes moves its change time, comparing those finds what was altered, and a file whose
times moved is hashed again before it is believed.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from protopi.errors import InfraError

#: What CACHEDIR.TAG says; its second line is how `clean --store` knows a store.
TAG = b"Signature: 8a477f597d28d172789f06886806bc55\n# A protopi store: all of it can be made again.\n"
DIRECTORIES = ("files", "builds", "logs", "locks", "tmp", "cache", "last", "verdicts")


def default_store() -> Path:
    """PROTOPI_STORE, or protopi in the user's cache folder."""
    if named := os.environ.get("PROTOPI_STORE"):
        return Path(named).expanduser().resolve()
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache).expanduser().resolve() / "protopi"


def sha256_file(path: Path) -> str:
    """The sha256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_atomic(path: Path, data: bytes) -> None:
    """Replace a file so that a reader sees the old or the new one, never a part; durable when it returns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
        raise
    _sync_directory(path.parent)


def _sync_directory(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _sync_tree(entry: Path, files: list[str]) -> None:
    """Make the bytes of an entry durable: each file by itself, or everything at once where there are very many."""
    if len(files) > 500:
        os.sync()
        return
    out = entry / "out"
    for path in [entry / "entry.json", *(out / name for name in files)]:
        if path.is_file() and not path.is_symlink():
            with path.open("rb") as file:
                os.fsync(file.fileno())
    for folder in {entry, out, *((out / name).parent for name in files)}:
        _sync_directory(folder)


def remove_tree(path: Path) -> None:
    """Remove a folder even where its own folders are not writable."""
    for folder, _, _ in os.walk(path):
        with contextlib.suppress(OSError):
            os.chmod(folder, 0o700)
    shutil.rmtree(path, ignore_errors=True)


def _stamp(path: str) -> list[int]:
    info = os.lstat(path)
    return [info.st_size if stat.S_ISREG(info.st_mode) else -1, info.st_mtime_ns, info.st_ctime_ns, info.st_ino]


def _walk(root: Path) -> Iterator[str]:
    """`root` itself (".") and every folder, file and link below it, relative."""
    for folder, names, files in os.walk(root):
        names.sort()
        yield os.path.relpath(folder, root)
        links = [name for name in names if os.path.islink(os.path.join(folder, name))]
        for name in sorted([*files, *links]):
            yield os.path.relpath(os.path.join(folder, name), root)


def _digest(path: str) -> str:
    """Everything about a file that a build can see; of a folder, what is in it."""
    mode = os.lstat(path).st_mode
    if stat.S_ISLNK(mode):
        return "link:" + os.readlink(path)
    if stat.S_ISDIR(mode):
        names = "\0".join(sorted(os.listdir(path)))
        return f"dir:{mode & 0o7777:o}:{hashlib.sha256(os.fsencode(names)).hexdigest()}"
    if not stat.S_ISREG(mode):
        return f"special:{mode:o}"
    return f"{mode & 0o7777:o}:{sha256_file(Path(path))}"


def _nobody_holds(folder: Path) -> bool:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(handle)
    return True


@dataclass(frozen=True, slots=True)
class Entry:
    """A finished output. `out` is its folder; `inputs` what its key was made of; `seconds` what it took."""

    name: str
    key: str
    out: Path
    inputs: Mapping[str, Any]
    seconds: float


class Store:
    """The folder in which everything that can be made again is kept."""

    def __init__(self, root: Path, warn: Callable[[str], None] = lambda _text: None) -> None:
        self.root = root
        self.warn = warn
        try:
            for name in DIRECTORIES:
                (root / name).mkdir(parents=True, exist_ok=True)
            (root / "CACHEDIR.TAG").write_bytes(TAG)
        except OSError as error:
            raise InfraError(
                f"the store {root} cannot be written: {error.strerror}",
                hint="set PROTOPI_STORE to a folder that is yours",
            ) from error

    # --- downloads -----------------------------------------------------------------------------------------------

    def file(self, sha256: str) -> Path:
        """Where the download with this hash is, or would be."""
        return self.root / "files" / sha256

    def has_file(self, sha256: str, size: int) -> bool:
        """Whether a download is there and has its size (its hash is checked by `take_file`)."""
        try:
            return self.file(sha256).stat().st_size == size
        except FileNotFoundError:
            return False

    def take_file(self, sha256: str) -> Path | None:
        """The download with this hash, hashed now. One that was altered is named, removed, and not returned."""
        path = self.file(sha256)
        if not path.is_file():
            return None
        if sha256_file(path) == sha256:
            return path
        self.warn(f"the download {path} was altered (its sha256 is not its name): removed, to be fetched again")
        path.unlink(missing_ok=True)
        return None

    def put_file(self, temporary: Path, sha256: str) -> Path:
        """Move a download whose hash was checked to its name."""
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        target = self.file(sha256)
        os.replace(temporary, target)
        _sync_directory(target.parent)
        return target

    # --- finished outputs ----------------------------------------------------------------------------------------

    def _path(self, name: str, key: str) -> Path:
        return self.root / "builds" / f"{name}-{key[:32]}"

    def get(self, name: str, key: str, *, full: bool = False) -> Entry | None:
        """A finished output, or None. One that was altered is named and removed. `full` hashes every file."""
        base = self._path(name, key)
        try:
            record = json.loads((base / "entry.json").read_text())
            if record["key"] != key:
                raise ValueError("another key")
            problem = self._verify(base, record, full)
            if not problem:
                return Entry(name, key, base / "out", record["inputs"], record["seconds"])
        except FileNotFoundError:
            if base.exists():
                self._discard(base, "its entry.json is missing")
            return None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            problem = f"its entry.json cannot be read ({error})"
        self._discard(base, problem)
        return None

    def _verify(self, base: Path, record: dict[str, Any], full: bool) -> str:
        """What is wrong with an entry, or an empty text."""
        out, moved = os.fspath(base / "out"), False
        for name, (digest, *stamp) in record["files"].items():
            path = os.path.join(out, name)
            try:
                now = _stamp(path)
                if now == stamp and not full:
                    continue
                if _digest(path) != digest:
                    return f"{name} was altered"
            except OSError:
                return f"{name} is missing"
            record["files"][name] = [digest, *now]
            moved = moved or now != stamp
        if moved:  # a copied or restored store: the bytes are right, so remember the new times
            write_atomic(base / "entry.json", json.dumps(record).encode())
        return ""

    def _discard(self, base: Path, reason: str) -> None:
        self.warn(f"the store entry {base} is not what was built: {reason}; removed, to be made again")
        grave = Path(tempfile.mkdtemp(prefix="bad.", dir=self.root / "tmp"))
        with contextlib.suppress(OSError):
            os.rename(base, grave / base.name)
        remove_tree(grave)

    @contextlib.contextmanager
    def scratch(self, name: str) -> Iterator[Path]:
        """A temporary folder in the store, removed at the end whatever happens."""
        path = Path(tempfile.mkdtemp(prefix=f"{name}.", dir=self.root / "tmp"))
        owner = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(owner, fcntl.LOCK_EX)  # dropped by the kernel when we die: then `sweep` may have it
            yield path
        finally:
            remove_tree(path)
            os.close(owner)

    def publish(self, name: str, key: str, made: Path, inputs: Mapping[str, Any], seconds: float) -> Entry:
        """Make the folder `made` the finished output of a key: all of it, or none of it."""
        base = self._path(name, key)
        with self.scratch(name) as stage:
            entry = stage / "entry"
            entry.mkdir()
            os.rename(made, entry / "out")
            files = {}
            for relative in _walk(entry / "out"):
                path = os.path.join(entry, "out", relative)
                files[relative] = [_digest(path), *_stamp(path)]
            record = {"name": name, "key": key, "inputs": inputs, "seconds": seconds, "files": files}
            (entry / "entry.json").write_text(json.dumps(record))
            _sync_tree(entry, list(files))  # a crash after the rename must not leave a name with half of its bytes
            try:
                os.rename(entry, base)
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
                # Somebody else has just published the same key, so the same bytes.
        _sync_directory(base.parent)
        return Entry(name, key, base / "out", inputs, seconds)

    @contextlib.contextmanager
    def lock(
        self,
        name: str,
        waiting: Callable[[], None] = lambda: None,
        give_up: Callable[[], bool] = lambda: False,
    ) -> Iterator[None]:
        """Be the only one who works on `name`. `waiting` is called once when somebody else is at it.

        Goes on without the lock when `give_up` says so: the caller has to look at it again.
        """
        with (self.root / "locks" / name).open("w") as file:
            said = False
            while not give_up():
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if not said:
                        waiting()
                    said = True
                    time.sleep(0.1)
            yield

    # --- house-keeping -------------------------------------------------------------------------------------------

    def sweep(self) -> None:
        """Remove what interrupted processes left in tmp/: folders that nobody holds, files that nobody writes."""
        for path in (self.root / "tmp").iterdir():
            with contextlib.suppress(OSError):
                age = time.time() - path.stat().st_mtime
                if path.is_dir() and age > 60 and _nobody_holds(path):
                    remove_tree(path)
                elif path.is_file() and age > 3600:
                    path.unlink()

    def entries(self) -> list[Path]:
        """The folders of all finished outputs."""
        return sorted((self.root / "builds").iterdir())
