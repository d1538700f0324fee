# SPDX-License-Identifier: MIT
"""Compares the speed of `flash` with `dd oflag=direct`, on one loop device with direct I/O, and measures its memory.

Usage (as root): nice python -m tests.flash_speed IMAGE [--runs N] [--folder FOLDER]

dd writes the mapped bytes of the image from one file, with 4 MiB blocks and a flush at the end; `flash` writes the same
bytes to their places, with its flush. Runs alternate, medians are compared. The rest of what `flash` does (checking the
image, clearing, marks, reading back) is printed beside it. A loop device on this computer's disk is no SD card: the
ratio alone says something.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from protopi.flash import write
from protopi.flash.source import PIECE, Source
from protopi.flash.target import Descriptor
from tests.flash_loops import attach, detach, missing


def flash_once(image: Path, device: Path) -> dict[str, float]:
    """Write once, in this process: seconds by stage, and the most memory that the process had, in MiB."""
    start = time.monotonic()
    with Source(image) as source:
        digests = source.check(lambda _: None)
        checked = time.monotonic()
        descriptor = os.open(device, os.O_RDWR | os.O_EXCL | os.O_DIRECT | os.O_CLOEXEC)
        size = os.lseek(descriptor, 0, os.SEEK_END)
        with Descriptor(device.name, descriptor, size, device=True) as target:
            done = write.write(target, source, digests, lambda *_: None)
    return {
        "check": checked - start,
        "write": done.write_seconds,
        "read back": done.read_seconds,
        "all": time.monotonic() - start,
        "MiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def dd_once(mapped: Path, device: Path) -> float:
    """Seconds of dd, its flush included."""
    start = time.monotonic()
    subprocess.run(
        ["dd", f"if={mapped}", f"of={device}", "bs=4M", "oflag=direct", "conv=fsync,notrunc", "status=none"], check=True
    )
    return time.monotonic() - start


def compare(image: Path, folder: Path, runs: int) -> dict[str, float]:
    """Medians over `runs`: dd's seconds, flash's by stage; the bytes written, and the most memory in MiB."""
    mapped, backing = folder / "flash-speed.mapped", folder / "flash-speed.card"
    with Source(image) as source, mapped.open("wb") as out:
        total = source.total
        memory = memoryview(bytearray(PIECE))
        for offset, length in source.pieces():
            source.read(offset, memory[:length])
            out.write(memory[:length])
        size = source.size
    # Room is taken beforehand, and both begin with the same full file: a hole would cost the first writer alone.
    with backing.open("wb") as out:
        for _ in range(-(-size // PIECE)):
            out.write(b"\xa5" * PIECE)
        os.fsync(out.fileno())
    device = attach(backing, "--direct-io=on")
    try:
        on = (Path("/sys/block") / device.name / "loop/dio").read_text().strip()
        if on != "1":
            raise SystemExit(f"{folder} is on a file system that has no direct I/O: give another --folder")
        plain, ours = [], []
        for _ in range(runs):
            plain.append(dd_once(mapped, device))
            command = [sys.executable, "-m", "tests.flash_speed", str(image), "--once", str(device)]
            said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            ours.append(json.loads(said))
    finally:
        detach(device)
        mapped.unlink()
        backing.unlink()
    middle = {key: statistics.median(row[key] for row in ours) for key in ours[0]}
    return {**middle, "dd": statistics.median(plain), "bytes": total, "MiB": max(row["MiB"] for row in ours)}


def main(arguments: Sequence[str]) -> int:
    """Print the comparison; 1 when flash is more than 10 % slower or takes 100 MiB."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("image", type=Path)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=Path.cwd())
    parser.add_argument("--once", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if reason := missing("dd"):
        raise SystemExit(reason)
    if given.once:
        print(json.dumps(flash_once(given.image, given.once)))
        return 0
    found = compare(given.image, given.folder, given.runs)
    size, ratio = found["bytes"] / 1e6, found["write"] / found["dd"]
    print(f"{size:.1f} MB mapped, loop device with direct I/O (a stand-in, no SD card), median of {given.runs}:")
    print(f"  dd oflag=direct  {found['dd']:.3f} s  {size / found['dd']:.0f} MB/s")
    print(f"  flash, writing   {found['write']:.3f} s  {size / found['write']:.0f} MB/s  ({100 * (ratio - 1):+.1f} %)")
    print(f"  flash, all of it {found['all']:.3f} s: check {found['check']:.3f}, read back {found['read back']:.3f}")
    print(f"  flash, memory    {found['MiB']:.0f} MiB at most")
    return 0 if ratio <= 1.1 and found["MiB"] < 100 else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
