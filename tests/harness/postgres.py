"""A PostgreSQL server of Debian's package, installed or only unpacked, on a loopback port, with its data in a temporary folder."""

import glob
import os
import pwd
import shutil

from tests.harness.servers import Server, debian_root, free_port, run

_USER = "nobody"  # it refuses to run as root
_INSTALLED = "/usr/lib/postgresql"
_PACKAGES = ["postgresql-15"]


class Postgres(Server):
    """One with an empty database; everybody on this host may connect as `user`. Durability is off."""

    user = database = "postgres"

    def __init__(self):
        super().__init__("postgres-")
        try:
            self._begin()
        except BaseException:
            self.close()
            raise

    def _begin(self):
        identity = {}
        if os.geteuid() == 0:
            entry = pwd.getpwnam(_USER)
            os.chown(self.folder, entry.pw_uid, entry.pw_gid)
            identity = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
        programs, share, environment = self._programs()
        keys = {"cwd": self.folder, "env": environment, **identity}
        data = os.path.join(self.folder, "data")
        run([f"{programs}/initdb", "--auth=trust", f"--username={self.user}", "--no-sync", "-L", share, "-D", data], "initdb", **keys)
        self.port = free_port()
        self._start("postgres", [f"{programs}/postgres", "-D", data, "-h", "127.0.0.1", "-p", str(self.port), "-k", self.folder,
                                 "-c", "fsync=off", "-c", "max_connections=200"], self.port, **keys)

    def _programs(self):
        """Folder of the programs, folder of what they share, and their environment."""
        installed = sorted(glob.glob(f"{_INSTALLED}/*/bin/initdb"))
        root = ""
        if not installed:
            root = os.path.join(self.folder, "root")  # where its user can read it
            shutil.copytree(debian_root("postgres-root", _PACKAGES), root, symlinks=True)
            os.chmod(root, 0o755)
            installed = glob.glob(f"{root}{_INSTALLED}/*/bin/initdb")
        programs = os.path.dirname(installed[-1])
        version = os.path.basename(os.path.dirname(programs))
        return programs, f"{root}/usr/share/postgresql/{version}", {"PATH": "/usr/bin:/bin", "LD_LIBRARY_PATH": f"{root}/usr/lib/x86_64-linux-gnu"}
