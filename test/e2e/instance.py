"""One running Tulle: its own data directory, its own ports, real kubectl."""

import base64
import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile

import traces
from waiting import wait_until

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = pathlib.Path(os.environ.get("TULLE_BINARY", ROOT / "build/release/tulle")).absolute()
KUBECTL = ROOT / "build/tools/kubectl"
EXAMPLES = ROOT / "examples/hello-world"

READY_LIMIT_S = 20
STOP_LIMIT_S = 45
PODS_LIMIT_S = 60


def free_ports(count):
    """Free loopback TCP ports. All are open at once, so they differ."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def free_udp_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", 0))
        return udp.getsockname()[1]


def run_tulle(*arguments, limit_s=60, **options):
    """Runs a command of Tulle that ends by itself; returns what subprocess.run returns."""
    assert BINARY.is_file(), f"{BINARY} is not there: ./dev build"
    return subprocess.run([BINARY, *map(str, arguments)], capture_output=True, text=True,
                          timeout=limit_s, stdin=subprocess.DEVNULL, **options)


class Instance:
    """Made with a new data directory in `folder`. start() and stop() may be called again and again;
    close() stops it and removes the directory.
    """

    alive = []  # for the reports of failed tests

    def __init__(self, folder="/tmp"):
        self.data_dir = pathlib.Path(tempfile.mkdtemp(prefix="tulle-e2e-", dir=folder))
        self.api_port, self.ingress_port, self.ingress_tls_port = free_ports(3)
        self.log_path = pathlib.Path("/tmp", self.data_dir.name + ".log")
        self.process = None
        self._tables = traces.tables()
        Instance.alive.append(self)

    # ---------------------------------------------------------------- its life

    def command(self, *manifests):
        files = [word for manifest in manifests for word in ("-f", str(manifest))]
        return [str(BINARY), "up", *files, "--data-dir", str(self.data_dir),
                "--api-port", str(self.api_port), "--ingress-port", str(self.ingress_port),
                "--ingress-tls-port", str(self.ingress_tls_port)]

    def start(self, *manifests):
        assert BINARY.is_file(), f"{BINARY} is not there: ./dev build"
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(self.command(*manifests), stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log, cwd=ROOT)
        wait_until(self._ready_or_dead, READY_LIMIT_S, "/readyz answers ok")
        assert self.process.poll() is None, f"tulle up ended:\n{self.log()}"
        return self

    def _ready_or_dead(self):
        return self.process.poll() is not None or self.is_ready()

    def is_ready(self):
        return self.api("GET", "/readyz")[0] == 200

    def stop(self, signal_number=signal.SIGINT):
        """Ends it as Ctrl-C does and checks that nothing of it is left. Returns its exit code."""
        if self.process is None:
            return None
        spaces = traces.namespaces_of(traces.own_processes(self.data_dir.name))
        process, self.process = self.process, None
        process.send_signal(signal_number)
        try:
            code = process.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            self.kill_everything()
            raise AssertionError(f"still there {STOP_LIMIT_S} s after signal {signal_number}")
        self.check_nothing_is_left(spaces)
        return code

    def check_nothing_is_left(self, spaces):
        name = self.data_dir.name
        left = {
            "processes": traces.own_processes(name),
            "processes in its namespaces": traces.processes_in(spaces),
            "mounts": traces.mounts(name, spaces),
            "nftables tables": traces.tables() - self._tables,
        }
        assert not any(left.values()), f"left behind: { {k: v for k, v in left.items() if v} }"

    def kill_everything(self):
        """SIGKILL to every process of this instance, pods too."""
        self.process = None
        def kill_all():
            own = traces.own_processes(self.data_dir.name)
            for pid in own:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            return not own
        wait_until(kill_all, 10, "killed processes are gone")

    def close(self):
        try:
            self.stop()
        finally:
            Instance.alive.remove(self)
            self.kill_everything()
            for mount in reversed(traces.mounts(self.data_dir.name)):
                subprocess.run(["umount", "-l", mount], check=False)
            shutil.rmtree(self.data_dir, ignore_errors=True)
            self.log_path.unlink(missing_ok=True)

    def log(self):
        text = self.log_path.read_text(errors="replace") if self.log_path.exists() else ""
        return text[-8000:]

    # ---------------------------------------------------------------- its processes

    def role_pid(self, role):
        """The pid of "control" or "proxy"; of several the one that came last."""
        pids = [pid for pid in traces.children(self.process.pid)
                if role in traces.command(pid).split()[1:2]]
        if not pids:
            raise LookupError(f"{self.process.pid} has no child {role}")
        return max(pids, key=traces.start_time)

    def kill_role(self, role):
        pid = self.role_pid(role)
        os.kill(pid, signal.SIGKILL)
        return pid

    def container_pids(self, app):
        """Pod name → pid of the process of an app's containers."""
        own = traces.own_processes(self.data_dir.name)
        found = {}
        for pid, command in own.items():
            if command.split()[0] == f"/{app}" and "fetch" not in command:
                found[traces.environment(pid).get("HOSTNAME", str(pid))] = pid
        return found

    def containers(self, *apps):
        """Pod name → (pid, start time) of these apps: the very same processes or not."""
        return {name: (pid, traces.start_time(pid))
                for app in apps for name, pid in self.container_pids(app).items()}

    # ---------------------------------------------------------------- talking to it

    @property
    def kubeconfig(self):
        return self.data_dir / "kubeconfig"

    def kubectl(self, *arguments, check=True, stdin=None, limit_s=60):
        """Runs kubectl; returns its standard output, or with check=False the whole result."""
        assert KUBECTL.is_file(), f"{KUBECTL} is not there: ./dev setup"
        home = self.data_dir / "kubectl"
        done = subprocess.run(
            [KUBECTL, *map(str, arguments)], input=stdin, capture_output=True, text=True,
            timeout=limit_s,
            env={"KUBECONFIG": str(self.kubeconfig), "HOME": str(home), "PATH": os.defpath})
        if not check:
            return done
        assert done.returncode == 0, f"kubectl {arguments}: {done.stdout}{done.stderr}"
        return done.stdout

    def get(self, *arguments):
        return json.loads(self.kubectl("get", *arguments, "-o", "json"))

    def api(self, method, path, body=None):
        """(status, body) of one request to the API server, with the kubeconfig's certificate."""
        connection = self.api_connection()
        try:
            payload = None if body is None else json.dumps(body)
            connection.request(method, path, payload, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            text = answer.read()
            kind = answer.headers.get("Content-Type") or ""
            return answer.status, json.loads(text) if "json" in kind else text.decode()
        finally:
            connection.close()

    def api_connection(self):
        fields = dict(line.split(":", 1) for line in self.kubeconfig.read_text().splitlines()
                      if "-data:" in line)
        plain = {k.strip(" -"): base64.b64decode(v.strip(' "')) for k, v in fields.items()}
        context = ssl.create_default_context(cadata=plain["certificate-authority-data"].decode())
        with tempfile.NamedTemporaryFile() as pair:  # load_cert_chain reads files only
            pair.write(plain["client-certificate-data"] + b"\n" + plain["client-key-data"])
            pair.flush()
            context.load_cert_chain(pair.name)
        return http.client.HTTPSConnection("127.0.0.1", self.api_port, context=context, timeout=5)

    def import_image(self, name, path):
        done = run_tulle("image", "import", name, path, "--data-dir", self.data_dir)
        assert done.returncode == 0, done.stdout + done.stderr

    def import_examples(self):
        for app in ("hello", "world"):
            self.import_image(f"{app}:latest", BINARY.parent / "examples/hello-world" / app)

    def ingress(self, host, path="/", limit_s=5):
        """(status, body) of one GET through the Ingress."""
        connection = http.client.HTTPConnection("127.0.0.1", self.ingress_port, timeout=limit_s)
        try:
            connection.request("GET", path, headers={"Host": host})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    # ---------------------------------------------------------------- waiting for it

    def ready_pods(self, app):
        """Pod name → uid of the ready pods of an app that are not being deleted."""
        selector = f"labelSelector=app%3D{app}"
        status, body = self.api("GET", f"/api/v1/namespaces/default/pods?{selector}")
        assert status == 200, body
        return {pod["metadata"]["name"]: pod["metadata"]["uid"] for pod in body["items"]
                if "deletionTimestamp" not in pod["metadata"]
                and any(c["type"] == "Ready" and c["status"] == "True"
                        for c in pod["status"].get("conditions", []))}

    def pod_count(self, app):
        status, body = self.api(
            "GET", f"/api/v1/namespaces/default/pods?labelSelector=app%3D{app}")
        assert status == 200, body
        return len(body["items"])

    def wait_for_pods(self, app, count, limit_s=PODS_LIMIT_S):
        """Exactly `count` pods, all of them ready, and all of them endpoints."""
        def settled():
            ready = self.ready_pods(app)
            return (len(ready) == count == self.pod_count(app)
                    and self.endpoints(app) == count and (ready or True))
        return wait_until(settled, limit_s, f"{count} ready pods of {app}")

    def endpoints(self, service):
        status, body = self.api(
            "GET", "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"
                   f"?labelSelector=kubernetes.io%2Fservice-name%3D{service}")
        assert status == 200, body
        return sum(1 for item in body["items"] for endpoint in item.get("endpoints") or []
                   if endpoint.get("conditions", {}).get("ready"))

    def wait_for_traffic(self, limit_s=20):
        """Until the Ingress answers for both services and hello reaches world."""
        def answers():
            return (self.ingress("hello.localhost")[0] == 200
                    and self.ingress("world.localhost")[0] == 200
                    and self.ingress("hello.localhost", "/world")[0] == 200)
        wait_until(answers, limit_s, "the Ingress reaches hello and world")

