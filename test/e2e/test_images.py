"""Images out of registries: when they are pulled and as whom, what is said of it, what is shared,
and that nothing which comes from a registry harms anybody but the pod that asked for it."""

import contextlib
import io
import json
import os
import pathlib
import stat
import subprocess
import tarfile
import tempfile

import pytest

from instance import Instance
from registry import (DOCKER, INDEX, Image, Registry, StallingRegistry, box_layer, digest_of, file,
                      folder, layer, link, packed)
from waiting import wait_until

START_LIMIT_S = 60
PODS = "/api/v1/namespaces/default/pods"


@pytest.fixture(scope="module")
def node():
    """An instance of this file's own."""
    made = Instance()
    try:
        made.start()
        yield made
    finally:
        made.close()


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    made = Registry(tmp_path_factory.mktemp("registry") / "open")
    yield made
    made.stop()


@pytest.fixture(scope="module")
def private(tmp_path_factory):
    """A registry that asks for a password."""
    made = Registry(tmp_path_factory.mktemp("registry") / "private", private=True)
    yield made
    made.stop()


@pytest.fixture(scope="module")
def box():
    return box_layer()


@pytest.fixture(autouse=True)
def no_pods_stay(node):
    yield
    node.kubectl("delete", "pods", "--all", "--grace-period=0", "--force", "--wait=false")


def word(text):
    """A layer that tells images apart."""
    return layer(file("word", text.encode()))


def run(instance, name, image, policy=None, **spec):
    container = {"name": "main", "image": image}
    if policy:
        container["imagePullPolicy"] = policy
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
           "spec": {"containers": [container], "terminationGracePeriodSeconds": 0, **spec}}
    instance.kubectl("apply", "-f", "-", stdin=json.dumps(pod))


def status(instance, name):
    """The status of the pod's container."""
    return instance.get("pod", name)["status"]["containerStatuses"][0]


def waiting(instance, name):
    return status(instance, name)["state"].get("waiting", {})


def wait_running(instance, name, limit_s=START_LIMIT_S):
    wait_until(lambda: "running" in status(instance, name)["state"], limit_s, f"{name} runs")


def wait_reason(instance, name, reason, limit_s=START_LIMIT_S):
    """Until the pod waits for that reason; returns the message."""
    def fitting():
        last = waiting(instance, name)
        return last if last.get("reason") == reason else None
    return wait_until(fitting, limit_s, f"{name} waits: {reason}").get("message", "")


def version_of_pods(instance):
    return instance.api("GET", PODS)[1]["metadata"]["resourceVersion"]


def reasons_since(instance, version, name):
    """(reason, message) of all that the pod's container waited for, the shortest time as well."""
    connection = instance.api_connection()
    try:
        connection.request("GET", f"{PODS}?watch=1&resourceVersion={version}&timeoutSeconds=1"
                                  f"&fieldSelector=metadata.name%3D{name}")
        lines = connection.getresponse().read().decode().splitlines()
    finally:
        connection.close()
    reasons = []
    for line in lines:
        for each in json.loads(line)["object"]["status"].get("containerStatuses", []):
            state = each["state"].get("waiting", {})
            if "reason" in state and (not reasons or reasons[-1][0] != state["reason"]):
                reasons.append((state["reason"], state.get("message", "")))
    return reasons


def events(instance, name):
    """(reason, message) of the pod's events, in their order."""
    items = instance.get("events", "--field-selector", f"involvedObject.name={name}")["items"]
    return [(event["reason"], event["message"])
            for event in sorted(items, key=lambda event: event["metadata"]["creationTimestamp"])]


def wait_event(instance, name, reason, text):
    def found():
        return any(each[0] == reason and text in each[1] for each in events(instance, name))
    try:
        wait_until(found, 20, f"event {reason} with {text!r} of {name}")
    except AssertionError as error:
        raise AssertionError(f"{error}: {events(instance, name)}") from None


def word_of(instance, name):
    return instance.kubectl("exec", name, "--", "cat", "/word")


