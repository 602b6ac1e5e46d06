"""DNS as a program on the host asks it, over real sockets."""

import socket
import struct

import pytest

from instance import free_ports, run_tulle
from proxy_alone import ProxyAlone
from waiting import wait_until

SERVICE = """apiVersion: v1
kind: Service
metadata: {name: world}
spec: {clusterIP: 10.96.7.7, clusterIPs: [10.96.7.7], ports: [{name: web, port: 80}]}
"""
A, SRV, AAAA, ANY = 1, 33, 28, 255
NO_ERROR, FORMAT_ERROR, NAME_ERROR, REFUSED = 0, 1, 3, 5


def question(name, kind):
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return struct.pack("!6H", 0x4711, 0x0100, 1, 0, 0, 0) + labels + struct.pack("!BHH", 0, kind, 1)


def header(answer):
    """(rcode, number of answers)."""
    number, flags, _, answers, _, _ = struct.unpack("!6H", answer[:12])
    assert number == 0x4711 and flags & 0x8000
    return flags & 0xf, answers


@pytest.fixture
def proxy():
    made = ProxyAlone()
    made.dns_port = free_ports(1)[0]
    try:
        made.write("service.yaml", SERVICE)
        made.start("--dns-address", f"127.0.0.1:{made.dns_port}")
        wait_until(lambda: ask(made, "world.default.svc.cluster.local")[0] == NO_ERROR, 10,
                   "DNS answers")
        yield made
    finally:
        made.close()


def exchange(proxy, message):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.settimeout(5)
        udp.connect(("127.0.0.1", proxy.dns_port))
        udp.send(message)
        return udp.recv(4096)


def ask(proxy, name, kind=A):
    return header(exchange(proxy, question(name, kind)))


def test_names_of_services_are_answered_for_the_host(proxy):
    world = "world.default.svc.cluster.local"
    answer = exchange(proxy, question(world, A))
    assert header(answer) == (NO_ERROR, 1)
    assert answer.endswith(bytes([10, 96, 7, 7]))
    assert ask(proxy, world, AAAA) == (NO_ERROR, 0)
    assert ask(proxy, f"_web._tcp.{world}", SRV) == (NO_ERROR, 1)
    assert ask(proxy, "nobody.default.svc.cluster.local") == (NAME_ERROR, 0)
    assert ask(proxy, "nope.nosuchns.svc.cluster.local") == (NAME_ERROR, 0)
    assert ask(proxy, "nosuchns.svc.cluster.local") == (NAME_ERROR, 0)
    assert ask(proxy, "default.svc.cluster.local") == (NO_ERROR, 0)
    assert ask(proxy, world, ANY) == (REFUSED, 0)


def test_questions_over_one_tcp_connection_are_answered_and_garbage_ends_it(proxy):
    with socket.create_connection(("127.0.0.1", proxy.dns_port), timeout=5) as tcp:
        stream = tcp.makefile("rwb")
        for _ in range(3):
            message = question("world.default.svc.cluster.local", A)
            stream.write(struct.pack("!H", len(message)) + message)
        stream.flush()
        for _ in range(3):
            size, = struct.unpack("!H", stream.read(2))
            assert header(stream.read(size)) == (NO_ERROR, 1)
        garbage = struct.pack("!6H", 0x4711, 0x0100, 9, 9, 9, 9)
        stream.write(struct.pack("!H", len(garbage)) + garbage)
        stream.flush()
        size, = struct.unpack("!H", stream.read(2))
        assert header(stream.read(size)) == (FORMAT_ERROR, 0)
        assert stream.read(1) == b""


def test_bad_addresses_and_stub_domains_are_refused_with_a_reason():
    for flags, complaint in (
            (["--dns-address", "here"], "--dns-address"),
            (["--dns-stub", "corp"], "write DOMAIN=ADDRESS"),
            (["--dns-stub", "corp=nowhere"], '"nowhere" is not an address')):
        done = run_tulle("proxy", "-f", "x", *flags)
        assert done.returncode != 0 and complaint in done.stderr, done.stderr
