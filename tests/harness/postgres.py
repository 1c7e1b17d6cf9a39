"""A PostgreSQL server of Debian's package, on a loopback port, with its data in a temporary folder."""

import glob
import os
import pwd

from tests.harness.servers import Server, Unavailable, free_port, run

_USER = "nobody"  # it refuses to run as root


class Postgres(Server):
    """One with an empty database; everybody on this host may connect as `user`. Durability is off."""

    user = database = "postgres"

    def __init__(self):
        programs = sorted(glob.glob("/usr/lib/postgresql/*/bin"))
        if not programs:
            raise Unavailable("no PostgreSQL (Debian: postgresql)")
        super().__init__("postgres-")
        try:
            self._begin(programs[-1])
        except BaseException:
            self.close()
            raise

    def _begin(self, programs):
        identity = {}
        if os.geteuid() == 0:
            entry = pwd.getpwnam(_USER)
            os.chown(self.folder, entry.pw_uid, entry.pw_gid)
            identity = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
        data = os.path.join(self.folder, "data")
        run([os.path.join(programs, "initdb"), "--auth=trust", f"--username={self.user}", "--no-sync", "-D", data], "initdb", cwd=self.folder,
            **identity)
        self.port = free_port()
        self._start("postgres", [os.path.join(programs, "postgres"), "-D", data, "-h", "127.0.0.1", "-p", str(self.port), "-k", self.folder,
                                 "-c", "fsync=off", "-c", "max_connections=200"], self.port, cwd=self.folder, **identity)
