# SPDX-License-Identifier: MIT
"""Where Debian packages come from. No host name stands in this project.

In order: PROTOPI_MIRROR (several, separated by spaces; a dated snapshot may be among them), the Debian mirrors of the
host's own apt configuration, and, where that has none, the default that is built into mmdebstrap.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from protopi.errors import InfraError, UserError

_ARCHIVES = ("debian", "debian-security")


@dataclass(frozen=True, slots=True)
class Mirrors:
    """Base addresses of the two archives, best first; `origin` says where they were found."""

    debian: tuple[str, ...]
    security: tuple[str, ...]
    origin: str

    def bases(self, path: str) -> tuple[str, ...]:
        """The bases to try for a package's path, the likely ones first."""
        if path.startswith("pool/updates/"):
            return (*self.security, *self.debian)
        return (*self.debian, *self.security)


def _split(bases: list[str], origin: str) -> Mirrors | None:
    bases = [base.rstrip("/") for base in bases]
    security = tuple(base for base in bases if "security" in base)
    debian = tuple(base for base in bases if "security" not in base)
    if not debian:
        return None
    return Mirrors(debian, security or tuple(base + "-security" for base in debian), origin)


def _from_apt() -> Mirrors | None:
    if not shutil.which("apt-get"):
        return None
    done = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI) $(ORIGIN)", "Created-By: Packages"],
        capture_output=True,
        text=True,
        check=False,
    )
    found: list[str] = []
    for line in done.stdout.splitlines():
        uri, _, origin = line.partition(" ")
        name = uri.rstrip("/").rsplit("/", 1)[-1]
        # Before the first `apt-get update` the origin is unknown; then the archive's usual folder name tells.
        if uri.startswith("http") and (origin == "Debian" or (not origin and name in _ARCHIVES)) and uri not in found:
            found.append(uri)
    return _split(found, "the host's apt configuration")


def _from_mmdebstrap() -> Mirrors | None:
    program = shutil.which("mmdebstrap")
    if not program:
        return None
    text = Path(program).read_text(errors="replace")
    found = [re.search(rf"https?://[\w.-]+/{archive}(?=[\"'\s])", text) for archive in _ARCHIVES]
    return _split([match[0] for match in found if match], "mmdebstrap's built-in default")


def find_mirrors() -> Mirrors:
    """The mirrors to use. Raises UserError for a bad PROTOPI_MIRROR, InfraError when there is none at all."""
    if named := os.environ.get("PROTOPI_MIRROR", "").split():
        bad = [base for base in named if not re.match(r"(https?|file)://", base)]
        if bad:
            raise UserError(f"PROTOPI_MIRROR: not an address: {bad[0]}", hint="http://..., https://... or file:///...")
        mirrors = _split(named, "PROTOPI_MIRROR")
        if mirrors is None:
            raise UserError("PROTOPI_MIRROR names a security archive only", hint="name a Debian mirror as well")
        return mirrors
    mirrors = _from_apt() or _from_mmdebstrap()
    if mirrors is None:
        raise InfraError("no Debian mirror is known", hint="set PROTOPI_MIRROR, or install mmdebstrap")
    return mirrors