def test_a_pull_is_told_and_what_is_here_is_not_pulled_again(node, registry, box):
    digest = registry.push("team/app", Image([box, word("one")]), "1")
    image = f"{registry.address}/team/app:1"
    run(node, "first", image)
    wait_running(node, "first")
    assert word_of(node, "first") == "one"
    assert status(node, "first")["imageID"] == f"{registry.address}/team/app@{digest}"
    wait_event(node, "first", "Pulling", f'Pulling image "{image}"')
    wait_event(node, "first", "Pulled", f'Successfully pulled image "{image}" in ')
    wait_event(node, "first", "Pulled", " including waiting). Image size: ")

    registry.stop()
    try:
        run(node, "second", image)
        wait_running(node, "second")
        wait_event(node, "second", "Pulled",
                   f'Container image "{image}" already present on machine')
    finally:
        registry.start()
    assert registry.fetched("1") == 1


def test_latest_is_asked_for_each_time_and_fetched_when_it_is_another(node, registry, box):
    old, new = Image([box, word("old")]), Image([box, word("new")])
    image = f"{registry.address}/team/moving"  # :latest, and so Always
    registry.push("team/moving", old, "latest")
    for name in ("before", "again"):
        run(node, name, image)
        wait_running(node, name)
        assert word_of(node, name) == "old"
    assert registry.fetched("latest") == 2
    layers = json.loads(old.blobs()[1])["layers"]
    assert registry.fetched(layers[1]["digest"]) == 1
    registry.push("team/moving", new, "latest")
    run(node, "after", image)
    wait_running(node, "after")
    assert word_of(node, "after") == "new"


def test_an_image_that_never_may_be_pulled_is_not(node, registry, box):
    registry.push("team/never", Image([box]), "1")
    image = f"{registry.address}/team/never:1"
    run(node, "never", image, "Never")
    message = wait_reason(node, "never", "ErrImageNeverPull")
    said = f'Container image "{image}" is not present with pull policy of Never'
    assert said in message, message
    wait_event(node, "never", "ErrImageNeverPull", said)
    wait_event(node, "never", "Failed", "Error: ErrImageNeverPull")
    assert registry.asked("team/never") == []
    # Once another pod has brought it, this one starts without asking either.
    run(node, "bringer", image)
    wait_running(node, "bringer")
    wait_running(node, "never")


def test_a_digest_names_one_image_whatever_its_tag_says_later(node, registry, box):
    digest = registry.push("team/fixed", Image([box, word("then")]), "1")
    registry.push("team/fixed", Image([box, word("now")]), "1")
    run(node, "fixed", f"{registry.address}/team/fixed@{digest}")
    run(node, "both", f"{registry.address}/team/fixed:1@{digest}")
    for name in ("fixed", "both"):
        wait_running(node, name)
        assert word_of(node, name) == "then"
    run(node, "unknown", f"{registry.address}/team/fixed@{digest_of(b'nothing')}")
    assert "manifest unknown" in wait_reason(node, "unknown", "ImagePullBackOff")


def test_of_an_index_this_machine_s_platform_is_taken(node, registry, box):
    index = registry.push_index("team/many", {
        "s390x": Image([box, word("s390x")], "s390x"),
        "amd64": Image([box, word("amd64")]),
        "arm64": Image([box, word("arm64")], "arm64")}, "1")
    run(node, "many", f"{registry.address}/team/many:1")
    wait_running(node, "many")
    assert word_of(node, "many") == "amd64"
    assert status(node, "many")["imageID"].endswith(f"/team/many@{index}")

    others = {name: Image([box], name) for name in ("arm64", "s390x")}
    registry.push_index("team/others", others, "1")
    registry.push("team/other", others["arm64"], "1")
    for name, text in (("others", "linux/arm64, linux/s390x"), ("other", "linux/arm64")):
        run(node, name, f"{registry.address}/team/{name}:1")
        message = wait_reason(node, name, "ImagePullBackOff")
        assert f"the image is for {text} and this machine is linux/amd64" in message, message


def test_images_of_docker_s_own_kind_are_taken_as_they_are(node, registry, box):
    image = Image([box, word("docker")], kinds=DOCKER)
    digest = registry.push("team/docker", image, "1")
    run(node, "docker", f"{registry.address}/team/docker:1")
    wait_running(node, "docker")
    assert word_of(node, "docker") == "docker"
    assert status(node, "docker")["imageID"].endswith(digest)
    config = json.loads(image.blobs()[1])["config"]["digest"]
    assert config.removeprefix("sha256:") in os.listdir(node.data_dir / "images/configs")


