# SPDX-License-Identifier: MIT
"""Reading .deb files: control data, maintainer scripts, licence, files.

Maintainer scripts never run: they are programs of a foreign architecture's system. They are read, and what they
would do is either known (a hook in recipes.rootfs_hooks, or a block that debhelper writes) or the package is refused.
"""

from __future__ import annotations

import io
import re
import subprocess
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from protopi.errors import StepError, UserError

#: Scripts that run when a package is installed. Those of removal never matter to an image.
SCRIPTS = ("preinst", "postinst")
#: Triggers that a package may set off, and why nothing has to happen.
TRIGGERS = {
    "ldconfig": "no ld.so.cache: the check proves that the loader's built-in folders suffice",
    "update-initramfs": "there is no initramfs",
    "update-ca-certificates": "the CA hook always runs",
    "update-ca-certificates-fresh": "the CA hook always runs",
    "libc-upgrade": "nothing runs while an image is made",
}
#: What debhelper writes into scripts by itself, and why nothing has to happen (or what we do instead).
DEBHELPER = {
    "dh_installsystemd": "no systemd: services are declared in the image",
    "dh_installsystemduser": "no systemd",
    "dh_systemd_enable": "no systemd",
    "dh_systemd_start": "no systemd",
    "dh_installinit": "no init.d",
    "dh_installtmpfiles": "folders in /var are made from the tree",
    "dh_installudev": "no udev: devices are handled by mdev",
    "dh_installdeb": "conffile moves are of upgrades",
    "dh_makeshlibs": "no ld.so.cache",
    "dh_installmenu": "no menus",
    "dh_icons": "no icons",
    "dh_python3": "the byte-compiling hook runs over all Python files",
    "dh_installdebconf": "no debconf",
    "dh_apparmor": "no AppArmor profiles",
}
_BLOCK = re.compile(r"^# Automatically added by (\w+)[^\n]*\n.*?^# End automatically added section$\n?", re.M | re.S)
_BOILERPLATE = re.compile(r"^\s*(#.*|set -[eu]+|exit 0|:|)$", re.M)


@dataclass(frozen=True, slots=True)
class Package:
    """What the image needs to know of a .deb. `scripts` holds what is left of them once known blocks are gone."""

    name: str
    version: str
    source: str
    architecture: str
    path: Path
    scripts: Mapping[str, str]
    triggers: tuple[str, ...]


def dpkg_deb(*argv: str | Path) -> bytes:
    """The output of dpkg-deb. Raises StepError with what it said."""
    done = subprocess.run(["dpkg-deb", *map(str, argv)], stdin=subprocess.DEVNULL, capture_output=True, check=False)
    if done.returncode:
        raise StepError(f"dpkg-deb {argv[0]} {argv[-1]}: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout


def read_users(path: Path, name: str) -> Package:
    """Read a .deb of the user's, which they know as `name`. Raises UserError for what is none."""
    try:
        package = read_package(path)
    except (StepError, KeyError, tarfile.TarError) as error:
        what = f"it has no {error}" if isinstance(error, KeyError) else str(error).rpartition("dpkg-deb: error: ")[2]
        raise UserError(f"{name} is not a Debian package: {what}", key="debs", hint="is it cut off?") from error
    check_architecture(package, lambda _: name)
    return package


def read_package(path: Path) -> Package:
    """Read the control part of a .deb."""
    members: dict[str, str] = {}
    with tarfile.open(fileobj=io.BytesIO(dpkg_deb("--ctrl-tarfile", path))) as tar:
        for info in tar:
            handle = tar.extractfile(info) if info.isfile() else None
            if handle:
                members[info.name.removeprefix("./")] = handle.read().decode(errors="replace")
    control = {
        key.strip(): value.strip()
        for key, colon, value in (line.partition(":") for line in members["control"].splitlines())
        if colon and not key.startswith(" ")
    }
    left = {name: unknown_part(members[name]) for name in SCRIPTS if name in members}
    return Package(
        name=control["Package"],
        version=control["Version"],
        source=control.get("Source", control["Package"]),
        architecture=control["Architecture"],
        path=path,
        scripts={name: text for name, text in left.items() if text},
        triggers=unknown_triggers(members.get("triggers", "")),
    )


def unknown_part(script: str) -> str:
    """What a maintainer script does beyond debhelper's known blocks; "" when that is nothing."""
    if re.match(r"#!\s*/bin/(ba)?sh|#!\s*/usr/bin/env (ba)?sh", script) is None:
        return script
    known = _BLOCK.sub(lambda m: "" if m.group(1) in DEBHELPER else m.group(0), script)
    return "\n".join(line for line in _BOILERPLATE.sub("", known).splitlines() if line.strip())


def unknown_triggers(text: str) -> tuple[str, ...]:
    """Triggers of a control file that are set off but that nobody here handles."""
    found = []
    for line in text.splitlines():
        verb, _, name = line.partition("#")[0].strip().partition(" ")
        if verb.startswith("activate") and name.strip() not in TRIGGERS:
            found.append(name.strip())
    return tuple(found)


def read_files(package: Package) -> bytes:
    """The files of a package, as an uncompressed tar."""
    return dpkg_deb("--fsys-tarfile", package.path)


def licence_of(stream: bytes, name: str) -> str:
    """The licences that a package's machine-readable copyright file names, else "see copyright"."""
    wanted = f"usr/share/doc/{name}/copyright"
    with tarfile.open(fileobj=io.BytesIO(stream)) as tar:
        for info in tar:
            if info.name.removeprefix("./") == wanted and info.isfile():
                handle = tar.extractfile(info)
                text = handle.read().decode(errors="replace") if handle else ""
                if "copyright-format/1.0" not in text[:500]:
                    break
                names = {m.strip() for m in re.findall(r"^License:[ \t]*(\S.*)$", text, re.M | re.I)}
                return " AND ".join(sorted(names)) or "see copyright"
    return "see copyright"


def check_architecture(package: Package, described: Callable[[Package], str] = lambda p: p.path.name) -> None:
    """Refuse a package of another architecture (a user's own .deb). Raises UserError."""
    if package.architecture not in ("arm64", "all"):
        raise UserError(
            f"{described(package)} is for {package.architecture}, the board is arm64",
            key="debs",
            hint="build or fetch the arm64 package",
        )
