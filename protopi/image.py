# SPDX-License-Identifier: MIT
"""What a user may say in an image file (`image/pi4.yaml`, or a file of their own), as frozen dataclasses.

The dataclasses are the schema: protopi.config reads YAML into them, and every problem names file, line and key.
`extends:` names another image: mappings are merged key by key, lists are appended to, anything else is replaced.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from protopi import checks
from protopi.config import Check, Layer, Merge, Place, Size, read, suggest
from protopi.errors import Problem, UserError
from protopi.image_check import check_image

BUILTIN_IMAGES = "image"
Line = Annotated[str, Check(checks.check_line)]
Package = Annotated[str, Check(checks.check_package)]
FilePath = Annotated[Path, Check(checks.check_file)]


@dataclass(frozen=True, slots=True)
class Service:
    """A program that the supervisor keeps running.

    command   the program and its arguments; the program's path is absolute
    user      who runs it: an account of the image (an image's own services get an account of their name with `own`)
    restart   always; on-failure (an exit status other than 0); never
    log       bytes of log that are kept on the data partition (the oldest go first); 0: none is kept
    """

    command: tuple[Line, ...]
    user: Annotated[str, Check(checks.check_account)] = "root"
    restart: Literal["always", "on-failure", "never"] = "always"
    log: Size = Size(512 * 1024)
    environment: Mapping[Annotated[str, Check(checks.check_variable)], Line] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class File:
    """A file or folder that is copied into the root file system; a name that ends in .j2 is rendered."""

    source: Annotated[Path, Check(checks.check_source)]
    mode: Annotated[str, Check(checks.check_octal)] = ""
    owner: Annotated[str, Check(checks.check_account)] = "root"
    group: Annotated[str, Check(checks.check_account)] = "root"


@dataclass(frozen=True, slots=True)
class WifiNetwork:
    """A wireless network; `psk` empty means an open one."""

    ssid: Annotated[str, Check(checks.check_ssid)]
    psk: Annotated[str, Check(checks.check_psk, secret=True)] = ""


@dataclass(frozen=True, slots=True)
class Wifi:
    """Wireless networks, and the country whose radio rules apply (ISO 3166 alpha-2)."""

    country: Annotated[str, Check(checks.check_country)]
    networks: tuple[WifiNetwork, ...] = ()


@dataclass(frozen=True, slots=True)
class Ssh:
    """SSH: on or off, and the public keys that may log in as root. No password ever does."""

    enabled: bool = True
    authorized_keys: tuple[Annotated[str, Check(checks.check_public_key, secret=True)], ...] = ()


@dataclass(frozen=True, slots=True)
class Kernel:
    """The kernel: its variant, and fragments and patches beyond those of the board."""

    variant: Literal["default", "debug"] = "default"
    fragments: tuple[FilePath, ...] = ()
    patches: tuple[FilePath, ...] = ()
    cmdline: tuple[Annotated[str, Check(checks.check_word)], ...] = ()


@dataclass(frozen=True, slots=True)
class Partitions:
    """Sizes of the partitions; each of boot and root exists twice (A and B). The image is a power of two."""

    boot: Size = Size(40 << 20)
    root: Size = Size(56 << 20)
    data: Size = Size(32 << 20)


@dataclass(frozen=True, slots=True)
class Image:
    """One image: everything that a user can say about it.

    From the files themselves come `name` and `path`; `removed`, the packages of a file below that a later `drop:` took
    back; `places`, where each key stands; and `own`, what files outside the project add to `drop`, `exclude` and
    `unpack_only`, each of which must match something (the project's own lists are shared by all images).
    """

    board: str = ""
    hostname: Annotated[str, Check(checks.check_hostname)] = "protopi"
    timezone: Annotated[str, Check(checks.check_timezone)] = "UTC"
    packages: tuple[Package, ...] = ()
    debs: tuple[Annotated[Path, Check(checks.check_deb)], ...] = ()
    drop: tuple[Package, ...] = ()
    unpack_only: tuple[Package, ...] = ()
    exclude: tuple[Annotated[str, Check(checks.check_pattern)], ...] = ()
    files: Mapping[Annotated[str, Check(checks.check_absolute)], File] = field(default_factory=dict)
    services: Mapping[Annotated[str, Check(checks.check_account)], Service] = field(default_factory=dict)
    modules: tuple[Annotated[str, Check(checks.check_module)], ...] = ()
    overlays: tuple[Annotated[Path, Check(checks.check_overlay)], ...] = ()
    config_txt: Mapping[
        Annotated[str, Check(checks.check_config_key)], Annotated[str | int | bool, Check(checks.check_config_value)]
    ] = field(default_factory=dict)
    kernel: Kernel = field(default_factory=Kernel)
    ssh: Ssh = field(default_factory=Ssh)
    wifi: Wifi | None = None
    partitions: Partitions = field(default_factory=Partitions)
    console_shell: bool = False
    policies: bool = False
    test: bool = False
    name: Annotated[str, Merge.NEVER] = ""
    path: Annotated[Path, Merge.NEVER] = Path()
    removed: Annotated[tuple[str, ...], Merge.NEVER] = ()
    own: Annotated[Mapping[str, tuple[str, ...]], Merge.NEVER] = field(default_factory=dict)
    places: Annotated[Mapping[str, str], Merge.NEVER] = field(default_factory=dict, repr=False, compare=False)

    def place(self, key: str) -> str:
        """ "FILE:LINE" of a dotted key, or of the nearest key above it: for what only a step can find out."""
        while key and key not in self.places:
            key = key.rpartition(".")[0]
        return self.places.get(key, "")


def find_image(word: str, beside: Path, project: Path) -> Path:
    """The file of an image: a path that ends in .yaml (relative to `beside`), or the name of one of the project's own.

    Raises UserError with a suggestion when there is none.
    """
    known = {path.stem: path for path in sorted((project / BUILTIN_IMAGES).glob("*.yaml"))}
    if word in known:
        return known[word]
    if word.endswith((".yaml", ".yml")):
        # A name that no file can have (too long, a NUL, an unknown ~user) is a file that is not there.
        with contextlib.suppress(OSError, RuntimeError, ValueError):
            path = beside / Path(word).expanduser()
            if path.is_file():
                return path.resolve()
        raise UserError(f"there is no image file {beside / word}")
    raise UserError(
        f"there is no image `{word}`",
        hint=suggest(word, known) or "images: " + ", ".join(known) + "; or the path of a .yaml file",
    )


def load_image(word: str, project: Path, boards: Iterable[str], beside: Path | None = None) -> Image:
    """Read an image by name or path. `boards`: the names that `board:` may have. Raises UserErrors."""
    path = find_image(word, beside or Path.cwd(), project)
    removed: list[str] = []

    def check(image: Image, places: Mapping[str, Place], problems: list[Problem]) -> Image:
        if expected := checks.check_name(path.stem):
            problems.append(Problem(f"an image file is named after its image: expected {expected}", where=str(path)))
        check_image(image, places, problems, project, boards)
        own = {} if problems else _own(image, places, project / BUILTIN_IMAGES)
        where = {key: str(place) for key, place in places.items()}
        return dataclasses.replace(image, removed=tuple(removed), own=own, places=where)

    return read(
        path,
        Image,
        lambda name, child: find_image(name, child.parent, project),
        {"name": path.stem, "path": path},
        check,
        lambda below, layer: removed.extend(take_back(below, layer)),
    )


def take_back(below: Layer, layer: Layer) -> list[str]:
    """Let a layer's `packages:` and `drop:` take back what layers below it say; returns the packages taken back."""
    gone: list[str] = []
    for mine, theirs in (("packages", "drop"), ("drop", "packages")):
        if mine not in layer or theirs not in below:
            continue
        names, (place, old) = layer[mine][1], below[theirs]
        if not isinstance(names.value, list) or not isinstance(old.value, list):
            continue  # of the wrong type: the conversion says so
        words = {node.value for node in names.value if isinstance(node.value, str)}
        kept = [node for node in old.value if not isinstance(node.value, str) or node.value not in words]
        if theirs == "packages":
            gone += [node.value for node in old.value if node not in kept]
        below[theirs] = (place, dataclasses.replace(old, value=kept))
    return gone


def _own(image: Image, places: Mapping[str, Place], builtin: Path) -> dict[str, tuple[str, ...]]:
    """What files outside the project's own folder of images add to the lists whose entries must match something."""
    lists = {"drop": image.drop, "exclude": image.exclude, "unpack_only": image.unpack_only}
    return {
        key: tuple(word for n, word in enumerate(words) if places[f"{key}[{n}]"].file.parent != builtin)
        for key, words in lists.items()
    }
