"""kubectl's commands that talk to a pod: port-forward, attach, run -it, cp, top, debug."""

import fcntl
import hashlib
import http.client
import json
import os
import pty
import random
import re
import select
import signal
import socket
import struct
import subprocess
import termios

import pytest

from box import import_box
from instance import KUBECTL
import traces
from waiting import wait_until

POD = """
apiVersion: v1
kind: Pod
metadata: {name: box, labels: {app: box}}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: box
    image: box:latest
    command: [httpd, -f, -p, "8080", -h, /www]
    readinessProbe: {tcpSocket: {port: 8080}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: box}
spec:
  selector: {app: box}
  ports: [{port: 80, targetPort: 8080}]
"""
BYTES = random.Random(7).randbytes(8 << 20)


@pytest.fixture(scope="module")
def box(shared, tmp_path_factory):
    """The shared instance with a pod and a service `box`, whose web server has /bytes."""
    import_box(shared, tmp_path_factory.mktemp("box"))
    shared.kubectl("apply", "-f", "-", stdin=POD)
    shared.kubectl("wait", "--for=condition=Ready", "pod/box", "--timeout=30s")
    with Kubectl(shared, "exec", "-i", "box", "--", "sh", "-c", "cat > /www/bytes") as copy:
        copy.process.communicate(BYTES, timeout=30)
    yield shared
    shared.kubectl("delete", "pod/box", "service/box", "--now")


class Kubectl:
    """A kubectl that goes on while the test talks to it. Killed at the end."""

    def __init__(self, instance, *arguments, **environment):
        self.process = subprocess.Popen(
            [KUBECTL, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={"KUBECONFIG": str(instance.kubeconfig), "PATH": os.defpath,
                 "HOME": str(instance.data_dir / "kubectl"), **environment})

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()


class Forwarded(Kubectl):
    """kubectl port-forward to a free local port."""

    def __init__(self, instance, target, port, **environment):
        super().__init__(instance, "port-forward", target, f":{port}", **environment)
        line = self.process.stdout.readline().decode()
        match = re.fullmatch(rf"Forwarding from 127.0.0.1:(\d+) -> (\d+)\n", line)
        assert match, line
        self.port = int(match[1])

    def get(self, path="/bytes"):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request("GET", path)
            return connection.getresponse().read()
        finally:
            connection.close()


# ------------------------------------------------------------------------------ port-forward


@pytest.mark.parametrize("target,port", [("pod/box", 8080), ("service/box", 80)])
def test_port_forward_carries_bytes_of_several_connections(box, target, port):
    with Forwarded(box, target, port) as forwarded:
        slow = socket.create_connection(("127.0.0.1", forwarded.port), timeout=20)
        for _ in range(3):
            assert hashlib.md5(forwarded.get()).digest() == hashlib.md5(BYTES).digest()
        slow.sendall(b"GET /bytes HTTP/1.0\r\n\r\n")
        slow.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: slow.recv(65536), b""))
        assert answer.endswith(BYTES) and answer.startswith(b"HTTP/1.1 200"), answer[:100]
        slow.close()


def test_port_forward_works_over_plain_spdy(box):
    with Forwarded(box, "pod/box", 8080, KUBECTL_PORT_FORWARD_WEBSOCKETS="false") as forwarded:
        assert forwarded.get() == BYTES


def test_port_forward_says_that_nobody_listens(box):
    with Forwarded(box, "pod/box", 81) as forwarded:
        with socket.create_connection(("127.0.0.1", forwarded.port), timeout=20) as refused:
            assert refused.recv(1) == b""
        said = forwarded.process.stdout.read().decode()
    assert "error forwarding port 81 to pod box: " in said, said
    assert "refused" in said, said


# ------------------------------------------------------------------------------ attach, run -it


class Terminal:
    """A kubectl whose standard streams are a terminal, as a user has it."""

    def __init__(self, instance, *arguments):
        self.ours, theirs = pty.openpty()
        self.process = subprocess.Popen(
            [KUBECTL, *arguments], stdin=theirs, stdout=theirs, stderr=theirs,
            start_new_session=True,
            env={"KUBECONFIG": str(instance.kubeconfig), "PATH": os.defpath,
                 "HOME": str(instance.data_dir / "kubectl"), "TERM": "dumb"})
        os.close(theirs)
        self.seen = ""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        os.close(self.ours)

    def type(self, text):
        os.write(self.ours, text.encode())

    def wait_for(self, text, limit_s=20):
        """Reads until `text` was printed; what comes before it is forgotten."""
        def printed():
            if select.select([self.ours], [], [], 0)[0]:
                self.seen += os.read(self.ours, 65536).decode()
            return text in self.seen
        wait_until(printed, limit_s, f"{text!r} on the terminal")
        self.seen = self.seen.split(text, 1)[1]


