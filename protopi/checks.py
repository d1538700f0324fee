# SPDX-License-Identifier: MIT
"""What single values of an image file may be. Each check returns what was expected, or "" when the value will do.

Values end up in shell scripts, config files and on the kernel's command line, so each is limited to what can mean
nothing there: that is decided here, once, and not where it is written.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
import stat
from pathlib import Path

#: Key types of OpenSSH that dropbear takes.
SSH_TYPES = (
    "ssh-ed25519", "ssh-rsa", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com",
)  # fmt: skip
#: Keys of config.txt that decide what is started, or that the build writes from other keys: key -> what to do instead.
OWNED_CONFIG = {
    **dict.fromkeys(("arm_64bit", "kernel", "kernel_address", "os_prefix", "cmdline", "device_tree", "upstream_kernel",
                     "overlay_prefix", "armstub", "start_file", "fixup_file", "start_x", "start_debug", "os_check",
                     "device_tree_address", "device_tree_end", "initramfs", "ramfsfile", "ramfsaddr", "ramfs",
                     "auto_initramfs", "include"), "the build sets it: it decides what is started"),
    **dict.fromkeys(("dtoverlay", "dtparam"), "the firmware applies no overlays here: use `overlays:`"),
}  # fmt: skip
#: "There is a 98-character line length limit" (Raspberry Pi documentation, config.txt, "File format").
CONFIG_LINE = 98


def check_name(value: str) -> str:
    """Names of images: they become file names."""
    return "" if re.fullmatch(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?", value) else "a name of a-z, 0-9, _ and -"


def check_hostname(value: str) -> str:
    """One label of RFC 1123, in small letters."""
    fits = re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", value)
    return "" if fits else "a host name of a-z, 0-9 and inner hyphens (63 at most)"


def check_account(value: str) -> str:
    """Names of accounts, groups and services (a service may have an account of its name)."""
    return "" if re.fullmatch(r"[a-z_][a-z0-9_-]{0,30}", value) else "a name of a-z, 0-9, _ and - (31 at most)"


def check_package(value: str) -> str:
    """Debian policy 5.6.1."""
    return "" if re.fullmatch(r"[a-z0-9][a-z0-9+.-]+", value) else "a Debian package name"


def check_line(value: str) -> str:
    """A text of one line, without control characters."""
    return "" if value.isprintable() else "one line of printable characters"


def check_absolute(value: str) -> str:
    """A path inside the image."""
    parts = value.split("/")
    if value.startswith("/") and value != "/" and not {"", ".", ".."} & set(parts[1:]) and value.isprintable():
        return ""
    return "an absolute path in the image, as /etc/motd"


def check_pattern(value: str) -> str:
    """A path pattern of `exclude:`."""
    return (
        "" if value.startswith("/") and len(value) > 1 and value.isprintable() else "a path pattern, as /usr/share/x*"
    )


def check_octal(value: str) -> str:
    """A file mode."""
    return "" if re.fullmatch(r"0?[0-7]{3,4}", value) else 'a mode in octal and in quotes, as "0644"'


def check_timezone(value: str) -> str:
    """A name of the time-zone database; whether it has it is seen when the image is made."""
    return "" if re.fullmatch(r"[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*", value) else "a time zone, as Europe/Berlin"


def check_module(value: str) -> str:
    """A kernel module by name."""
    return "" if re.fullmatch(r"[A-Za-z0-9_-]+", value) else "the name of a kernel module, as i2c_dev"


def check_word(value: str) -> str:
    """A word of the kernel's command line, which is ASCII and is split at blanks."""
    return "" if re.fullmatch(r"[!-~]+", value) else "one word of printable ASCII without blanks"


def check_variable(value: str) -> str:
    """The name of an environment variable."""
    return "" if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", value) else "a name of A-Z, a-z, 0-9 and _"


