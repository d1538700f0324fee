# SPDX-License-Identifier: MIT
"""Say what this host lacks for building, why it is needed, and what to do about it. Changes nothing."""

from __future__ import annotations

import argparse
import os
import platform
import shutil
from pathlib import Path

from protopi.bootstrap import host_needs
from protopi.errors import ProtopiError
from protopi.mirrors import find_mirrors
from protopi.project import Project
from protopi.sandbox import check_sandbox
from protopi.store import default_store
from protopi.ui import Ui, mebibytes

SUMMARY = "what is missing on this host, and why"
_NEEDED_SPACE = 8 << 30
_RESTRICTION = Path("/proc/sys/kernel/apparmor_restrict_unprivileged_userns")


def setup(parser: argparse.ArgumentParser) -> None:
    """No arguments."""


def run(_arguments: argparse.Namespace, project: Project, ui: Ui) -> int:
    """Print one line a check; 5 when something is missing."""
    bad = 0

    def check(good: bool, what: str, advice: str = "") -> None:
        nonlocal bad
        bad += not good
        print(f"{'ok     ' if good else 'MISSING'} {what}" + (f"\n        {advice}" if advice and not good else ""))

    check(True, f"Python {platform.python_version()}, {platform.machine()}, {len(os.sched_getaffinity(0))} processors")
    sudo = "" if os.geteuid() == 0 else "sudo "
    for need in host_needs():
        check(need.present(), f"{need.package}: {need.why}", f"{sudo}apt-get install {need.package}")
    if shutil.which("bwrap"):
        trouble = check_sandbox()
        check(not trouble, f"bubblewrap can make a sandbox{': ' + trouble if trouble else ''}", _advice())
    if os.geteuid() != 0:
        user = Path("/etc/subuid")
        name = os.environ.get("USER", "")
        check(
            user.is_file()
            and any(line.split(":")[0] in (name, str(os.getuid())) for line in user.read_text().splitlines()),
            "sub-user ids for mmdebstrap (/etc/subuid, /etc/subgid)",
            f"sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {name}",
        )
    store = default_store()
    beside = next(path for path in (store, *store.parents) if path.exists())
    free = shutil.disk_usage(beside).free
    check(
        beside.is_dir() and os.access(beside, os.W_OK), f"store: {store}", "set PROTOPI_STORE to a folder that is yours"
    )
    check(free >= _NEEDED_SPACE, f"{mebibytes(free)} free for the store (8 GiB are needed)", "set PROTOPI_STORE")
    try:
        mirrors = find_mirrors()
        check(True, f"Debian mirror: {mirrors.debian[0]} (from {mirrors.origin})")
    except ProtopiError as error:
        check(False, f"Debian mirror: {error}")
    try:
        lock = project.lock()
        check(True, f"lock: {sum(map(len, lock.sets.values()))} packages, {lock.age_days} days old")
    except ProtopiError as error:
        check(False, f"lock: {error}")
    ui.say("this host can build" if not bad else f"{bad} missing", style="green" if not bad else "red")
    return 5 if bad else 0


def _advice() -> str:
    if _RESTRICTION.is_file() and _RESTRICTION.read_text().strip() == "1" and os.geteuid() != 0:
        return (
            "AppArmor forbids user namespaces here (Ubuntu 24.04 and later). Allow them for bwrap with a profile:\n"
            "        printf 'abi <abi/4.0>,\\ninclude <tunables/global>\\nprofile bwrap /usr/bin/bwrap "
            "flags=(unconfined) {\\n  userns,\\n}\\n' | sudo tee /etc/apparmor.d/bwrap\n"
            "        sudo systemctl reload apparmor\n"
            "        or for everything: sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0"
        )
    return "user namespaces are needed: check kernel.unprivileged_userns_clone, or the container's seccomp profile"
