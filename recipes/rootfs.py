# SPDX-License-Identifier: MIT
"""The root file system: Debian packages, our files and services, the kernel's modules, as one read-only erofs.

The tree is built in memory (recipes.rootfs_tree), checked (recipes.rootfs_check) and only then written. Output:
rootfs.erofs, and rootfs.json with every file, package, version and licence.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from protopi.errors import Problem, StepError, UserErrors
from protopi.recipe import Inputs, Recipe
from protopi.step import Context
from recipes import (
    rootfs_check,
    rootfs_debs,
    rootfs_firmware,
    rootfs_hooks,
    rootfs_needs,
    rootfs_services,
    rootfs_templates,
)
from recipes.firmware_module import FirmwareModule
from recipes.init import Init
from recipes.kernel import Kernel
from recipes.libmcp import LibMcp
from recipes.mcp_bench import McpBench
from recipes.mcp_module import McpModule
from recipes.mcp_net import McpNet
from recipes.mcp_policies import McpPolicies
from recipes.rootfs_accounts import Accounts, base_accounts, write_accounts
from recipes.rootfs_tree import Tree, merge_tar, skeleton

#: Never of use in an image: documentation, and the plumbing of other init systems. `exclude:` adds to it.
EXCLUDES = (
    "/usr/share/doc", "/usr/share/doc-base", "/usr/share/man", "/usr/share/info", "/usr/share/locale",
    "/usr/share/lintian", "/usr/share/linda", "/usr/share/bug", "/usr/share/bash-completion", "/usr/share/zsh",
    "/usr/share/fish", "/usr/share/menu", "/usr/share/applications", "/usr/share/icons", "/usr/share/pixmaps",
    "/usr/share/initramfs-tools", "/usr/share/apport", "/usr/share/gdb", "/usr/share/polkit-1", "/usr/share/debconf",
    "/usr/share/dbus-1", "/usr/share/perl5/Debian", "/usr/lib/systemd", "/usr/lib/udev", "/usr/lib/tmpfiles.d",
    "/usr/lib/sysusers.d", "/usr/lib/environment.d", "/usr/lib/binfmt.d", "/etc/systemd", "/etc/init.d", "/etc/rc?.d",
    "/etc/cron.*", "/etc/logrotate.d", "/etc/network", "/etc/ifplugd", "/etc/apparmor.d", "/etc/apparmor",
    "/etc/dbus-1", "/etc/default", "/etc/pam.d", "/etc/ld.so.conf.d", "/etc/ca-certificates",
    "/usr/lib/aarch64-linux-gnu/gconv", "/usr/lib/locale", "/usr/lib/mime", "/usr/lib/valgrind",
)  # fmt: skip
#: mkfs.erofs. Measured on pi4 without modules: stored 26.8 MB; lz4hc,12 in 4 KiB clusters 14.8, in 64 KiB clusters
#: 12.9, with tails in fragments 12.4; zstd,6 likewise 10.6 (level 3: 11.0; 9: 10.4; 19: 9.5, in minutes).
COMPRESSION = ("-zzstd,level=6", "-C65536", "-Efragments")
#: Read before ready, and cheaper to read as they are than to unpack (0: no clusters): with the 84 KB of mcp.ko
#: compressed, `./build.py gate pi4` printed 109,564,596 instructions from reset to ready, and 97,099,057 without. Of a
#: later image, with the 67 KB of init in the fragments 97,928,120 or 101,797,867, as the clusters there happened to be
#: cut by what lies before it, and 94,535,994 without.
AS_THEY_ARE = "0 usr/lib/modules/.*/extra/mcp\\.ko$\n0 usr/sbin/init$\n"


class Rootfs(Recipe):
    """The root file system of an image."""

    name = "rootfs"
    summary = "root file system: packages, services, modules, as a read-only erofs"
    licence = "LicenseRef-mixed"

    def inputs(self) -> Inputs:
        image = self.image
        user = {str(path): f"deb-{n}" for n, path in enumerate(image.debs)}
        user |= {str(file.source): f"file-{n}" for n, file in enumerate(image.files.values())}
        return Inputs(
            needs=(
                Kernel(image), McpModule(image), McpNet(image), FirmwareModule(image), Init(image),
                *((McpBench(image), LibMcp(image)) if image.test else ()),
                *((McpPolicies(image),) if image.policies else ()),
            ),
            debs={image.name: ("*",), "sources": tuple(rootfs_firmware.FIRMWARE)},
            files=("image/rootfs",),
            user_files=user,
            params={
                "name": image.name,
                "hostname": image.hostname,
                "timezone": image.timezone,
                "packages": list(image.packages),
                "debs": [{"name": user[str(path)], "file": path.name} for path in image.debs],
                "drop": list(image.drop),
                "unpack_only": list(image.unpack_only),
                "exclude": list(image.exclude),
                "removed": list(image.removed),
                "own": {key: list(words) for key, words in image.own.items()},
                "files": [
                    {"dest": dest, "name": user[str(f.source)], "source": f.source.name, "mode": f.mode,
                     "owner": f.owner, "group": f.group, "empty": empty_folders(f.source)}
                    for dest, f in image.files.items()
                ],
                "services": {
                    name: {"command": list(s.command), "user": s.user, "restart": s.restart, "log": int(s.log),
                           "environment": dict(s.environment)}
                    for name, s in image.services.items()
                },
                "modules": list(image.modules),
                "ssh": {"enabled": image.ssh.enabled, "authorized_keys": list(image.ssh.authorized_keys)},
                "wifi": None if image.wifi is None else {
                    "country": image.wifi.country,
                    "networks": [{"ssid": n.ssid.encode().hex(), "psk": wpa_key(n.ssid, n.psk)}
                                 for n in image.wifi.networks],
                },
                "console_shell": image.console_shell,
                "policies": image.policies,
                "test": image.test,
            },
        )  # fmt: skip

    @staticmethod
    def build(ctx: Context) -> None:
        tree, accounts = skeleton(), base_accounts()
        problems: list[Problem] = []
        packages, kept_out = add_packages(ctx, tree, accounts, problems)
        release = add_kernel(ctx, tree)
        add_ours(ctx, tree, accounts, release, problems)
        problems += rootfs_needs.missing(tree, ssh=bool(ctx.params["ssh"]["enabled"]))
        problems += tree.problems + check_owners(tree, accounts)
        problems += rootfs_check.check_tree(tree)
        if problems:
            raise UserErrors(problems)
        write_image(ctx, tree, accounts)
        (ctx.out / "rootfs.json").write_text(json.dumps(listing(tree, packages, kept_out), indent=1, sort_keys=True))


def wpa_key(ssid: str, psk: str) -> str:
    """The 256-bit key of a WPA network in hexadecimal, from its passphrase (IEEE 802.11, annex J.4) or as it is given.

    Computed here, so that the board need not (4096 rounds), and so that no character of a passphrase means anything.
    """
    if not psk or len(psk) == 64:
        return psk.lower()
    return hashlib.pbkdf2_hmac("sha1", psk.encode(), ssid.encode(), 4096, 32).hex()


def empty_folders(source: Path) -> list[str]:
    """The folders below a user's folder that hold nothing: only files reach the sandbox by themselves."""
    return sorted(
        path.relative_to(source).as_posix()
        for path in source.rglob("*")
        if path.is_dir() and not path.is_symlink() and not any(path.iterdir())
    )


