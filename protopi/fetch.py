# SPDX-License-Identifier: MIT
"""Fills the store with locked packages. Every file is trusted by its hash in the lock, whatever sent it."""

from __future__ import annotations

import concurrent.futures
import hashlib
import http.client
import os
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterable
from pathlib import Path

from protopi.errors import InfraError
from protopi.lock import Locked
from protopi.mirrors import Mirrors, find_mirrors
from protopi.store import Store

_TIMEOUT = 60.0  # seconds without a byte
_TRIES = 4
_PARALLEL = 8


class Gone(Exception):
    """No mirror has a file."""


def missing(store: Store, packages: Iterable[Locked]) -> list[Locked]:
    """The packages that the store does not hold with the right size, each once."""
    wanted = {package.sha256: package for package in packages}
    return [package for package in wanted.values() if not store.has_file(package.sha256, package.size)]


def fetch(
    store: Store,
    packages: Iterable[Locked],
    *,
    offline: bool = False,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> int:
    """Bring every package into the store; returns the bytes that were downloaded.

    `progress(done, total)` is called with bytes. Raises InfraError, with all packages named, when some cannot be had.
    """
    todo = missing(store, packages)
    if not todo:
        return 0
    total = sum(package.size for package in todo)
    if offline:
        names = ", ".join(sorted(package.name for package in todo)[:20])
        raise InfraError(
            f"{len(todo)} locked packages ({total >> 20} MiB) are not in the store, and --offline forbids fetching: "
            f"{names}",
            hint="run ./build.py fetch with a network first",
        )
    mirrors = find_mirrors()
    done, guard, stop = 0, threading.Lock(), threading.Event()

    def count(size: int) -> None:
        nonlocal done
        with guard:
            done += size
            progress(min(done, total), total)

    gone: list[str] = []
    failed: list[str] = []
    with concurrent.futures.ThreadPoolExecutor(_PARALLEL) as pool:
        # The biggest first: the last one to end should be a small one.
        jobs = {
            pool.submit(_fetch_one, store, package, mirrors, count, stop): package
            for package in sorted(todo, key=lambda p: -p.size)
        }
        try:
            for job in concurrent.futures.as_completed(jobs):
                package = jobs[job]
                try:
                    job.result()
                except Gone:
                    gone.append(f"{package.name} {package.version}")
                except OSError as error:
                    if error.filename and not isinstance(error, urllib.error.URLError):
                        raise InfraError(f"{error.filename}: {error.strerror}") from error
                    failed.append(f"{package.name}: {error}")
        except BaseException:
            stop.set()
            for job in jobs:
                job.cancel()
            raise
    if gone:
        raise InfraError(
            f"{len(gone)} locked versions are on no mirror any more ({mirrors.origin}): " + ", ".join(sorted(gone)),
            hint="./build.py lock --update moves the lock; or name a dated snapshot in PROTOPI_MIRROR",
        )
    if failed:
        raise InfraError(
            f"{len(failed)} packages could not be fetched ({mirrors.origin}):\n  " + "\n  ".join(sorted(failed)[:10]),
            hint="check the network, or name a mirror in PROTOPI_MIRROR; what was fetched is kept",
        )
    return total


def _fetch_one(
    store: Store, package: Locked, mirrors: Mirrors, count: Callable[[int], None], stop: threading.Event
) -> None:
    """Download one package from the first mirror that has it. Raises Gone or OSError."""
    trouble: OSError | None = None
    for attempt in range(_TRIES):
        if attempt:
            time.sleep(min(8, 2**attempt))
        for base in mirrors.bases(package.path):
            if stop.is_set():
                return
            # A byte-exact path: apt's percent-encoding differs from the archive's file names only in ':' and '~'.
            url = f"{base}/{urllib.parse.quote(package.path, safe='/+~')}"
            target = store.root / "tmp" / f"fetch.{os.getpid()}.{threading.get_ident()}.{package.sha256[:16]}"
            try:
                _download(store, url, target, package, count, stop)
            except urllib.error.HTTPError as error:
                if error.code not in (403, 404, 410):
                    trouble = OSError(f"{base} answered {error.code}")
                continue
            except (OSError, http.client.HTTPException) as error:
                if isinstance(error, OSError) and error.filename:
                    raise
                trouble = error if isinstance(error, OSError) else OSError(repr(error))
                continue
            finally:
                target.unlink(missing_ok=True)
            return
        if trouble is None:
            raise Gone
    raise trouble or Gone


def _download(
    store: Store, url: str, target: Path, package: Locked, count: Callable[[int], None], stop: threading.Event
) -> None:
    """Download to `target`, check size and hash, and move it into the store. Raises OSError."""
    digest, size = hashlib.sha256(), 0
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT) as answer, target.open("wb") as file:
            while chunk := answer.read(1 << 18):
                size += len(chunk)
                if stop.is_set() or size > package.size:
                    break
                digest.update(chunk)
                file.write(chunk)
                count(len(chunk))
        if stop.is_set():
            return
        if size != package.size or digest.hexdigest() != package.sha256:
            raise OSError(f"what came is not {package.file}: {size} of {package.size} bytes, or another sha256")
    except BaseException:
        count(-min(size, package.size))
        raise
    store.put_file(target, package.sha256)
