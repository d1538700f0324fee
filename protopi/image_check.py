# SPDX-License-Identifier: MIT
"""What can be wrong with an image file as a whole, found before anything is built.

Everything here would also show in a step, but after a kernel build, one kind at a time, and without its line.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from protopi import layout
from protopi.checks import CONFIG_LINE
from protopi.config import Place, suggest
from protopi.errors import Problem, UserErrors
from recipes import rootfs_accounts, rootfs_needs, rootfs_services, rootfs_templates, rootfs_tree

if TYPE_CHECKING:
    from protopi.image import Image

#: Paths that the build writes itself, after the user's files. A folder stands for all that is in it.
WRITTEN = (
    "bin", "sbin", "lib", "etc/passwd", "etc/group", "etc/shadow", "etc/gshadow", "etc/shells", "etc/s6",
    "etc/machine-id", "usr/sbin/init", "usr/lib/modules",
)  # fmt: skip
#: Services that are made while the board runs: dhcp-eth0.
RUN_TIME_PREFIX = "dhcp-"


@dataclass(frozen=True, slots=True)
class Checker:
    """An image, where its keys stand, and the list that problems go to."""

    image: Image
    places: Mapping[str, Place]
    problems: list[Problem]
    project: Path

    def say(self, key: str, message: str, hint: str = "") -> None:
        """Note a problem with a key."""
        place = self.places.get(key) or self.places.get(key.rpartition(".")[0]) or self.places[""]
        self.problems.append(Problem(message, where=str(place), key=key, hint=hint))

    def board(self, boards: Iterable[str]) -> None:
        """The board exists."""
        known, name = list(boards), self.image.board
        if not name and "board" not in self.places:
            self.say("board", "is missing", "boards: " + ", ".join(known))
        elif name and name not in known:
            self.say("board", f"there is no board `{name}`", suggest(name, known) or "boards: " + ", ".join(known))

    def partitions(self) -> None:
        """The sizes can be laid out."""
        sizes = self.image.partitions
        try:
            layout.compute(int(sizes.boot), int(sizes.root), int(sizes.data))
        except UserErrors as error:
            for problem in error.problems:
                self.say(problem.key, problem.message, problem.hint)

    def packages(self) -> None:
        """No package is both asked for and dropped by one file (a later file takes back what an earlier one says)."""
        for index, name in enumerate(self.image.drop):
            if name in self.image.packages:
                self.say(f"drop[{index}]", f"{name} stands under `packages:` too", "keep one of the two")

    def needs(self) -> None:
        """What the base system runs on is neither excluded nor dropped."""
        for index, pattern in enumerate(self.image.exclude):
            for path in rootfs_needs.needed(ssh=self.image.ssh.enabled):
                if rootfs_tree.matches(path, (pattern.lstrip("/"),)):
                    self.say(f"exclude[{index}]", f"the image cannot run without /{path}", "take a narrower pattern")
        for package in rootfs_needs.packages(ssh=self.image.ssh.enabled):
            if package in self.image.drop:
                index = self.image.drop.index(package)
                hint = "or `ssh: {enabled: false}`" if package == rootfs_needs.SSH_PACKAGE else ""
                self.say(f"drop[{index}]", f"the image cannot run without {package}", hint)

    def config_txt(self) -> None:
        """Each line is one that the firmware reads to its end."""
        for key, value in self.image.config_txt.items():
            if len(f"{key}={value}") > CONFIG_LINE:
                self.say(f"config_txt.{key}", f"the firmware reads {CONFIG_LINE} characters of a line")

    def services(self) -> None:
        """Names are free, users exist, programs have whole paths."""
        users, groups = rootfs_accounts.known_names()
        base = {service.name for service in rootfs_services.base_services(ssh=True)}
        services = self.image.services
        own = {name for name, service in services.items() if service.user == rootfs_services.OWN_ACCOUNT}
        for name, service in services.items():
            key = f"services.{name}"
            if name in base or name.startswith(RUN_TIME_PREFIX):
                self.say(key, f"{name} is a service of every image", "take another name")
            if name in own and name in users | groups:
                self.say(f"{key}.user", f"{name} is an account or group of every image: it cannot be the service's own",
                         "rename the service, or name the account that is to run it")  # fmt: skip
            elif service.user not in users | own | {rootfs_services.OWN_ACCOUNT}:
                known = ", ".join(sorted(users | own))
                self.say(f"{key}.user", f"there is no account {service.user}",
                         f"one of {known}; or `own`, for an account of the service's own")  # fmt: skip
            program = service.command[0] if service.command else ""
            if not program.startswith("/"):
                self.say(f"{key}.command", f"`{program}` is no absolute path" if program else "is empty",
                         "give the program's whole path, as /usr/bin/python3")  # fmt: skip

    def files(self) -> None:
        """Destinations can be had, and belong to somebody; templates can be read."""
        users, groups = rootfs_accounts.known_names()
        own = {name for name, s in self.image.services.items() if s.user == rootfs_services.OWN_ACCOUNT}
        base = set(_base_files(self.project / "image/rootfs"))
        folders = {parent for path in base for parent in rootfs_tree.parents(path)} | set(
            rootfs_tree.skeleton().entries
        )
        taken: dict[str, str] = {}
        for dest, file in self.image.files.items():
            key = f"files.{dest}"
            for word, name, known in (("owner", file.owner, users | own), ("group", file.group, groups | own)):
                if name not in known:
                    what = "account" if word == "owner" else "group"
                    self.say(f"{key}.{word}", f"there is no {what} {name}", suggest(name, known))
            for path, source in _landing(dest, file.source):
                self._destination(key, path, folders)
                if path in taken:
                    self.say(key, f"/{path} is there twice", f"the other is {taken[path]}")
                taken[path] = key
                if source.suffix == ".j2":
                    self.problems.extend(rootfs_templates.check_template(source))
        for path, key in taken.items():
            for parent in rootfs_tree.parents(path):
                if parent in taken or parent in base:
                    self.say(key, f"/{parent} is a file: there can be nothing below it")

    def _destination(self, key: str, path: str, folders: set[str]) -> None:
        top = path.split("/")[0]
        if top in rootfs_tree.VOLATILE:
            hint = "a service can make it when it starts" if top != "dev" else "devices are made by the kernel"
            self.say(key, f"/{path} would not be seen: another file system is mounted on /{top}", hint)
        elif any(path == name or path.startswith(f"{name}/") for name in WRITTEN):
            self.say(key, f"/{path} is made by the build", "accounts come from `services:` with `user: own`")
        elif path in folders:
            self.say(key, f"/{path} is a folder of the image", "name the file in it")


def check_image(
    image: Image, places: Mapping[str, Place], problems: list[Problem], project: Path, boards: Iterable[str]
) -> None:
    """Note all that is wrong with the image as a whole."""
    checker = Checker(image, places, problems, project)
    checker.board(boards)
    checks: tuple[Callable[[], None], ...] = (
        checker.partitions, checker.packages, checker.needs, checker.config_txt, checker.services, checker.files,
    )  # fmt: skip
    for check in checks:
        check()


def _base_files(folder: Path) -> Iterator[str]:
    for path in folder.rglob("*"):
        if not path.is_dir():
            yield path.relative_to(folder).as_posix().removesuffix(".j2")


def _landing(dest: str, source: Path) -> Iterator[tuple[str, Path]]:
    """Where a source's files come to lie (paths of the tree), each with the file itself."""
    if not source.is_dir():
        yield rootfs_tree.normalise(dest.removesuffix(".j2")), source
        return
    for folder, _, names in os.walk(source):
        for name in sorted(names):
            inner = Path(folder, name)
            path = f"{dest}/{inner.relative_to(source).as_posix()}"
            yield rootfs_tree.normalise(path.removesuffix(".j2")), inner
