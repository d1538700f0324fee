# SPDX-License-Identifier: MIT
"""The root file system's parts on small synthetic trees: no packages, no root, no sandbox."""

from __future__ import annotations

import io
import subprocess
import tarfile
from pathlib import Path

import pytest

from protopi.errors import UserError
from protopi.image import Image
from recipes import (
    rootfs,
    rootfs_check,
    rootfs_debs,
    rootfs_firmware,
    rootfs_hooks,
    rootfs_needs,
    rootfs_services,
    rootfs_templates,
)
from recipes.rootfs_accounts import Account, base_accounts, write_accounts
from recipes.rootfs_templates import copy_folder, copy_user
from recipes.rootfs_tree import Entry, Tree, merge_tar, normalise, skeleton
from tests.elf_fixture import make_elf

LIBRARIES = "usr/lib/aarch64-linux-gnu"


def package(name: str = "thing", postinst: str = "", triggers: str = "") -> rootfs_debs.Package:
    left = rootfs_debs.unknown_part("#!/bin/sh\n" + postinst) if postinst else ""
    return rootfs_debs.Package(name, "1", name, "arm64", Path(f"{name}.deb"), {"postinst": left} if left else {},
                               rootfs_debs.unknown_triggers(triggers))  # fmt: skip


def messages(tree: Tree) -> str:
    return "\n".join(str(problem) for problem in rootfs_check.check_tree(tree))


