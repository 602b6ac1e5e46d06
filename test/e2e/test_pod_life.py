"""What a pod is given and asked while it lives: probes of every kind, volumes that follow the API,
claims and what they leave, containers that stand beside others, hooks, last words."""

import json
import subprocess

import pytest

import traces
from instance import BINARY, KUBECTL
from waiting import wait_until

SICK = "/life/sick"


@pytest.fixture(scope="module")
def home(shared):
    """The shared instance with the image of test/e2e/tenant.cc; pods are made by run()."""
    shared.import_image("tenant:latest", BINARY.parent / "test/tenant")
    yield shared
    shared.kubectl("delete", "pods", "-l", "app=tenant", "--grace-period=1")


def run(instance, name, container=None, **spec):
    """Creates the pod `name` of one tenant that serves; `container` and `spec` add to it."""
    mounts = [{"name": "life", "mountPath": "/life"}, *(container or {}).pop("volumeMounts", [])]
    volumes = [{"name": "life", "emptyDir": {}}, *spec.pop("volumes", [])]
    tenant = {"name": "tenant", "image": "tenant:latest",
              "args": ["serve", "8080", "8443", SICK], "volumeMounts": mounts, **(container or {})}
    pod = {"apiVersion": "v1", "kind": "Pod",
           "metadata": {"name": name, "labels": {"app": "tenant"}},
           "spec": {"containers": [tenant], "volumes": volumes, **spec}}
    instance.kubectl("apply", "-f", "-", stdin=json.dumps(pod))


def tenant(instance, name, *words):
    """Runs the program once more inside the pod; what it printed."""
    return instance.kubectl("exec", name, "--", "/tenant", *words)


def is_ready(instance, name):
    conditions = instance.get("pod", name)["status"].get("conditions", [])
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def wait_ready(instance, name):
    wait_until(lambda: is_ready(instance, name), 30, f"pod {name} is ready")


def messages_of(instance, name):
    events = instance.get("events", "--field-selector", f"involvedObject.name={name}")["items"]
    return " / ".join(event["message"] for event in events)


def test_grpc_and_https_are_asked_and_the_probe_s_own_grace_counts(home):
    grpc = {"port": 8080, "service": "shop"}
    run(home, "probed", {
        "startupProbe": {"httpGet": {"port": 8443, "scheme": "HTTPS"}, "periodSeconds": 1},
        "readinessProbe": {"grpc": grpc, "periodSeconds": 1, "failureThreshold": 1},
        "livenessProbe": {"grpc": grpc, "periodSeconds": 1, "failureThreshold": 5,
                          "terminationGracePeriodSeconds": 1}})
    wait_ready(home, "probed")
    tenant(home, "probed", "write", SICK, "yes")
    wait_until(lambda: not is_ready(home, "probed"), 20, "it is not ready any more")
    wait_until(lambda: 'probe failed: service unhealthy (responded with "NOT_SERVING")'
               in messages_of(home, "probed"), 10, "the event says why")
    wait_until(lambda: home.get("pod", "probed")["status"]["containerStatuses"][0]["restartCount"],
               20, "the liveness probe has it started again")


def test_a_redirect_is_followed_to_where_it_leads(home):
    run(home, "moved", {"readinessProbe": {
        "httpGet": {"port": 8080, "path": "/moved"}, "periodSeconds": 1}})
    wait_until(lambda: "HTTP probe failed with statuscode: 410" in messages_of(home, "moved"), 20,
               "the probe fails")
    assert not is_ready(home, "moved")


CONFIG = """
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {colour: "%s"}
---
apiVersion: v1
kind: Secret
metadata: {name: hidden}
stringData: {key: "%s"}
"""