def add_packages(
    ctx: Context, tree: Tree, accounts: Accounts, problems: list[Problem]
) -> tuple[dict[str, dict[str, str]], list[str]]:
    """Unpack the lock set minus `drop` and the user's .debs, run hooks; returns packages and unused libraries."""
    asked, params = set(ctx.params["packages"]), ctx.params
    locked = ctx.debs(params["name"])
    wanted = [deb.path for name, deb in sorted(locked.items()) if name not in params["drop"]]
    packages = [rootfs_debs.read_package(path) for path in wanted]
    packages += [rootfs_debs.read_users(ctx.user(deb["name"]), deb["file"]) for deb in params["debs"]]
    covered = rootfs_hooks.uncovered(packages, params["unpack_only"])
    if covered:
        raise UserErrors(covered)
    facts: dict[str, dict[str, str]] = {}
    excludes = (*EXCLUDES, *params["exclude"])
    unmatched: set[str] = set(params["exclude"])
    for package in packages:
        stream = rootfs_debs.read_files(package)
        merge_tar(tree, package.name, stream, excludes, unmatched)
        facts[package.name] = {
            "version": package.version,
            "source": package.source,
            "licence": rootfs_debs.licence_of(stream, package.name),
        }
    found = {*locked, *(package.name for package in packages)}
    problems += rootfs_needs.unmatched(params["own"], found, set(params["removed"]), unmatched)
    rootfs_hooks.run_hooks(tree, accounts, packages, params["unpack_only"])
    for name in rootfs_firmware.FIRMWARE:
        deb = ctx.debs("sources")[name]
        unpacked, package = Tree(), rootfs_debs.read_package(deb.path)
        stream = rootfs_debs.read_files(package)
        merge_tar(unpacked, name, stream, ())
        rootfs_firmware.copy_firmware(tree, name, unpacked)
        facts[name] = {"version": package.version, "source": package.source,
                       "licence": rootfs_debs.licence_of(stream, name)}  # fmt: skip
    unused = remove_unused_libraries(tree, keep=asked)
    ctx.say(f"{len(packages)} packages; not needed by any program: {', '.join(unused) or 'none'}")
    return {name: fact for name, fact in facts.items() if name not in unused}, unused


