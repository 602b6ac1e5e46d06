"""Registries on loopback, and images that are put together byte by byte, also such as nobody should
trust."""

import base64
import collections
import dataclasses
import gzip
import hashlib
import http.client
import http.server
import io
import json
import pathlib
import re
import signal
import ssl
import subprocess
import tarfile
import threading
import time

from box import BUSYBOX, COMMANDS
from instance import free_ports
from waiting import wait_until

PROGRAM = pathlib.Path("/usr/bin/docker-registry")
USER = ("robot", "secret")
HASHED = "robot:$2y$05$XbzG.u8lBD6Qk6eWlv45TOmb5tUXYw5t3REbv7S3JA5SWjvetB8mu\n"  # htpasswd -B
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
# Kinds of manifest, configuration and layer.
OCI = (MANIFEST, "application/vnd.oci.image.config.v1+json",
       "application/vnd.oci.image.layer.v1.tar+gzip")
DOCKER = ("application/vnd.docker.distribution.manifest.v2+json",
          "application/vnd.docker.container.image.v1+json",
          "application/vnd.docker.image.rootfs.diff.tar.gzip")


def digest_of(content):
    return "sha256:" + hashlib.sha256(content).hexdigest()


def file(name, content=b"", **fields):
    """A member of a layer, for layer(). `fields` are those of tarfile.TarInfo."""
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(content), 0o644
    for key, value in fields.items():
        setattr(member, key, value)
    return member, content


def folder(name, **fields):
    return file(name, type=tarfile.DIRTYPE, mode=0o755, **fields)


def link(name, target, **fields):
    return file(name, type=tarfile.SYMTYPE, linkname=target, **fields)


