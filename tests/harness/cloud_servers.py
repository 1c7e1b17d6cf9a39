"""Servers that speak Azure Blob Storage and Google Cloud Storage, on loopback ports, with everything in memory.

Azurite (npm) verifies signatures. Google has no emulator of its own: `fake-gcs-server` (go install) is an independent one that asks
for no credentials; tests.harness.fake_gcs is ours, and does. What is downloaded is pinned and kept in .state/ of the tree.
"""

import base64
import datetime
import hashlib
import hmac
import json
import os

from tests.harness.servers import STATE, Server, Unavailable, free_port, go_command, made_once, npm_package, request, run

AZURITE_VERSION = "3.35.0"
FAKE_GCS_SERVER_VERSION = "v1.52.2"
GOOGLE_CLIENT_VERSION = "3.17.1"
_FAKE_GCS_SERVER = f"github.com/fsouza/fake-gcs-server@{FAKE_GCS_SERVER_VERSION}"


class Azurite(Server):
    """Microsoft's emulator, with one container."""

    account = "devstoreaccount1"
    # Published with the emulator.
    key = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
    container = "logs"

    def __init__(self):
        program = os.path.join(npm_package("azurite", AZURITE_VERSION), "node_modules", ".bin", "azurite-blob")
        super().__init__("azurite-")
        self._port = free_port()
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
        return request(self.server, method, target, headers={
            "x-ms-date": now, "x-ms-version": "2022-11-02", "Authorization": f"SharedKey {self.account}:{seal}"})

    def sas(self, permissions, minutes=60):
        """A service SAS for the container (learn.microsoft.com/rest/api/storageservices/create-service-sas)."""
        until = (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%SZ")
        text = "\n".join([permissions, "", until, f"/blob/{self.account}/{self.container}", "", "", "", "2021-12-02", "c", "", "", "", "",
                          "", "", ""])
        seal = base64.b64encode(hmac.new(base64.b64decode(self.key), text.encode(), hashlib.sha256).digest()).decode()
        quoted = seal.replace("+", "%2B").replace("/", "%2F").replace("=", "%3D")
        return f"sv=2021-12-02&sr=c&sp={permissions}&se={until.replace(':', '%3A')}&sig={quoted}"


class FakeGcsServer(Server):
    """fsouza/fake-gcs-server, with one bucket. Checks no credentials."""

    bucket = "logs"

    def __init__(self):
        folder = os.path.join(STATE, f"fake-gcs-server-{FAKE_GCS_SERVER_VERSION}")
        if not os.path.isdir(folder):
            if not os.environ.get("BOXKEEPER_FULL"):
                raise Unavailable("fake-gcs-server takes a minute to build: with BOXKEEPER_FULL only")
            go = go_command()
            with made_once(folder) as fresh:
                if fresh:
                    run([go, "install", _FAKE_GCS_SERVER], "go install fake-gcs-server",
                        env={**os.environ, "GOBIN": fresh}, timeout=900)
        super().__init__("fake-gcs-server-")
        port = free_port()
        self.endpoint = f"http://127.0.0.1:{port}"
        try:
            self._start("fake-gcs-server", [os.path.join(folder, "fake-gcs-server"), "-scheme", "http", "-host", "127.0.0.1", "-port",
                                            str(port), "-backend", "memory", "-public-host", f"127.0.0.1:{port}", "-external-url",
                                            self.endpoint, "-log-level", "error"], port, cwd=self.folder)
            status, body = request(self.endpoint, "POST", "/storage/v1/b", json.dumps({"name": self.bucket}).encode(),
                                   {"Content-Type": "application/json"})
            if status != 200:
                raise Unavailable(f"fake-gcs-server makes no bucket: {status} {body[:300]}")
        except BaseException:
            self.close()
            raise

    def environment(self):
        """For Google's tools, and the daemon."""
        return {"STORAGE_EMULATOR_HOST": self.endpoint, "HOME": self.folder}
