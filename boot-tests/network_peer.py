# SPDX-License-Identifier: MIT
"""The other side of mcp_net.ko on the host: frames over QEMU's `-netdev stream`, by docs/network.md alone.

Frames are built, taken apart and spoilt by scapy (GPL-2.0-only; no image and no other file uses it).
ChaCha20-Poly1305 is OpenSSL's (the cryptography package, which paramiko brings), BLAKE2s Python's own: neither shares
code with the module or with its test in C.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import socket
import struct
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from scapy.fields import ByteField, LEIntField, LELongField, LEShortField, StrFixedLenField
from scapy.layers.l2 import Ether
from scapy.packet import Packet, Raw, bind_layers, fuzz

if TYPE_CHECKING:
    from collections.abc import Iterator

ETHERTYPE = 0xFAF0
HELLO1, HELLO2, CONFIRM, DATA = 1, 2, 3, 4
REQUEST, RESPONSE = 1, 2
KERNEL = 1
#: Ethernet header and ours: what is authenticated and not encrypted.
CLEAR = 30
MAC = 16
#: A frame on the stream: its length in network order, then its bytes [QEMU: net/stream.c].
LENGTH = struct.Struct("!I")


class Frame(Packet):
    """The header of a frame, behind Ethernet's."""

    name = "MCP frame"
    fields_desc: ClassVar = [
        ByteField("version", 1),
        ByteField("kind", DATA),
        LEShortField("zero", 0),
        LEIntField("session", 0),
        LELongField("counter", 0),
    ]


class Hello(Packet):
    """HELLO1 and HELLO2 behind the header."""

    name = "MCP hello"
    fields_desc: ClassVar = [
        StrFixedLenField("random", b"", 32),
        LEIntField("id", 0),
        LEIntField("zero", 0),
        StrFixedLenField("mac", b"", MAC),
    ]


class Message(Packet):
    """What DATA has inside, before its body. Scapy has a `parent` of its own."""

    name = "MCP message"
    fields_desc: ClassVar = [
        ByteField("kind", REQUEST),
        ByteField("credit", 0),
        LEShortField("flags", 0),
        LEIntField("tool", 1),
        LEShortField("method", 0),
        LEShortField("proto", 0),
        LEIntField("status", 0),
        LELongField("cookie", 0),
        LELongField("inside", 0),
        LEIntField("timeout", 0),
        LEIntField("reserve", 0),
    ]


bind_layers(Ether, Frame, type=ETHERTYPE)
for _kind in (HELLO1, HELLO2):
    bind_layers(Frame, Hello, kind=_kind)


@dataclass(frozen=True, slots=True)
class Answer:
    """A RESPONSE: the cookie of the request, the errno if the kernel made it, the body."""

    cookie: int
    status: int
    body: bytes


@dataclass
class Wire:
    """Ethernet frames through a listening socket that QEMU connects to."""

    listener: socket.socket
    connection: socket.socket | None = None
    buffer: bytes = b""

    def send(self, frame: bytes) -> None:
        assert self.connection is not None
        self.connection.sendall(LENGTH.pack(len(frame)) + frame)

    def receive(self, seconds: float) -> bytes | None:
        """The next frame, or None."""
        if self.connection is None:
            self.listener.settimeout(seconds)
            self.connection, _ = self.listener.accept()
        until = time.monotonic() + seconds
        while True:
            if len(self.buffer) >= LENGTH.size:
                (size,) = LENGTH.unpack_from(self.buffer)
                if len(self.buffer) >= LENGTH.size + size:
                    frame = self.buffer[LENGTH.size : LENGTH.size + size]
                    self.buffer = self.buffer[LENGTH.size + size :]
                    return frame
            left = until - time.monotonic()
            if left <= 0:
                return None
            self.connection.settimeout(left)
            with contextlib.suppress(TimeoutError):
                data = self.connection.recv(65536)
                assert data, "QEMU has closed the stream"
                self.buffer += data


def nonce(counter: int) -> bytes:
    return bytes(4) + counter.to_bytes(8, "little")


def keyed(key: bytes, label: str, size: int, *parts: bytes) -> bytes:
    made = hashlib.blake2s(label.encode().ljust(16, b"\0"), key=key, digest_size=size)
    for part in parts:
        made.update(part)
    return made.digest()


