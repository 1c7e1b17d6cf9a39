"""Log stores that tests can take away and give back, and look into without the daemon."""

import os
import shutil
import tempfile

from tests.harness import s3_servers


class Folder:
    """file://: away means that its place is taken by a file."""

    config, environment = {}, {}

    def __init__(self):
        self._parent = tempfile.mkdtemp(prefix="bk-store-", dir="/tmp")
        self._folder, self._away = f"{self._parent}/logs", f"{self._parent}/away"
        os.mkdir(self._folder)
        self.config = {"url": f"file://{self._folder}"}

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        shutil.rmtree(self._parent, ignore_errors=True)

    def kill(self):
        os.rename(self._folder, self._away)
        with open(self._folder, "wb"):
            pass

    def start(self):
        os.unlink(self._folder)
        os.rename(self._away, self._folder)

    def names(self, prefix):
        """Names of the objects that begin with `prefix`, sorted."""
        found = []
        for folder, _, names in os.walk(self._folder):
            found += [os.path.relpath(os.path.join(folder, name), self._folder) for name in names]
        return sorted(name for name in found if name.startswith(prefix))

    def get(self, name):
        with open(os.path.join(self._folder, name), "rb") as file:
            return file.read()

    def stream(self, path, stream):
        """Bytes of a stream in the layouts `plain` and `metaflow`: one object, or pieces."""
        names = self.names(f"{path}/{stream}")
        return b"".join(self.get(name) for name in names)


class S3(Folder):
    """s3:// on a gateway in front of a folder; away means that the gateway was killed."""

    def __init__(self):
        self._server = s3_servers.VersityGw()
        self._parent, self._folder = self._server.folder, f"{self._server.data}/{self._server.bucket}/a/b"
        self.config = {"url": f"s3://{self._server.bucket}/a/b", "s3": {"endpoint": self._server.endpoint, "path_style": True}}
        self.environment = self._server.environment()

    def __exit__(self, *failure):
        self._server.close()

    def kill(self):
        self._server.stop()

    def start(self):
        self._server.start()


KINDS = {"file": Folder, "s3": S3}
Unavailable = s3_servers.Unavailable
