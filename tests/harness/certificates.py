"""Throw-away certificates made with openssl."""

import os
import subprocess


def _openssl(*arguments):
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


def authority(folder, name="ca"):
    """Makes NAME.key and NAME.pem, a self-signed authority; returns the path of the certificate."""
    path = os.path.join(folder, name)
    _openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
             "-subj", f"/CN={name}", "-keyout", path + ".key", "-out", path + ".pem")
    return path + ".pem"


def certificate(folder, name, issuer="ca", days=2):
    """Makes NAME.key and NAME.pem for localhost, signed by `issuer`; returns both paths (certificate, key)."""
    path, above = os.path.join(folder, name), os.path.join(folder, issuer)
    with open(path + ".ext", "w", encoding="utf-8") as file:
        file.write("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    _openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", f"/CN={name}",
             "-keyout", path + ".key", "-out", path + ".csr")
    _openssl("x509", "-req", "-in", path + ".csr", "-CA", above + ".pem", "-CAkey", above + ".key", "-CAcreateserial",
             "-days", str(days), "-extfile", path + ".ext", "-out", path + ".pem")
    return path + ".pem", path + ".key"


def read(path):
    with open(path, "rb") as file:
        return file.read()
