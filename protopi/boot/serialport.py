# SPDX-License-Identifier: MIT
"""A serial line for the console: opened for us alone, opened again when its adapter was unplugged.

Name the device by its adapter (/dev/serial/by-id/...): that name comes back wherever the adapter is plugged in.
The reader's thread alone opens and closes the port.
"""

from __future__ import annotations

import contextlib
import errno
import os
import termios
import threading
import time
from pathlib import Path

import serial

from protopi.boot.console import Gap
from protopi.errors import InfraError

#: Bytes that are sent at once; the line has to take them before more follow, so that no adapter's buffer overruns.
_CHUNK = 16
#: Seconds: how long one read waits, between two tries to open, until bytes must have been taken.
_TICK, _RETRY, _TAKEN = 0.25, 0.2, 5.0


class SerialPort:
    """An open serial line; `read` and `write` are what a Console needs.

    `reopen`: for how many seconds a line that was lost is tried again. Raises InfraError when it cannot be opened.
    """

    def __init__(self, device: str, baud: int = 115200, *, reopen: float = 30.0) -> None:
        self.device, self._baud, self._reopen = device, baud, reopen
        self._closing = threading.Event()
        self._sending = threading.Lock()
        try:
            self._port: serial.Serial | None = self._open()
        except (OSError, ValueError) as error:
            raise InfraError(f"{device} cannot be opened: {_reason(error)}", hint=_hint(error, device)) from error

    def _open(self) -> serial.Serial:
        port = serial.Serial(self.device, self._baud, timeout=_TICK, write_timeout=_TAKEN, exclusive=True)
        # USB adapters collect bytes for up to 16 ms, which would be in every stamp; not every driver can be told.
        with contextlib.suppress(OSError, ValueError, AttributeError):
            port.set_low_latency_mode(True)
        return port

    def read(self) -> bytes:
        """The next bytes, as soon as there are any; b"" once the port was closed.

        Raises Gap when the line was lost and is there again, OSError when it did not come back in time.
        """
        while not self._closing.is_set():
            port = self._port
            if port is None:
                return self._again()
            try:
                data: bytes = port.read(1)
                if data:
                    return data + bytes(port.read(port.in_waiting))
            except (OSError, termios.error):  # a SerialException is an OSError
                self._drop(port)
        if self._port is not None:
            self._drop(self._port)
        return b""

    def _drop(self, port: serial.Serial) -> None:
        with self._sending:
            self._port = None
        with contextlib.suppress(OSError, termios.error):
            port.close()

    def _again(self) -> bytes:
        lost = time.monotonic()
        error: Exception | None = None
        while time.monotonic() - lost < self._reopen and not self._closing.wait(_RETRY if error else 0):
            try:
                port = self._open()
            except (OSError, ValueError) as failure:
                error = failure
                continue
            with self._sending:
                self._port = port
            raise Gap(f"{self.device} was away for {time.monotonic() - lost:.1f} s")
        if self._closing.is_set():
            return b""
        raise OSError(errno.ENODEV, f"{self.device} did not come back within {self._reopen:.0f} s: {_reason(error)}")

    def write(self, data: bytes) -> None:
        """Send bytes at the line's pace. Raises Gap while the line is away."""
        with self._sending:
            if self._port is None:
                raise Gap(f"{self.device} is away")
            try:
                for at in range(0, len(data), _CHUNK):
                    self._port.write(data[at : at + _CHUNK])
                    self._port.flush()
            except (OSError, termios.error) as error:
                raise Gap(f"{self.device}: {_reason(error)}") from error

    def close(self) -> None:
        """Let go of the line; a reader ends within a quarter of a second."""
        self._closing.set()


def _reason(error: Exception | None) -> str:
    if error is None:
        return "no attempt was made"
    if "exclusively lock" in str(error):
        return "another program has it open"
    number = getattr(error, "errno", None)
    return os.strerror(number) if number else str(error)


def _hint(error: Exception, device: str) -> str:
    number = getattr(error, "errno", None)
    if number == errno.ENOENT:
        folder = Path("/dev/serial/by-id")
        there = sorted(str(path) for path in folder.iterdir()) if folder.is_dir() else []
        return f"adapters that are plugged in: {', '.join(there)}" if there else "no USB serial adapter is plugged in"
    if number in (errno.EACCES, errno.EPERM):
        return f"give yourself access to {device}: usually membership of the group dialout (log in anew afterwards)"
    return "end the other program (a terminal, ModemManager), and look at the cable"
