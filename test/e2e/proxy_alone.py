"""The proxy alone, over a folder of manifests, and what stands behind it."""

import http.client
import http.server
import pathlib
import shutil
import subprocess
import tempfile
import threading

from instance import BINARY, free_ports

NOBODY = 65534
STOP_LIMIT_S = 10


class Backend:
    """Answers every request with its own name, once before_answer() has returned."""

    def __init__(self, name):
        self.before_answer = lambda: None
        backend = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                backend.before_answer()
                try:
                    self.send_response(200)
                    self.send_header("Content-Length", str(len(name)))
                    self.end_headers()
                    self.wfile.write(name.encode())
                except BrokenPipeError:
                    self.close_connection = True  # the proxy has given it up

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class ProxyAlone:
    """The proxy as a user without rights runs it, over a folder of its own."""

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="tulle-e2e-", dir="/tmp"))
        self.folder.chmod(0o755)
        self.manifests = self.folder / "manifests"
        self.manifests.mkdir()
        (self.ingress_port, self.ingress_tls_port, self.node_port,
         self.balancer_port) = free_ports(4)
        self.log_path = self.folder / "log"
        self.process = None

    def write(self, name, text):
        """Replaces a manifest as editors do: never half of it is there."""
        part = self.folder / "part"
        part.write_text(text)
        part.rename(self.manifests / name)

    def start(self, *flags):
        binary = self.folder / "tulle"
        shutil.copy(BINARY, binary)
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                ["prlimit", "--nofile=256:4096", binary, "proxy", "-f", self.manifests,
                 "--ingress-port", str(self.ingress_port),
                 "--ingress-tls-port", str(self.ingress_tls_port), "--admin-port", "0",
                 "--workers", "1", *flags],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, user=NOBODY, group=NOBODY,
                extra_groups=[])

    def log(self):
        return self.log_path.read_text(errors="replace")

    def get(self, port, host="alone"):
        """(status, body) of one request, or (0, error)."""
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/", headers={"Host": host})
            response = connection.getresponse()
            return response.status, response.read().decode()
        except OSError as error:
            return 0, str(error)
        finally:
            connection.close()

    def close(self):
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(STOP_LIMIT_S)
        shutil.rmtree(self.folder)


def node_port_service(name, node_port):
    return f"""
apiVersion: v1
kind: Service
metadata: {{name: {name}}}
spec:
  type: NodePort
  ports: [{{port: 80, nodePort: {node_port}}}]
"""


def slice_of(name, *backends):
    """A slice gives all of its endpoints one port: one slice for each."""
    return "---".join(f"""
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: {name}-{backend.port}, labels: {{kubernetes.io/service-name: {name}}}}}
addressType: IPv4
ports: [{{port: {backend.port}}}]
endpoints: [{{addresses: [127.0.0.1]}}]
""" for backend in backends)
