"""Certificates of a small authority, made by openssl."""

import os
import subprocess

from lines import Refused


def _openssl(*words):
    run = subprocess.run(["openssl", *words], capture_output=True, text=True)
    if run.returncode != 0:
        raise Refused(f"openssl {words[0]}: {run.stderr.strip()}")


class Authority:
    """Signs for a month; its files are `<name>.crt` and `<name>.key`."""

    def __init__(self, directory, name):
        self.certificate = os.path.join(directory, f"{name}.crt")
        self.key = os.path.join(directory, f"{name}.key")
        self._directory = directory
        _openssl(
            "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30",
            "-subj", f"/CN={name}", "-keyout", self.key, "-out", self.certificate)  # fmt: skip

    def pem(self):
        with open(self.certificate) as file:
            return file.read()

    def sign(self, file, subject, names=(), client=False):
        """The paths of a certificate and its key."""
        base = os.path.join(self._directory, file)
        extensions = ["extendedKeyUsage=" + ("clientAuth" if client else "serverAuth")]
        if names:
            extensions.append("subjectAltName=" + ",".join(names))
        with open(f"{base}.ext", "w") as out:
            out.write("\n".join(extensions))
        _openssl(
            "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", subject,
            "-keyout", f"{base}.key", "-out", f"{base}.csr")  # fmt: skip
        _openssl(
            "x509", "-req", "-in", f"{base}.csr", "-CA", self.certificate, "-CAkey", self.key, "-CAcreateserial",
            "-days", "30", "-extfile", f"{base}.ext", "-out", f"{base}.crt")  # fmt: skip
        return f"{base}.crt", f"{base}.key"