def pod(name, command, **container):
    spec = {"name": "main", "image": "box:latest", "command": command, **container}
    return json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
                       "spec": {"terminationGracePeriodSeconds": 0, "restartPolicy": "Never",
                                "containers": [spec]}})


@pytest.fixture
def run_pod(box):
    """Runs pods of the box image, and deletes them at the end."""
    names = []

    def run(name, command, **container):
        names.append(name)
        box.kubectl("apply", "-f", "-", stdin=pod(name, command, **container))
        box.kubectl("wait", "--for=condition=Ready", f"pod/{name}", "--timeout=30s")
        return name
    yield run
    for name in names:
        box.kubectl("delete", "pod", name, "--now", "--ignore-not-found")


def test_attach_shows_both_streams_and_gives_input_to_the_process(box, run_pod):
    name = run_pod("twice", ["sh", "-c", "while read x; do echo out $x; echo err $x >&2; done"],
                   stdin=True)
    for word in ("one", "two"):  # without stdinOnce it stays open for who comes next
        with Kubectl(box, "attach", "-i", "-q", name) as attached:
            attached.process.stdin.write(f"{word}\n".encode())
            attached.process.stdin.flush()
            lines = {attached.process.stdout.readline().decode() for _ in range(2)}
            assert lines == {f"out {word}\n", f"err {word}\n"}
    assert box.kubectl("logs", name).count("\n") == 4


def test_a_client_that_does_not_read_does_not_stop_the_container(box, run_pod):
    name = run_pod("chatty", ["sh", "-c", "read x; i=0; while [ $i -lt 200000 ]; do "
                              "echo line $i of many that nobody reads; i=$((i+1)); done; "
                              "echo done; sleep 1000"], stdin=True)
    with Kubectl(box, "attach", "-i", "-q", name) as attached:
        attached.process.stdin.write(b"go\n")
        attached.process.stdin.flush()
        assert attached.process.stdout.readline() == b"line 0 of many that nobody reads\n"
        attached.process.send_signal(signal.SIGSTOP)
        wait_until(lambda: box.kubectl("logs", name, "--tail=1") == "done\n", 60,
                   "the container has gone on")
        attached.process.send_signal(signal.SIGCONT)


def test_attach_to_a_container_that_has_ended_says_so(box, run_pod):
    box.kubectl("apply", "-f", "-", stdin=pod("over", ["sh", "-c", "echo bye"]))
    try:
        box.kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/over")
        done = box.kubectl("attach", "over", check=False)
        assert done.returncode != 0 and "completed pod" in done.stderr, done
    finally:
        box.kubectl("delete", "pod", "over", "--now")


def test_run_with_input_feeds_a_program_to_its_end(box):
    done = box.kubectl("run", "sum", "-i", "--rm", "-q", "--restart=Never", "--image=box:latest",
                       "--command", "--", "md5sum", stdin="piped\n", limit_s=60)
    assert done.startswith(hashlib.md5(b"piped\n").hexdigest()), done
    assert "NotFound" in box.kubectl("get", "pod", "sum", check=False).stderr


def test_run_gives_a_shell_on_a_terminal_and_its_exit_code(box):
    with Terminal(box, "run", "shell", "-it", "--rm", "--restart=Never", "--image=box:latest",
                  "--command", "--", "sh") as shell:
        wait_until(lambda: box.get("pod", "shell")["status"]["phase"] == "Running", 30, "it runs")
        shell.wait_for("press")  # "If you don't see a command prompt, try pressing enter."
        shell.type("echo $((40 + 2)) $(tty)\n")
        shell.wait_for("42 /dev/")
        shell.type("sh -c 'echo $((70 + 7)); exec sleep 1000'\n")
        shell.wait_for("77")
        shell.type("\x03")  # Ctrl-C ends what runs in the foreground, not the shell
        shell.type("echo $((90 + 9))\n")
        shell.wait_for("99")
        shell.type("exit 3\n")
        shell.wait_for("deleted")
        assert shell.process.wait(20) == 3
    assert "NotFound" in box.kubectl("get", "pod", "shell", check=False).stderr


def test_attach_tells_the_terminal_its_size(box, run_pod):
    name = run_pod("wide", ["sh"], stdin=True, tty=True)
    with Terminal(box, "attach", "-it", "-q", name) as attached:
        fcntl.ioctl(attached.ours, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 111, 0, 0))
        os.kill(attached.process.pid, signal.SIGWINCH)
        wait_until(lambda: box.kubectl("exec", name, "--", "stty", "-F", "/dev/console", "size")
                   == "33 111\n", 20, "the size has come through")


# ------------------------------------------------------------------------------ cp, binary exec


def tree_of(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*")
            if path.is_file()}


