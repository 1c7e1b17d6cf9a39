"""Log stores that tests can take away and give back, and look into without the daemon."""

import ctypes
import os
import shutil
import tempfile
import xml.etree.ElementTree as ElementTree

from tests.harness import cloud_servers, s3_servers, servers
from tests.harness.fake_gcs import FakeGcs, ServiceAccount
from tests.harness.fault_proxy import FaultProxy

_LIBC = ctypes.CDLL(None, use_errno=True)
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2


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
        with open(self._away, "wb"):
            pass
        self._exchange()

    def start(self):
        self._exchange()
        os.unlink(self._away)

    def _exchange(self):
        """At once: in a moment without the folder the daemon would make another one."""
        now, there = self._folder.encode(), self._away.encode()
        if _LIBC.renameat2(_AT_FDCWD, now, _AT_FDCWD, there, _RENAME_EXCHANGE) != 0:
            raise OSError(ctypes.get_errno(), "renameat2", self._folder)

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


# Beside the outages: what a busy server and a bad line do, as shares of all requests.
_TROUBLE = {"busy": 0.03, "reset": 0.03, "lost_answer": 0.03, "truncated": 0.01}


class _Remote:
    """Servers behind a proxy: away means that nothing gets through to them."""

    def __init__(self, endpoint):
        self._proxy = FaultProxy(endpoint)

    def __enter__(self):
        _trouble(self._proxy)
        return self

    def __exit__(self, *failure):
        self._proxy.__exit__()

    def kill(self):
        self._proxy.heal()
        self._proxy.fail("reset")

    def start(self):
        self._proxy.heal()
        _trouble(self._proxy)

    stream = Folder.stream


class S3(_Remote):
    """s3:// on the first server that this machine can have. versitygw, which keeps its objects on the disk, dies when it is away."""

    def __init__(self):
        self._server = s3_servers.any_server()
        super().__init__(self._server.endpoint)
        self._dies = isinstance(self._server, s3_servers.VersityGw)
        self.config = {"url": f"s3://{self._server.bucket}/a/b", "s3": {"endpoint": self._proxy.endpoint, "path_style": True}}
        self.environment = self._server.environment()

    def __exit__(self, *failure):
        super().__exit__(*failure)
        self._server.close()

    def kill(self):
        if self._dies:
            self._server.stop()
        else:
            super().kill()

    def start(self):
        if self._dies:
            self._server.start()
        else:
            super().start()

    def names(self, prefix):
        return [key.removeprefix("a/b/") for key in self._server.keys(f"a/b/{prefix}")]

    def get(self, name):
        return self._server.get(f"a/b/{name}")


class Azure(_Remote):
    """azure:// on Microsoft's emulator."""

    def __init__(self):
        self._server = cloud_servers.Azurite()
        super().__init__(self._server.server)
        self.config = {"url": f"azure://{self._server.container}/a/b", "azure": {"endpoint": f"{self._proxy.endpoint}/{self._server.account}"}}
        self.environment = {"AZURE_STORAGE_ACCOUNT": self._server.account, "AZURE_STORAGE_KEY": self._server.key, "HOME": self._server.folder}

    def __exit__(self, *failure):
        super().__exit__(*failure)
        self._server.close()

    def names(self, prefix):
        _, body = self._server.request("GET", f"/{self._server.container}", {"restype": "container", "comp": "list", "prefix": f"a/b/{prefix}"})
        return sorted(name.text.removeprefix("a/b/") for name in ElementTree.fromstring(body).iter("Name"))

    def get(self, name):
        status, body = self._server.request("GET", f"/{self._server.container}/a/b/{name}", {})
        assert status == 200, (name, status)
        return body


class Gcs(_Remote):
    """gs:// on a fake that verifies tokens and that Google's own client accepts."""

    def __init__(self):
        self._account = ServiceAccount()
        self._server = FakeGcs(self._account)
        super().__init__(self._server.url)
        self._folder = tempfile.mkdtemp(prefix="bk-gcs-", dir="/tmp")
        key_file = os.path.join(self._folder, "key.json")
        with open(key_file, "w", encoding="utf-8") as file:
            file.write(self._account.file(self._server.token_uri))
        self.config = {"url": "gs://logs/a/b", "gcs": {"endpoint": self._proxy.endpoint, "credentials_file": key_file}}
        self.environment = {"HOME": self._folder}

    def __enter__(self):
        self._server.__enter__()
        return super().__enter__()

    def __exit__(self, *failure):
        super().__exit__(*failure)
        self._server.__exit__()
        shutil.rmtree(self._folder, ignore_errors=True)

    def names(self, prefix):
        return [name.removeprefix("a/b/") for name in self._server.names() if name.startswith(f"a/b/{prefix}")]

    def get(self, name):
        return self._server.content(f"a/b/{name}")


def _trouble(proxy):
    for kind, share in _TROUBLE.items():
        proxy.fail(kind, share=share)


KINDS = {"file": Folder, "s3": S3, "azure": Azure, "gcs": Gcs}
Unavailable = servers.Unavailable
