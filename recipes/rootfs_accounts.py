# SPDX-License-Identifier: MIT
"""Accounts as declared data: /etc/passwd, /etc/group and /etc/shadow are written from this table alone.

No account has a password, so none can log in with one; only root has a shell. Numbers up to 99 are Debian's own
(base-passwd); ours stand in 100-199; an image's services get a number that is derived from their name, so that their
files on the data partition stay theirs when services come and go.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import dataclass

from recipes.rootfs_tree import Tree

NOLOGIN = "/usr/sbin/nologin"
#: Accounts derived from a name live in this range.
FIRST_DERIVED, DERIVED = 20000, 30000


@dataclass(frozen=True, slots=True)
class Account:
    """A user; its group has the same name and number."""

    name: str
    number: int
    home: str = "/nonexistent"
    shell: str = NOLOGIN
    comment: str = ""


ROOT = Account("root", 0, "/root", "/bin/sh")
#: Always there.
BASE_ACCOUNTS = (
    ROOT,
    Account("daemon", 1, "/usr/sbin"),
    Account("log", 100, "/data/log", comment="service logs"),
    Account("nobody", 65534),
)
#: Accounts that packages bring, by package.
PACKAGE_ACCOUNTS = {"openntpd": Account("ntpd", 110, "/run/openntpd", comment="time")}
#: Groups without a user; devices belong to some of them (image/rootfs/etc/mdev.conf).
BASE_GROUPS = {
    "bin": 2, "sys": 3, "adm": 4, "tty": 5, "disk": 6, "lp": 7, "mail": 8, "kmem": 15, "dialout": 20, "cdrom": 24,
    "audio": 29, "staff": 50, "shadow": 42, "utmp": 43, "video": 44, "input": 101, "i2c": 102, "spi": 103, "gpio": 104,
    "netdev": 105, "io_uring": 106, "crontab": 107, "users": 1000, "nogroup": 65533,
}  # fmt: skip


@dataclass(slots=True)
class Accounts:
    """The accounts of an image; hooks of packages and services add theirs."""

    users: dict[str, Account]
    groups: dict[str, int]

    def add(self, account: Account) -> None:
        """Add a user with its group; the same again is nothing, another of that number or name is a KeyError."""
        for name, number in self.groups.items():
            if (number == account.number) != (name == account.name):
                raise KeyError(f"account {account.name} ({account.number}) collides with {name} ({number})")
        self.users[account.name] = account
        self.groups[account.name] = account.number

    def derive(self, name: str, home: str = "/nonexistent") -> Account:
        """An account whose number follows from its name alone (the next free one if two names meet)."""
        if name in self.users:
            return self.users[name]
        number = FIRST_DERIVED + zlib.crc32(name.encode()) % DERIVED
        while number in self.groups.values():
            number += 1
        self.add(Account(name, number, home))
        return self.users[name]

    @property
    def uids(self) -> dict[str, int]:
        """Numbers by user name."""
        return {name: account.number for name, account in self.users.items()}


def base_accounts(extra: Iterable[Account] = ()) -> Accounts:
    """The accounts of every image, and those given."""
    accounts = Accounts({}, dict(BASE_GROUPS))
    for account in (*BASE_ACCOUNTS, *extra):
        accounts.add(account)
    return accounts


def known_names() -> tuple[set[str], set[str]]:
    """The names of the users and of the groups that an image can have without declaring them."""
    accounts = base_accounts(PACKAGE_ACCOUNTS.values())
    return set(accounts.users), set(accounts.groups)


def write_accounts(tree: Tree, accounts: Accounts) -> None:
    """Write passwd, group, shadow and shells. `!*` can be no hash of anything: the account is locked."""
    users = sorted(accounts.users.values(), key=lambda a: a.number)
    groups = sorted(accounts.groups.items(), key=lambda g: g[1])
    passwd = (f"{u.name}:x:{u.number}:{u.number}:{u.comment}:{u.home}:{u.shell}\n" for u in users)
    tree.write("etc/passwd", "".join(passwd))
    tree.write("etc/group", "".join(f"{name}:x:{number}:\n" for name, number in groups))
    tree.write("etc/shadow", "".join(f"{u.name}:!*:::::::\n" for u in users), 0o600)
    tree.write("etc/shells", "/bin/sh\n")
