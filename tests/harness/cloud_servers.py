"""Servers that speak Azure Blob Storage and Google Cloud Storage, on loopback ports, with everything in memory.

Azurite (npm) verifies signatures. Google has no emulator of its own: `fake-gcs-server` (go install) is an independent one that asks
for no credentials; tests.harness.fake_gcs is ours, and does. What is downloaded is pinned and kept in .state/ of the tree.
"""

import base64
import contextlib
import datetime
import hashlib
import hmac
import http.client
import json
import os
import shutil
import sys

from tests.harness import s3_servers
from tests.harness.s3_servers import Unavailable
from tests.harness.waiting import SLOWNESS

AZURITE_VERSION = "3.35.0"
FAKE_GCS_SERVER_VERSION = "v1.52.2"
GOOGLE_CLIENT_VERSION = "3.17.1"
AZURE_CLIENT_VERSION = "12.31.1"
_FAKE_GCS_SERVER = f"github.com/fsouza/fake-gcs-server@{FAKE_GCS_SERVER_VERSION}"


def _request(endpoint, method, path, body=b"", headers=None):
    connection = http.client.HTTPConnection(endpoint.partition("://")[2], timeout=30 * SLOWNESS)
    with contextlib.closing(connection):
        connection.request(method, path, body=body, headers=headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read()


def _npm_package(name, version):
    """The folder of a package with those that it needs, installed if it is not there yet."""
    folder = os.path.join(s3_servers.STATE, f"{name}-{version}")
    if not os.path.isdir(folder):
        npm = shutil.which("npm")
        if npm is None:
            raise Unavailable("no npm")
        with s3_servers.made_once(folder) as fresh:
            if fresh:
                s3_servers.run([npm, "install", "--no-audit", "--no-fund", "--silent", "--prefix", fresh, f"{name}@{version}"],
                                f"npm install {name}", timeout=600)
    return folder


def python_package(name, version):
    """A folder for sys.path with a package from PyPI and those that it needs, installed if it is not there yet."""
    folder = os.path.join(s3_servers.STATE, f"{name}-{version}")
    with s3_servers.made_once(folder) as fresh:
        if fresh:
            tools = os.path.join(fresh, "venv")
            s3_servers.run(["/usr/bin/python3", "-m", "venv", tools], "python3 -m venv", timeout=120)
            s3_servers.run([os.path.join(tools, "bin", "pip"), "install", "--quiet", "--disable-pip-version-check", "--target",
                             os.path.join(fresh, "site"), f"{name}=={version}"], f"pip install {name}", timeout=600)
            shutil.rmtree(tools)
    return os.path.join(folder, "site")


class Azurite(s3_servers.Server):
    """Microsoft's emulator, with one container."""

    account = "devstoreaccount1"
    # Published with the emulator.
    key = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
    container = "logs"

    def __init__(self):
        program = os.path.join(_npm_package("azurite", AZURITE_VERSION), "node_modules", ".bin", "azurite-blob")
        super().__init__("azurite-")
        self._port = s3_servers.free_port()
        self.server = f"http://127.0.0.1:{self._port}"
        self.endpoint = f"{self.server}/{self.account}"
        try:
            self._start("azurite", [program, "--silent", "--disableTelemetry", "--skipApiVersionCheck", "--inMemoryPersistence",
                                    "--blobHost", "127.0.0.1", "--blobPort", str(self._port)], self._port, cwd=self.folder)
            status, body = self.request("PUT", f"/{self.container}", {"restype": "container"})
            if status != 201:
                raise Unavailable(f"azurite makes no container: {status} {body[:300]}")
        except BaseException:
            self.close()
            raise

    def environment(self):
        """The variables by which Azure's tools, and the daemon, find the account; nothing of this machine's own."""
        return {"AZURE_STORAGE_CONNECTION_STRING": f"AccountName={self.account};AccountKey={self.key};BlobEndpoint={self.endpoint}",
                "HOME": self.folder}

    def request(self, method, path, query):
        """Status and body of a signed request; a signer of its own, so that ours does not judge itself."""
        now = datetime.datetime.now(datetime.timezone.utc).strftime("%a, %d %b %Y %H:%M:%S GMT")
        resource = f"/{self.account}/{self.account}{path}" + "".join(f"\n{name}:{query[name]}" for name in sorted(query))
        text = f"{method}" + "\n" * 12 + f"x-ms-date:{now}\nx-ms-version:2022-11-02\n{resource}"
        seal = base64.b64encode(hmac.digest(base64.b64decode(self.key), text.encode(), "sha256")).decode()
        target = f"/{self.account}{path}?" + "&".join(f"{name}={value}" for name, value in query.items())
        return _request(self.server, method, target, headers={
            "x-ms-date": now, "x-ms-version": "2022-11-02", "Authorization": f"SharedKey {self.account}:{seal}"})

    def sas(self, permissions, minutes=60):
        """A service SAS for the container (learn.microsoft.com/rest/api/storageservices/create-service-sas)."""
        until = (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%SZ")
        text = "\n".join([permissions, "", until, f"/blob/{self.account}/{self.container}", "", "", "", "2021-12-02", "c", "", "", "", "",
                          "", "", ""])
        seal = base64.b64encode(hmac.new(base64.b64decode(self.key), text.encode(), hashlib.sha256).digest()).decode()
        quoted = seal.replace("+", "%2B").replace("/", "%2F").replace("=", "%3D")
        return f"sv=2021-12-02&sr=c&sp={permissions}&se={until.replace(':', '%3A')}&sig={quoted}"


class FakeGcsServer(s3_servers.Server):
    """fsouza/fake-gcs-server, with one bucket. Checks no credentials."""

    def __init__(self):
        folder = os.path.join(s3_servers.STATE, f"fake-gcs-server-{FAKE_GCS_SERVER_VERSION}")
        if not os.path.isdir(folder):
            if not os.environ.get("BOXKEEPER_FULL"):
                raise Unavailable("fake-gcs-server takes a minute to build: with BOXKEEPER_FULL only")
            go = s3_servers.go_command()
            with s3_servers.made_once(folder) as fresh:
                if fresh:
                    s3_servers.run([go, "install", _FAKE_GCS_SERVER], "go install fake-gcs-server",
                                    env={**os.environ, "GOBIN": fresh}, timeout=900)
        super().__init__("fake-gcs-server-")
        port = s3_servers.free_port()
        self.endpoint = f"http://127.0.0.1:{port}"
        try:
            self._start("fake-gcs-server", [os.path.join(folder, "fake-gcs-server"), "-scheme", "http", "-host", "127.0.0.1", "-port",
                                            str(port), "-backend", "memory", "-public-host", f"127.0.0.1:{port}", "-external-url",
                                            self.endpoint, "-log-level", "error"], port, cwd=self.folder)
            status, body = _request(self.endpoint, "POST", "/storage/v1/b", json.dumps({"name": self.bucket}).encode(),
                                    {"Content-Type": "application/json"})
            if status != 200:
                raise Unavailable(f"fake-gcs-server makes no bucket: {status} {body[:300]}")
        except BaseException:
            self.close()
            raise

    def environment(self):
        """For Google's tools, and the daemon."""
        return {"STORAGE_EMULATOR_HOST": self.endpoint, "HOME": self.folder}


@contextlib.contextmanager
def on_path(folder):
    """Imports look there first."""
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        sys.path.remove(folder)