def test_what_cannot_be_pulled_is_tried_again_after_longer_and_longer(node, registry, box):
    image = f"{registry.address}/team/missing:1"
    version = version_of_pods(node)
    run(node, "missing", image)
    wait_reason(node, "missing", "ImagePullBackOff")
    told = reasons_since(node, version, "missing")
    assert [reason for reason, _ in told[:3]] == [
        "ContainerCreating", "ErrImagePull", "ImagePullBackOff"], told
    failed, backing_off = told[1][1], told[2][1]
    assert failed.startswith(f'Failed to pull image "{image}": '), failed
    assert "manifest unknown" in failed, failed
    assert backing_off == f'Back-off pulling image "{image}": ErrImagePull: {failed}', backing_off
    for reason, text in (("Pulling", f'Pulling image "{image}"'),
                         ("Failed", f'Failed to pull image "{image}": '),
                         ("Failed", "Error: ErrImagePull"),
                         ("BackOff", f'Back-off pulling image "{image}"'),
                         ("Failed", "Error: ImagePullBackOff")):
        wait_event(node, "missing", reason, text)

    wait_until(lambda: len(registry.asked("team/missing")) == 3, 60, "it is tried a third time")
    first, second, third = registry.asked("team/missing")
    # Not sooner than upstream, and not much later, although the machine may be busy.
    assert 9 <= second - first <= 20 and 19 <= third - second <= 35, (first, second, third)
    registry.push("team/missing", Image([box]), "1")
    wait_running(node, "missing", 60)


def test_a_name_that_is_none_is_said_to_be_none(node):
    run(node, "nonsense", "Not/A:Name:At:All")
    assert 'image name \'Not/A:Name:At:All\'' in wait_reason(node, "nonsense", "InvalidImageName")
    wait_event(node, "nonsense", "InspectFailed", "Failed to apply default image tag")
    wait_event(node, "nonsense", "Failed", "Error: InvalidImageName")


def test_a_registry_that_comes_back_is_asked_again(node, registry, box):
    registry.push("team/patient", Image([box]), "1")
    registry.stop()
    try:
        run(node, "patient", f"{registry.address}/team/patient:1", "Always")
        assert "connection refused" in wait_reason(node, "patient", "ImagePullBackOff")
    finally:
        registry.start()
    wait_running(node, "patient")


def test_a_registry_of_this_machine_may_speak_tls_or_not(node, tmp_path, box):
    pair = tmp_path / "certificate", tmp_path / "key"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=registry",
                    "-addext", "subjectAltName=IP:127.0.0.1", "-out", pair[0], "-keyout", pair[1]],
                   check=True, capture_output=True)
    registry = Registry(tmp_path / "registry", tls=pair)
    try:
        registry.push("team/tls", Image([box]), "1")
        run(node, "tls", f"{registry.address}/team/tls:1")
        wait_running(node, "tls")
    finally:
        registry.stop()


def secret(instance, name, content, kind="kubernetes.io/dockerconfigjson",
           key=".dockerconfigjson"):
    instance.kubectl("apply", "-f", "-", stdin=json.dumps({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "type": kind,
        "stringData": {key: content}}))


def test_private_images_need_the_right_secret(node, private, box):
    for name in ("bare", "wrong", "lost", "right", "second", "old"):
        private.push(f"team/{name}", Image([box]), "1")
    secret(node, "wrong", private.login("guess"))
    secret(node, "right", private.login())
    old = json.dumps(json.loads(private.login())["auths"])
    secret(node, "old", old, "kubernetes.io/dockercfg", ".dockercfg")
    for name, secrets in (("bare", []), ("wrong", ["wrong"]), ("lost", ["nowhere"]),
                          ("right", ["right"]), ("second", ["wrong", "right"]), ("old", ["old"])):
        run(node, name, f"{private.address}/team/{name}:1",
            imagePullSecrets=[{"name": each} for each in secrets])
    for name in ("right", "second", "old"):
        wait_running(node, name)
    for name in ("bare", "wrong", "lost"):
        message = wait_reason(node, name, "ImagePullBackOff")
        assert "authentication required" in message, message
    wait_event(node, "lost", "FailedToRetrieveImagePullSecret",
               "Unable to retrieve some image pull secrets (nowhere); attempting to pull the "
               "image may not succeed.")