def tar_of(**members: bytes | str | None) -> bytes:
    """A tar as dpkg-deb makes it: bytes are files, texts links, None folders; __ in a name stands for /."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo("./" + name.replace("__", "/"))
            info.uname = info.gname = "root"
            if content is None:
                info.type = tarfile.DIRTYPE
            elif isinstance(content, str):
                info.type, info.linkname = tarfile.SYMTYPE, content
            else:
                info.size = len(content)
            tar.addfile(info, io.BytesIO(content) if isinstance(content, bytes) else None)
    return out.getvalue()


# Packages and their scripts


def test_uncovered_script_is_refused_by_name() -> None:
    problems = rootfs_hooks.uncovered([package("nginx", "adduser nginx\n"), package("tzdata", "db_get x\n")], ())
    assert [str(p).split()[2] for p in problems] == ["nginx"]
    assert "unpack_only: [nginx]" in problems[0].hint
    assert "adduser nginx" in problems[0].message


def test_unpack_only_takes_it() -> None:
    assert rootfs_hooks.uncovered([package("nginx", "adduser nginx\n")], ["nginx"]) == []


def test_debhelpers_blocks_alone_are_known() -> None:
    script = (
        "set -e\n# Automatically added by dh_installsystemd/13\nif true; then\n  systemctl start x\nfi\n"
        "# End automatically added section\nexit 0\n"
    )
    assert rootfs_debs.unknown_part("#!/bin/sh\n" + script) == ""
    assert "systemctl" in rootfs_debs.unknown_part("#!/bin/sh\n" + script.replace("dh_installsystemd", "dh_magic"))
    assert "print" in rootfs_debs.unknown_part("#!/usr/bin/perl\nprint 1;\n")


def test_unknown_trigger_is_refused() -> None:
    assert package(triggers="activate-noawait ldconfig\ninterest x\n").triggers == ()
    problems = rootfs_hooks.uncovered([package("fonts", triggers="activate update-fonts\n")], ())
    assert "fonts" in problems[0].message
    assert "update-fonts" in problems[0].message


def test_foreign_architecture_is_refused() -> None:
    amd64 = rootfs_debs.Package("own", "1", "own", "amd64", Path("own.deb"), {}, ())
    with pytest.raises(UserError, match="amd64"):
        rootfs_debs.check_architecture(amd64)


def test_a_real_deb_is_read(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "DEBIAN").mkdir(parents=True)
    (root / "DEBIAN/control").write_text(
        "Package: own\nVersion: 1.2\nArchitecture: arm64\nMaintainer: me <me@example.org>\nDescription: x\n"
    )
    (root / "DEBIAN/postinst").write_text("#!/bin/sh\nset -e\nmknod /dev/own c 1 1\n")
    (root / "DEBIAN/postinst").chmod(0o755)
    copyright_file = root / "usr/share/doc/own/copyright"
    copyright_file.parent.mkdir(parents=True)
    copyright_file.write_text(
        "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\nFiles: *\nLicense: MIT\n"
    )
    subprocess.run(["dpkg-deb", "--build", "--root-owner-group", root, tmp_path / "own.deb"], check=True)
    read = rootfs_debs.read_package(tmp_path / "own.deb")
    assert (read.name, read.version, read.architecture) == ("own", "1.2", "arm64")
    assert read.scripts == {"postinst": "mknod /dev/own c 1 1"}
    assert rootfs_debs.licence_of(rootfs_debs.read_files(read), "own") == "MIT"


def test_a_users_deb_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "deb-0").write_bytes(b"!<arch>\ndebian-binary   cut off")
    with pytest.raises(UserError, match=r"own\.deb is not a Debian package"):
        rootfs_debs.read_users(tmp_path / "deb-0", "own.deb")


def test_an_entry_of_a_list_that_matches_nothing_is_named() -> None:
    own = {"drop": ["tar", "gone", "nosuch"], "unpack_only": ["tar", "nosuch2"], "exclude": ["/a", "/b"]}
    problems = rootfs_needs.unmatched(own, {"tar"}, {"gone"}, {"/b", "/of/the/project"})
    assert [(p.key, p.message.split()[0]) for p in problems] == [
        ("drop", "nosuch"), ("unpack_only", "nosuch2"), ("exclude", "/b"),
    ]  # fmt: skip


def test_a_pattern_that_matches_is_no_longer_unmatched() -> None:
    unmatched = {"/usr/bin/a", "/usr/bin/none"}
    merge_tar(skeleton(), "a", tar_of(bin=None, bin__a=b"1"), tuple(unmatched), unmatched)
    assert unmatched == {"/usr/bin/none"}


def test_what_the_base_needs_and_the_image_lacks_is_named_with_its_package() -> None:
    tree = skeleton()
    for path in rootfs_needs.needed(ssh=True):
        tree.write(path, "x", 0o755)
    assert rootfs_needs.missing(tree, ssh=True) == []
    del tree.entries["usr/bin/busybox"], tree.entries["usr/sbin/dropbear"]
    assert [p.message.split()[0] for p in rootfs_needs.missing(tree, ssh=True)] == [
        "/usr/bin/busybox",
        "/usr/sbin/dropbear",
    ]
    assert [p.message.split()[0] for p in rootfs_needs.missing(tree, ssh=False)] == ["/usr/bin/busybox"]


def test_a_module_that_the_kernel_does_not_have_is_named_with_a_hint() -> None:
    tree = skeleton()
    tree.write("usr/lib/modules/6/kernel/i2c-dev.ko", "")
    tree.write("usr/lib/modules/6/modules.builtin", "kernel/fs/erofs.ko\n")
    problems = rootfs_firmware.unknown_modules(tree, "6", ["i2c_dev", "i2c-dev", "erofs", "i2c_dve"])
    assert [(p.message, p.hint) for p in problems] == [("the kernel has no module i2c_dve", "did you mean i2c_dev?")]


# The tree


def test_merged_usr() -> None:
    assert normalise("./bin/ls") == "usr/bin/ls"
    assert normalise("/lib/x.so") == "usr/lib/x.so"
    assert normalise("./libexec/x") == "libexec/x"


def test_packages_merge_without_excludes_and_conflicts_show() -> None:
    tree = skeleton()
    merge_tar(tree, "a", tar_of(bin=None, bin__a=b"1", usr__share__doc__a=b"d", etc__a=None), ("/usr/share/doc",))
    assert tree["usr/bin/a"].package == "a"
    assert tree["etc/a"].kind == "dir"
    assert not any("doc" in path for path in tree.entries)
    merge_tar(tree, "b", tar_of(usr__bin__a=b"2"), ())
    assert "two packages: a and b" in tree.problems[0].message


def test_owners_and_modes_are_applied() -> None:
    tree, accounts = skeleton(), base_accounts([Account("ntpd", 110)])
    tree.write("etc/secret", "x", 0o640, owner="ntpd", group="i2c")
    with tarfile.open(fileobj=io.BytesIO(tree.tar(1000, accounts.uids, accounts.groups))) as tar:
        info = tar.getmember("etc/secret")
        assert tar.getmember(".").mode == 0o755
    assert (info.uid, info.gid, info.mode, info.mtime) == (110, 102, 0o640, 1000)
    tree.write("etc/other", "x", owner="stranger")
    assert "stranger" in str(rootfs.check_owners(tree, accounts)[0])


def test_same_tree_same_bytes_whatever_the_order() -> None:
    accounts = base_accounts()
    one, two = skeleton(), skeleton()
    for tree, names in ((one, "abc"), (two, "cba")):
        for name in names:
            tree.write(f"etc/{name}", name)
    assert one.tar(1, accounts.uids, accounts.groups) == two.tar(1, accounts.uids, accounts.groups)


def test_hard_links_stay_hard_links() -> None:
    tree, accounts = skeleton(), base_accounts()
    entry = Entry("file", 0o644, data=b"zone" * 10)
    tree.put("usr/share/a", entry)
    tree.put("usr/share/b", entry)
    with tarfile.open(fileobj=io.BytesIO(tree.tar(1, accounts.uids, accounts.groups))) as tar:
        assert tar.getmember("usr/share/b").islnk()


def test_exclude_says_what_matched_nothing() -> None:
    tree = skeleton()
    tree.write("usr/share/x/y", "1")
    assert tree.exclude(["/usr/share/x", "/nothing"]) == {"/nothing"}
    assert "usr/share/x/y" not in tree


def test_accounts_have_no_password_and_collisions_are_refused() -> None:
    tree, accounts = skeleton(), base_accounts()
    accounts.derive("camera")
    write_accounts(tree, accounts)
    shadow = tree["etc/shadow"]
    assert shadow.mode == 0o600
    assert all(line.split(":")[1] == "!*" for line in shadow.data.decode().splitlines())
    assert messages(tree) == ""
    with pytest.raises(KeyError, match="collides"):
        accounts.add(Account("other", 100))
    assert base_accounts().derive("camera") == accounts.users["camera"], "the number follows from the name alone"


# Hooks


def test_applets_are_read_from_the_binary() -> None:
    names = sorted(["[", "[[", "modprobe", "init", "su", *(f"a{n:02}" for n in range(60)), "sh"])
    tree = skeleton()
    tree.write("usr/bin/busybox", b"\x7fELF\x01" + b"\0".join(n.encode() for n in names) + b"\0\0", 0o755)
    tree.write("usr/bin/a00", "the real one", 0o755)
    rootfs_hooks.busybox_links(tree)
    assert tree["usr/bin/sh"].target == "busybox"
    assert tree["usr/sbin/modprobe"].target == "../bin/busybox"
    assert tree["usr/bin/a00"].kind == "file", "a package's program wins"
    assert "usr/sbin/init" not in tree
    assert "usr/bin/su" not in tree
    with pytest.raises(ValueError, match="applets"):
        rootfs_hooks.applets(b"something else")


def test_certificates_become_one_bundle() -> None:
    tree = skeleton()
    tree.write("usr/share/ca-certificates/mozilla/B.crt", "B")
    tree.write("usr/share/ca-certificates/mozilla/A.crt", "A\n")
    assert rootfs_hooks.ca_bundle(tree) == 2
    assert tree["etc/ssl/certs/ca-certificates.crt"].data == b"A\nB\n"
    assert tree.resolve("usr/lib/ssl/cert.pem") == "etc/ssl/certs/ca-certificates.crt"


def test_var_becomes_a_list() -> None:
    tree = skeleton()
    tree.folder("var/lib/thing", 0o750, owner="daemon")
    rootfs_hooks.var_folders(tree)
    assert b"750 daemon:root /var/lib/thing\n" in tree["usr/lib/protopi/var-folders"].data
    assert not any(path.startswith("var/") for path in tree.entries)


def test_firmware_comes_with_both_ends_of_a_link(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rootfs_firmware, "FIRMWARE", {"fw": ("usr/lib/firmware/brcm/x.bin",)})
    unpacked, tree = Tree(), skeleton()
    unpacked.write("usr/lib/firmware/cypress/y.bin", "firmware")
    unpacked.write("usr/lib/firmware/cypress/z.bin", "other")
    unpacked.link("usr/lib/firmware/brcm/x.bin", "../cypress/y.bin")
    rootfs_firmware.copy_firmware(tree, "fw", unpacked)
    assert tree.resolve("lib/firmware/brcm/x.bin") == "usr/lib/firmware/cypress/y.bin"
    assert "usr/lib/firmware/cypress/z.bin" not in tree


def test_unused_libraries_go_unless_asked_for() -> None:
    tree = skeleton()
    for name in ("used", "unused", "asked"):
        tree.put(f"{LIBRARIES}/lib{name}.so.1", Entry("file", 0o644, data=make_elf(kind="lib"), package=f"lib{name}1"))
    tree.put("usr/bin/p", Entry("file", 0o755, data=make_elf(needed=["libused.so.1"]), package="p"))
    assert rootfs.remove_unused_libraries(tree, keep={"libasked1"}) == ["libunused1"]
    assert f"{LIBRARIES}/libused.so.1" in tree
    assert f"{LIBRARIES}/libunused.so.1" not in tree


# Templates


def test_templates_are_rendered_and_modes_normalised(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/hostname.j2").write_text("{{ hostname }}\n")
    (tmp_path / "etc/script").write_text("#!/bin/sh\n")
    (tmp_path / "etc/script").chmod(0o700)
    (tmp_path / "etc/hostname.j2").chmod(0o600)
    tree = skeleton()
    assert copy_folder(tree, tmp_path, {"hostname": "pi"}, "image/rootfs") == []
    assert tree["etc/hostname"].data == b"pi\n"
    assert tree["etc/hostname"].mode == 0o644
    assert tree["etc/script"].mode == 0o755


def test_undefined_name_is_given_with_file_and_line(tmp_path: Path) -> None:
    (tmp_path / "a.j2").write_text("one\ntwo {{ nothing }}\n")
    (tmp_path / "b.j2").write_text("{% if %}\n")
    problems = copy_folder(skeleton(), tmp_path, {"hostname": "pi"}, "image/rootfs")
    assert [p.where for p in problems] == ["image/rootfs/a.j2:2", "image/rootfs/b.j2:1"]
    assert "nothing" in problems[0].message
    assert "hostname" in problems[0].hint


@pytest.mark.parametrize("text", ["{{ 1/0 }}", "{{ 'a' + 1 }}", "{% for i in range(10**9) %}{% endfor %}",
                                  "{{ ''.__class__.__mro__ }}", "{{ hostname.nosuch() }}"])  # fmt: skip
def test_whatever_a_template_raises_is_a_problem_with_file_and_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.j2").write_text(f"one\n{text}\n")
    problems = copy_folder(skeleton(), tmp_path, {"hostname": "pi"}, "own")
    assert [p.where for p in problems] == ["own/a.j2:2"]


def test_the_names_that_a_template_may_use_are_those_of_the_declaration() -> None:
    declared = rootfs.Rootfs(Image(board="pi4", name="tiny")).inputs().params
    assert declared.keys() | {"kernel_release", "epoch"} >= rootfs_templates.NAMES


def test_the_key_of_a_wireless_network_is_that_of_the_standard() -> None:
    expected = "f42c6fc52df0ebef9ebb4b90b38a5f902e83fe1b135a70e23aed762e9710a12e"  # IEEE 802.11, annex J.4.2
    assert rootfs.wpa_key("IEEE", "password") == expected
    assert rootfs.wpa_key("IEEE", expected.upper()) == expected
    assert rootfs.wpa_key("open", "") == ""


def test_empty_folders_do_not_vanish(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full/file").write_text("x")
    (tmp_path / "empty/deep").mkdir(parents=True)
    assert rootfs.empty_folders(tmp_path) == ["empty/deep"]
    staged = tmp_path / "full"  # what reaches the sandbox: files alone
    tree = skeleton()
    copy_user(tree, staged, "srv/x", {}, "x", mode=0o640, owner="daemon", group="daemon", empty=["empty/deep"])
    assert [(tree[f"srv/x/{p}"].kind, tree[f"srv/x/{p}"].owner) for p in ("empty", "empty/deep")] == [
        ("dir", "daemon")
    ] * 2
    assert tree["srv"].owner == "root"


def test_a_file_of_the_users_never_lies_below_a_file_nor_replaces_a_folder(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("x")
    tree = skeleton()
    tree.write("etc/motd", "x")
    for dest in ("etc/motd/x", "usr/bin"):
        assert copy_user(tree, tmp_path / "x", dest, {}, "x", mode=None, owner="root", group="root")
    assert tree["usr/bin"].kind == "dir"


def test_users_folder_gets_mode_and_owner(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/page").write_text("hello")
    tree = skeleton()
    copy_user(tree, tmp_path, "srv/www", {}, "www", mode=0o640, owner="daemon", group="daemon")
    assert (tree["srv/www/sub/page"].mode, tree["srv/www/sub"].mode) == (0o640, 0o750)
    assert tree["srv/www/sub/page"].owner == "daemon"


# Services


def test_service_folder() -> None:
    tree, accounts = skeleton(), base_accounts()
    tree.write("usr/bin/camera", "#!/x", 0o755)
    service = rootfs_services.Service("camera", ("/usr/bin/camera", "a b"), "own", "on-failure", 50000, {"K": "it's"})
    assert rootfs_services.write_services(tree, accounts, [service], own=True) == []
    run = tree["etc/s6/camera/run"]
    assert run.mode == 0o755
    assert "exec s6-setuidgid camera /usr/bin/camera 'a b'" in run.data.decode()
    assert """export K='it'"'"'s'""" in run.data.decode()
    assert 'finish camera on-failure "$1" "$2"' in tree["etc/s6/camera/finish"].data.decode()
    assert "log camera 10000" in tree["etc/s6/camera/log/run"].data.decode()
    assert int(tree["etc/s6/camera/timeout-finish"].data) > 60_000, "the longest back-off must fit"
    assert "camera" in accounts.users


def test_bad_services_are_all_reported() -> None:
    tree, accounts = skeleton(), base_accounts()
    base = rootfs_services.base_services(ssh=True)
    rootfs_services.write_services(tree, accounts, base, own=False)
    own = [rootfs_services.Service("ssh", ("/usr/bin/none",)), rootfs_services.Service("b", ("relative",), "nobody2")]
    problems = rootfs_services.write_services(tree, accounts, own, own=True)
    keys = [problem.key for problem in problems]
    assert keys == ["services.ssh", "services.ssh.command", "services.b.user", "services.b.command"]


def test_a_folder_is_no_program() -> None:
    tree, accounts = skeleton(), base_accounts()
    service = rootfs_services.Service("a", ("/etc",))
    assert [p.key for p in rootfs_services.write_services(tree, accounts, [service], own=True)] == [
        "services.a.command"
    ]


def test_a_service_may_be_run_by_the_account_of_a_later_one() -> None:
    tree, accounts = skeleton(), base_accounts()
    tree.write("usr/bin/x", "", 0o755)
    own = [rootfs_services.Service("a", ("/usr/bin/x",), "b"), rootfs_services.Service("b", ("/usr/bin/x",), "own")]
    assert rootfs_services.write_services(tree, accounts, own, own=True) == []


def test_no_ssh_service_without_ssh() -> None:
    assert "ssh" not in {service.name for service in rootfs_services.base_services(ssh=False)}


# The check


def sound_tree() -> Tree:
    """A program, its loader and a library with versions."""
    tree = skeleton()
    tree.write(f"{LIBRARIES}/ld-linux-aarch64.so.1", make_elf(kind="lib"), 0o755)
    tree.link("usr/lib/ld-linux-aarch64.so.1", "aarch64-linux-gnu/ld-linux-aarch64.so.1")
    tree.write(f"{LIBRARIES}/libc.so.6", make_elf(kind="lib", offers=["GLIBC_2.17", "GLIBC_2.41"]))
    tree.write("usr/bin/p", make_elf(needed=["libc.so.6"], wants={"libc.so.6": ["GLIBC_2.41"]}), 0o755)
    tree.write("usr/bin/script", "#!/usr/bin/p\n", 0o755)
    return tree


def test_sound_tree_has_no_problems() -> None:
    assert messages(sound_tree()) == ""


@pytest.mark.parametrize(
    ("path", "entry", "expected"),
    [
        ("usr/bin/x", Entry("file", 0o755, data=b"#!/usr/bin/perl -w\n"), "interpreter /usr/bin/perl is not"),
        ("usr/bin/x", Entry("file", 0o755, data=b"#!/usr/bin/env python3\n"), "/usr/bin/env is not"),
        ("usr/bin/x", Entry("link", 0o777, target="../gone"), "target ../gone is not in the image"),
        ("usr/bin/x", Entry("file", 0o755, data=make_elf(needed=["libz.so.1"])), "library libz.so.1 is not"),
        ("usr/bin/x", Entry("file", 0o755, data=make_elf(needed=["libc.so.6"], wants={"libc.so.6": ["GLIBC_9"]})),
         "wants version GLIBC_9 of libc.so.6"),
        ("usr/bin/x", Entry("file", 0o755, data=make_elf(interpreter="/lib/ld-musl-aarch64.so.1")), "/lib/ld-musl"),
        ("usr/bin/x", Entry("file", 0o755, data=make_elf(machine=62)), "not for aarch64 but EM_X86_64"),
        ("usr/bin/x", Entry("file", 0o755, data=b"\x7fELF\x02\x01\x01cut"), "damaged ELF"),
        ("usr/bin/x", Entry("file", 0o4755, data=b""), "setuid"),
        ("etc/x", Entry("file", 0o666, data=b""), "anybody may write"),
        ("etc/x", Entry("file", 0o600, data=b"-----BEGIN EC PRIVATE KEY-----\n" + b"A" * 40), "private key"),
        ("etc/x", Entry("file", 0o600, data=b"\0\0\0\x0bssh-ed25519\0\0\0\x40" + b"k" * 64), "private key"),
        ("etc/machine-id", Entry("file", 0o444, data=b"00"), "same identity"),
        ("etc/shadow", Entry("file", 0o600, data=b"root:$y$j9T$abc:1::::::\n"), "account root has a password"),
    ],
)  # fmt: skip
def test_each_fault_is_found(path: str, entry: Entry, expected: str) -> None:
    tree = sound_tree()
    tree.put(path, entry)
    found = rootfs_check.check_tree(tree)
    assert len(found) == 1
    assert expected in str(found[0])


def test_all_faults_at_once() -> None:
    tree = sound_tree()
    tree.link("etc/a", "nowhere")
    tree.write("usr/bin/b", "#!/nowhere\n", 0o755)
    tree.write("usr/bin/c", make_elf(needed=["liba.so.1", "libb.so.1"]), 0o755)
    assert len(rootfs_check.check_tree(tree)) == 4


def test_a_library_outside_the_loaders_folders_is_said_to_be() -> None:
    tree = sound_tree()
    tree.write("usr/lib/own/libq.so.1", make_elf(kind="lib"))
    tree.write("usr/bin/x", make_elf(needed=["libq.so.1"]), 0o755)
    assert "the loader does not look for libq.so.1 where it is, /usr/lib/own/libq.so.1" in messages(tree)
    tree.write("usr/bin/x", make_elf(needed=["libq.so.1"], runpath="$ORIGIN/../lib/own"), 0o755)
    assert messages(tree) == ""


def test_volatile_targets_are_accepted() -> None:
    tree = sound_tree()
    tree.link("etc/resolv.conf", "../run/resolv.conf")
    tree.link("etc/mtab", "/proc/self/mounts")
    assert messages(tree) == ""
