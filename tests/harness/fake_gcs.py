"""Google Cloud Storage's JSON API in memory, as strict as Google's where that matters: tokens come from a signed JWT of a key
that the fake knows, checksums are compared, resumable uploads take multiples of 256 KiB. Google's own client accepts it.

With faults on demand: `faults` holds functions (handler) -> True if the fault has answered.
"""

import base64
import hashlib
import json
import re
import secrets
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_CHUNK = 256 * 1024
_TABLE = []
_KNOWN = {}


def crc32c(data):
    """As Google writes it. Slow, so what was computed once is kept: tests store the same bytes again and again."""
    digest = hashlib.sha256(data).digest()
    if digest not in _KNOWN:
        _KNOWN[digest] = _crc32c(data)
    return _KNOWN[digest]


def _crc32c(data):
    if not _TABLE:
        for byte in range(256):
            value = byte
            for _ in range(8):
                value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)
            _TABLE.append(value)
    value, table = 0xFFFFFFFF, _TABLE
    for byte in data:
        value = (value >> 8) ^ table[(value ^ byte) & 0xFF]
    return base64.b64encode((value ^ 0xFFFFFFFF).to_bytes(4, "big")).decode()


def _unpadded(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class ServiceAccount:
    """A key pair made by openssl, and the key file that Google would hand out."""

    def __init__(self, email="boxkeeper@test.iam.gserviceaccount.com"):
        self.email, self.key_id = email, secrets.token_hex(20)
        self.private_key = subprocess.run(
            ["openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"], check=True, capture_output=True).stdout
        self.public_key = subprocess.run(["openssl", "pkey", "-pubout"], input=self.private_key, check=True, capture_output=True).stdout

    def file(self, token_uri):
        """The content of the key file."""
        return json.dumps({"type": "service_account", "project_id": "test", "private_key_id": self.key_id,
                           "private_key": self.private_key.decode(), "client_email": self.email, "token_uri": token_uri,
                           "auth_uri": "https://accounts.google.com/o/oauth2/auth"})

    def signed(self, message, signature):
        """Whether the signature is this key's."""
        with tempfile.NamedTemporaryFile() as public, tempfile.NamedTemporaryFile() as sealed:
            public.write(self.public_key)
            sealed.write(signature)
            public.flush()
            sealed.flush()
            done = subprocess.run(["openssl", "dgst", "-sha256", "-verify", public.name, "-signature", sealed.name], input=message,
                                  capture_output=True, check=False)
            return done.returncode == 0


class Object:
    """One generation of an object."""

    def __init__(self, bucket, name, data, generation, content_type):
        self.bucket, self.name, self.data, self.generation, self.content_type = bucket, name, data, generation, content_type
        self.crc32c = crc32c(data)
        self.updated = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime())

    def resource(self):
        """As the API shows it."""
        return {"kind": "storage#object", "name": self.name, "bucket": self.bucket, "size": str(len(self.data)),
                "generation": str(self.generation), "metageneration": "1", "crc32c": self.crc32c,
                "md5Hash": base64.b64encode(hashlib.md5(self.data).digest()).decode(), "contentType": self.content_type,
                "updated": self.updated, "timeCreated": self.updated, "id": f"{self.bucket}/{self.name}/{self.generation}"}


