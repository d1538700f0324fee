# SPDX-License-Identifier: MIT
"""What makes a card one board's own: host name, SSH host key, who may log in, Wi-Fi, a token, the time zone.

None of it is ever in an image. It is written when a card is flashed, as `provision.txt` on the card's first partition;
the board takes it from there on its first boot, checks every line again, and removes it (image/rootfs/usr/lib/protopi/
provision). The image file is not touched: `apply` returns the bytes of the card that differ from it.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from protopi import boardfile, checks, layout, mbr
from protopi.boardfile import BoardFile
from protopi.boardfile_checks import check_token
from protopi.boot import tools as boot_tools
from protopi.boot.fat import Fat
from protopi.boot.tools import Tools
from protopi.errors import InfraError, Problem, UserError, UserErrors
from protopi.sandbox import Bind

FILE = "provision.txt"
#: The board reads no more of the file than this.
MOST = 65536
_MAKE_KEY = "dropbearkey -t ed25519 -f /tmp/key > /tmp/said && cat /tmp/said && echo private: && base64 -w0 /tmp/key"
_TYPE = "ssh-ed25519"
#: Where the board file keeps the fingerprint.
_PIN = "ssh.host_key"


@dataclass(frozen=True, slots=True)
class HostKey:
    """A board's SSH key: the private half as dropbear keeps it, the public line, OpenSSH's fingerprint."""

    private: bytes = field(repr=False)
    public: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Network:
    """A wireless network; `psk` empty: an open one."""

    ssid: str
    psk: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Provisioning:
    """What one card gets; what is empty is left as the image has it."""

    hostname: str = ""
    timezone: str = ""
    authorized_keys: tuple[str, ...] = ()
    country: str = ""
    networks: tuple[Network, ...] = ()
    token: str = field(default="", repr=False)
    host_key: HostKey | None = None


@dataclass(frozen=True, slots=True)
class Patch:
    """Bytes of the card, from `offset` on, that the file `path` holds instead of the image."""

    offset: int
    path: Path


def of_board(board: BoardFile, *, pin: bool = True) -> Provisioning:
    """What the board file says, with the files that it names read.

    `pin`: make sure that `commit` will be able to write to the board file, while there is nothing to regret yet.
    Raises UserErrors.
    """
    wanted = board.provision
    if pin and board.ssh:
        boardfile.rehearse(board.path, **{_PIN: "SHA256:" + "A" * 43})
    problems: list[Problem] = []
    keys = list(wanted.authorized_keys)
    for path in wanted.key_files:
        keys += _key_lines(path, problems)
    networks = []
    for index, network in enumerate(wanted.wifi.networks if wanted.wifi else ()):
        key = f"provision.wifi.networks[{index}].psk_file"
        psk = _secret(network.psk, network.psk_file, key, checks.check_psk, problems)
        networks.append(Network(network.ssid, psk))
    token = _secret(wanted.token, wanted.token_file, "provision.token_file", check_token, problems)
    hostname = wanted.hostname or board.name.replace("_", "-").strip("-")
    if expected := checks.check_hostname(hostname):
        hint = "give one: provision: {hostname: ...}"
        problems.append(
            Problem(f"expected {expected}, found `{hostname}`", str(board.path), "provision.hostname", hint)
        )
    if problems:
        raise UserErrors(problems)
    return Provisioning(
        hostname=hostname,
        timezone=wanted.timezone or "",
        authorized_keys=tuple(dict.fromkeys(keys)),
        country=wanted.wifi.country if wanted.wifi else "",
        networks=tuple(networks),
        token=token,
    )


def _key_lines(path: Path, problems: list[Problem]) -> list[str]:
    """The public keys of a file as ~/.ssh/id_ed25519.pub or authorized_keys."""
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        problems.append(Problem(f"cannot be read: {error}", where=str(path), key="provision.key_files"))
        return []
    found = [(number, line) for number, line in enumerate(lines, 1) if line and not line.startswith("#")]
    for number, line in found:
        if expected := checks.check_public_key(line):
            problems.append(Problem(f"expected {expected}", where=f"{path}:{number}", key="provision.key_files"))
    if not found:
        problems.append(Problem("holds no public key", where=str(path), key="provision.key_files"))
    return [line for _, line in found]


def _secret(inline: str, path: Path | None, key: str, check: Callable[[str], str], problems: list[Problem]) -> str:
    """A secret from the board file, or the first line of its own file; it is never shown."""
    if path is None:
        return inline
    try:
        text = path.read_text(encoding="utf-8").partition("\n")[0].rstrip("\r")
    except (OSError, UnicodeDecodeError) as error:
        problems.append(Problem(f"cannot be read: {error}", where=str(path), key=key))
        return ""
    expected = check(text) or ("" if text else "a secret on the first line, found nothing")
    if expected:
        problems.append(Problem(f"expected {expected}", where=str(path), key=key))
    return text


def new_host_key(tools: Tools) -> HostKey:
    """Make an Ed25519 key with dropbear's own program, without leaving a file. Raises InfraError."""
    said, _, private = boot_tools.run(tools, ["sh", "-c", _MAKE_KEY]).partition("private:\n")
    public = next((line for line in said.splitlines() if line.startswith(_TYPE)), "")
    stated = next((line.partition(": ")[2] for line in said.splitlines() if line.startswith("Fingerprint: ")), "")
    words = public.split()
    try:
        key = HostKey(base64.b64decode(private, validate=True), " ".join(words[:2]), fingerprint(words[1]))
    except (IndexError, binascii.Error) as error:
        raise InfraError("dropbearkey did not print a key") from error
    blob = base64.b64decode(words[1])
    # dropbear keeps: string "ssh-ed25519", string (32 bytes private, 32 bytes public).
    if stated != key.fingerprint or key.private[-32:] != blob[-32:] or len(key.private) != 4 + len(_TYPE) + 4 + 64:
        raise InfraError(f"dropbearkey made a key that is not the one it printed ({stated or 'no fingerprint'})")
    return key


