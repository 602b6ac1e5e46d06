"""Streams between two ends that stall, end by halves and break off, each by a plan of its seed.

Every stream is another stretch of the same random bytes, so bytes that are lost, doubled, swapped
or somebody else's change the hash of what arrives.
"""

import concurrent.futures
import dataclasses
import hashlib
import random
import select
import socket
import struct
import threading

LIMIT_S = 20  # of any wait; longer means that a stream hangs
AT_ONCE = 24
CALLS_MAX = 1000  # about so many sends at most make a stream
POOL = random.Random(0).randbytes(1 << 22)
HEADER = struct.Struct("!Q")  # which stream this is
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close() breaks off


@dataclasses.dataclass
class Side:
    """What one end does."""

    sends: bytes
    chunk_max: int
    read_max: int
    stalls: bool  # reads nothing until the other end has sent all, or cannot
    by_edges: bool  # reads as servers do that trust epoll's edges
    waits_for_end: bool  # sends only when the other has ended
    breaks_off: bool  # resets the connection once all is sent


def plan(seed):
    """(client, server) of one stream."""
    dice = random.Random(seed)

    def side():
        size = dice.choice([0, 1, 100, 5_000, 20_000, 60_000])
        size = dice.randrange(size + 1) if dice.random() < 0.95 else dice.randrange(1 << 21)
        start = dice.randrange(len(POOL) - size)
        return Side(sends=POOL[start:start + size],
                    chunk_max=max(size // CALLS_MAX, dice.choice([50, 2_000, 70_000])),
                    read_max=dice.choice([100, 5_000, 100_000]), stalls=dice.random() < 0.3,
                    by_edges=dice.random() < 0.5, waits_for_end=False, breaks_off=False)

    client, server = side(), side()
    for reader, writer in ((client, server), (server, client)):
        reader.read_max = max(reader.read_max, len(writer.sends) // CALLS_MAX)
    fate = dice.random()
    if fate < 0.2:
        dice.choice([client, server]).waits_for_end = True
    elif fate < 0.35:
        dice.choice([client, server]).breaks_off = True
    return client, server


def read_by_edges(connection, read_max):
    """What arrives, to the end. Waits for an edge after a read that got less than it asked for, as
    nginx does."""
    connection.setblocking(False)
    ending = False
    with select.epoll() as poll:
        poll.register(connection, select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLET)
        while True:
            events = poll.poll(LIMIT_S)
            if not events:
                raise TimeoutError("no edge")
            ending |= bool(events[0][1] & (select.EPOLLRDHUP | select.EPOLLHUP))
            short = False
            while ending or not short:
                try:
                    data = connection.recv(read_max)
                except BlockingIOError:
                    break
                if not data:
                    return
                yield data
                short = len(data) < read_max


class End:
    """One end at work: a thread that sends beside the one that reads."""

    def __init__(self, connection, side, seed, has_header):
        self.connection, self.side, self.dice = connection, side, random.Random(seed)
        self.received = hashlib.sha256()
        self.count = 0
        self.broken = None  # what ended it, if not its end
        self.sent = threading.Event()
        self.ended = threading.Event()
        self.has_header = has_header
        connection.settimeout(LIMIT_S)

    def run(self, other_sent):
        sender = threading.Thread(target=self._send, daemon=True)
        sender.start()
        if self.side.stalls:
            other_sent.wait(0.05)
        try:
            if self.side.by_edges:
                self._read_by_edges()
            else:
                self._read_until_end()
        except OSError as error:
            self.broken = self.broken or error
        self.ended.set()
        sender.join(LIMIT_S)
        assert not sender.is_alive(), f"cannot send all of {len(self.side.sends)} bytes"
        self.connection.close()

    def _send(self):
        try:
            if self.side.waits_for_end:
                assert self.ended.wait(LIMIT_S), "no end of the other direction"
            at = 0
            while at < len(self.side.sends):
                size = self.dice.randint(1, self.side.chunk_max)
                self.connection.sendall(self.side.sends[at:at + size])
                at += size
            self.sent.set()
            if self.side.breaks_off:
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                self.broken = "broken off by itself"
                self.connection.shutdown(socket.SHUT_RD)
                return
            self.connection.shutdown(socket.SHUT_WR)
        except OSError as error:
            self.broken = error
            self.sent.set()

    def _take(self, data):
        self.received.update(data)
        self.count += len(data)
        return data

    def _read_until_end(self):
        while self._take(self.connection.recv(self.side.read_max)):
            pass

    def _read_by_edges(self):
        for data in read_by_edges(self.connection, self.side.read_max):
            self._take(data)


class Streams:
    """Runs streams through a proxy at `port` to a server of its own, `self.server_port`."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.server_port = self.listener.getsockname()[1]
        self.servers = {}  # seed → End, once it runs
        self.arrived = threading.Condition()
        self.threads = concurrent.futures.ThreadPoolExecutor(AT_ONCE * 2)
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self.listener.close()
        self.threads.shutdown()

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.threads.submit(self._serve, connection)

    def _serve(self, connection):
        connection.settimeout(LIMIT_S)
        header = b""
        while len(header) < HEADER.size:
            got = connection.recv(HEADER.size - len(header))
            if not got:
                return connection.close()  # a client that broke off at once
            header += got
        (seed,) = HEADER.unpack(header)
        end = End(connection, plan(seed)[1], seed + 1, True)
        with self.arrived:
            self.servers[seed] = end
            self.arrived.notify_all()
        return end.run(self.clients[seed].sent)

    def run(self, port, seeds):
        """Returns a sentence for each stream that went wrong."""
        self.clients, self.servers = {}, {}
        with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
            return [wrong for wrong in pool.map(lambda seed: self._one(port, seed), seeds) if wrong]

    def _one(self, port, seed):
        client_side, server_side = plan(seed)
        connection = socket.create_connection(("127.0.0.1", port), LIMIT_S)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client = self.clients[seed] = End(connection, client_side, seed, False)
        connection.sendall(HEADER.pack(seed))
        breaks = client_side.breaks_off or server_side.breaks_off
        with self.arrived:
            if not self.arrived.wait_for(lambda: seed in self.servers, LIMIT_S):
                return f"stream {seed}: never reached the server"
            server = self.servers[seed]
        client.run(server.sent)
        if not server.ended.wait(LIMIT_S):
            return f"stream {seed}: the server reads no end after {server.count} bytes"
        for name, end, sent in (("client", client, server_side.sends),
                                ("server", server, client_side.sends)):
            if end.received.digest() != hashlib.sha256(sent[:end.count]).digest():
                return f"stream {seed}: the {name} reads other bytes than were sent"
            if not breaks and (end.broken or end.count != len(sent)):
                return (f"stream {seed}: the {name} reads {end.count} of {len(sent)} bytes "
                        f"({end.broken})")
            if isinstance(end.broken, TimeoutError):
                return f"stream {seed}: the {name} waits for ever: {end.broken}"
        return None