class _Error(Exception):
    def __init__(self, status, reason, message):
        super().__init__(message)
        self.status, self.reason, self.message = status, reason, message


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "FakeGcs"

    def log_message(self, *_):
        pass

    def answer(self, status, body=b"", headers=None):
        """Sends one answer."""
        if isinstance(body, (dict, list)):
            body, headers = json.dumps(body).encode(), {"Content-Type": "application/json", **(headers or {})}
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _serve(self):
        fake = self.server.fake
        self.path_only, _, query = self.path.partition("?")
        self.query = {name: values[0] for name, values in urllib.parse.parse_qs(query, keep_blank_values=True).items()}
        try:
            for fault in list(fake.faults):
                if fault(self):
                    return
            self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            with fake.lock:
                fake.requests.append((self.command, self.path))
                fake.route(self)
        except _Error as error:
            self.answer(error.status, {"error": {"code": error.status, "message": error.message,
                                                 "errors": [{"domain": "global", "reason": error.reason, "message": error.message}]}})
        except ConnectionError:
            self.close_connection = True

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _serve


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        """A client that hung up is no news."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class FakeGcs:
    """The server; a context manager. `account`: whose tokens it accepts; None: it asks for none."""

    def __init__(self, account=None, buckets=("logs",), token_seconds=3600):
        self.account, self.buckets, self.token_seconds = account, set(buckets), token_seconds
        self.objects, self.uploads, self.tokens, self.faults, self.requests = {}, {}, {}, [], []
        self.page_size, self.lock, self.generation = 1000, threading.RLock(), 1000
        self.clock_offset, self.permitted = 0, True
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.fake = self
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *failure):
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self):
        """Where it is."""
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def token_uri(self):
        """For key files."""
        return self.url + "/token"

    def content(self, name, bucket="logs"):
        """An object's bytes."""
        with self.lock:
            return self.objects[bucket, name].data

    def names(self, bucket="logs"):
        """Of all objects."""
        with self.lock:
            return sorted(name for b, name in self.objects if b == bucket)

    def route(self, request):
        """One request, with the lock held."""
        path = request.path_only
        if path == "/token":
            return self._token(request)
        self._authorize(request)
        match = re.fullmatch(r"(/upload)?/storage/v1/b/([^/]+)/o(?:/([^/]+))?(/compose)?", path)
        if match is None:
            match = re.fullmatch(r"(/download)/storage/v1/b/([^/]+)/o/([^/]+)()", path)
        if match is None:
            raise _Error(404, "notFound", "Not Found")
        upload, bucket, name, compose = match.groups()
        name = urllib.parse.unquote(name) if name else None
        if bucket not in self.buckets:
            raise _Error(404, "notFound", "The specified bucket does not exist.")
        if upload == "/upload":
            return self._upload(request, bucket)
        if compose:
            return self._compose(request, bucket, name)
        if name is None:
            return self._list(request, bucket)
        return self._object(request, bucket, name, upload == "/download" or request.query.get("alt") == "media")

    def _token(self, request):
        form = urllib.parse.parse_qs(request.body.decode())
        header, claims, signature = form["assertion"][0].split(".")

        def refuse(what):
            request.answer(400, {"error": "invalid_grant", "error_description": what})

        said = json.loads(_unpadded(claims))
        now = time.time() + self.clock_offset
        head = json.loads(_unpadded(header))
        if form["grant_type"] != ["urn:ietf:params:oauth:grant-type:jwt-bearer"] or head["alg"] != "RS256":
            return request.answer(400, {"error": "unsupported_grant_type"})
        if said["iss"] != self.account.email or head.get("kid") != self.account.key_id:
            return refuse("Invalid grant: account not found")
        if not self.account.signed(f"{header}.{claims}".encode(), _unpadded(signature)):
            return refuse("Invalid JWT Signature.")
        # Google's own client always names Google's.
        if said["aud"] not in (self.token_uri, "https://oauth2.googleapis.com/token") or "devstorage" not in said["scope"] and "cloud-platform" not in said["scope"]:
            return refuse("Invalid JWT: audience or scope")
        if said["iat"] > now + 60 or said["exp"] < now or said["exp"] - said["iat"] > 3660:
            return refuse("Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe.")
        token = "ya29." + secrets.token_urlsafe(32)
        self.tokens[token] = time.time() + self.token_seconds
        return request.answer(200, {"access_token": token, "expires_in": self.token_seconds, "token_type": "Bearer"})

    def _authorize(self, request):
        if self.account is None:
            return
        token = (request.headers.get("Authorization") or "").removeprefix("Bearer ")
        if self.tokens.get(token, 0) < time.time():
            raise _Error(401, "authError", "Invalid Credentials")
        if not self.permitted:
            raise _Error(403, "forbidden", f"{self.account.email} does not have storage.objects.create access.")

    def _check_generation(self, request, bucket, name):
        wanted = request.query.get("ifGenerationMatch")
        there = self.objects.get((bucket, name))
        if wanted is not None and int(wanted) != (there.generation if there else 0):
            raise _Error(412, "conditionNotMet", "At least one of the pre-conditions you specified did not hold.")

    def _store(self, request, bucket, name, data, content_type, promised):
        if promised and promised != crc32c(data):
            raise _Error(400, "invalid", "Provided CRC32C does not match the data.")
        self._check_generation(request, bucket, name)
        self.generation += 1
        made = self.objects[bucket, name] = Object(bucket, name, data, self.generation, content_type)
        request.answer(200, made.resource(), {"X-Goog-Hash": "crc32c=" + made.crc32c})

    def _upload(self, request, bucket):
        kind = request.query.get("uploadType")
        if kind == "media":
            return self._store(request, bucket, request.query["name"], request.body, request.headers.get("Content-Type"), None)
        if kind == "multipart":
            boundary = re.search(r'boundary="?([^";]+)', request.headers["Content-Type"]).group(1).encode()
            parts = request.body.split(b"--" + boundary)
            if parts[-1].strip() != b"--" or len(parts) != 4:
                raise _Error(400, "badRequest", "Malformed multipart body.")
            metadata = json.loads(parts[1].partition(b"\r\n\r\n")[2] or parts[1].partition(b"\n\n")[2])
            data = parts[2].partition(b"\r\n\r\n")[2][:-2]
            return self._store(request, bucket, metadata.get("name") or request.query["name"], data,
                               metadata.get("contentType"), metadata.get("crc32c"))
        if request.command == "POST":
            metadata = json.loads(request.body or b"{}")
            session = secrets.token_hex(16)
            self.uploads[session] = {"name": metadata.get("name") or request.query["name"], "data": bytearray(),
                                     "type": metadata.get("contentType") or request.headers.get("X-Upload-Content-Type"),
                                     "crc32c": metadata.get("crc32c")}
            # The server as the client knows it, which may be a proxy.
            location = f"http://{request.headers['Host']}{request.path_only}?uploadType=resumable&upload_id={session}"
            return request.answer(200, b"", {"Location": location, "X-GUploader-UploadID": session})
        return self._resume(request, bucket, request.query["upload_id"])

    def _resume(self, request, bucket, session):
        upload = self.uploads.get(session)
        if upload is None:
            raise _Error(404, "notFound", "No such upload.")
        if request.command == "DELETE":
            del self.uploads[session]
            return request.answer(499, b"")
        asked = request.headers["Content-Range"]
        first, last, total = re.fullmatch(r"bytes (?:(\d+)-(\d+)|\*)/(\d+|\*)", asked).groups()
        data = upload["data"]
        if first is not None:
            if int(first) != len(data) or int(last) - int(first) + 1 != len(request.body):
                raise _Error(400, "badRequest", f"{asked} does not follow {len(data)}")
            ends = total != "*" and int(last) + 1 == int(total)
            if not ends and len(request.body) % _CHUNK != 0:
                raise _Error(400, "badRequest", "Chunks must be multiples of 256 KiB.")
            data += request.body
        if total != "*" and len(data) == int(total):
            promised = upload["crc32c"] or self._hash_in(request)
            self._store(request, bucket, upload["name"], bytes(data), upload["type"], promised)
            del self.uploads[session]
            return None
        return request.answer(308, b"", {"Range": f"bytes=0-{len(data) - 1}"} if data else {})

    @staticmethod
    def _hash_in(request):
        found = re.search(r"crc32c=([^,]+)", request.headers.get("X-Goog-Hash") or "")
        return found.group(1) if found else None

    def _compose(self, request, bucket, name):
        self._check_generation(request, bucket, name)
        asked = json.loads(request.body)
        data = b""
        for source in asked["sourceObjects"]:
            there = self.objects.get((bucket, source["name"]))
            if there is None or int(source.get("generation") or there.generation) != there.generation:
                raise _Error(404, "notFound", f"No such object: {bucket}/{source['name']}")
            data += there.data
        self._store(request, bucket, name, data, asked["destination"].get("contentType"), None)

    def _list(self, request, bucket):
        prefix, token = request.query.get("prefix", ""), request.query.get("pageToken", "")
        names = [name for name in self.names(bucket) if name.startswith(prefix) and name > token]
        size = min(self.page_size, int(request.query.get("maxResults", 1000)))
        page = {"kind": "storage#objects", "items": [self.objects[bucket, name].resource() for name in names[:size]]}
        if len(names) > size:
            page["nextPageToken"] = names[size - 1]
        request.answer(200, page)

    def _object(self, request, bucket, name, media):
        there = self.objects.get((bucket, name))
        wanted = request.query.get("generation")
        if there is None or (wanted and int(wanted) != there.generation):
            if media:
                return request.answer(404, f"No such object: {bucket}/{name}".encode(), {"Content-Type": "text/html"})
            raise _Error(404, "notFound", f"No such object: {bucket}/{name}")
        if request.command == "DELETE":
            self._check_generation(request, bucket, name)
            del self.objects[bucket, name]
            return request.answer(204)
        if not media:
            return request.answer(200, there.resource())
        headers = {"Content-Type": there.content_type or "application/octet-stream", "X-Goog-Hash": "crc32c=" + there.crc32c,
                   "X-Goog-Generation": str(there.generation)}
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("Range") or "")
        if asked is None:
            return request.answer(200, there.data, headers)
        first = int(asked.group(1))
        if first >= len(there.data):
            raise _Error(416, "requestedRangeNotSatisfiable", "Request range not satisfiable")
        body = there.data[first:int(asked.group(2)) + 1 if asked.group(2) else None]
        headers["Content-Range"] = f"bytes {first}-{first + len(body) - 1}/{len(there.data)}"
        return request.answer(206, body, headers)
