"""Root file systems and OCI image layouts made on the spot; busybox comes from Debian's busybox-static."""

import gzip
import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile

BUSYBOX = "/bin/busybox"


def busybox_root(path, release):
    """A root file system of busybox alone, whose /etc/os-release says `release`. Returns its path."""
    for folder in ("bin", "etc", "proc", "dev", "tmp", "work"):
        os.makedirs(os.path.join(path, folder))
    shutil.copy(BUSYBOX, os.path.join(path, "bin", "busybox"))
    applets = subprocess.run([BUSYBOX, "--list"], check=True, capture_output=True, text=True).stdout.split()
    for applet in applets:
        if applet != "busybox":
            os.symlink("busybox", os.path.join(path, "bin", applet))
    with open(os.path.join(path, "etc", "os-release"), "w", encoding="utf-8") as file:
        file.write(f'ID={release}\nPRETTY_NAME="{release} for tests"\n')
    for folder, _, _ in os.walk(path):
        os.chmod(folder, 0o755)
    return path


def layer_of(folder):
    """A layer, as bytes of an uncompressed tar, of all that is in `folder`."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        tar.add(folder, arcname=".")
    return buffer.getvalue()


def layer_with(files):
    """A layer of `files`: content by path; a path ending in "/" is a directory, a tuple ("->", target) a symbolic link."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path, content in files.items():
            info = tarfile.TarInfo(path.rstrip("/"))
            info.mode = 0o755
            if path.endswith("/"):
                info.type = tarfile.DIRTYPE
            elif isinstance(content, tuple):
                info.type, info.linkname = tarfile.SYMTYPE, content[1]
            else:
                info.size = len(content)
            tar.addfile(info, io.BytesIO(content) if info.isfile() else None)
    return buffer.getvalue()


class Layout:
    """An OCI image layout in `path` that grows image by image."""

    def __init__(self, path):
        self.path = path
        self._manifests = []
        os.makedirs(os.path.join(path, "blobs", "sha256"))
        self._write("oci-layout", {"imageLayoutVersion": "1.0.0"})

    def _write(self, name, content):
        with open(os.path.join(self.path, name), "w", encoding="utf-8") as file:
            json.dump(content, file)

    def _blob(self, data, media_type):
        digest = hashlib.sha256(data).hexdigest()
        with open(os.path.join(self.path, "blobs", "sha256", digest), "wb") as file:
            file.write(data)
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data)}

    def add(self, layers, tag=None, **config):
        """Adds an image of these tars; `config` holds Env, WorkingDir and so on. Returns its manifest's digest."""
        kind = "application/vnd.oci.image."
        described = {"os": "linux", "architecture": "amd64", "config": config, "rootfs": {
            "type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(layer).hexdigest() for layer in layers]}}
        manifest = {"schemaVersion": 2, "mediaType": kind + "manifest.v1+json",
                    "config": self._blob(json.dumps(described).encode(), kind + "config.v1+json"),
                    "layers": [self._blob(gzip.compress(layer, mtime=0), kind + "layer.v1.tar+gzip") for layer in layers]}
        descriptor = self._blob(json.dumps(manifest).encode(), kind + "manifest.v1+json")
        if tag:
            descriptor["annotations"] = {"org.opencontainers.image.ref.name": tag}
        self._manifests.append(descriptor)
        self._write("index.json", {"schemaVersion": 2, "manifests": self._manifests})
        return descriptor["digest"]
