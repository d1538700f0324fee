# SPDX-License-Identifier: MIT
"""A kernel module's file put in place of the one that a running board has loaded."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile

from protopi.errors import InfraError, UserError
from protopi.ssh import Session

#: Where the image keeps the module that PID 1 loads; others come from modprobe.
_OWN = "/usr/lib/protopi"


@dataclass(frozen=True, slots=True)
class Module:
    """What a module's file says of itself: its name, the kernel it was built for, what it needs."""

    name: str
    release: str
    depends: tuple[str, ...]


def read_module(path: Path) -> Module:
    """Read a .ko file. Raises UserError when it is none for a 64-bit ARM kernel."""
    try:
        with path.open("rb") as file:
            elf = ELFFile(file)
            section = elf.get_section_by_name(".modinfo")
            machine, data = elf["e_machine"], section.data() if section is not None else b""
    except (ELFError, OSError) as error:
        raise UserError(f"{path} is no kernel module: {error}") from error
    facts = dict(entry.split("=", 1) for entry in data.decode(errors="replace").split("\0") if "=" in entry)
    if machine != "EM_AARCH64" or not facts.get("name") or not facts.get("vermagic"):
        raise UserError(
            f"{path} is no kernel module for arm64 ({machine})",
            hint="mcp.ko of a build lies in the image, in /usr/lib/protopi",
        )
    depends = tuple(name for name in facts.get("depends", "").split(",") if name)
    return Module(facts["name"].replace("-", "_"), facts["vermagic"].split()[0], depends)


def check(session: Session, module: Module) -> bool:
    """Whether a module of that name is loaded now. Raises UserError when the new one cannot take its place."""
    place = f"/sys/module/{module.name}"
    status, text, _ = session.ask(
        f"uname -r; if [ -e {place}/initstate ]; then echo loaded; elif [ -d {place} ]; then echo built-in; fi"
    )
    words = text.split()
    if status or not words:
        raise InfraError(f"{session.where} does not say which kernel it runs")
    if words[0] != module.release:
        raise UserError(
            f"{module.name} was built for Linux {module.release}, and the board runs {words[0]}",
            hint="build it with the image that is on the board, or flash the board anew",
        )
    if "built-in" in words[1:]:
        raise UserError(f"{module.name} is built into the board's kernel", hint="flash an image instead")
    return "loaded" in words[1:]


def replace(session: Session, module: Module, file: str, *, loaded: bool) -> None:
    """Load `file` (a path on the board) in place of the module of that name; the old one comes back when that fails.

    Raises UserError when the old one is in use, or the kernel refuses the new one.
    """
    if loaded:
        status, _, errors = session.ask(f"rmmod {module.name}")
        if status:
            users = _users(session, module.name)
            raise UserError(
                f"{module.name} cannot be taken out: {errors.strip()}",
                hint=f"in use by {users}: end that first (s6-svc -d /run/service/NAME)"
                if users
                else "another module may need it: lsmod on the board says which",
            )
    status, _, errors = session.ask(f"insmod {shlex.quote(file)}")
    if status == 0:
        return
    _, kernel, _ = session.ask("dmesg | tail -n 5")
    back = ""
    if loaded:
        old = f"{_OWN}/{module.name}.ko"
        status, _, again = session.ask(f"if [ -f {old} ]; then insmod {old}; else modprobe {module.name}; fi")
        back = "; the image's own is loaded again" if status == 0 else f"; nor the image's own: {again.strip()}"
    raise UserError(
        f"the board's kernel refuses {module.name}: {errors.strip()}{back}\n"
        + "\n".join(f"    | {line}" for line in kernel.splitlines()),
        hint="the kernel's last lines are above"
        + (f"; it needs {', '.join(module.depends)}" if module.depends else ""),
    )


def _users(session: Session, name: str) -> str:
    """Who has a device open that is named after the module."""
    # One program for all processes: a shell's loop over /proc takes half a minute on a slow board.
    _, text, _ = session.ask(f"ls -l /proc/[0-9]*/fd 2> /dev/null | grep -E '^/proc/|-> /dev/{name}[0-9]*$'")
    pid, pids = "", []
    for line in text.splitlines():
        if line.startswith("/proc/"):
            pid = line.split("/")[2]
        elif pid not in pids:
            pids.append(pid)
    if not pids:
        return ""
    _, text, _ = session.ask("; ".join(f"echo $(cat /proc/{pid}/comm) {pid}" for pid in pids))
    return ", ".join(f"{line.rpartition(' ')[0]} (pid {line.rpartition(' ')[2]})" for line in text.splitlines())
