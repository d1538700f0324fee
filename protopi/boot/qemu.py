# SPDX-License-Identifier: MIT
"""QEMU: the command line that boots a card on a board, and a machine that runs.

One instruction is one virtual nanosecond (`-icount shift=0`); the clock and the random numbers begin the same way each
time. Source: QEMU's docs/devel/tcg-icount.rst.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from protopi.boot import firmware
from protopi.boot.console import Console
from protopi.boot.tools import Tools, run
from protopi.errors import InfraError
from protopi.layout import power_of_two
from protopi.sandbox import Bind

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from protopi.boot.board import Board

#: Equal runs: no seed and no date of the host's gets in.
EQUAL = ("-seed", "1", "-rtc", "clock=vm,base=2026-01-01")
#: Waits: where counts are exact, nothing waits for the host, and virtual time leaps to the next timer. Where a disk
#: waits for the host, it must pass at the host's pace: a leap would overtake the disk (by 22 s, in one boot).
LEAP, WAIT = ("-icount", "shift=0,sleep=off"), ("-icount", "shift=0,sleep=on")
#: The console on standard input and output, for a program at the other end.
ON_STDIO = ("-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console", "-monitor", "none")
_READ, _COMMAND = "sdcard_read_block", "sdcard_*_command"
_MARK = re.compile(r"protopi-count: (init|ready|exit) (\d+)")
_RUN = "/host/run"


@dataclass(frozen=True, slots=True)
class Options:
    """How to run a machine.

    plugin    the counting plug-in (None: instructions are not counted)
    keep      True: writes reach the image file (a copy); else they go to a temporary file of QEMU's
    append    words added to the kernel command line (tests)
    forward   host ports (on 127.0.0.1) -> guest ports; boards with a network only
    extra     more QEMU arguments
    reboot    True: a reset boots again; else QEMU ends there
    realtime  True: virtual time follows the host's (for people and for SSH); not exact
    state     what the firmware finds: it was off, or what an earlier boot has left to it
    hold      True: at a reset QEMU stops and waits to be asked about it (protopi.boot.reset)
    """

    plugin: Path | None = None
    keep: bool = False
    append: tuple[str, ...] = ()
    forward: tuple[tuple[int, int], ...] = ()
    extra: tuple[str, ...] = ()
    reboot: bool = False
    realtime: bool = False
    state: firmware.FirmwareState = field(default_factory=firmware.FirmwareState)
    hold: bool = False


@dataclass(frozen=True, slots=True)
class Counts:
    """What QEMU's log says, up to each mark ("init", "ready"): instructions, blocks read from the card, commands."""

    instructions: dict[str, int] = field(default_factory=dict)
    blocks: dict[str, int] = field(default_factory=dict)
    commands: dict[str, int] = field(default_factory=dict)


def parse_log(text: str) -> Counts:
    """Counts from QEMU's log: the plug-in's marks, and the card's trace lines between them (the first of each mark)."""
    counts = Counts()
    blocks = commands = 0
    for line in text.splitlines():
        if _READ in line:
            blocks += 1
        elif "sdcard_normal_command" in line or "sdcard_app_command" in line:
            commands += 1
        elif mark := _MARK.search(line):
            name = mark[1]
            if name not in counts.instructions:
                counts.instructions[name] = int(mark[2])
                counts.blocks[name], counts.commands[name] = blocks, commands
    return counts


def enlarge(image: Path, target: Path) -> Path:
    """A sparse copy of the image that is twice as long (the next power of two), so that growing has work to do."""
    with image.open("rb") as source, target.open("wb") as out:
        size = image.stat().st_size
        at = 0
        while at < size:
            try:
                at = os.lseek(source.fileno(), at, os.SEEK_DATA)
            except OSError:
                break
            end = os.lseek(source.fileno(), at, os.SEEK_HOLE)
            source.seek(at)
            out.seek(at)
            while at < end:
                piece = source.read(min(end - at, 1 << 20))
                if not piece:
                    break
                out.write(piece)
                at += len(piece)
        out.truncate(power_of_two(size + 1))
    return target


