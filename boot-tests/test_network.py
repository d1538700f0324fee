# SPDX-License-Identifier: MIT
"""MCP in Ethernet frames: mcp_net.ko and mcp-xdp in the booted image (docs/network.md).

Its own tests play the peer over a pair of devices; here the host is the peer too, through QEMU's `-netdev stream`.
"""

from __future__ import annotations

import contextlib
import itertools
import random
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from module_bench import DEVEL, Bench, open_bench, outputs_of
from network_peer import Peer, Wire, malformed, strange_messages
from test_module import CHECKS, LOUD, OF_THE_CORE, REPORTS, SELFTESTS, SETTLED
from test_policy import EVERY_RECORD

from protopi.api import Session
from protopi.boot.qemu import Options
from protopi.boot.shell import ask, shell
from protopi.project import Project
from protopi.ui import Ui

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from conftest import BuiltImage

    Built = Callable[[str], BuiltImage]

pytestmark = pytest.mark.image
PROJECT = Project.here()
IMAGE = "virt-test"
#: The programs, and the fewest checks that each makes. net_test is the last: it unloads mcp_net.ko.
PROGRAMS = {"xdp_test": 28, "tool_test": 78, "net_test": 170}
#: One that wants mcp_net.ko not to be loaded.
BYPASS = {"bypass_test /usr/lib/protopi/mcp-bypass": 40}
#: A program for the host's test, which checks nothing itself.
HELPERS = {"net_serve"}
LOAD_DEVICES = "modprobe veth; echo status $?"
LOAD = "insmod /usr/lib/protopi/mcp_net.ko; echo status $?"
GENERATED = ("include/uapi/linux/mcp_net.h", "net/mcp_net_gen.h", "net/mcp_net_gen.c")
WAIT = "for i in 1 2 3 4 5 6 7 8 9; do grep {} {} && break; sleep 1; done"
#: Of the network card that only the host's test has.
CARD = "52:54:00:00:fa:f0"
OURS = "52:54:00:00:00:fe"
KEY = bytes(range(32))
#: Frames that the host spoils; so many at a time, with a good call after each time.
FUZZED, STRANGE, AT_ONCE, SEED = 2000, 500, 40, 2026
#: Counters of frames that became nothing.
DROPS = ("malformed", "strange", "limited", "overflow", "forged", "replayed", "expired", "unmapped", "lost")


@pytest.fixture(scope="module")
def bench(built: Built) -> Iterator[Bench]:
    built(IMAGE)
    with open_bench(PROJECT, Path(__file__).parent / "images" / f"{IMAGE}.yaml") as made:
        yield made


def build(bench: Bench, name: str) -> tuple[int, str]:
    """Build mcp.ko, for what it exports, and mcp_net.ko of a copy, in one tree of the kernel."""
    words = ("ARCH=arm64", "CROSS_COMPILE=aarch64-linux-gnu-", *CHECKS)
    script = 'for m in kernel net; do make -s -C "$0" M="$PWD/$1/$m" "$@" modules || exit; done'
    return bench.run("sh", "-c", script.replace('"$@"', " ".join(words)), DEVEL, name, devel=True)


def test_it_builds_without_a_word(bench: Bench) -> None:
    bench.copy("net-good")
    assert build(bench, "net-good") == (0, "")


def test_a_fault_is_reported(bench: Bench) -> None:
    source = bench.copy("net-bad") / "net/mcp_net_rx.c"
    source.write_text(source.read_text() + "\nstatic int __used mcp_fault(int __user *p)\n{\n\treturn *p;\n}\n")
    _, said = build(bench, "net-bad")
    assert "dereference of noderef expression" in said


def generate(bench: Bench, name: str) -> dict[str, str]:
    """What the kernel's own tool makes of the specification of a copy."""
    script = f"sh {name}/net/generate.sh {DEVEL}/tools/net/ynl /host/bench/{name}-made"
    assert bench.run("sh", "-c", script, devel=True) == (0, "")
    return {path: (bench.folder / f"{name}-made" / path).read_text() for path in GENERATED}


def test_what_was_generated_is_as_the_specification_says(bench: Bench) -> None:
    copy = bench.copy("net-spec")
    kept = {path: (PROJECT.root / "mcp" / path).read_text() for path in GENERATED}
    assert generate(bench, "net-spec") == kept
    spec = copy / "net/mcp_net.yaml"
    spec.write_text(spec.read_text().replace("exact-len: 6", "exact-len: 8"))
    assert generate(bench, "net-spec") != kept


def test_every_program_is_run_here() -> None:
    sources = {path.stem for path in (PROJECT.root / "mcp/net/selftests").glob("*_test.c")}
    assert sources == {name.split()[0] for name in PROGRAMS | BYPASS}


