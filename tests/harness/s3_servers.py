"""Real servers that speak S3 and verify signatures, on loopback ports, with their data in a temporary folder.

`versitygw` is built by `go install` at a pinned version, once, into .state/ of the tree. OpenStack Swift with s3api comes from
Debian's packages, unpacked into .state/ without being installed. `any_server()` gives the first that this machine can have.
"""

import datetime
import functools
import hashlib
import hmac
import html
import os
import re
import subprocess
import urllib.parse

from tests.harness.servers import STATE, Server, Unavailable, debian_root, free_port, go_command, made_once, request, run

VERSITYGW_VERSION = "v1.8.0"
_VERSITYGW = f"github.com/versity/versitygw/cmd/versitygw@{VERSITYGW_VERSION}"
_SWIFT_PACKAGES = ["swift-proxy", "swift-account", "swift-container", "swift-object"]


class S3Server(Server):
    """One with a bucket. Subclasses fill `endpoint`, `access_key` and `secret_key`."""

    region = "us-east-1"
    bucket = "logs"

    def environment(self):
        """The variables by which AWS's tools, and the daemon, find the credentials; nothing of this machine's own."""
        return {"AWS_ACCESS_KEY_ID": self.access_key, "AWS_SECRET_ACCESS_KEY": self.secret_key, "AWS_REGION": self.region,
                "AWS_EC2_METADATA_DISABLED": "true", "HOME": self.folder}

    def request(self, method, path, query=(), data=b""):
        """(status, body) of a signed request with `data` as its body; a signer of its own, so that ours does not judge itself."""
        quote = functools.partial(urllib.parse.quote, safe="-_.~")
        path = urllib.parse.quote(path, safe="/-_.~")
        words = "&".join(f"{quote(key)}={quote(value)}" for key, value in sorted(query))
        now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
        host = self.endpoint.partition("://")[2]
        body = hashlib.sha256(data).hexdigest()
        signed = "host;x-amz-content-sha256;x-amz-date"
        canonical = f"{method}\n{path}\n{words}\nhost:{host}\nx-amz-content-sha256:{body}\nx-amz-date:{now}\n\n{signed}\n{body}"
        scope = f"{now[:8]}/{self.region}/s3/aws4_request"
        text = f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        key = f"AWS4{self.secret_key}".encode()
        for part in scope.split("/"):
            key = hmac.digest(key, part.encode(), "sha256")
        signature = hmac.digest(key, text.encode(), "sha256").hex()
        headers = {"x-amz-date": now, "x-amz-content-sha256": body, "Authorization":
                   f"AWS4-HMAC-SHA256 Credential={self.access_key}/{scope}, SignedHeaders={signed}, Signature={signature}"}
        return request(self.endpoint, method, f"{path}?{words}" if words else path, data, headers)

    def get(self, key):
        """An object's bytes."""
        status, body = self.request("GET", f"/{self.bucket}/{key}")
        assert status == 200, (status, body)
        return body

    def put(self, key, data):
        """Stores an object."""
        status, body = self.request("PUT", f"/{self.bucket}/{key}", data=data)
        assert status == 200, (status, body)

    def keys(self, prefix=""):
        """The first thousand keys that begin with `prefix`, sorted."""
        status, body = self.request("GET", f"/{self.bucket}", [("list-type", "2"), ("prefix", prefix)])
        assert status == 200, (status, body)
        return sorted(html.unescape(key) for key in re.findall("<Key>(.*?)</Key>", body.decode()))

    def uploads(self):
        """How many uploads in parts are unfinished."""
        status, body = self.request("GET", f"/{self.bucket}", [("uploads", "")])
        assert status == 200, (status, body)
        return body.count(b"<UploadId>")


def _versitygw():
    """Path of the program, built if it is not there yet."""
    folder = os.path.join(STATE, f"versitygw-{VERSITYGW_VERSION}")
    program = os.path.join(folder, "versitygw")
    if not os.path.isdir(folder):
        go = go_command()
        with made_once(folder) as fresh:
            if fresh:
                run([go, "install", _VERSITYGW], "go install versitygw", env={**os.environ, "GOBIN": fresh}, timeout=900)
    return program


