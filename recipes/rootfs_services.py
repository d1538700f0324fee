# SPDX-License-Identifier: MIT
"""s6 service folders, generated from declarations: /etc/s6/NAME/{run,finish,log/run,...}.

Every service runs as its account, logs through s6-log into a capped folder of the data partition, and is restarted
with back-off by /usr/lib/protopi/finish. /usr/lib/protopi/start-services copies the folders to where s6 may write.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from protopi.errors import Problem
from recipes.rootfs_accounts import Accounts
from recipes.rootfs_tree import Tree

PATH = "/usr/sbin:/usr/bin"
#: An image's service with this user gets an account of its own name.
OWN_ACCOUNT = "own"


@dataclass(frozen=True, slots=True)
class Service:
    """A supervised program. `restart` is always, on-failure or never; `log` the bytes kept, 0 for none."""

    name: str
    command: tuple[str, ...]
    user: str = "root"
    restart: str = "always"
    log: int = 64 * 1024
    environment: Mapping[str, str] = field(default_factory=dict)


def _script(name: str, restart: str = "always", log: int = 64 * 1024) -> Service:
    return Service(name, (f"/usr/lib/protopi/{name}",), restart=restart, log=log)


def base_services(*, ssh: bool) -> tuple[Service, ...]:
    """The services of every image. One that has done its job ends with 0 and stays down: that is no failure."""
    services = [
        _script("coldplug"),
        _script("provision", "on-failure"),
        _script("pstore", "on-failure"),
        _script("network"),
        _script("wifi", "on-failure"),
        _script("time"),
        _script("syslog", log=256 * 1024),
        Service("kernel-log", ("/usr/bin/cat", "/proc/kmsg"), log=512 * 1024),
        Service("report", ("/usr/lib/protopi/report",)),
    ]
    if ssh:
        services.append(_script("ssh"))
    return tuple(services)


def image_services(declared: Mapping[str, Mapping[str, Any]]) -> tuple[Service, ...]:
    """The services of an image file (JSON of protopi.image.Service, by name)."""
    return tuple(
        Service(name, tuple(s["command"]), s["user"], s["restart"], int(s["log"]), dict(s["environment"]))
        for name, s in sorted(declared.items())
    )


def write_services(tree: Tree, accounts: Accounts, services: Iterable[Service], *, own: bool) -> list[Problem]:
    """Write the folders of services; `own`: they are the image's (may have derived accounts, are checked)."""
    problems: list[Problem] = []
    services = tuple(services)
    for service in services:
        # First all accounts: a service may be run by another one's.
        if own and service.user == OWN_ACCOUNT:
            accounts.derive(service.name)
    for service in services:
        key = f"services.{service.name}"
        home = f"etc/s6/{service.name}"
        if own:
            problems += _check(tree, accounts, service, key, exists=f"{home}/run" in tree)
        tree.write(f"{home}/run", run_script(service), 0o755)
        tree.write(f"{home}/finish", finish_script(service), 0o755)
        # The back-off is a sleep in `finish`, which s6 would otherwise end after five seconds.
        tree.write(f"{home}/timeout-finish", "90000\n")
        if service.log:
            tree.write(f"{home}/log/run", log_script(service), 0o755)
    return problems


def run_script(service: Service) -> str:
    """The program that s6 keeps alive."""
    lines = ["#!/bin/sh", f"# Made from the declaration of the service {service.name}.", "exec 2>&1"]
    lines.append(f"export PATH={PATH}")
    lines += [f"export {name}={shlex.quote(value)}" for name, value in sorted(service.environment.items())]
    lines.append(f"/usr/lib/protopi/started {service.name}")
    user = service.name if service.user == OWN_ACCOUNT else service.user
    prefix = "" if user == "root" else f"s6-setuidgid {user} "
    lines.append(f"exec {prefix}{shlex.join(service.command)}")
    return "\n".join(lines) + "\n"


def finish_script(service: Service) -> str:
    """What s6 calls when the program has ended: with its exit code (256: killed) and the signal."""
    return f'#!/bin/sh\nexec /usr/lib/protopi/finish {service.name} {service.restart} "$1" "$2"\n'


def log_script(service: Service) -> str:
    """The logger of a service: five files, so that at most `log` bytes are kept."""
    return f"#!/bin/sh\nexec /usr/lib/protopi/log {service.name} {max(4096, service.log // 5)}\n"


def _check(tree: Tree, accounts: Accounts, service: Service, key: str, *, exists: bool) -> list[Problem]:
    problems = []
    if exists:
        problems.append(Problem(f"{service.name} is a service of every image", key=key, hint="take another name"))
    if service.user != OWN_ACCOUNT and service.user not in accounts.users:
        known = ", ".join(sorted(accounts.users))
        problems.append(
            Problem(
                f"no account {service.user}",
                key=f"{key}.user",
                hint=f"one of {known}, or `{OWN_ACCOUNT}` for an account of the service's own",
            )
        )
    program = service.command[0] if service.command else ""
    place = tree.resolve(program) if program.startswith("/") else None
    entry = tree.entries.get(place) if place is not None else None
    if entry is None or entry.kind != "file" or not entry.mode & 0o111:
        problems.append(
            Problem(
                f"{program or 'nothing'} is not a program of the image",
                key=f"{key}.command",
                hint="give its whole path; the program comes from `packages:`, `debs:` or `files:`",
            )
        )
    return problems