def remove_unused_libraries(tree: Tree, keep: set[str]) -> list[str]:
    """Take out packages of libraries that resolution brought and no program of the image needs; their names.

    Only packages whose files are all in the loader's own folders: whatever else a package has, somebody may want it.
    """
    used = rootfs_check.used_libraries(tree)
    only_libraries: dict[str, bool] = {}
    wanted: set[str] = set()
    for path, entry in tree.entries.items():
        if entry.kind == "dir" or not entry.package:
            continue
        library = rootfs_check.is_library(path)
        only_libraries[entry.package] = only_libraries.get(entry.package, True) and library
        name = path.rpartition("/")[2]
        if library and (tree.resolve(path) in used or name in rootfs_check.LOADED_AT_RUN_TIME):
            wanted.add(entry.package)
    unused = sorted(name for name, only in only_libraries.items() if only and name not in wanted | keep)
    gone = set(unused)
    tree.remove(lambda _, entry: entry.kind != "dir" and entry.package in gone)
    return unused


def add_kernel(ctx: Context, tree: Tree) -> str:
    """Add modules, PID 1 and what was compiled with it; returns the kernel's release."""
    made = {"mcp.ko": ctx.input("mcp_module"), "protopi_firmware.ko": ctx.input("firmware_module")}
    made["mcp_net.ko"] = ctx.input("mcp_net")
    for program in ("mcp-net", "mcp-xdp"):
        tree.write(f"usr/sbin/{program}", (made["mcp_net.ko"] / program).read_bytes(), 0o755)
    if ctx.params["policies"]:
        made["mcp_bpf.ko"] = ctx.input("mcp_policies")
        tree.write("usr/sbin/mcp-policy", (made["mcp_bpf.ko"] / "mcp-policy").read_bytes(), 0o755)
    modules = {name: folder / name for name, folder in made.items()}
    release = rootfs_firmware.copy_modules(tree, ctx.input("kernel") / "modules", modules)
    for name, folder in made.items():
        # PID 1 need not know the release.
        tree.link(f"usr/lib/protopi/{name}", f"../modules/{release}/extra/{name}")
        if ctx.params["test"]:
            for path in sorted((folder / "selftests").iterdir()):
                tree.write(f"usr/lib/protopi/selftests/{path.name}", path.read_bytes(), 0o755)
    if ctx.params["test"]:
        for path in sorted(ctx.input("mcp_bench").iterdir()):
            tree.write(f"usr/lib/protopi/{path.name}", path.read_bytes(), 0o755)
        for path in sorted((ctx.input("libmcp") / "tests").iterdir()):
            tree.write(f"usr/lib/protopi/libmcp/{path.name}", path.read_bytes(), 0o755)
    for path in sorted(ctx.input("init").iterdir()):
        place = "usr/sbin/init" if path.name == "init" else f"usr/lib/protopi/{path.name}"
        tree.write(place, path.read_bytes(), 0o755)
    return release