@dataclass
class Peer:
    """One end of sessions with the address `theirs`, from the address `own`."""

    wire: Wire
    own: str
    theirs: str
    key: bytes
    id: int = 0
    their_id: int = 0
    sent: int = 0
    heard: int = 0
    limits: tuple[int, ...] = ()
    _tx: ChaCha20Poly1305 | None = field(default=None, repr=False)
    _rx: ChaCha20Poly1305 | None = field(default=None, repr=False)

    def frame(self, inside: Packet) -> Packet:
        """A frame to them."""
        return Ether(dst=self.theirs, src=self.own) / inside

    def _receive(self, kind: int, seconds: float) -> Packet | None:
        """The next frame of ours of that type, to us."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            data = self.wire.receive(left)
            frame = Ether(data) if data else None
            if frame is not None and frame.dst == self.own and Frame in frame and frame[Frame].kind == kind:
                return frame
        return None

    def connect(self, continues: int = 0, seconds: float = 5) -> bool:
        """A handshake; whether there is a session."""
        self.id = int.from_bytes(os.urandom(4), "little") | 1
        hello = Hello(random=os.urandom(32), id=continues)
        hello1 = self.frame(Frame(kind=HELLO1, session=self.id) / hello)
        hello1[Hello].mac = keyed(self.key, "mcp hello1", MAC, without_mac(hello1))
        self.wire.send(bytes(hello1))
        hello2 = self._receive(HELLO2, seconds)
        if hello2 is None:
            return False
        assert len(hello2) == 86
        assert (hello2[Frame].session, hello2[Hello].zero) == (self.id, 0)
        assert hello2[Hello].mac == keyed(self.key, "mcp hello2", MAC, without_mac(hello2), bytes(hello1))
        self.their_id = hello2[Hello].id
        self._tx = ChaCha20Poly1305(keyed(self.key, "mcp to server", 32, bytes(hello1), bytes(hello2)))
        self._rx = ChaCha20Poly1305(keyed(self.key, "mcp to client", 32, bytes(hello1), bytes(hello2)))
        self.sent = self.heard = 0
        self.wire.send(self.seal(Frame(kind=CONFIRM, session=self.their_id), bytes(16)))
        confirm = self._receive(CONFIRM, seconds)
        if confirm is None:
            return False
        self.limits = struct.unpack("<IIII", self.unseal(confirm))
        return True

    def seal(self, head: Frame, text: bytes, direction: int = 0) -> bytes:
        assert self._tx is not None
        clear = bytes(self.frame(head))
        return clear + self._tx.encrypt(nonce(head.counter), text, clear + bytes((direction, 0)))

    def unseal(self, frame: Packet) -> bytes:
        assert self._rx is not None
        data = bytes(frame)
        try:
            return self._rx.decrypt(nonce(frame[Frame].counter), data[CLEAR:], data[:CLEAR] + b"\1\0")
        except InvalidTag as error:
            raise AssertionError("a frame of theirs is not authentic") from error

    def sealed(self, message: bytes) -> bytes:
        """A DATA frame with the next counter."""
        self.sent += 1
        return self.seal(Frame(session=self.their_id, counter=self.sent), message)

    def request(self, cookie: int, body: bytes, tool: int = 1, reserve: int = 256) -> bytes:
        return self.sealed(bytes(Message(tool=tool, cookie=cookie, reserve=reserve)) + body)

    def message(self, seconds: float) -> Message | None:
        """The next message; its body is its payload."""
        frame = self._receive(DATA, seconds)
        if frame is None:
            return None
        message = Message(self.unseal(frame))
        assert frame[Frame].counter > self.heard, "a counter was used twice"
        self.heard = frame[Frame].counter
        return message

    def answer(self, seconds: float = 5) -> Answer | None:
        message = self.message(seconds)
        if message is None:
            return None
        assert message.kind == RESPONSE
        assert bool(message.flags & KERNEL) == bool(message.status)
        return Answer(message.cookie, message.status, bytes(message.payload))

    def call(self, cookie: int, body: bytes, tool: int = 1) -> Answer | None:
        self.wire.send(self.request(cookie, body, tool, max(len(body), 64)))
        return self.answer()


def without_mac(hello: Packet) -> bytes:
    return bytes(hello)[:-MAC]


def malformed(peer: Peer) -> Iterator[bytes]:
    """Frames without end, of six shapes in turn, that the peer has not sealed: `random` and scapy's fuzz() choose."""
    live = peer.their_id
    while True:
        yield bytes(peer.frame(fuzz(Frame()) / some_bytes(0, 1484)))
        yield bytes(peer.frame(fuzz(Frame(version=1, zero=0, session=live)) / some_bytes(0, 1484)))
        yield bytes(peer.frame(Frame(kind=HELLO1, session=live) / fuzz(Hello(zero=0))))
        yield bytes(peer.frame(fuzz(Frame(version=1, kind=CONFIRM, zero=0, counter=0)) / some_bytes(32, 32)))
        yield bytes(peer.frame(Frame(session=live, counter=random.randrange(1, 4000)) / some_bytes(56, 1484)))
        yield bytes(peer.frame(fuzz(Frame(version=1, zero=0)) / fuzz(Hello()) / some_bytes(0, 60)))


def some_bytes(least: int, most: int) -> Raw:
    return Raw(random.randbytes(random.randint(least, most)))


def strange_messages(peer: Peer) -> Iterator[bytes]:
    """Frames without end that the peer has sealed, with any message in it; no tool has such a number."""
    while True:
        for kind in (REQUEST, RESPONSE, 3, 4, random.randrange(256)):
            tool = random.randrange(1024, 1 << 32)
            yield peer.sealed(bytes(fuzz(Message(kind=kind, tool=tool)) / some_bytes(0, 100)))
