"""What a pod may do to the machine and to others, and what it is refused."""

import json
import os
import subprocess

import pytest

from instance import BINARY
from waiting import wait_until


@pytest.fixture(scope="module")
def home(shared):
    """The shared instance with the image of test/e2e/tenant.cc; pods are made by run()."""
    shared.import_image("tenant:latest", BINARY.parent / "test/tenant")
    yield shared
    shared.kubectl("delete", "pods", "-l", "app=security", "--grace-period=1")


def container(name, *arguments, **fields):
    return {"name": name, "image": "tenant:latest", "args": list(arguments), **fields}


def run(instance, name, *containers, **spec):
    pod = {"apiVersion": "v1", "kind": "Pod",
           "metadata": {"name": name, "labels": {"app": "security"}},
           "spec": {"containers": list(containers), "restartPolicy": "Never",
                    "terminationGracePeriodSeconds": 1, **spec}}
    instance.kubectl("apply", "-f", "-", stdin=json.dumps(pod))


def states(instance, name):
    """Container name → its state."""
    status = instance.get("pod", name)["status"]
    return {each["name"]: each["state"] for each in status.get("containerStatuses", [])}


def wait_ended(instance, name, *containers, limit_s=60):
    """Container name → how it ended."""
    def ended():
        now = states(instance, name)
        return all("terminated" in now.get(each, {}) for each in containers) and now
    now = wait_until(ended, limit_s, f"{containers} of {name} have ended")
    return {each: now[each]["terminated"] for each in containers}


def test_no_subpath_leads_out_of_its_volume_whoever_swaps_it_meanwhile(home):
    """Its name is a link to the instance's own files half of the time."""
    volume = [{"name": "both", "emptyDir": {}}]
    mount = lambda **more: [{"name": "both", "mountPath": "/both", **more}]
    victims = [f"victim-{number}" for number in range(12)]
    run(home, "swapped",
        container("adversary", "swap", "/both/a", str(home.data_dir), volumeMounts=mount()),
        *(container(each, "cat", "/both/kubeconfig", volumeMounts=mount(subPath="a"))
          for each in victims), volumes=volume)
    for each, end in wait_ended(home, "swapped", *victims, limit_s=120).items():
        assert end["exitCode"] == 1, each
        assert home.kubectl("logs", "swapped", "-c", each) \
            == "tenant: cannot read /both/kubeconfig\n"
    home.kubectl("delete", "pod", "swapped", "--grace-period=1")


def said(instance, pod, *containers):
    """What each container printed until it ended."""
    wait_ended(instance, pod, *containers)
    return [instance.kubectl("logs", pod, "-c", each).strip() for each in containers]


def confined(profile=None, **more):
    return {"securityContext": {**({"seccompProfile": profile} if profile else {}), **more}}


REFUSED = "Operation not permitted"


def test_system_calls_are_those_of_the_profile_that_a_container_asks_for(home):
    folder = home.data_dir / "seccomp"
    folder.mkdir(exist_ok=True)
    full = {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28}
    (folder / "full.json").write_text(json.dumps(
        {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [full]}))
    unconfined = confined({"type": "Unconfined"})
    admin = {"capabilities": {"add": ["SYS_ADMIN"]}}
    run(home, "calls",
        container("usual", "try", "keyctl"),
        container("unconfined", "try", "keyctl", **unconfined),
        container("unable", "try", "unshare", **unconfined),
        container("admin", "try", "unshare", **confined(**admin)),
        container("local", "try", "mkdir", "/new", **confined(
            {"type": "Localhost", "localhostProfile": "full.json"})),
        container("stays", "serve", "8080", "8443", "/sick"))
    assert said(home, "calls", "usual", "unconfined", "unable", "admin", "local") \
        == [REFUSED, "done", REFUSED, "done", "No space left on device"]
    # What is run inside later is confined, too.
    wait_until(lambda: "running" in states(home, "calls")["stays"], 20, "it runs")
    assert home.kubectl("exec", "calls", "-c", "stays", "--", "/tenant", "try", "keyctl") \
        == REFUSED + "\n"
    run(home, "unconfined", container("calls", "try", "keyctl"), **unconfined)
    assert said(home, "unconfined", "calls") == ["done"]
    run(home, "lost", container("lost", "try", "keyctl", **confined(
        {"type": "Localhost", "localhostProfile": "lost.json"})))
    wait_until(lambda: "cannot load seccomp profile" in
               states(home, "lost")["lost"]["waiting"].get("message", ""), 20, "it says why")
    home.kubectl("delete", "pod", "calls", "lost", "unconfined", "--grace-period=1")


