"""WebSockets over HTTP/2 (RFC 8441), by a client that others wrote, to a server of HTTP/1.1."""

import base64
import hashlib
import os
import socket
import socketserver
import struct
import threading

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.settings
import pytest

from proxy_alone import ProxyAlone, slice_of
from waiting import wait_until

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
TIMEOUT_S = 20
MESSAGES = 200
MESSAGE_BYTES = 60_000
LAST_WORD = b"die"


def masked_frame(payload):
    """A binary message of a client, whole."""
    mask = os.urandom(4)
    size = len(payload)
    length = bytes([0x80 | size]) if size < 126 else bytes([0xfe]) + size.to_bytes(2, "big")
    repeated = (mask * (size // 4 + 1))[:size]
    xored = int.from_bytes(payload, "big") ^ int.from_bytes(repeated, "big")
    return b"\x82" + length + mask + xored.to_bytes(size, "big")


def service(proxy):
    return f"""
apiVersion: v1
kind: Service
metadata: {{name: echo}}
spec:
  type: NodePort
  ports: [{{appProtocol: kubernetes.io/ws, port: 80, nodePort: {proxy.node_port}}}]
"""


class EchoHandler(socketserver.StreamRequestHandler):
    """Shakes hands as RFC 6455 says, and sends every message back; refuses any other path."""

    def finish(self):
        pass  # there may be nobody to flush for

    def handle(self):
        request = self.rfile.readline()
        if not request:
            return  # dialled in advance, and not needed
        fields = {}
        while (line := self.rfile.readline().strip()):
            name, _, value = line.partition(b":")
            fields[name.strip().lower()] = value.strip()
        self.server.heads.append((request, fields))
        if not request.startswith(b"GET /echo"):
            self.wfile.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
            return
        accept = base64.b64encode(hashlib.sha1(fields[b"sec-websocket-key"] + GUID).digest())
        self.wfile.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n"
                         b"Upgrade: websocket\r\nSec-WebSocket-Accept: " + accept + b"\r\n\r\n")
        while (start := self.rfile.read(2)):
            size = start[1] & 0x7f
            extended = self.rfile.read(2) if size == 126 else b""
            size = int.from_bytes(extended, "big") if extended else size
            mask = self.rfile.read(4)
            payload = self.rfile.read(size)
            repeated = (mask * (size // 4 + 1))[:size]
            plain = int.from_bytes(payload, "big") ^ int.from_bytes(repeated, "big")
            if payload and plain.to_bytes(size, "big") == LAST_WORD:
                # What a process leaves behind that is killed with bytes unread.
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                           struct.pack("ii", 1, 0))
                self.rfile.close()
                self.connection.close()
                return
            self.wfile.write(start[:1] + bytes([start[1] & 0x7f]) + extended +
                             plain.to_bytes(size, "big"))
        self.server.ended.set()


class EchoServer(socketserver.ThreadingTCPServer):
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), EchoHandler)
        self.port = self.server_address[1]
        self.heads = []
        self.ended = threading.Event()
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Client:
    """One connection of HTTP/2, with one stream."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S)
        self.h2 = h2.connection.H2Connection(
            h2.config.H2Configuration(client_side=True, header_encoding="utf-8"))
        self.h2.initiate_connection()
        self.status = None
        self.received = bytearray()
        self.ended = False
        self.reset = None
        self.wait(lambda: h2.settings.SettingCodes.ENABLE_CONNECT_PROTOCOL in
                  self.h2.remote_settings)

    def connect(self, path, protocol="websocket"):
        self.stream = self.h2.get_next_available_stream_id()
        self.h2.send_headers(self.stream, [
            (":method", "CONNECT"), (":protocol", protocol), (":scheme", "http"), (":path", path),
            (":authority", "alone"), ("sec-websocket-version", "13")])
        self.wait(lambda: self.status is not None)

    def wait(self, condition):
        while not condition():
            self.step()

    def step(self):
        if (data := self.h2.data_to_send()):
            self.socket.sendall(data)
        data = self.socket.recv(65536)
        assert data, "the connection ended"
        for event in self.h2.receive_data(data):
            if isinstance(event, h2.events.ResponseReceived):
                self.status = int(dict(event.headers)[":status"])
                self.headers = dict(event.headers)
            elif isinstance(event, h2.events.DataReceived):
                self.received += event.data
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, h2.events.StreamEnded):
                self.ended = True
            elif isinstance(event, h2.events.StreamReset):
                self.reset = event.error_code
        if (data := self.h2.data_to_send()):
            self.socket.sendall(data)

    def send(self, data):
        while data:
            size = min(self.h2.local_flow_control_window(self.stream),
                       self.h2.max_outbound_frame_size, len(data))
            if size == 0:
                self.step()  # until the window opens
                continue
            self.h2.send_data(self.stream, data[:size])
            self.socket.sendall(self.h2.data_to_send())
            data = data[size:]

    def end(self):
        self.h2.end_stream(self.stream)
        self.socket.sendall(self.h2.data_to_send())


@pytest.fixture
def server():
    with EchoServer() as made:
        yield made
        made.shutdown()


@pytest.fixture
def proxy(server):
    made = ProxyAlone()
    try:
        made.write("service.yaml", service(made))
        made.write("slice.yaml", slice_of("echo", server))
        made.start()
        wait_until(lambda: made.get(made.node_port)[0] == 403, TIMEOUT_S, "the proxy leads there")
        server.heads.clear()
        yield made
    finally:
        made.close()


def unframed(data):
    messages = []
    while data:
        size, begin = data[1], 2
        if size == 126:
            size, begin = int.from_bytes(data[2:4], "big"), 4
        messages.append(bytes(data[begin:begin + size]))
        data = data[begin + size:]
    return messages


def test_a_client_of_http2_talks_to_a_server_of_http1(proxy, server):
    client = Client(proxy.node_port)
    client.connect("/echo?room=1")
    assert client.status == 200
    assert "sec-websocket-accept" not in client.headers
    (request, fields), = server.heads
    assert request == b"GET /echo?room=1 HTTP/1.1\r\n"
    assert fields[b"host"] == b"alone" and fields[b"upgrade"] == b"websocket"
    assert fields[b"sec-websocket-version"] == b"13"
    assert len(base64.b64decode(fields[b"sec-websocket-key"])) == 16

    # More than all windows and buffers together: each side waits for the other.
    messages = [bytes([i % 256]) * (MESSAGE_BYTES + i) for i in range(MESSAGES)]
    for message in messages:
        client.send(masked_frame(message))
    client.end()
    client.wait(lambda: client.ended)
    assert unframed(client.received) == messages
    assert server.ended.is_set(), "the server saw the client end its direction"
    assert client.reset is None


def test_what_is_no_websocket_is_told_by_its_status(proxy, server):
    for path, protocol, status in (("/closed", "websocket", 403), ("/echo", "connect-udp", 501)):
        client = Client(proxy.node_port)
        client.connect(path, protocol)
        assert client.status == status
    assert len(server.heads) == 1, "the other never went there"


def test_a_server_that_dies_is_gone_for_the_client(proxy):
    client = Client(proxy.node_port)
    client.connect("/echo")
    client.send(masked_frame(b"hello"))
    client.wait(lambda: len(client.received) == len(b"hello") + 2)
    client.send(masked_frame(LAST_WORD))
    client.wait(lambda: client.reset is not None)
    assert client.reset == h2.errors.ErrorCodes.CANCEL