def _tree(boot: firmware.Boot, board: Board, tools: Tools, folder: Path) -> str:
    """The tree that QEMU gets: the card's, its overlays, the overlay that only QEMU needs, what the firmware adds."""
    (folder / "card.dtb").write_bytes(boot.dtb)
    assert board.qemu_overlay is not None
    shutil.copyfile(board.qemu_overlay, folder / "qemu.dtso")
    (folder / "chosen.dtso").write_text(firmware.chosen(boot))
    bind = [Bind(folder, _RUN, writable=True)]
    for name in ("qemu", "chosen"):
        run(tools, ["dtc", "-q", "-@", "-O", "dtb", "-o", f"{_RUN}/{name}.dtbo", f"{_RUN}/{name}.dtso"], bind)
    tree = f"{_RUN}/card.dtb"
    for number, (name, content) in enumerate(boot.overlays):
        (folder / f"card-{number}.dtbo").write_bytes(content)
        merged = f"{_RUN}/card-{number}.dtb"
        try:
            run(tools, ["fdtoverlay", "-i", tree, "-o", merged, f"{_RUN}/card-{number}.dtbo"], bind)
        except InfraError as error:
            # "... a failed overlay merge, then the loader will fall back to a non-DT boot" [overlays: debugging]
            raise firmware.FirmwareRefusal(f"the overlay {name} does not fit the tree: {error} [overlays]") from error
        tree = merged
    overlays = [f"{_RUN}/qemu.dtbo", f"{_RUN}/chosen.dtbo"]
    run(tools, ["fdtoverlay", "-i", tree, "-o", f"{_RUN}/qemu.dtb", *overlays], bind)
    return f"{_RUN}/qemu.dtb"


def command(
    image: Path, board: Board, tools: Tools, folder: Path, options: Options, *, serial: Sequence[str]
) -> list[str]:
    """The whole command line that boots `image`; kernel, tree and log lie in `folder`.

    Raises FirmwareRefusal when the card would not boot, InfraError when a tool fails.
    """
    size = image.stat().st_size
    if board.sd_trace and size != power_of_two(size):
        raise InfraError(f"{image.name}: QEMU's SD card wants a power of two, not {size} bytes")
    boot = firmware.boot(image, model=board.model, state=options.state)
    (folder / "kernel").write_bytes(boot.kernel)
    # Writes under -snapshot go to a file below TMPDIR; the tools tree itself is read-only.
    words = ["env", f"TMPDIR={_RUN}", "qemu-system-aarch64", *board.machine, "-kernel", f"{_RUN}/kernel"]
    words += ["-append", " ".join((boot.cmdline, *options.append))]
    if board.qemu_overlay is not None:
        words += ["-dtb", _tree(boot, board, tools, folder)]
    if boot.initramfs:
        (folder / "initramfs").write_bytes(boot.initramfs)
        words += ["-initrd", f"{_RUN}/initramfs"]
    words += [word.replace("{file}", f"/host/image/{image.name}") for word in board.drive]
    # Where counts are exact, the boots that are counted have nothing plugged in that a test of the network needs.
    if board.network and (options.forward or not board.exact):
        forward = "".join(f",hostfwd=tcp:127.0.0.1:{host}-:{guest}" for host, guest in options.forward)
        words += [word.replace("{forward}", forward) for word in board.network]
    else:
        words += ["-net", "none"]
    words += ["-display", "none", *serial]
    words += ["-qmp", f"unix:{_RUN}/qmp.sock,server=on,wait=off"]
    words += [] if options.realtime else [*EQUAL, *(LEAP if board.exact else WAIT)]
    if options.hold:
        words += ["-action", "reboot=shutdown,shutdown=pause"]
    elif not options.reboot:
        words += ["-no-reboot"]
    words += [] if options.keep else ["-snapshot"]
    binds = [Bind(folder, _RUN, writable=True), Bind(image.resolve().parent, "/host/image", writable=options.keep)]
    logged = []
    if options.plugin is not None:
        binds.append(Bind(options.plugin.resolve().parent, "/host/plugin"))
        words += ["-plugin", f"/host/plugin/{options.plugin.name}"]
        logged.append("plugin")
    if board.sd_trace and not options.realtime:
        logged += [f"trace:{_READ}", f"trace:{_COMMAND}"]
    if options.hold:
        logged.append("trace:bcm2835_mbox_property")
    if logged:
        words += ["-d", ",".join(logged), "-D", f"{_RUN}/qemu.log"]
    return tools.argv([*words, *options.extra], binds, network=bool(options.forward))