def fingerprint(blob: str) -> str:
    """The SHA256 fingerprint of a public key's base64, as `ssh-keygen -l` prints it."""
    digest = hashlib.sha256(base64.b64decode(blob, validate=True)).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


def with_new_key(provisioning: Provisioning, tools: Tools) -> Provisioning:
    """The same, with a host key of its own."""
    return dataclasses.replace(provisioning, host_key=new_host_key(tools))


def provision_txt(provisioning: Provisioning) -> bytes:
    """The file that the board takes: KEY=VALUE lines. Raises UserError when the board would not read all of it."""
    p = provisioning
    lines = ["# Taken by the next boot, which then removes this file."]
    lines += [f"hostname={p.hostname}"] if p.hostname else []
    lines += [f"timezone={p.timezone}"] if p.timezone else []
    if p.host_key:
        lines.append(f"ssh_host_key={base64.b64encode(p.host_key.private).decode()}")
    # The board takes ASCII; only the comment behind a key may have more.
    lines += [f"ssh_key={key.encode('ascii', 'replace').decode()}" for key in p.authorized_keys]
    lines += [f"wifi_country={p.country}"] if p.country else []
    for network in p.networks:
        lines.append(f"wifi_ssid={network.ssid}")
        lines += [f"wifi_psk={network.psk}"] if network.psk else []
    lines += [f"token={p.token}"] if p.token else []
    text = "\n".join(lines) + "\n"
    if not all(line.isprintable() for line in lines):
        raise UserError("a value holds a character that cannot be printed", key="provision")
    if len(text.encode()) > MOST:
        hint = "fewer public keys, or shorter comments behind them"
        raise UserError(f"is {len(text.encode())} bytes long, the board reads {MOST}", key="provision", hint=hint)
    return text.encode()


def apply(image: Path, provisioning: Provisioning, tools: Tools, folder: Path) -> tuple[Patch, ...]:
    """The card's first partition with the file inside, as patches over the image, which stays as it is.

    They are made in `folder`, hold secrets and are readable by their owner alone; the caller removes them. Raises
    UserError when the image has no such partition, InfraError when a tool fails.
    """
    content = provision_txt(provisioning)
    with image.open("rb") as raw:
        _, partitions = mbr.parse(lambda offset, length: _pread(raw, offset, length))
        part = next((p for p in partitions if p.number == layout.SELECTOR), None)
        if part is None or part.type not in (mbr.TYPE_FAT16_LBA, mbr.TYPE_FAT32_LBA):
            raise UserError(
                "has no FAT as its first partition: there is no place for provisioning",
                where=str(image),
                hint="flash an image that was built here",
            )
        before = _pread(raw, part.offset, part.size)
    if len(before) != part.size:
        raise UserError("is shorter than its first partition", where=str(image), hint="build it again")
    work = Path(tempfile.mkdtemp(prefix="provision.", dir=folder))  # of mode 0700
    patch = folder / "selector.fat"
    try:
        made = work / "selector.fat"
        made.touch(mode=0o600)
        made.write_bytes(before)
        (work / FILE).touch(mode=0o600)
        (work / FILE).write_bytes(content)
        bind = Bind(work, "/host/work", writable=True)
        copy = ["mcopy", "-o", "-i", "/host/work/selector.fat", f"/host/work/{FILE}", f"::{FILE}"]
        boot_tools.run(tools, copy, [bind])
        _prove(before, made.read_bytes(), content)
        os.replace(made, patch)
    finally:
        shutil.rmtree(work)
    return (Patch(part.offset, patch),)


def _pread(raw: IO[bytes], offset: int, length: int) -> bytes:
    raw.seek(offset)
    return raw.read(length)


def _prove(before: bytes, after: bytes, content: bytes) -> None:
    """The file reads back, and every other file is the image's."""
    old = Fat(lambda offset, length: before[offset : offset + length])
    new = Fat(lambda offset, length: after[offset : offset + length])
    had = {path: old.read(path) for path, _ in old.walk() if path.lower() != f"/{FILE}"}
    has = {path: new.read(path) for path, _ in new.walk()}
    if len(after) != len(before) or has != {**had, f"/{FILE}": content}:
        raise InfraError("mcopy changed more of the first partition than provision.txt")


def commit(board: BoardFile, provisioning: Provisioning) -> bool:
    """Pin the card's host key in the board file: call it when the card has been written and verified, not before.

    False when there is nothing to pin: no key was made, or the board file says nothing of SSH. Raises UserError when
    the file cannot be changed in place.
    """
    if provisioning.host_key is None or board.ssh is None:
        return False
    boardfile.update(board.path, **{_PIN: provisioning.host_key.fingerprint})
    return True
