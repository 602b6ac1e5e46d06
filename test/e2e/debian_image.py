"""Images of programs as Debian packages them, put together without installing anything.

Packages are fetched by apt into a folder of its own, with lists of its own, and unpacked; their
scripts never run. Beside them an image has Debian's busybox-static as its shell and tools.
"""

import pathlib
import shutil
import subprocess

from box import BUSYBOX

FETCH_LIMIT_S = 100
# What glibc needs beside its libraries, and the one library that is not called lib*.
BASE = ("libc-bin", "zlib1g")
# Compilers that PostgreSQL loads only when it is told to.
LEFT_OUT = {"libllvm14", "libz3-4"}
# What no program reads while it runs, and is most of the files.
UNREAD = ("share/bash-completion", "share/doc", "share/lintian", "share/locale", "share/man",
          "share/zoneinfo/posix", "share/zoneinfo/right", "lib/x86_64-linux-gnu/gconv",
          "lib/postgresql/15/lib/bitcode")
PASSWD = "root:x:0:0::/root:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n"
GROUP = "root:x:0:\nnogroup:x:65534:\n"


class Debian:
    """The packages that this machine's sources.list leads to. `folder` holds all that is fetched,
    each package once."""

    def __init__(self, folder):
        self.state, self.cache = folder / "state", folder / "cache"
        self.archives = folder / "archives"
        for needed in (self.state / "lists/partial", self.cache / "archives/partial",
                       self.archives):
            needed.mkdir(parents=True)
        (self.state / "status").touch()  # so that it does not matter what is installed
        self._apt("apt-get", "update", "-qq", "-o", "Acquire::Languages=none",
                  "-o", "APT::Update::Error-Mode=any")

    def make_image(self, instance, name, packages, user=None):
        """Loads `name` with the packages and the libraries that they need. `user` is a pair of a
        name and a number, who also owns /run/NAME."""
        root = self.archives.parent / name.replace(":", "-")
        _make_base(root, user)
        for archive in self._fetch(self._with_libraries([*packages, *BASE])):
            _unpack(archive, root)
        instance.import_image(name, root)
        shutil.rmtree(root)

    def _with_libraries(self, packages):
        """Of what they depend on only libraries: no scripts that would set a machine up."""
        needs = _parse_depends(self._apt(
            "apt-cache", "depends", "--recurse", "--no-recommends", "--no-suggests",
            "--no-conflicts", "--no-breaks", "--no-replaces", "--no-enhances", *packages))
        found, open_ = set(), list(packages)
        while open_:
            package = open_.pop()
            found.add(package)
            open_ += [need for need in needs.get(package, []) if need.startswith("lib")
                      and not need.endswith("-perl") and need not in found | LEFT_OUT]
        return sorted(found)

    def _fetch(self, packages):
        missing = [package for package in packages if not self._archives_of(package)]
        if missing:
            self._apt("apt-get", "download", "-qq", *missing)
        return [archive for package in packages for archive in self._archives_of(package)]

    def _archives_of(self, package):
        return list(self.archives.glob(f"{package}_*.deb"))

    def _apt(self, program, *arguments):
        """The output of apt that writes nowhere but into its folder."""
        done = subprocess.run(
            [program, "-o", f"Dir::State={self.state}", "-o", f"Dir::Cache={self.cache}",
             "-o", f"Dir::State::status={self.state}/status", "-o", "APT::Sandbox::User=root",
             *arguments],
            cwd=self.archives, capture_output=True, text=True, timeout=FETCH_LIMIT_S)
        assert done.returncode == 0, (
            f"{program} {arguments[0]} failed; this test needs a Debian 12 mirror, the one of "
            f"/etc/apt/sources.list:\n{done.stderr}")
        return done.stdout


def _parse_depends(text):
    """Package → what it depends on, of alternatives the first."""
    needs, package, is_alternative = {}, None, False
    for line in text.splitlines():
        if not line.startswith(" "):
            package, is_alternative = line, False
            needs[package] = []
        elif "Depends: " in line:
            if not is_alternative:
                needs[package].append(line.split("Depends: ")[1])
            is_alternative = line.startswith(" |")
    return needs


def _unpack(archive, root):
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", archive], stdout=subprocess.PIPE) as tar:
        subprocess.run(["tar", "--extract", "--directory", root,
                        *(f"--exclude=./usr/{unread}" for unread in UNREAD)],
                       stdin=tar.stdout, check=True)
    assert tar.returncode == 0, archive


def _make_base(root, user):
    for name in ("bin", "etc", "root", "run", "tmp", "var"):
        (root / name).mkdir(parents=True)
    (root / "tmp").chmod(0o1777)
    (root / "var/run").symlink_to("/run")
    passwd, group = PASSWD, GROUP
    if user:
        name, number = user
        passwd += f"{name}:x:{number}:{number}::/:/bin/sh\n"
        group += f"{name}:x:{number}:\n"
        (root / "run" / name).mkdir()
        shutil.chown(root / "run" / name, number, number)
    (root / "etc/passwd").write_text(passwd)
    (root / "etc/group").write_text(group)
    shutil.copy(BUSYBOX, root / "bin/busybox")
    for command in _busybox_commands():
        (root / "bin" / command).symlink_to("busybox")


def _busybox_commands():
    listed = subprocess.run([BUSYBOX, "--list"], check=True, capture_output=True, text=True)
    return set(listed.stdout.split()) - {"busybox"}