def interactive(image: Path, board: Board, tools: Tools, folder: Path, options: Options) -> list[str]:
    """The command of `./build.py boot`: the console is the terminal; Ctrl-A x ends QEMU, Ctrl-A h helps."""
    return command(image, board, tools, folder, options, serial=("-serial", "mon:stdio"))


#: QEMUs that run now, in whatever thread; guarded by the lock.
_running: set[subprocess.Popen[bytes]] = set()
_running_lock = threading.Lock()


def stop_all() -> None:
    """End every QEMU at once; the threads that follow them see their consoles end."""
    with _running_lock:
        for process in _running:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)


class Machine:
    """A running QEMU with its console; a context manager that always ends it and removes its files."""

    def __init__(self, image: Path, board: Board, tools: Tools, options: Options | None = None) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="protopi-boot-"))
        try:
            self.command = command(image, board, tools, self.folder, options or Options(), serial=ON_STDIO)
            self.started = time.monotonic()
            self._errors = (self.folder / "stderr").open("wb")
            self.process = subprocess.Popen(
                self.command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                bufsize=0,
                start_new_session=True,
            )
        except OSError as error:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise InfraError(f"QEMU cannot be started: {error}", hint="./build.py doctor") from error
        except BaseException:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise
        with _running_lock:
            _running.add(self.process)
        out, into = self.process.stdout, self.process.stdin
        assert out is not None
        assert into is not None
        self.console = Console(lambda: os.read(out.fileno(), 65536), into.write).start()

    def __enter__(self) -> Machine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def seconds(self) -> float:
        """Host seconds since the start."""
        return time.monotonic() - self.started

    def wait(self, seconds: float) -> int | None:
        """QEMU's exit status, or None when it still runs after so many seconds."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def control(self, name: str) -> None:
        """Run a command of QEMU's machine protocol ("quit", "system_reset"). Raises OSError when QEMU has gone."""
        with socket.socket(socket.AF_UNIX) as peer:
            peer.settimeout(5)
            peer.connect(str(self.folder / "qmp.sock"))
            lines = peer.makefile("rb")
            lines.readline()
            for word in ("qmp_capabilities", name):
                peer.sendall(json.dumps({"execute": word}).encode() + b"\n")
                lines.readline()

    def stop(self) -> None:
        """End QEMU; by force where it does not obey.

        It is asked through its own protocol, because a signal reaches the sandbox too, whose end would kill QEMU
        before it has written the image back.
        """
        if self.process.poll() is None:
            with contextlib.suppress(OSError):
                self.control("quit")
                self.wait(10)
        if self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.wait(10)
        with _running_lock:
            _running.discard(self.process)
        for stream in (self.process.stdin, self.process.stdout, self._errors):
            if stream is not None:
                stream.close()

    def counts(self) -> Counts:
        """What QEMU has logged so far (all of it only after `stop`)."""
        log = self.folder / "qemu.log"
        return parse_log(log.read_text(errors="replace")) if log.exists() else Counts()

    def complaints(self) -> str:
        """What QEMU wrote to its standard error."""
        return (self.folder / "stderr").read_text(errors="replace").strip()