def status_of(text):
    return dict(line.split(":", 1) for line in text.splitlines())


def test_a_privileged_container_may_do_everything_and_another_nothing_new(home):
    status = ["cat", "/proc/self/status"]
    own = "/sys/fs/cgroup"
    group = f"{own}/pids/new" if os.path.isdir(f"{own}/pids") else f"{own}/new"
    privileged = confined(privileged=True)
    run(home, "mighty",
        container("status", *status, **privileged),
        container("mount", "try", "mount", "/proc", **privileged),
        container("device", "cat", "/dev/null", **privileged),
        container("cgroup", "try", "mkdir", group, **privileged),
        container("usual", *status),
        container("humble", *status, **confined(allowPrivilegeEscalation=False)),
        container("hidden", "cat", "/proc/keys"),
        container("denied", "try", "mkdir", group))
    mighty, mounted, device, cgroup, usual, humble, hidden, denied = said(
        home, "mighty", "status", "mount", "device", "cgroup", "usual", "humble", "hidden",
        "denied")
    fields = lambda text: [status_of(text)[name].strip()
                           for name in ("CapBnd", "Seccomp", "NoNewPrivs")]
    agent = open(f"/proc/{home.role_pid('control')}/status").read()
    assert fields(mighty) == [status_of(agent)["CapPrm"].strip(), "0", "0"]
    assert fields(usual) == ["00000000a80425fb", "2", "0"]
    assert fields(humble) == ["00000000a80425fb", "2", "1"]
    assert (mounted, device, hidden) == ("done", "", "")
    assert (cgroup, denied) == ("done", "Read-only file system")
    home.kubectl("delete", "pod", "mighty", "--grace-period=1")


def test_a_pod_sees_of_the_machine_what_it_asks_for(home):
    init = open("/proc/1/comm").read().strip()
    comm = lambda name: container(name, "cat", "/proc/1/comm")
    run(home, "own", comm("first"),
        container("ports", "cat", "/proc/sys/net/ipv4/ip_local_port_range"),
        securityContext={"sysctls": [
            {"name": "net.ipv4.ip_local_port_range", "value": "20000 20100"}]})
    run(home, "guest", comm("first"), hostPID=True, hostIPC=True)
    first, ports = said(home, "own", "first", "ports")
    assert (first, ports.split()) == ("tenant", ["20000", "20100"])
    assert said(home, "guest", "first") == [init]


@pytest.fixture
def shared_mount(tmp_path):
    """A directory whose mounts others may see, and mount into."""
    place = tmp_path / "shared"
    place.mkdir()
    for words in (["--bind", place, place], ["--make-rshared", place]):
        subprocess.run(["mount", *map(str, words)], check=True)
    yield place
    subprocess.run(["umount", "-R", "-l", str(place)], check=True)


def test_mounts_are_shared_as_far_as_asked_for(home, shared_mount):
    for name in ("host", "guest"):
        (shared_mount / name).mkdir()
    mount = lambda how: [{"name": "all", "mountPath": "/all", "mountPropagation": how}]
    ports = iter(range(8000, 9000))
    served = lambda name, how, **more: container(
        name, "serve", str(next(ports)), str(next(ports)), "/sick", volumeMounts=mount(how), **more)
    run(home, "mounts", served("none", "None"), served("sees", "HostToContainer"),
        served("both", "Bidirectional", **confined(privileged=True)),
        volumes=[{"name": "all", "hostPath": {"path": str(shared_mount)}}])
    wait_until(lambda: len(now := states(home, "mounts")) == 3
               and all("running" in each for each in now.values()), 30, "all run")
    tenant = lambda name, *words: home.kubectl(
        "exec", "mounts", "-c", name, "--", "/tenant", *words, check=False)
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(shared_mount / "host")], check=True)
    (shared_mount / "host/file").write_text("host")
    assert tenant("none", "cat", "/all/host/file").returncode == 1
    assert tenant("sees", "cat", "/all/host/file").stdout == "host"
    assert tenant("both", "try", "mount", "/all/guest").stdout == "done\n"
    assert tenant("both", "write", "/all/guest/file", "guest").returncode == 0
    assert (shared_mount / "guest/file").read_text() == "guest"
    assert tenant("sees", "cat", "/all/guest/file").stdout == "guest"
    assert tenant("none", "cat", "/all/guest/file").returncode == 1
    home.kubectl("delete", "pod", "mounts", "--grace-period=1")
