"""A certificate authority for one test, and a certificate for 127.0.0.1 and localhost that it signed, by openssl."""

from __future__ import annotations

import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path

_EXTENSIONS = "subjectAltName=IP:127.0.0.1,DNS:localhost\nbasicConstraints=CA:FALSE\n"


@dataclass(frozen=True)
class Certificates:
    """Files in PEM."""

    ca: Path
    certificate: Path
    key: Path

    @classmethod
    def make(cls, folder: Path) -> Certificates:
        it = cls(folder / "ca.pem", folder / "server.pem", folder / "server.key")
        (folder / "extensions").write_text(_EXTENSIONS)
        ec = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
        ca = (
            "-keyout",
            "ca.key",
            "-out",
            "ca.pem",
            "-subj",
            "/CN=a test",
            "-addext",
            "keyUsage=critical,keyCertSign",
        )
        request = ("-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=127.0.0.1")
        sign = ("-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-out", "server.pem", "-days", "2")
        for command in (
            ("req", "-x509", *ec, *ca, "-days", "2"),
            ("req", *ec, *request),
            ("x509", "-req", *sign, "-CAcreateserial", "-extfile", "extensions"),
        ):
            subprocess.run(["openssl", *command], cwd=folder, check=True, capture_output=True, timeout=30)
        return it

    def server(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        return context

    def client(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.ca))