def layer(*members):
    """The bytes of a tar of these members, in this order."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for member, content in members:
            tar.addfile(member, io.BytesIO(content) if content else None)
    return out.getvalue()


def packed(tar):
    return gzip.compress(tar, 1, mtime=0)


def box_layer():
    """A shell and a few tools: what every image of the tests stands on."""
    return layer(folder("bin"), file("bin/busybox", BUSYBOX.read_bytes(), mode=0o755),
                 *(link(f"bin/{command}", "busybox") for command in COMMANDS))


@dataclasses.dataclass
class Image:
    """What is pushed: layers as tars. The rest is for images that lie."""
    layers: list
    architecture: str = "amd64"
    kinds: tuple = OCI
    size_of_layer: object = len  # a blob → what the manifest says of its size
    layer_in_config: object = None  # a tar → the one that the configuration speaks of
    pack: object = packed

    def blobs(self):
        """(blobs, manifest): contents by digest, and the bytes of the manifest."""
        blobs = [self.pack(tar) for tar in self.layers]
        said = [self.layer_in_config(tar) if self.layer_in_config else tar for tar in self.layers]
        config = json.dumps({
            "os": "linux", "architecture": self.architecture,
            "config": {"Cmd": ["sleep", "1000"], "Env": ["PATH=/bin"]},
            "rootfs": {"type": "layers", "diff_ids": [digest_of(tar) for tar in said]},
        }).encode()
        manifest = json.dumps({
            "schemaVersion": 2, "mediaType": self.kinds[0],
            "config": {"mediaType": self.kinds[1], "digest": digest_of(config),
                       "size": len(config)},
            "layers": [{"mediaType": self.kinds[2], "digest": digest_of(blob),
                        "size": self.size_of_layer(blob)} for blob in blobs],
        }).encode()
        return {digest_of(blob): blob for blob in [config, *blobs]}, manifest


class Registry:
    """Debian's docker-registry. A private one lets in only USER; `tls` is a pair of files,
    certificate and key."""

    def __init__(self, folder, private=False, tls=None):
        folder.mkdir()
        self.folder, self.private, self.tls = folder, private, tls
        self.port, = free_ports(1)
        self.address = f"127.0.0.1:{self.port}"
        self.log_path = folder / "log"
        self.process = None
        http_settings = {"addr": self.address}
        if tls:
            http_settings["tls"] = {"certificate": str(tls[0]), "key": str(tls[1])}
        settings = {"version": "0.1", "http": http_settings,
                    "storage": {"filesystem": {"rootdirectory": str(folder / "blobs")},
                                "cache": {"blobdescriptor": "inmemory"}}}
        if private:
            (folder / "users").write_text(HASHED)
            settings["auth"] = {"htpasswd": {"realm": "tests", "path": str(folder / "users")}}
        (folder / "config.yml").write_text(json.dumps(settings))  # JSON is YAML
        self.start()

    def start(self):
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen([PROGRAM, "serve", self.folder / "config.yml"],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_until(lambda: self._ask("GET", "/v2/")[0] == 200, 20, f"{self.address} answers")

    def stop(self):
        if self.process is not None:
            process, self.process = self.process, None
            process.send_signal(signal.SIGKILL)
            process.wait()

    def push(self, name, image, tag):
        """Returns the digest of the manifest."""
        blobs, manifest = image.blobs()
        for digest, content in blobs.items():
            self._push_blob(name, digest, content)
        return self.push_manifest(name, manifest, tag, image.kinds[0])

    def push_index(self, name, images, tag):
        """`images`: architecture → Image. Returns the digest of the index."""
        entries = []
        for architecture, image in images.items():
            digest = self.push(name, image, architecture)
            entries.append({"mediaType": MANIFEST, "digest": digest,
                            "size": len(image.blobs()[1]),
                            "platform": {"os": "linux", "architecture": architecture}})
        index = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}).encode()
        return self.push_manifest(name, index, tag, INDEX)

    def push_manifest(self, name, content, tag, kind=MANIFEST):
        status, _, text = self._ask("PUT", f"/v2/{name}/manifests/{tag}", content,
                                    {"Content-Type": kind})
        assert status == 201, text
        return digest_of(content)

    def _push_blob(self, name, digest, content):
        status, headers, text = self._ask("POST", f"/v2/{name}/blobs/uploads/", b"")
        assert status == 202, text
        place = re.sub(r"^https?://[^/]*", "", headers["Location"])
        status, _, text = self._ask("PUT", f"{place}&digest={digest}", content,
                                    {"Content-Type": "application/octet-stream"})
        assert status == 201, text

    def _ask(self, method, path, body=None, headers=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        if self.tls:
            context = ssl.create_default_context(cafile=self.tls[0])
            connection = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=20,
                                                     context=context)
        headers = dict(headers or {})
        if self.private:
            token = base64.b64encode(":".join(USER).encode()).decode()
            headers["Authorization"] = f"Basic {token}"
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def blob_path(self, digest):
        """Where its storage keeps a blob."""
        name = digest.removeprefix("sha256:")
        return self.folder / f"blobs/docker/registry/v2/blobs/sha256/{name[:2]}/{name}/data"

    def fetched(self, what):
        """How often a manifest (by tag or digest) or a blob was asked for and given."""
        pattern = re.compile(rf'"GET /v2/\S*/{re.escape(what)} HTTP/1.1" 200 ')
        return len(pattern.findall(self.log_path.read_text(errors="replace")))

    def asked(self, name):
        """When a manifest of that image was asked for, found or not, in seconds of some clock."""
        lines = re.findall(rf'\[(\S+) [^\]]*\] "GET /v2/{name}/manifests/',
                           self.log_path.read_text(errors="replace"))
        return [time.mktime(time.strptime(line, "%d/%b/%Y:%H:%M:%S")) for line in lines]

    def login(self, password=None):
        """A .dockerconfigjson of USER."""
        name, right = USER
        return json.dumps({"auths": {self.address: {"username": name,
                                                    "password": password or right}}})


class StallingRegistry:
    """Serves one image under any name, but of its layers only half until let_go()."""

    def __init__(self, image):
        self.blobs, self.manifest = image.blobs()
        self._gate = threading.Event()
        self.asked = collections.Counter()  # paths
        registry = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                registry.answer(self)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.address = f"127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def let_go(self):
        self._gate.set()

    def close(self):
        self.let_go()
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    def answer(self, handler):
        self.asked[handler.path] += 1
        what = handler.path.rsplit("/", 1)[1]
        kind, content = "application/octet-stream", self.blobs.get(what)
        if "/manifests/" in handler.path:
            kind, content = MANIFEST, self.manifest
        elif handler.path == "/v2/":
            kind, content = "application/json", b"{}"
        handler.send_response(200 if content is not None else 404)
        content = content or b""
        handler.send_header("Content-Type", kind)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        half = len(content) // 2 if "/blobs/" in handler.path and b"diff_ids" not in content else 0
        try:
            if half:
                handler.wfile.write(content[:half])
                handler.wfile.flush()
                self._gate.wait()
            handler.wfile.write(content[half:])
        except OSError:
            pass  # who asked has gone