def test_volumes_follow_what_they_are_made_of(home):
    home.kubectl("apply", "-f", "-", stdin=CONFIG % ("red", "one"))
    run(home, "volumes", {
        "volumeMounts": [
            {"name": "settings", "mountPath": "/settings"}, {"name": "all", "mountPath": "/all"},
            {"name": "self", "mountPath": "/self"},
            {"name": "settings", "mountPath": "/one", "subPath": "colour"}],
        "resources": {"limits": {"memory": "64Mi"}}}, volumes=[
        {"name": "settings", "configMap": {"name": "settings"}},
        {"name": "self", "downwardAPI": {"items": [
            {"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}},
            {"path": "memory", "resourceFieldRef": {
                "containerName": "tenant", "resource": "limits.memory", "divisor": "1Mi"}}]}},
        {"name": "all", "projected": {"sources": [
            {"secret": {"name": "hidden", "items": [{"key": "key", "path": "deep/key"}]}},
            {"downwardAPI": {"items": [
                {"path": "name", "fieldRef": {"fieldPath": "metadata.name"}}]}}]}}])
    wait_ready(home, "volumes")
    def read(path):
        return tenant(home, "volumes", "cat", path)
    files = ["/settings/colour", "/all/deep/key", "/all/name", "/self/memory", "/one"]
    assert [read(path) for path in files] == ["red", "one", "volumes", "64", "red"]
    home.kubectl("apply", "-f", "-", stdin=CONFIG % ("blue", "two"))
    home.kubectl("label", "pod", "volumes", "mood=good")
    wait_until(lambda: read("/settings/colour") == "blue", 20, "the ConfigMap's volume follows")
    wait_until(lambda: read("/all/deep/key") == "two", 20, "the projected volume follows")
    wait_until(lambda: read("/self/labels") == 'app="tenant"\nmood="good"', 20, "labels follow")
    assert read("/one") == "red"  # a subPath is what it was when the container started
    written = home.kubectl("exec", "volumes", "--", "/tenant", "write", "/settings/own", "x",
                           check=False)
    assert "cannot write /settings/own" in written.stderr
    home.kubectl("delete", "configmap/settings", "secret/hidden")


def test_a_volume_that_cannot_be_made_says_why(home):
    run(home, "waits", {"volumeMounts": [{"name": "later", "mountPath": "/later"}]},
        volumes=[{"name": "later", "configMap": {"name": "later"}}])
    wait_until(lambda: 'MountVolume.SetUp failed for volume "later" : configmap "later" not found'
               in messages_of(home, "waits"), 20, "the event names what is missing")
    home.kubectl("create", "configmap", "later", "--from-literal=key=value")
    wait_ready(home, "waits")
    assert tenant(home, "waits", "cat", "/later/key") == "value"
    home.kubectl("delete", "configmap/later")


def test_a_container_starts_as_soon_as_what_it_waits_for_is_there(home):
    """Its pauses have grown by the time that it comes."""
    variable = {"name": "WORD", "valueFrom": {"configMapKeyRef": {"name": "words", "key": "word"}}}
    run(home, "worded", {"env": [variable]})
    def pauses():
        events = home.get("events", "--field-selector", "involvedObject.name=worded")["items"]
        return sum(each.get("count", 1) for each in events
                   if 'configmap "words" not found' in each["message"])
    # At once and after 10 seconds: the next time is 20 seconds away.
    wait_until(lambda: pauses() >= 2, 60, "it has been tried twice")
    home.kubectl("create", "configmap", "words", "--from-literal=word=yes")
    wait_until(lambda: "running" in statuses(home, "worded")["tenant"]["state"], 10, "it runs")
    home.kubectl("delete", "pod", "worded", "--grace-period=1")
    home.kubectl("delete", "configmap", "words")


def test_a_command_whose_client_goes_leaves_nothing_behind(home):
    """Killed, and reaped by the control process, which started it."""
    run(home, "visited")
    wait_ready(home, "visited")
    control = home.role_pid("control")
    def commands():  # a process that is dead, but not reaped, has no words
        found = {pid: traces.command(pid) for pid in traces.children(control)}
        return [pid for pid, words in found.items() if not words or " exec " in words]
    client = subprocess.Popen(
        [KUBECTL, "--kubeconfig", home.kubeconfig, "exec", "visited", "--", "/tenant", "serve",
         "8081", "8444", SICK], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until(commands, 20, "the command runs")
    finally:
        client.kill()
        client.wait()
    wait_until(lambda: not commands(), 20, "nothing of it is left")
    home.kubectl("delete", "pod", "visited", "--grace-period=1")


CLAIM = """
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: %s}
spec:
  accessModes: [ReadWriteOnce]
  resources: {requests: {storage: 1Gi}}
  %s
"""


def claim(instance, name, spec=""):
    instance.kubectl("apply", "-f", "-", stdin=CLAIM % (name, spec))


def claimed(name, **source):
    return [{"name": "data", "persistentVolumeClaim": {"claimName": name, **source}}]


def wait_phase(instance, kind, name, phase):
    return wait_until(
        lambda: (found := instance.get(kind, name))["status"].get("phase") == phase and found,
        20, f"{kind} {name} is {phase}")


def is_gone(instance, kind, name):
    return "NotFound" in instance.kubectl("get", kind, name, check=False).stderr


def test_a_claim_is_a_directory_that_outlives_pods_and_goes_with_the_claim(home):
    run(home, "first", {"volumeMounts": [
        {"name": "data", "mountPath": "/data", "subPath": "app"}]}, volumes=claimed("data"))
    wait_until(lambda: 'persistentvolumeclaim "data" not found' in messages_of(home, "first"), 20,
               "the event names the claim")
    claim(home, "data")
    volume = wait_phase(home, "pvc", "data", "Bound")["spec"]["volumeName"]
    assert wait_phase(home, "pv", volume, "Bound")["spec"]["storageClassName"] == "local-path"
    wait_ready(home, "first")
    tenant(home, "first", "write", "/data/file", "kept")
    home.kubectl("delete", "pod", "first", "--grace-period=1")

    run(home, "second", {"volumeMounts": [{"name": "data", "mountPath": "/data"}]},
        volumes=claimed("data", readOnly=True))
    wait_ready(home, "second")
    assert tenant(home, "second", "cat", "/data/app/file") == "kept"
    written = home.kubectl("exec", "second", "--", "/tenant", "write", "/data/x", "x", check=False)
    assert "cannot write /data/x" in written.stderr
    home.kubectl("delete", "pvc", "data", "--wait=false")
    assert "deletionTimestamp" in home.get("pvc", "data")["metadata"]  # a pod uses it
    directory = home.data_dir / "volumes" / volume
    assert directory.is_dir()
    home.kubectl("delete", "pod", "second", "--grace-period=1")
    for kind, name in (("pvc", "data"), ("pv", volume)):
        wait_until(lambda: is_gone(home, kind, name), 20, f"{kind} {name} is gone")
    assert not directory.exists()


def test_an_ephemeral_volume_goes_with_its_pod(home):
    template = {"spec": {"accessModes": ["ReadWriteOnce"],
                         "resources": {"requests": {"storage": "1Gi"}}}}
    run(home, "brief", {"volumeMounts": [{"name": "own", "mountPath": "/own"}]},
        volumes=[{"name": "own", "ephemeral": {"volumeClaimTemplate": template}}])
    wait_ready(home, "brief")
    tenant(home, "brief", "write", "/own/file", "x")
    volume = home.get("pvc", "brief-own")["spec"]["volumeName"]
    assert (home.data_dir / "volumes" / volume / "file").is_file()
    home.kubectl("delete", "pod", "brief", "--grace-period=1")
    for kind, name in (("pvc", "brief-own"), ("pv", volume)):
        wait_until(lambda: is_gone(home, kind, name), 20, f"{kind} {name} is gone")


STATIC = """
apiVersion: v1
kind: PersistentVolume
metadata: {name: shelf, labels: {disk: oak}}
spec:
  capacity: {storage: 2Gi}
  accessModes: [ReadWriteOnce]
  storageClassName: manual
  hostPath: {path: %s}
---
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: keep}
provisioner: tulle.dev/local-path
reclaimPolicy: Retain
"""


def test_volumes_that_are_to_stay_stay(home, tmp_path):
    home.kubectl("apply", "-f", "-", stdin=STATIC % tmp_path)
    claim(home, "shelf", "storageClassName: manual\n  selector: {matchLabels: {disk: oak}}")
    claim(home, "kept", "storageClassName: keep")
    assert wait_phase(home, "pvc", "shelf", "Bound")["spec"]["volumeName"] == "shelf"
    kept = wait_phase(home, "pvc", "kept", "Bound")["spec"]["volumeName"]
    run(home, "keeper", {"volumeMounts": [
        {"name": "data", "mountPath": "/shelf"}, {"name": "kept", "mountPath": "/kept"}]},
        volumes=[*claimed("shelf"), {**claimed("kept")[0], "name": "kept"}])
    wait_ready(home, "keeper")
    for path in ("/shelf/file", "/kept/file"):
        tenant(home, "keeper", "write", path, "kept")
    home.kubectl("delete", "pod", "keeper", "--grace-period=1")
    home.kubectl("delete", "pvc", "shelf", "kept")
    for name in ("shelf", kept):
        wait_phase(home, "pv", name, "Released")
    home.kubectl("delete", "pv", "shelf", kept)
    assert (tmp_path / "file").read_text() == "kept"
    assert (home.data_dir / "volumes" / kept / "file").read_text() == "kept"


def statuses(instance, name):
    """Container name → status, those of init containers too."""
    status = instance.get("pod", name)["status"]
    return {each["name"]: each for part in ("initContainerStatuses", "containerStatuses")
            for each in status.get(part, [])}


def test_a_sidecar_starts_before_the_work_and_ends_after_it(home):
    beside = {"name": "beside", "image": "tenant:latest", "restartPolicy": "Always",
              "args": ["serve", "8090", "8490", SICK],
              "startupProbe": {"httpGet": {"port": 8090}, "periodSeconds": 1}}
    first = {"name": "first", "image": "tenant:latest", "args": ["cat", "/etc/hostname"]}
    run(home, "job", {"args": ["write", "/life/done", "yes"]}, restartPolicy="Never",
        terminationGracePeriodSeconds=1, initContainers=[beside, first])
    wait_phase(home, "pod", "job", "Succeeded")
    wait_until(lambda: "terminated" in statuses(home, "job")["beside"]["state"], 20,
               "the sidecar is stopped")
    ended = {name: each["state"]["terminated"] for name, each in statuses(home, "job").items()}
    assert ended["tenant"]["exitCode"] == ended["first"]["exitCode"] == 0
    assert ended["beside"]["startedAt"] <= ended["first"]["startedAt"]
    assert ended["tenant"]["finishedAt"] <= ended["beside"]["finishedAt"]
    assert ended["beside"]["exitCode"] == 137  # it does not heed SIGTERM

    run(home, "both", initContainers=[{**beside, "readinessProbe": {
        "grpc": {"port": 8090}, "periodSeconds": 1}, "volumeMounts": [
            {"name": "life", "mountPath": "/life"}]}])
    wait_ready(home, "both")
    assert home.kubectl("get", "pod", "both", "--no-headers").split()[1] == "2/2"
    tenant(home, "both", "write", SICK, "yes")
    wait_until(lambda: not is_ready(home, "both"), 20, "the pod is as ready as its sidecar")


def test_a_new_agent_goes_on_where_the_old_one_was(home):
    home.kubectl("apply", "-f", "-", stdin=CONFIG % ("red", "one"))
    beside = {"name": "beside", "image": "tenant:latest", "restartPolicy": "Always",
              "args": ["serve", "8090", "8490", SICK]}
    run(home, "stays", {"volumeMounts": [{"name": "settings", "mountPath": "/settings"}]},
        volumes=[{"name": "settings", "configMap": {"name": "settings"}}],
        initContainers=[beside])
    wait_ready(home, "stays")
    before = {name: each["containerID"] for name, each in statuses(home, "stays").items()}
    killed = home.kill_role("control")
    wait_until(lambda: home.role_pid("control") != killed and home.is_ready(), 20, "a new control")
    home.kubectl("apply", "-f", "-", stdin=CONFIG % ("blue", "two"))
    wait_until(lambda: tenant(home, "stays", "cat", "/settings/colour") == "blue", 20,
               "volumes follow again")
    assert before == {name: each["containerID"] for name, each in statuses(home, "stays").items()}
    home.kubectl("delete", "pod", "stays", "--grace-period=1")
    home.kubectl("delete", "configmap/settings", "secret/hidden")


def test_hooks_run_before_and_after(home):
    write = lambda *words: {"exec": {"command": ["/tenant", "write", *words]}}
    run(home, "hooked", {"lifecycle": {"postStart": write("/life/begun", "yes"),
                                       "preStop": {"httpGet": {"port": 1}}}})
    wait_ready(home, "hooked")
    assert tenant(home, "hooked", "cat", "/life/begun") == "yes"
    home.kubectl("delete", "pod", "hooked", "--grace-period=2")
    wait_until(lambda: "PreStopHook failed" in messages_of(home, "hooked"), 10, "the hook was run")
    run(home, "refused", {"lifecycle": {"postStart": write("/life/begun", "no", "7")}},
        terminationGracePeriodSeconds=1)
    wait_until(lambda: "PostStartHook failed: command terminated with exit code 7"
               in messages_of(home, "refused"), 20, "the event says why")
    wait_until(lambda: statuses(home, "refused")["tenant"]["restartCount"], 20, "once more")


def test_a_container_s_last_words_are_told(home):
    words = {"name": "words", "image": "tenant:latest",
             "args": ["write", "/dev/termination-log", "why", "3"]}
    run(home, "ended", {"args": ["cat", "/nowhere"],
                        "terminationMessagePolicy": "FallbackToLogsOnError"},
        restartPolicy="Never")
    wait_phase(home, "pod", "ended", "Failed")
    ended = statuses(home, "ended")["tenant"]["state"]["terminated"]
    assert ended["message"] == "tenant: cannot read /nowhere\n"
    run(home, "spoken", initContainers=[words], restartPolicy="Never")
    wait_phase(home, "pod", "spoken", "Failed")
    ended = statuses(home, "spoken")["words"]["state"]["terminated"]
    assert (ended["exitCode"], ended["message"]) == (3, "why")


def test_the_log_of_a_container_that_has_not_run_says_what_it_waits_for(home):
    serves = {"name": "before", "image": "tenant:latest", "args": ["serve", "8080", "8443", SICK]}
    run(home, "late", initContainers=[serves])
    run(home, "lost", {"image": "no-such-image:1", "imagePullPolicy": "Never"})
    wait_until(lambda: "running" in statuses(home, "late")["before"]["state"], 20, "it has begun")
    for pod, reason in (("late", "PodInitializing"), ("lost", "ErrImageNeverPull")):
        wait_until(lambda pod=pod, reason=reason: f"is waiting to start: {reason}" in home.kubectl(
            "logs", pod, "-c", "tenant", check=False).stderr, 10, f"{pod} waits for {reason}")
