"""An image with a shell, tar and a web server: Debian's busybox-static and links to it."""

import pathlib
import shutil

BUSYBOX = pathlib.Path("/bin/busybox")
COMMANDS = ("sh", "cat", "httpd", "md5sum", "mv", "nc", "sleep", "stty", "tar", "test", "tr",
            "true", "tty")


def import_box(instance, folder):
    """Loads it as box:latest; `folder` is where its root may be put together."""
    root = folder / "root"
    (root / "bin").mkdir(parents=True)
    for name in ("etc", "tmp", "www"):
        (root / name).mkdir()
    shutil.copy(BUSYBOX, root / "bin/busybox")
    for command in COMMANDS:
        (root / "bin" / command).symlink_to("busybox")
    instance.import_image("box:latest", root)