def test_the_secrets_of_a_service_account_are_those_of_its_pods(node, private, box):
    private.push("team/robot", Image([box]), "1")
    secret(node, "robot", private.login())
    node.kubectl("create", "serviceaccount", "robot")
    node.kubectl("patch", "serviceaccount", "robot", "-p",
                 json.dumps({"imagePullSecrets": [{"name": "robot"}]}))
    run(node, "robot", f"{private.address}/team/robot:1", serviceAccountName="robot")
    wait_running(node, "robot")
    assert node.get("pod", "robot")["spec"]["imagePullSecrets"] == [{"name": "robot"}]


def test_layers_are_fetched_and_stored_once(node, registry):
    base = layer(folder("base"), file("base/x", os.urandom(4096)))
    box = box_layer()
    images = [Image([box, base, word(text)]) for text in ("left", "right")]
    base_digest = json.loads(images[0].blobs()[1])["layers"][1]["digest"]
    for text, image in zip(("left", "right"), images):
        registry.push(f"team/{text}", image, "1")
    # Several at once of one image, and then one of another image on the same base.
    for number in range(4):
        run(node, f"left{number}", f"{registry.address}/team/left:1")
    for number in range(4):
        wait_running(node, f"left{number}")
    assert registry.fetched(base_digest) == 1
    stored = node.data_dir / "images/layers"
    before = set(os.listdir(stored))
    run(node, "right", f"{registry.address}/team/right:1")
    wait_running(node, "right")
    assert word_of(node, "right") == "right"
    assert registry.fetched(base_digest) == 1
    assert set(os.listdir(stored)) - before == {digest_of(word("right")).removeprefix("sha256:")}


