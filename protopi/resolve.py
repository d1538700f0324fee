# SPDX-License-Identifier: MIT
"""Moves the lock: asks trixie's own apt what a set of packages resolves to. Resolution and signatures are apt's.

The host's apt differs by distribution, so a small trixie tree is made for the question (mmdebstrap, half a minute)
and removed afterwards. Its apt starts from an empty status file: the answer is the whole closure, and depends on the
mirror alone.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import tempfile
import urllib.parse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from protopi.errors import InfraError, UserError
from protopi.lock import Locked
from protopi.mirrors import Mirrors
from protopi.sandbox import MOUNT_POINTS, Bind, Sandbox
from protopi.store import Store
from protopi.tools import SUITE, mmdebstrap_mode

_COMPONENTS = "main non-free-firmware"
_HOST_FILES = ("/etc/resolv.conf", "/etc/hosts", "/etc/ssl/certs/ca-certificates.crt")
_LINE = re.compile(r"'(?P<url>[^']+)' (?P<file>\S+) (?P<size>\d+) SHA256:(?P<sha256>[0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class Wanted:
    """A set to resolve.

    closure    False: the named packages alone, for files that are only unpacked
    backports  True: the suite's backports too (apt takes from there only what is nowhere else)
    """

    name: str
    architecture: str
    packages: tuple[str, ...]
    closure: bool
    backports: bool = False


def resolve(store: Store, mirrors: Mirrors, wanted: Sequence[Wanted]) -> dict[str, dict[str, Locked]]:
    """Set name -> package name -> Locked. Raises UserError for an unknown package, InfraError without a mirror."""
    with store.scratch("resolver") as scratch:
        root = scratch / "root"
        root.mkdir()
        _make_tree(root, mirrors)
        work = scratch / "work"
        work.mkdir()
        return {one.name: _resolve_one(root, work, mirrors, one) for one in wanted}


def _sources(mirrors: Mirrors, backports: bool = False) -> list[str]:
    suites = (SUITE, f"{SUITE}-backports") if backports else (SUITE,)
    return [
        *(f"{base} {suite} {_COMPONENTS}" for base in mirrors.debian[:1] for suite in suites),
        *(f"{base} {SUITE}-security {_COMPONENTS}" for base in mirrors.security[:1]),
    ]


def _make_tree(root: Path, mirrors: Mirrors) -> None:
    command = [
        "mmdebstrap",
        *mmdebstrap_mode(),
        "--variant=apt",
        "--format=tar",
        "--include=ca-certificates",
        "--skip=cleanup/apt/lists",
        SUITE,
        "-",
        *(f"deb {source}" for source in _sources(mirrors)),
    ]
    with tempfile.TemporaryFile() as log:
        maker = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log)
        assert maker.stdout
        unpack = ["tar", "-x", "--no-same-owner", "--exclude=./dev/*", "-C", os.fspath(root)]
        unpacked = subprocess.run(unpack, stdin=maker.stdout, stderr=log, check=False)
        maker.stdout.close()  # or it would write for ever to a tar that has died
        if maker.wait() or unpacked.returncode:
            log.seek(0)
            tail = "\n".join(log.read().decode(errors="replace").splitlines()[-8:])
            raise InfraError(f"the tree that resolves packages could not be made ({mirrors.origin}):\n{tail}")
    for name in MOUNT_POINTS:
        (root / name).mkdir(exist_ok=True)
    for path in _HOST_FILES:  # a read-only tree must have the mount points
        target = root / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.touch()


def _host_network() -> tuple[Bind, ...]:
    return tuple(Bind(Path(path).resolve(), path) for path in _HOST_FILES if Path(path).exists())


def _resolve_one(root: Path, work: Path, mirrors: Mirrors, wanted: Wanted) -> dict[str, Locked]:
    """Run apt-get in the tree and read what it would download."""
    folder = work / wanted.name
    for name in ("state/lists/partial", "cache/archives/partial"):
        (folder / name).mkdir(parents=True)
    (folder / "status").write_text("")
    sources = "".join(f"deb [arch={wanted.architecture}] {one}\n" for one in _sources(mirrors, wanted.backports))
    (folder / "sources.list").write_text(sources)
    options = {
        "Dir::State": "/build/state",
        "Dir::State::status": "/build/status",
        "Dir::Cache": "/build/cache",
        "Dir::Etc::SourceList": "/build/sources.list",
        "Dir::Etc::SourceParts": "/dev/null",
        "APT::Architecture": wanted.architecture,
        "APT::Architectures": wanted.architecture,
        "APT::Install-Recommends": "false",
        "APT::Sandbox::User": "root",
        "Acquire::Languages": "none",
        "Acquire::ForceHash": "SHA256",  # else --print-uris shows an MD5
        "Acquire::Retries": "3",
    }
    apt = ["apt-get", *(f"-o{name}={value}" for name, value in options.items())]
    names = [*(["?essential"] if wanted.name == "tools" else []), *wanted.packages]
    verb = ["install"] if wanted.closure else ["download"]
    ask = [*apt, "-qq", *verb, "--print-uris", "-y", *names]
    script = f"{shlex.join([*apt, '-qq', 'update'])} >&2 && exec {shlex.join(ask)}"
    proxies = {n: v for n, v in os.environ.items() if n.lower() in ("http_proxy", "https_proxy", "no_proxy")}
    sandbox = Sandbox(root, (Bind(folder, "/build", writable=True), *_host_network()), proxies, network=True)
    done = subprocess.run(sandbox.argv(["sh", "-c", script]), capture_output=True, text=True, check=False)
    if done.returncode:
        unknown = re.findall(
            r"Unable to locate package (\S+)|Package '?(\S+?)'? has no installation candidate", done.stderr
        )
        if missing := sorted({name for pair in unknown for name in pair if name}):
            raise UserError(
                f"Debian {SUITE} has no package {', '.join(missing)} for {wanted.architecture}",
                key=f"packages of `{wanted.name}`",
                hint="look the name up at packages of this suite; the board needs it built for arm64",
            )
        raise InfraError(f"apt could not resolve `{wanted.name}` ({mirrors.origin}):\n{done.stderr.strip()[-1500:]}")
    packages = {}
    for line in done.stdout.splitlines():
        if match := _LINE.match(line):
            package = _locked(match, mirrors)
            packages[package.name] = package
    if absent := set(wanted.packages) - set(packages):
        raise InfraError(f"apt did not answer for {', '.join(sorted(absent))} of `{wanted.name}`")
    return packages


def _locked(match: re.Match[str], mirrors: Mirrors) -> Locked:
    url = match["url"]
    base = next(base for base in (*mirrors.security, *mirrors.debian) if url.startswith(base + "/"))
    path = urllib.parse.unquote(url[len(base) + 1 :])
    name, version, architecture = urllib.parse.unquote(match["file"]).removesuffix(".deb").split("_")
    return Locked(name, version, architecture, int(match["size"]), match["sha256"], path)