def add_ours(ctx: Context, tree: Tree, accounts: Accounts, release: str, problems: list[Problem]) -> None:
    """Add our files, services and accounts, the user's files and services, and what hooks make of the whole."""
    params = ctx.params
    values: Mapping[str, Any] = {**params, "kernel_release": release, "epoch": ctx.epoch}
    problems += rootfs_templates.copy_folder(tree, ctx.project / "image/rootfs", values, "image/rootfs")
    if params["console_shell"]:
        # Read by `report`, which owns the console: it starts a shell when it is asked to.
        tree.write("etc/protopi/console-shell", "")
    for file in params["files"]:
        problems += rootfs_templates.copy_user(
            tree, ctx.user(file["name"]), file["dest"].strip("/"), values, file["source"],
            mode=int(file["mode"], 8) if file["mode"] else None, owner=file["owner"], group=file["group"],
            empty=file["empty"],
        )  # fmt: skip
    zone = tree.entries.get(tree.resolve(f"usr/share/zoneinfo/{params['timezone']}") or "")
    if zone is None or not zone.data.startswith(b"TZif"):
        problems.append(Problem(f"no time zone {params['timezone']}", key="timezone", hint="as Europe/Berlin or UTC"))
    problems += rootfs_firmware.unknown_modules(tree, release, params["modules"])
    if "usr/bin/busybox" in tree:  # otherwise rootfs_needs says so
        rootfs_hooks.busybox_links(tree)
    base = rootfs_services.base_services(ssh=bool(params["ssh"]["enabled"]))
    rootfs_services.write_services(tree, accounts, base, own=False)
    own = rootfs_services.image_services(params["services"])
    problems += rootfs_services.write_services(tree, accounts, own, own=True)
    ctx.say(f"{rootfs_hooks.ca_bundle(tree)} certificates, {rootfs_hooks.byte_compile(tree)} Python files compiled")
    rootfs_hooks.var_folders(tree)
    write_accounts(tree, accounts)


def check_owners(tree: Tree, accounts: Accounts) -> list[Problem]:
    """A problem for each owner or group that is no account (then written as root's, so that all is reported)."""
    problems = []
    for path, entry in sorted(tree.entries.items()):
        if entry.owner not in accounts.users or entry.group not in accounts.groups:
            problems.append(Problem(f"/{path}: no account or group {entry.owner}:{entry.group}",
                                    hint="files belong to root or to an account of the image"))  # fmt: skip
    return problems


def write_image(ctx: Context, tree: Tree, accounts: Accounts) -> None:
    """Write rootfs.erofs and let fsck.erofs read all of it back."""
    archive, image = ctx.work / "rootfs.tar", ctx.out / "rootfs.erofs"
    archive.write_bytes(tree.tar(ctx.epoch, accounts.uids, accounts.groups))
    # Named after the image, not its content: the same for every build of it, and different between images.
    identity = uuid.uuid5(uuid.NAMESPACE_DNS, f"{ctx.params['name']}.rootfs.protopi")
    hints = ctx.work / "hints"
    hints.write_text(AS_THEY_ARE)
    ctx.run(["mkfs.erofs", "--quiet", *COMPRESSION, f"--compress-hints={hints}", f"-T{ctx.epoch}", "--ignore-mtime",
             f"-U{identity}", "-x-1", "--tar=f", image, archive])  # fmt: skip
    ctx.run(["fsck.erofs", "--extract", image])
    if image.stat().st_size % 4096:
        raise StepError(f"{image} is not a whole number of blocks")
    ctx.say(f"rootfs.erofs: {image.stat().st_size / 2**20:.2f} MiB, {len(tree.entries)} paths")


def listing(tree: Tree, packages: Mapping[str, Mapping[str, str]], unused: list[str]) -> dict[str, Any]:
    """What rootfs.json says: files (size, mode, owner, package) and packages (version, source, licence)."""
    files = {
        "/" + path: {
            "kind": entry.kind,
            "mode": f"{entry.mode:04o}",
            "owner": f"{entry.owner}:{entry.group}",
            "package": entry.package,
            **({"target": entry.target} if entry.kind == "link" else {"size": len(entry.data)}),
            **({"sha256": hashlib.sha256(entry.data).hexdigest()} if entry.kind == "file" else {}),
        }
        for path, entry in tree.entries.items()
    }
    return {"files": files, "packages": packages, "left_out": unused}