def skopeos(instance):
    """The skopeo processes that work for this instance."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        try:
            cwd = os.readlink(entry / "cwd") if entry.name.isdigit() else ""
            command = (entry / "cmdline").read_bytes() if cwd else b""
        except OSError:
            continue
        if str(instance.data_dir) in cwd and b"skopeo" in command.split(b"\0")[0]:
            found.append(int(entry.name))
    return found


def test_a_pull_that_stands_still_holds_up_nobody_and_is_told(node, registry, box):
    stalling = StallingRegistry(Image([layer(file("big", os.urandom(1 << 20)))]))
    try:
        for number in range(3):
            run(node, f"stalled{number}", f"{stalling.address}/team/app:{number}")
        wait_until(lambda: sum("/blobs/" in path for path in stalling.asked) >= 1, 30,
                   "layers are asked for")
        wait_until(lambda: " of 1.0 MB fetched, nothing for " in
                   waiting(node, "stalled0").get("message", ""), 30, "how far it is")
        assert waiting(node, "stalled0")["reason"] == "ContainerCreating"
        wait_event(node, "stalled0", "Pulling", " of 1.0 MB fetched")
        assert "waits for other pulls" in waiting(node, "stalled2")["message"]
        registry.push("team/quick", Image([box, word("quick")]), "1")
        run(node, "quick", f"{registry.address}/team/quick:1")
        wait_running(node, "quick")

        node.kubectl("delete", "pod", "stalled0", "stalled1", "stalled2", "--timeout=30s")
        wait_until(lambda: not skopeos(node), 20, "nothing is asked of the registry any more")
        wait_until(lambda: not os.listdir(node.data_dir / "images/tmp"), 20,
                   "what was fetched is gone")
    finally:
        stalling.close()


def test_a_slow_pull_comes_to_its_end(node, box):
    stalling = StallingRegistry(Image([box, layer(file("big", os.urandom(1 << 20)))]))
    try:
        run(node, "slow", f"{stalling.address}/team/app:1")
        wait_until(lambda: " fetched" in waiting(node, "slow").get("message", ""), 30,
                   "it is under way")
        stalling.let_go()
        wait_running(node, "slow")
    finally:
        stalling.close()


def test_what_a_dead_control_left_of_a_pull_is_removed_and_pulled_anew(node, box):
    stalling = StallingRegistry(Image([box, layer(file("big", os.urandom(1 << 20)))]))
    staging = node.data_dir / "images/tmp"
    try:
        run(node, "orphan", f"{stalling.address}/team/app:1")
        wait_until(lambda: " fetched" in waiting(node, "orphan").get("message", ""), 30,
                   "it is under way")
        left, old = set(os.listdir(staging)), set(skopeos(node))
        assert left and old
        node.kill_role("control")
        wait_until(lambda: not old & set(skopeos(node)), 20, "its skopeo is gone")
        wait_until(lambda: not left & set(os.listdir(staging)), 30, "what it fetched is gone")
        stalling.let_go()
        wait_running(node, "orphan")
    finally:
        stalling.close()


def test_the_node_lists_its_images(node, registry, box):
    digest = registry.push("team/listed", Image([box, word("listed")]), "1")
    run(node, "listed", f"{registry.address}/team/listed:1")
    wait_running(node, "listed")
    name = f"{registry.address}/team/listed"

    def listed():
        images = node.get("nodes")["items"][0]["status"].get("images", [])
        return next((image for image in images if f"{name}:1" in image["names"]), None)
    entry = wait_until(listed, 30, "the node lists it")
    assert f"{name}@{digest}" in entry["names"] and entry["sizeBytes"] > len(box) / 2, entry


# ---------------------------------------------------------------- hostile images

def device(name, kind):
    return file(name, type=kind, devmajor=1, devminor=1, mode=0o666)


def hardlink(name, target):
    return file(name, type=tarfile.LNKTYPE, linkname=target)


def refused(out):
    """name → (layers, what is said) of images whose layers lead out, or try to. `out` is a folder
    of this machine."""
    up = "../" * 20 + str(out)[1:]
    return {
        "dotdot": ([layer(file(f"{up}/planted", b"x"))], "the name leads out of the layer"),
        "door": ([layer(link("door", str(out)), file("door/planted", b"x"))],
                 "a parent of it is no directory of the layer"),
        "back": ([layer(folder("a"), link("a/door", up), file("a/door/secret", b"x"))],
                 "a parent of it is no directory of the layer"),
        "theft": ([layer(hardlink("stolen", f"{out}/secret"))], "is no file of the layer"),
        "climb": ([layer(hardlink("stolen", f"{up}/secret"))], "is not in the layer"),
        "detour": ([layer(link("door", str(out)), hardlink("stolen", "door/secret"))],
                   "is no file of the layer"),
        "unhide": ([layer(file(".wh..."))], "it hides no name"),
        "below": ([layer(file("a/.wh.b/c", b"x"))], "it lies below a whiteout"),
        "claims": ([huge("zeros", 1 << 50)], "larger than"),
        "text": ([b"this is no tar " * 100], "layer 2"),
    }


def contained(out):
    """The same, of images that run: what they tried happened within them."""
    return {
        "absolute": [layer(file(f"{out}/planted", b"inside"))],
        "stairs": [layer(link("door", str(out))), layer(file("door/planted", b"inside"))],
        "devices": [layer(folder("dev"), device("dev/mem", tarfile.CHRTYPE),
                          device("disk", tarfile.BLKTYPE), device("mem", tarfile.CHRTYPE))],
        "hides": [layer(file(".wh.etc"), file(".wh..wh..opq"), folder("bin"),
                        *box_members())],
    }


def box_members():
    """The box once more, for a layer that hides the one below."""
    with tarfile.open(fileobj=io.BytesIO(box_layer())) as tar:
        return [(member, tar.extractfile(member).read() if member.isreg() else b"")
                for member in tar if not member.isdir()]


def huge(name, size):
    """A layer that speaks of a file of `size` bytes and then ends."""
    member, _ = file(name)
    member.size = size
    return member.tobuf(tarfile.GNU_FORMAT) + bytes(10240)


@pytest.fixture
def out(tmp_path):
    """A folder that no image may touch."""
    made = tmp_path / "out"
    made.mkdir()
    (made / "secret").write_text("secret")
    before = {path: path.stat() for path in (made, made / "secret")}
    yield made
    assert [each.name for each in made.iterdir()] == ["secret"]
    assert (made / "secret").read_text() == "secret"
    for path, was in before.items():
        now = path.stat()
        assert (now.st_mode, now.st_nlink, now.st_mtime_ns) == (
            was.st_mode, was.st_nlink, was.st_mtime_ns), path


def test_layers_that_lead_out_are_refused_and_said_to(node, registry, box, out):
    run(node, "innocent", innocent(registry, box))
    cases = refused(out)
    for name, (layers, _) in cases.items():
        registry.push(f"bad/{name}", Image([box, *layers]), "1")
        run(node, name, f"{registry.address}/bad/{name}:1")
    for name, (_, said) in cases.items():
        message = wait_reason(node, name, "ImagePullBackOff")
        assert said in message, f"{name}: {message}"
        wait_event(node, name, "Failed", said)
    wait_running(node, "innocent")
    wait_until(lambda: not os.listdir(node.data_dir / "images/tmp"), 20, "nothing is left of them")


def innocent(registry, box):
    registry.push("team/innocent", Image([box, word("innocent")]), "1")
    return f"{registry.address}/team/innocent:1"


def test_layers_that_try_something_try_it_inside_their_pod(node, registry, box, out):
    for name, layers in contained(out).items():
        registry.push(f"tried/{name}", Image([box, *layers]), "1")
        run(node, name, f"{registry.address}/tried/{name}:1")
        wait_running(node, name)

    def sh(name, script):
        return node.kubectl("exec", name, "--", "sh", "-c", script)
    for name, path in (("absolute", f"{out}/planted"), ("stairs", "/door/planted")):
        assert sh(name, f"cat {path}") == "inside"
    # What the image calls a device is none, and /dev is the runtime's.
    sh("devices", "test ! -e /disk && test ! -e /mem && test ! -e /dev/mem && test -c /dev/null")
    sh("hides", "test ! -e /etc/shadow")


def test_programs_keep_the_rights_that_their_image_gives_them(node, registry, box):
    registry.push("team/rights", Image([box, layer(file("su", b"x", mode=0o4755))]), "1")
    run(node, "rights", f"{registry.address}/team/rights:1")
    wait_running(node, "rights")
    node.kubectl("exec", "rights", "--", "sh", "-c", "test -u /su")
    # Nobody else on this machine gets at them.
    assert stat.S_IMODE((node.data_dir / "images").stat().st_mode) == 0o700


def test_images_that_are_not_what_they_say_are_refused(node, registry, box):
    def noise():
        return layer(file("noise", os.urandom(100_000)))
    cases = {
        "changed": (Image([box, noise()]), "Digest did not match"),
        "other": (Image([noise()], layer_in_config=lambda tar: b"other"),
                  "where the configuration says"),
        "short": (Image([box, noise()], size_of_layer=lambda blob: 10),
                  "bytes where the manifest says 10"),
        "huge": (Image([noise()], size_of_layer=lambda blob: 1 << 60), "the disk has room for"),
        "cut": (Image([box, noise()], pack=lambda tar: packed(tar)[:-1000]), "layer 2"),
    }
    for name, (image, _) in cases.items():
        registry.push(f"lies/{name}", image, "1")
    blob = json.loads(cases["changed"][0].blobs()[1])["layers"][1]["digest"]
    stored = registry.blob_path(blob)
    stored.write_bytes(bytes(stored.stat().st_size))
    registry.push_manifest("lies/nonsense", b'{"schemaVersion": 2, "manifests": []}', "1",
                           INDEX)
    cases["nonsense"] = (None, "no platform")
    for name in cases:
        run(node, name, f"{registry.address}/lies/{name}:1")
    for name, (_, said) in cases.items():
        message = wait_reason(node, name, "ImagePullBackOff")
        assert said in message, f"{name}: {message}"


@contextlib.contextmanager
def small_disk(megabytes):
    with tempfile.TemporaryDirectory(prefix="small-disk-", dir="/tmp") as path:
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "small", path],
                       check=True)
        try:
            yield path
        finally:
            subprocess.run(["umount", path], check=True)


def test_a_layer_that_swells_does_not_fill_the_disk(registry, box):
    # 250 MB that are little more than 1 MB in the registry.
    zeros = bytes(50 << 20)
    bomb = layer(*(file(f"zeros{number}", zeros) for number in range(5)))
    registry.push("bad/bomb", Image([box, bomb]), "1")
    with small_disk(192) as disk:
        small = Instance(disk)
        try:
            small.start()
            run(small, "innocent", innocent(registry, box))
            wait_running(small, "innocent")
            run(small, "bomb", f"{registry.address}/bad/bomb:1")
            message = wait_reason(small, "bomb", "ImagePullBackOff")
            assert "the layer is larger than" in message and "the disk has room for" in message
            wait_until(lambda: not os.listdir(small.data_dir / "images/tmp"), 20,
                       "nothing is left of it")
            assert word_of(small, "innocent") == "innocent"
            run(small, "later", innocent(registry, box))
            wait_running(small, "later")
        finally:
            small.close()