def test_cp_brings_files_and_folders_there_and_back(box, tmp_path):
    there = tmp_path / "there"
    (there / "deep/er").mkdir(parents=True)
    (there / "bytes").write_bytes(BYTES)
    (there / "deep/er/words").write_text("some words\n")
    (there / "deep/empty").touch()
    box.kubectl("cp", there, "box:/tmp/copied")
    sums = box.kubectl("exec", "box", "--", "md5sum", "/tmp/copied/bytes")
    assert sums.split()[0] == hashlib.md5(BYTES).hexdigest()
    box.kubectl("cp", "box:/tmp/copied", tmp_path / "back")
    assert tree_of(tmp_path / "back") == tree_of(there)


def test_exec_carries_any_bytes_both_ways_at_once(box):
    with Kubectl(box, "exec", "-i", "box", "--", "cat") as cat:
        out, _ = cat.process.communicate(BYTES, timeout=60)
        assert cat.process.returncode == 0
    assert hashlib.md5(out).digest() == hashlib.md5(BYTES).digest()


def test_exec_gives_all_that_a_command_printed_last(box):
    for _ in range(5):
        with Kubectl(box, "exec", "box", "--", "cat", "/www/bytes") as cat:
            assert cat.process.communicate(timeout=60)[0] == BYTES


# ------------------------------------------------------------------------------ top


def rows(table):
    """The words of a table's lines, by the first one."""
    return {words[0]: words for words in map(str.split, table.splitlines()[1:])}


def test_top_shows_what_pods_and_the_node_use(box, run_pod):
    run_pod("busy", ["sh", "-c", "while :; do :; done"], resources={"limits": {"cpu": "300m"}})

    def busy_millicores():
        used = rows(box.kubectl("top", "pods"))["busy"][1]
        assert 200 <= int(used.removesuffix("m")) <= 400, used
        return True
    wait_until(busy_millicores, 40, "the pod uses what it may")
    name, cpu, memory = rows(box.kubectl("top", "pods", "-l", "app=box"))["box"]
    assert int(cpu.removesuffix("m")) < 200 and memory.endswith("Mi"), (name, cpu, memory)
    assert "main" in box.kubectl("top", "pod", "busy", "--containers")
    node, = rows(box.kubectl("top", "nodes")).values()
    assert int(node[1].removesuffix("m")) >= 200 and int(node[3].removesuffix("Mi")) > 10, node


# ------------------------------------------------------------------------------ debug


def ephemeral(instance, name, number=0):
    statuses = instance.get("pod", name)["status"].get("ephemeralContainerStatuses", [])
    return statuses[number] if number < len(statuses) else {"state": {}}


def test_debug_gives_a_shell_beside_a_programs_processes(box, run_pod):
    name = run_pod("patient", ["sleep", "1234567"])
    with Terminal(box, "debug", name, "-it", "--image=box:latest", "--target=main",
                  "--container=doctor", "--", "sh") as shell:
        shell.wait_for("press")
        shell.type("cat /proc/1/cmdline | tr '\\0' ' '; echo $((40 + 2))\n")
        shell.wait_for("sleep 1234567 42")
        shell.type("exit\n")
        shell.process.wait(20)
    wait_until(lambda: "terminated" in ephemeral(box, name)["state"], 20, "its end in the status")
    status = box.get("pod", name)["status"]
    assert status["phase"] == "Running" and status["containerStatuses"][0]["ready"], status
    assert "42" in box.kubectl("logs", name, "-c", "doctor")
    # It is not started again, and another one may come.
    box.kubectl("debug", name, "--image=box:latest", "--container=second", "--",
                "sh", "-c", "echo its own $$$$; exit 5")
    wait_until(lambda: ephemeral(box, name, 1)["state"].get("terminated", {}).get("exitCode") == 5,
               20, "the second one's end")
    assert box.kubectl("logs", name, "-c", "second") == "its own 1\n"
    assert ephemeral(box, name)["restartCount"] == 0


def test_debugging_ends_with_the_pod_and_survives_a_new_control_process(box, run_pod):
    name = run_pod("watched", ["sleep", "1234567"])
    box.kubectl("debug", name, "--image=box:latest", "--container=looks-on", "--",
                "sleep", "7654321")
    wait_until(lambda: "running" in ephemeral(box, name)["state"], 20, "it runs")
    before = ephemeral(box, name)["containerID"]
    box.kill_role("control")
    wait_until(box.is_ready, 20, "control is back")
    assert box.kubectl("exec", name, "-c", "looks-on", "--", "sh", "-c", "echo hi") == "hi\n"
    assert ephemeral(box, name)["containerID"] == before
    box.kubectl("delete", "pod", name, "--now")
    wait_until(lambda: not any("7654321" in command for command in
                               traces.own_processes(box.data_dir.name).values()), 20, "it is gone")
