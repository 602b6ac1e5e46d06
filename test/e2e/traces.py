"""What an instance leaves in the system, found by the unique name of its data directory.

Other instances may run on the same machine, so nothing here looks at anybody else's things.
"""

import os
import pathlib
import subprocess


def _read(path):
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _link(path):
    try:
        return os.readlink(path)
    except OSError:
        return ""


def own_processes(name):
    """pid → command line of every process that names the directory or has it for a root.

    A container's process is known by its mounts: its root filesystem lies in the data directory.
    """
    marker = name.encode()
    own_mounts = _link("/proc/self/ns/mnt")
    found = {}
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        command = _read(entry / "cmdline")
        if not command:
            continue  # a kernel thread, or a zombie
        contained = _link(entry / "ns/mnt") not in ("", own_mounts)
        if marker in command or (contained and marker in _read(entry / "mountinfo")):
            found[int(entry.name)] = command.replace(b"\0", b" ").decode(errors="replace").strip()
    return found


def namespaces_of(pids):
    """The network namespaces of these processes, but our own."""
    spaces = {_link(f"/proc/{pid}/ns/net") for pid in pids}
    return spaces - {"", _link("/proc/self/ns/net")}


def processes_in(namespaces):
    return [int(e.name) for e in pathlib.Path("/proc").iterdir()
            if e.name.isdigit() and _link(e / "ns/net") in namespaces]


def mounts(name, namespaces=frozenset()):
    """Mount points that name the directory, or that keep one of the namespaces alive.

    Those of another instance do not: a namespace that is gone may have left its number to them.
    """
    lines = pathlib.Path("/proc/self/mountinfo").read_text().splitlines()
    return [line.split()[4] for line in lines
            if name in line
            or (line.split()[3] in namespaces and "/tulle-e2e-" not in line)]


def tables():
    listed = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=False)
    return {line for line in listed.stdout.splitlines() if "tulle" in line}


def start_time(pid):
    """Ticks since boot: with the pid it names one process for good."""
    return int(pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[19])


def children(pid):
    return [int(child) for task in pathlib.Path(f"/proc/{pid}/task").iterdir()
            for child in (task / "children").read_text().split()]


def is_pending(pid, signal_number):
    """Whether a signal was sent to this process that it has not taken yet."""
    fields = dict(line.split(":\t", 1)
                  for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines())
    return bool(int(fields["ShdPnd"], 16) & 1 << signal_number - 1)


def command(pid):
    return _read(pathlib.Path(f"/proc/{pid}/cmdline")).replace(b"\0", b" ").decode().strip()


def environment(pid):
    pairs = _read(pathlib.Path(f"/proc/{pid}/environ")).decode(errors="replace").split("\0")
    return dict(pair.split("=", 1) for pair in pairs if "=" in pair)
