# SPDX-License-Identifier: MIT
"""A serial line for tests: two pseudo-terminals with a bad cable between them, and a board's report service behind it.

The cable drops and changes bytes in both directions, lets the kernel print in the middle of what the board sends,
stalls, and is unplugged, so that the host's device goes away and comes back under another number.
"""

from __future__ import annotations

import os
import random
import select
import subprocess
import threading
import time
import tty
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from protopi.sandbox import Bind, Sandbox

#: What the kernel prints meanwhile.
KERNEL = (
    b"[%5d.%06d] usb 1-1.%d: new high-speed USB device number %d using xhci_hcd\r\n",
    b"[%5d.%06d] brcmfmac: brcmf_c_preinit_dcmds: Firmware: BCM4345/%d wl0: %d\r\n",
    b"[%5d.%06d] mmc%d: new high speed SDHC card at address %04x\r\n",
)


@dataclass(slots=True)
class Noise:
    """How bad the line is: probabilities a byte (`drop`, `flip`, `kernel`), and a chunk (`stall`, `unplug`)."""

    drop: float = 0.0
    flip: float = 0.0
    kernel: float = 0.0
    stall: float = 0.0
    unplug: float = 0.0


@dataclass(slots=True)
class Done:
    """What the line did."""

    passed: int = 0
    dropped: int = 0
    flipped: int = 0
    kernel: int = 0
    stalls: int = 0
    unplugged: int = 0


@dataclass
class NoisyLine:
    """The line; a context manager. `device` is what the host opens, `board` the terminal of the board's programs."""

    folder: Path
    noise: Noise
    seed: int = 1
    done: Done = field(default_factory=Done)

    def __post_init__(self) -> None:
        self.device = self.folder / "ttyUSB"
        self._random = random.Random(self.seed)
        self._ours, self.board = os.openpty()
        self._host, self._host_end = -1, -1
        self._stop = threading.Event()
        self._plug()
        self._thread = threading.Thread(target=self._run, name="noisy line")

    def __enter__(self) -> NoisyLine:
        self._thread.start()
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _value: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        for number in (self._ours, self.board, self._host, self._host_end):
            os.close(number)

    def _plug(self) -> None:
        self._host, self._host_end = os.openpty()
        tty.setraw(self._host_end)
        os.set_blocking(self._host, False)
        fresh = self.device.with_suffix(".new")
        fresh.symlink_to(os.ttyname(self._host_end))
        fresh.rename(self.device)

    def _unplug(self) -> None:
        self.device.unlink()
        os.close(self._host_end)
        os.close(self._host)
        self._pause(self._random.uniform(0.02, 0.3))
        while select.select([self._ours], [], [], 0)[0]:  # what the board says meanwhile is lost
            os.read(self._ours, 4096)
        self._plug()
        self.done.unplugged += 1

    def _pause(self, seconds: float) -> None:
        self._stop.wait(seconds)

    def _run(self) -> None:
        while not self._stop.is_set():
            ready, _, _ = select.select([self._ours, self._host], [], [], 0.1)
            for source in ready:
                data = os.read(source, 1024)
                if self._random.random() < self.noise.stall:
                    self._pause(self._random.uniform(0.01, 0.2))
                    self.done.stalls += 1
                if self._random.random() < self.noise.unplug:
                    self._unplug()
                    break
                if source == self._ours:
                    self._send(self._host, self.damage(self._interrupt(data)))
                else:
                    self._send(self._ours, self.damage(data))

    def _send(self, target: int, data: bytes) -> None:
        end = time.monotonic() + 1
        while data and time.monotonic() < end:  # a reader that does not read loses bytes, as an UART's does
            try:
                data = data[os.write(target, data) :]
            except BlockingIOError:
                self._pause(0.005)

    def _hits(self, size: int, probability: float) -> list[int]:
        """Positions below `size` that are hit, each with that probability."""
        found: list[int] = []
        at = -1
        while probability:
            at += 1 + int(self._random.expovariate(probability))
            if at >= size:
                break
            found.append(at)
        return found

    def _interrupt(self, data: bytes) -> bytes:
        """Kernel lines in the middle of what the board sends."""
        pick = self._random.randrange
        for at in reversed(self._hits(len(data), self.noise.kernel)):
            lines = [pick(len(KERNEL)) for _ in range(pick(1, 3))]
            text = b"".join(KERNEL[one] % (pick(9999), pick(1000000), pick(9), pick(200)) for one in lines)
            data = data[:at] + text + data[at:]
            self.done.kernel += len(lines)
        return data

    def damage(self, data: bytes) -> bytes:
        """Dropped and changed bytes: half of the changes turn one bit, the others give any byte."""
        out = bytearray(data)
        self.done.passed += len(out)
        for at in self._hits(len(out), self.noise.flip):
            out[at] ^= self._random.choice((1 << self._random.randrange(8), self._random.randrange(1, 256)))
            self.done.flipped += 1
        for at in reversed(self._hits(len(out), self.noise.drop)):
            del out[at]
            self.done.dropped += 1
        return bytes(out)


def start_report(tools_tree: Path, program: Path, run: Path, line: NoisyLine) -> subprocess.Popen[bytes]:
    """The board's own report program (compiled for this machine) on the far end of the line; `run` is its /run.

    bubblewrap makes the terminal that is its standard output the sandbox's /dev/console.
    """
    binds = (Bind(program.parent, "/host/program"), Bind(run, "/run", writable=True))
    argv = Sandbox(tools_tree, binds, cwd="/").argv([f"/host/program/{program.name}"])
    return subprocess.Popen(argv, stdin=line.board, stdout=line.board, stderr=subprocess.DEVNULL)