def check_country(value: str) -> str:
    """ISO 3166 alpha-2."""
    return "" if re.fullmatch(r"[A-Z]{2}", value) else "two capital letters, as DE"


def check_ssid(value: str) -> str:
    """IEEE 802.11: 1 to 32 bytes."""
    return "" if 1 <= len(value.encode(errors="replace")) <= 32 and value.isprintable() else "1 to 32 bytes on one line"


def check_psk(value: str) -> str:
    """A passphrase of IEEE 802.11 (8 to 63 printable ASCII characters) or the key itself; "" for an open network."""
    return (
        "" if re.fullmatch(r"([ -~]{8,63}|[0-9a-fA-F]{64})?", value) else "8 to 63 ASCII characters, or 64 hex digits"
    )


def check_config_key(value: str) -> str:
    """A key of config.txt that is the user's to set."""
    if value in OWNED_CONFIG:
        return f"another key ({OWNED_CONFIG[value]})"
    return "" if re.fullmatch(r"[a-z][a-z0-9_]*(:[01])?", value) else "a key of config.txt, as gpu_mem"


def check_config_value(value: object) -> str:
    """A value of config.txt."""
    text = str(value)
    if re.fullmatch(r"[!-~]([ -~]*[!-~])?", text) and len(text) <= CONFIG_LINE:
        return ""
    return f"one line of printable ASCII, {CONFIG_LINE} characters with its key at most"


def check_public_key(value: str) -> str:
    """A line of authorized_keys without options: type, base64, comment. The type stands in the base64 again."""
    expected = "a public key on one line, as id_ed25519.pub has it"
    if "PRIVATE KEY" in value:
        return "a public key: this is a PRIVATE one, which must never be in an image"
    words = value.split(None, 2)
    if not value.isprintable() or len(words) < 2:
        return expected
    if words[0] not in SSH_TYPES:
        return f"a key of type {', '.join(SSH_TYPES[:3])} ..."
    try:
        blob = base64.b64decode(words[1], validate=True)
    except (binascii.Error, ValueError):
        return f"{expected}; the part after {words[0]} is not base64"
    length = int.from_bytes(blob[:4])
    if blob[4 : 4 + length] != words[0].encode() or len(blob) < 4 + length + 32:
        return f"{expected}; the part after {words[0]} is cut off or of another type"
    return ""


def check_file(path: Path) -> str:
    """A regular file that can be read."""
    try:
        return "" if stat.S_ISREG(path.stat().st_mode) and os.access(path, os.R_OK) else "a regular, readable file"
    except OSError:
        return "a regular, readable file"


def check_source(path: Path) -> str:
    """A regular file, or a folder of files, folders and links, all of which can be read."""
    if not path.is_dir():
        return check_file(path) and "a regular, readable file or a folder"
    for folder, _, names in os.walk(path):
        if not os.access(folder, os.R_OK | os.X_OK):
            return f"a readable folder; {folder} is not"
        for name in names:
            inner = Path(folder, name)
            if not inner.is_symlink() and check_file(inner):
                return f"a folder of regular, readable files; {inner} is none"
    return ""


def check_deb(path: Path) -> str:
    """A Debian package: an ar archive whose first member is debian-binary (deb(5))."""
    if check_file(path) or not _head(path, 21).startswith(b"!<arch>\ndebian-binary"):
        return "a Debian package (.deb)"
    return ""


def check_overlay(path: Path) -> str:
    """A device-tree overlay: source, or compiled (its magic is d00dfeed)."""
    if check_file(path) or path.suffix not in (".dts", ".dtso", ".dtbo"):
        return "a device-tree overlay (.dtso, .dts or .dtbo)"
    if path.suffix == ".dtbo" and _head(path, 4) != b"\xd0\x0d\xfe\xed":
        return "a compiled device-tree overlay; write source into a .dtso"
    return ""


def _head(path: Path, count: int) -> bytes:
    with path.open("rb") as raw:
        return raw.read(count)