def run_programs(child: Any, programs: dict[str, int], seconds: float) -> None:
    for name, fewest in programs.items():
        # What mcp-xdp says of wrong words goes with it; a program that fails says so in its TAP.
        program = f"TEST_SECONDS={seconds - 10:.0f} {SELFTESTS}/{name}"
        said = ask(child, f"{program} > /tmp/tap 2> /tmp/said; echo status $?", seconds)
        wrong = ask(child, "grep -A2 '^not ok\\|^Bail' /tmp/tap | head -20")
        assert (said, wrong) == ("status 0", ""), f"{name}: {said}\n{wrong}"
        passed = int(ask(child, "grep -c '^ok' /tmp/tap"))
        assert ask(child, "grep '^1[.][.]' /tmp/tap") == f"1..{passed}"
        assert passed >= fewest, f"{name} made {passed} checks"


def test_it_is_loaded_by_hand_and_its_tests_pass(built: Built) -> None:
    image = built(IMAGE)
    with shell(image.path, image.board, image.tools, Options(realtime=True)) as child:
        ask(child, SETTLED, 60)
        before = ask(child, LOUD)
        assert ask(child, "grep -c '^mcp_net ' /proc/modules") == "0"
        assert ask(child, f"{SELFTESTS}/net_test | tail -1").startswith("1..0 # SKIP")
        assert ask(child, LOAD_DEVICES, 60) == "status 0"
        run_programs(child, BYPASS, 300)
        assert ask(child, LOAD, 60) == "status 0"
        run_programs(child, PROGRAMS, 300)
        assert ask(child, "rmmod mcp; echo status $?") == "status 0", "nothing of the tests holds it"
        assert ask(child, LOUD).removeprefix(before) == ""


@pytest.mark.full
@pytest.mark.timeout(5400)
def test_its_tests_pass_under_every_checker(built: Built) -> None:
    image = built("virt-debug")
    with shell(image.path, image.board, image.tools, Options(realtime=True), 900) as child:
        assert ask(child, LOAD_DEVICES, 120) == "status 0"
        run_programs(child, BYPASS, 1800)
        assert ask(child, LOAD, 120) == "status 0"
        run_programs(child, PROGRAMS, 1800)
        assert ask(child, "rmmod mcp; echo status $?", 60) == "status 0"
        assert ask(child, f"dmesg | grep -E '{REPORTS}' | grep -v {OF_THE_CORE}", 60) == ""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def talk(peer: Peer) -> None:
    """Calls, and what must not become one."""
    assert any(peer.connect(seconds=1) for _ in range(20))
    assert peer.limits == (1428, 32, 4000, 180)
    answer = peer.call(1, b"hello")
    assert answer is not None
    assert (answer.cookie, answer.status, answer.body) == (1, 0, b"olleh")
    answer = peer.call(2, bytes(1428))
    assert answer is not None
    assert len(answer.body) == 1428
    answer = peer.call(3, b"x", tool=3)
    assert answer is not None
    assert answer.status == 13, "EACCES: no such tool"

    frame = peer.request(4, b"once")
    peer.wire.send(frame)
    assert peer.answer() is not None
    peer.wire.send(frame)
    assert peer.answer(0.5) is None, "replayed"
    peer.wire.send(frame[:40] + bytes((frame[40] ^ 1,)) + frame[41:])
    assert peer.answer(0.5) is None, "changed"
    assert not Peer(peer.wire, OURS, peer.theirs, bytes(32)).connect(seconds=0.5), "another key"
    old = peer.request(5, b"old")
    assert peer.connect(peer.their_id), "a new session that continues the first"
    peer.wire.send(old)
    assert peer.answer(0.5) is None, "of the session before"
    answer = peer.call(6, b"again")
    assert answer is not None
    assert answer.body == b"niaga"


def counters(child: Any) -> dict[str, int]:
    """What mcp-net shows, but for the names of devices and peers."""
    lines = [line.split() for line in ask(child, "mcp-net show").splitlines()]
    return {name: int(value) for name, value in lines if value.isdigit()}


def good_call(peer: Peer, cookies: Iterator[int]) -> None:
    cookie = next(cookies)
    answer = peer.call(cookie, b"%d" % cookie)
    assert answer is not None
    assert (answer.cookie, answer.status, answer.body) == (cookie, 0, (b"%d" % cookie)[::-1])


def send_batches(peer: Peer, cookies: Iterator[int], frames: Iterator[bytes], count: int) -> int:
    """Send so many, with good calls before, between and after; how many calls that were."""
    good_call(peer, cookies)
    calls = 1
    for start in range(0, count, AT_ONCE):
        for frame in itertools.islice(frames, min(AT_ONCE, count - start)):
            peer.wire.send(frame)
        # What is said about strange messages comes first.
        while peer.message(0.2) is not None:
            pass
        good_call(peer, cookies)
        calls += 1
    return calls