class VersityGw(S3Server):
    """The gateway over a folder. Stop and start it with `stop` and `start`: same port, same data."""

    name = "versitygw"
    access_key = "AKBOXKEEPERTEST"
    secret_key = "versity/test+secret"

    def __init__(self):
        program = _versitygw()
        super().__init__("versitygw-")
        self._port = free_port()
        self.endpoint = f"http://127.0.0.1:{self._port}"
        self.data = os.path.join(self.folder, "data")
        os.makedirs(os.path.join(self.data, self.bucket))
        self._arguments = [program, "--access", self.access_key, "--secret", self.secret_key, "--region", self.region, "--port",
                           f"127.0.0.1:{self._port}", "--quiet", "--keep-alive", "posix", self.data]
        try:
            self.start()
        except BaseException:
            self.close()
            raise

    def start(self):
        self._start("versitygw", self._arguments, self._port)


_SWIFT_CONF = """[swift-hash]
swift_hash_path_suffix = boxkeeper
swift_hash_path_prefix = test
[storage-policy:0]
name = p0
default = yes
"""
_BACKEND_CONF = """[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
user = {user}
swift_dir = {folder}
devices = {folder}/devices
mount_check = false
workers = 0
[pipeline:main]
pipeline = {kind}-server
[app:{kind}-server]
use = egg:swift#{kind}
"""
_PROXY_CONF = """[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
user = {user}
swift_dir = {folder}
workers = 0
[pipeline:main]
pipeline = catch_errors cache s3api tempauth copy slo dlo proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:cache]
use = egg:swift#memcache
memcache_servers = 127.0.0.1:1
[filter:s3api]
use = egg:swift#s3api
location = us-east-1
[filter:tempauth]
use = egg:swift#tempauth
user_test_tester = testing .admin
[filter:copy]
use = egg:swift#copy
[filter:slo]
use = egg:swift#slo
[filter:dlo]
use = egg:swift#dlo
"""
# swift.conf is looked for in /etc/swift unless this is set before a server module is imported.
_RUN_SWIFT = """import sys
from swift.common import utils
utils.SWIFT_CONF_FILE = sys.argv[1]
from swift.common.wsgi import run_wsgi
sys.exit(run_wsgi(sys.argv[2], sys.argv[3]))
"""


class SwiftS3(S3Server):
    """OpenStack Swift with s3api: four processes. Its access key has a colon in it."""

    name = "swift"
    access_key = "test:tester"
    secret_key = "testing"

    def __init__(self):
        root = debian_root("swift-root", _SWIFT_PACKAGES)
        super().__init__("swift-")
        self._environment = {**os.environ, "PYTHONPATH": os.path.join(root, "usr/lib/python3/dist-packages"),
                             "LD_LIBRARY_PATH": os.path.join(root, "usr/lib/x86_64-linux-gnu"), "PYTHONDONTWRITEBYTECODE": "1"}
        try:
            self._start_all(root)
            self._make_bucket()
        except BaseException:
            self.close()
            raise

    def _start_all(self, root):
        os.makedirs(os.path.join(self.folder, "devices", "d1"))
        conf = self._write("swift.conf", _SWIFT_CONF)
        script = self._write("run.py", _RUN_SWIFT)
        user = subprocess.run(["id", "-un"], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
        for kind in ("account", "container", "object"):
            port = free_port()
            builder = os.path.join(self.folder, f"{kind}.builder")
            for words in (["create", "4", "1", "1"], ["add", f"r1z1-127.0.0.1:{port}/d1", "1"], ["rebalance"]):
                run(["/usr/bin/python3", os.path.join(root, "usr/bin/swift-ring-builder"), builder, *words], "swift-ring-builder",
                     env=self._environment, cwd=self.folder)
            path = self._write(f"{kind}.conf", _BACKEND_CONF.format(kind=kind, port=port, folder=self.folder, user=user))
            self._start(kind, ["/usr/bin/python3", script, conf, path, f"{kind}-server"], port, env=self._environment)
        port = free_port()
        path = self._write("proxy.conf", _PROXY_CONF.format(port=port, folder=self.folder, user=user))
        self._start("proxy", ["/usr/bin/python3", script, conf, path, "proxy-server"], port, env=self._environment)
        self.endpoint = f"http://127.0.0.1:{port}"

    def _write(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def _make_bucket(self):
        status, _ = self.request("PUT", f"/{self.bucket}")
        if status != 200:
            raise Unavailable(f"swift: making a bucket: HTTP {status}")


SERVERS = {server.name: server for server in (VersityGw, SwiftS3)}


def any_server():
    """The first server that this machine can have, started; fails if there is none."""
    reasons = []
    for server in SERVERS.values():
        try:
            return server()
        except Unavailable as why:
            reasons.append(f"{server.name}: {why}")
    raise AssertionError("; ".join(reasons))
