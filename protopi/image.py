# SPDX-License-Identifier: MIT
"""What a user may say in an image file (`image/pi4.yaml`, or a file of their own), as frozen dataclasses.

The dataclasses are the schema: protopi.config reads YAML into them, and every problem names file, line and key.
`extends:` names another image: mappings are merged key by key, lists are appended to, anything else is replaced.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from protopi.config import (
    Check,
    Merge,
    Size,
    check_absolute,
    check_name,
    check_octal,
    check_package,
    read,
    suggest,
)
from protopi.errors import UserError

BUILTIN_IMAGES = "image"


@dataclass(frozen=True, slots=True)
class Service:
    """A program that the supervisor keeps running.

    command   the program and its arguments; the program's path is absolute
    user      who runs it: an account of the image (an image's own services get an account of their name with `own`)
    restart   always; on-failure (an exit status other than 0); never
    log       bytes of log that are kept on the data partition (the oldest go first); 0: none is kept
    after     services that must be up first
    readiness seconds within which it has to stay up to count as started
    """

    command: tuple[str, ...]
    user: Annotated[str, Check(check_name)] = "root"
    restart: Literal["always", "on-failure", "never"] = "always"
    log: Size = Size(512 * 1024)
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class File:
    """A file or folder that is copied into the root file system; a name that ends in .j2 is rendered."""

    source: Path
    mode: Annotated[str, Check(check_octal)] = ""
    owner: Annotated[str, Check(check_name)] = "root"
    group: Annotated[str, Check(check_name)] = "root"


@dataclass(frozen=True, slots=True)
class WifiNetwork:
    """A wireless network; `psk` empty means an open one."""

    ssid: str
    psk: str = ""


@dataclass(frozen=True, slots=True)
class Wifi:
    """Wireless networks, and the country whose radio rules apply (ISO 3166 alpha-2)."""

    country: Annotated[str, Check(lambda v: "" if len(v) == 2 and v.isupper() else "two capital letters, as DE")]
    networks: tuple[WifiNetwork, ...] = ()


@dataclass(frozen=True, slots=True)
class Ssh:
    """SSH: on or off, and the public keys that may log in as root. No password ever does."""

    enabled: bool = True
    authorized_keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Kernel:
    """The kernel: its variant, and fragments and patches beyond those of the board."""

    variant: Literal["default", "debug"] = "default"
    fragments: tuple[Path, ...] = ()
    patches: tuple[Path, ...] = ()
    cmdline: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Partitions:
    """Sizes of the partitions; each of boot and root exists twice (A and B). The image is a power of two."""

    boot: Size = Size(40 << 20)
    root: Size = Size(56 << 20)
    data: Size = Size(32 << 20)


@dataclass(frozen=True, slots=True)
class Image:
    """One image: everything that a user can say about it. `name` and `path` come from the file itself."""

    board: str
    hostname: Annotated[str, Check(check_name)] = "protopi"
    timezone: str = "UTC"
    packages: tuple[Annotated[str, Check(check_package)], ...] = ()
    debs: tuple[Path, ...] = ()
    drop: tuple[Annotated[str, Check(check_package)], ...] = ()
    unpack_only: tuple[Annotated[str, Check(check_package)], ...] = ()
    exclude: tuple[str, ...] = ()
    files: Mapping[Annotated[str, Check(check_absolute)], File] = field(default_factory=dict)
    services: Mapping[Annotated[str, Check(check_name)], Service] = field(default_factory=dict)
    modules: tuple[str, ...] = ()
    overlays: tuple[Path, ...] = ()
    config_txt: Mapping[str, str | int | bool] = field(default_factory=dict)
    kernel: Kernel = field(default_factory=Kernel)
    ssh: Ssh = field(default_factory=Ssh)
    wifi: Wifi | None = None
    partitions: Partitions = field(default_factory=Partitions)
    console_shell: bool = False
    test: bool = False
    name: Annotated[str, Merge.NEVER] = ""
    path: Annotated[Path, Merge.NEVER] = Path()


def find_image(word: str, beside: Path, project: Path) -> Path:
    """The file of an image: a path that ends in .yaml (relative to `beside`), or the name of one of the project's own.

    Raises UserError with a suggestion when there is none.
    """
    known = {path.stem: path for path in sorted((project / BUILTIN_IMAGES).glob("*.yaml"))}
    if word in known:
        return known[word]
    if word.endswith((".yaml", ".yml")):
        path = beside / Path(word).expanduser()
        if path.is_file():
            return path.resolve()
        raise UserError(f"there is no image file {path}")
    raise UserError(
        f"there is no image `{word}`",
        hint=suggest(word, known) or "images: " + ", ".join(known) + "; or the path of a .yaml file",
    )


def load_image(word: str, project: Path, boards: Iterable[str], beside: Path | None = None) -> Image:
    """Read an image by name or path. `boards`: the names that `board:` may have. Raises UserErrors."""
    path = find_image(word, beside or Path.cwd(), project)
    image = read(
        path,
        Image,
        lambda name, child: find_image(name, child.parent, project),
        {"name": path.stem, "path": path},
    )
    if problem := check_name(path.stem):
        raise UserError(f"an image file is named after its image: expected {problem}", where=str(path))
    known = list(boards)
    if image.board not in known:
        raise UserError(
            f"there is no board `{image.board}`",
            where=str(path),
            key="board",
            hint=suggest(image.board, known) or "boards: " + ", ".join(known),
        )
    return image
