"""What is wrong is said in one place and in plain words, and harms nothing else."""

import os
import socket

import pytest

from instance import Instance, run_tulle
from waiting import wait_until

SERVICE = """apiVersion: v1
kind: Service
metadata:
  name: typo
spec:
  selector:
    app: typo
  ports:
    - port: 80
      targetPrt: 8080
"""


def said_in_one_line(done):
    """The last line on standard error of a command that failed without a fuss."""
    assert done.returncode not in (0, -6, -11), done
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    assert len(lines) == 1, done.stderr
    return lines[0]


@pytest.fixture
def idle():
    """An instance that is not started."""
    made = Instance()
    try:
        yield made
    finally:
        made.close()


def up(instance, *manifests, **options):
    return run_tulle(*instance.command(*manifests)[1:], limit_s=30, **options)


def test_a_malformed_manifest_names_file_line_and_reason(idle, tmp_path):
    manifest = tmp_path / "broken.yaml"
    manifest.write_text("apiVersion: v1\nkind: Service\nmetadata:\n  name: [unclosed\n")
    line = said_in_one_line(up(idle, manifest))
    assert "broken.yaml:" in line, line


def test_a_manifest_with_a_wrong_field_names_file_line_and_field(idle, tmp_path):
    manifest = tmp_path / "typo.yaml"
    manifest.write_text(SERVICE)
    line = said_in_one_line(up(idle, manifest))
    assert "typo.yaml:" in line and "targetPrt" in line, line


def test_a_manifest_that_is_not_there_is_named(idle, tmp_path):
    assert "nothing.yaml" in said_in_one_line(up(idle, tmp_path / "nothing.yaml"))


def test_unknown_fields_are_refused_under_strict_validation(shared):
    done = shared.kubectl("apply", "-f", "-", stdin=SERVICE, check=False)
    assert done.returncode != 0
    assert 'unknown field "spec.ports[0].targetPrt"' in done.stderr, done.stderr
    assert shared.kubectl("get", "service", "typo", check=False).returncode != 0


def test_unknown_fields_are_a_warning_when_asked_for(shared):
    try:
        done = shared.kubectl("apply", "--validate=warn", "-f", "-", stdin=SERVICE, check=False)
        assert done.returncode == 0 and "unknown field" in done.stderr, done
    finally:
        shared.kubectl("delete", "service", "typo", "--ignore-not-found")


def test_wrong_values_are_refused_with_the_field(shared):
    wrong = SERVICE.replace("targetPrt: 8080", "targetPort: 99999")
    done = shared.kubectl("apply", "-f", "-", stdin=wrong, check=False)
    assert done.returncode != 0 and "spec.ports[0].targetPort" in done.stderr, done.stderr


def test_a_missing_image_waits_and_an_event_says_how_to_load_it(shared):
    try:
        shared.kubectl("run", "lost", "--image=nowhere", "--image-pull-policy=Never")

        def reason():
            pod = shared.get("pod", "lost")
            return pod["status"]["containerStatuses"][0]["state"]["waiting"]["reason"]
        wait_until(lambda: reason() == "ErrImageNeverPull", 20, "the reason why it waits")
        wait_until(lambda: "tulle image" in shared.kubectl("get", "events"), 20,
                   "an event with the command")
    finally:
        shared.kubectl("delete", "pod", "lost", "--ignore-not-found", "--grace-period=1")


def test_a_data_directory_in_use_is_refused(instance):
    other = Instance()
    try:
        other_command = [*other.command()[1:]]
        other_command[other_command.index("--data-dir") + 1] = str(instance.data_dir)
        line = said_in_one_line(run_tulle(*other_command, limit_s=30))
        assert str(instance.data_dir) in line, line
        assert instance.is_ready()
    finally:
        other.close()


@pytest.mark.parametrize("which", ["api_port", "ingress_port"])
def test_a_taken_port_is_named(idle, which):
    with socket.create_server(("127.0.0.1", getattr(idle, which))):
        line = said_in_one_line(up(idle))
    assert str(getattr(idle, which)) in line, line


def test_without_root_it_says_so(idle):
    os.chown(idle.data_dir, 65534, 65534)
    line = said_in_one_line(up(idle, user=65534, group=65534))
    assert "root" in line, line


def test_without_an_oci_runtime_it_says_what_to_install(idle, tmp_path):
    line = said_in_one_line(up(idle, env={"PATH": str(tmp_path)}))
    assert "runc" in line, line


@pytest.mark.parametrize("content", [b"", b"not an archive", b"\x1f\x8b\x08broken"])
def test_a_broken_image_archive_is_refused(idle, tmp_path, content):
    archive = tmp_path / "image.tar"
    archive.write_bytes(content)
    line = said_in_one_line(run_tulle("image", "load", archive, "--data-dir", idle.data_dir))
    assert "image.tar" in line, line


def test_the_images_are_listed_and_removed(idle):
    idle.import_examples()
    listed = run_tulle("image", "ls", "--data-dir", idle.data_dir).stdout
    assert "hello:latest" in listed and "world:latest" in listed, listed
    run_tulle("image", "rm", "hello:latest", "--data-dir", idle.data_dir)
    listed = run_tulle("image", "ls", "--data-dir", idle.data_dir).stdout
    assert "hello:latest" not in listed and "world:latest" in listed, listed