def spoil(child: Any, peer: Peer) -> None:
    """Frames that nobody sealed are all dropped and counted; messages that make no sense disturb nobody."""
    random.seed(SEED)
    cookies = itertools.count(1 << 40)
    assert any(peer.connect(peer.their_id, seconds=1) for _ in range(20))
    before = counters(child)
    calls = send_batches(peer, cookies, malformed(peer), FUZZED)
    after = counters(child)
    more = {name: after[name] - before[name] for name in after}
    assert sum(more[name] for name in DROPS) == FUZZED, more
    assert (more["rx"], more["tx"], more["sessions"]) == (calls, calls, 0), more
    assert all(more[name] for name in ("malformed", "strange", "limited", "forged")), more
    assert after["session"] == peer.their_id

    calls = send_batches(peer, cookies, strange_messages(peer), STRANGE)
    rx = counters(child)["rx"] - after["rx"]
    assert rx == STRANGE + calls, "each of them was authentic"


def bind_card(child: Any) -> None:
    """An endpoint, and the network card bound to it."""
    assert ask(child, "modprobe virtio_net; echo status $?", 60) == "status 0"
    card = ask(child, f"grep -l {CARD} /sys/class/net/*/address").split("/")[4]
    ask(child, f"ip link set {card} up")
    ask(child, f"{SELFTESTS}/net_serve host > /tmp/serve 2>&1 & sleep 1")
    assert ask(child, WAIT.format("ready", "/tmp/serve"), 30) == "ready"
    digits = "".join(f"\\{byte:03o}" for byte in KEY)
    ask(child, f"umask 077; printf '{digits}' > /tmp/key")
    bind = f"mcp-net bind {card} host /tmp/key peer={OURS} frames=4000"
    ask(child, f"({bind}; echo status $?) > /tmp/bind 2>&1 & sleep 1")
    assert ask(child, WAIT.format("bound", "/tmp/bind"), 30) == "bound"


def test_the_host_calls_over_a_wire(built: Built) -> None:
    image = built(IMAGE)
    with socket.socket() as listener, contextlib.ExitStack() as stack:
        listener.bind(("127.0.0.1", 0))
        listener.listen(1)
        address = f"addr.type=inet,addr.host=127.0.0.1,addr.port={listener.getsockname()[1]}"
        extra = (
            "-netdev",
            f"stream,id=wire,server=off,{address}",
            "-device",
            f"virtio-net-device,netdev=wire,mac={CARD}",
        )
        # Forwarding is what gives QEMU the host's network.
        options = Options(realtime=True, forward=((free_port(), 22),), extra=extra)
        child = stack.enter_context(shell(image.path, image.board, image.tools, options))
        wire = Wire(listener)
        wire.receive(1)
        assert wire.connection is not None
        stack.enter_context(wire.connection)
        bind_card(child)
        peer = Peer(wire, OURS, CARD, KEY)
        talk(peer)
        spoil(child, peer)
        answer = peer.call(7, b"stop")
        assert answer is not None
        assert answer.body == b"pots"
        assert ask(child, "wait; grep -v '^# kind' /tmp/serve", 60) == "ready"
        assert ask(child, "cat /tmp/bind") == "bound\nmcp-net: the binding has ended\nstatus 3"
        assert ask(child, "rmmod mcp_net; echo status $?") == "status 0"


def test_a_binding_is_a_record_of_the_audit(built: Built) -> None:
    image = built(IMAGE)
    nowhere = ("-netdev", "hubport,id=wire,hubid=0", "-device", f"virtio-net-device,netdev=wire,mac={CARD}")
    options = Options(realtime=True, extra=nowhere, append=("audit=1",))
    with shell(image.path, image.board, image.tools, options) as child:
        assert ask(child, f"{EVERY_RECORD}; echo status $?") == "status 0"
        bind_card(child)
        (record,) = ask(child, "sleep 1; dmesg | grep -o 'mcp op=bind .*'").splitlines()
        assert {"endpoint=host", "rights=0x2", "label=-", "depth=0", "uid=0", "res=1", "errno=0"} <= set(record.split())


def test_a_product_image_carries_them_and_no_test(built: Built) -> None:
    built("pi4")
    session = Session(PROJECT, Ui())
    listing = (outputs_of(session, session.plan("pi4"), "rootfs")["rootfs"] / "rootfs.json").read_text()
    assert "/usr/sbin/mcp-net" in listing
    assert "/usr/sbin/mcp-xdp" in listing
    assert "/extra/mcp_net.ko" in listing
    assert "net_test" not in listing
    assert "mcp-bypass" not in listing
