# SPDX-License-Identifier: MIT
"""Sets a fresh machine up: the Debian packages that the host lacks, and the project's virtual environment.

Standard library only: this runs before there is anything else.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

PROJECT = Path(__file__).resolve().parent.parent
EXIT_INFRASTRUCTURE = 5


@dataclass(frozen=True, slots=True)
class HostNeed:
    """A Debian package that the host must have, why, and how to see that it is there."""

    package: str
    why: str
    present: Callable[[], bool]


def _program(name: str) -> Callable[[], bool]:
    return lambda: shutil.which(name) is not None


def _has_venv() -> bool:
    return all(importlib.util.find_spec(name) for name in ("venv", "ensurepip"))


def host_needs() -> list[HostNeed]:
    """What this host must have; the list depends on who builds."""
    needs = [
        HostNeed("python3-venv", "the project's virtual environment", _has_venv),
        HostNeed("mmdebstrap", "makes the tools tree", _program("mmdebstrap")),
        HostNeed("bubblewrap", "the sandbox of every build", _program("bwrap")),
        HostNeed(
            "debian-archive-keyring",
            "checks Debian's signatures when the lock moves",
            Path("/usr/share/keyrings/debian-archive-keyring.gpg").exists,
        ),
    ]
    if os.geteuid() != 0:
        needs.append(HostNeed("uidmap", "mmdebstrap without root", _program("newuidmap")))
    return needs


def missing_packages() -> list[HostNeed]:
    """What the host lacks."""
    return [need for need in host_needs() if not need.present()]


def unsupported() -> str:
    """Why this machine cannot build at all, or an empty text."""
    if platform.system() != "Linux" or platform.machine() != "x86_64":
        return f"protopi builds on Linux on x86-64; this is {platform.system()} on {platform.machine()}"
    return ""


def _stop(message: str) -> NoReturn:
    print(f"protopi: {message}", file=sys.stderr)
    sys.exit(EXIT_INFRASTRUCTURE)


def _install(packages: list[str]) -> None:
    """Install Debian packages when this is root on a Debian family; otherwise say what to run, and stop."""
    command = ["apt-get", "install", "-y", "--no-install-recommends", *packages]
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        sudo = "sudo " if os.geteuid() != 0 else ""
        _stop(f"this host lacks {', '.join(packages)}; run:\n    {sudo}apt-get update && {sudo}{' '.join(command)}")
    print(f"protopi: installing {', '.join(packages)} with apt", file=sys.stderr)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for argv in (["apt-get", "-qq", "update"], ["apt-get", "-qq", *command[1:]]):
        done = subprocess.run(
            argv, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        if done.returncode:
            _stop(f"`{' '.join(argv)}` failed:\n{done.stdout}{done.stderr}")


def _environment_stamp() -> str:
    text = (PROJECT / "requirements.lock").read_bytes() + sys.version.encode() + os.fsencode(PROJECT)
    return hashlib.sha256(text).hexdigest()


def _make_environment(folder: Path, stamp: str) -> None:
    print("protopi: making the virtual environment in .venv", file=sys.stderr)
    shutil.rmtree(folder, ignore_errors=True)
    python = folder / "bin" / "python"
    steps = [
        [sys.executable, "-m", "venv", os.fspath(folder)],
        [
            *(os.fspath(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"),
            *("--require-hashes", "--only-binary", ":all:", "-r", os.fspath(PROJECT / "requirements.lock")),
        ],
    ]
    for argv in steps:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if done.returncode:
            shutil.rmtree(folder, ignore_errors=True)
            _stop(f"the virtual environment could not be made:\n{done.stdout}{done.stderr}")
    (folder / "stamp").write_text(stamp)  # last: an interrupted set-up is made again


def enter(arguments: list[str]) -> None:
    """Return inside the project's virtual environment; re-executes the program there when it is not in it yet."""
    if reason := unsupported():
        _stop(reason)
    # `doctor` must be able to report what is missing, so only the environment itself is set up for it.
    diagnosing = arguments[:1] == ["doctor"]
    lacking = [need.package for need in missing_packages()]
    if diagnosing:
        lacking = [name for name in lacking if name == "python3-venv"]
    folder = PROJECT / ".venv"
    stamp = _environment_stamp() if Path(sys.prefix) != folder else (folder / "stamp").read_text()
    if lacking:
        _install(lacking)
    if Path(sys.prefix) == folder:
        return
    stamp_file = folder / "stamp"
    if not stamp_file.is_file() or stamp_file.read_text() != stamp:
        try:
            with (PROJECT / ".venv.lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                if not stamp_file.is_file() or stamp_file.read_text() != stamp:
                    _make_environment(folder, stamp)
        except OSError as error:
            _stop(f"{error.filename}: {error.strerror}")
        except KeyboardInterrupt:
            sys.exit(130)
    python = os.fspath(folder / "bin" / "python")
    os.execv(python, [python, os.fspath(PROJECT / "build.py"), *arguments])
