"""The examples of proxies in docs/operations.md are accepted by nginx and Caddy as they stand there."""

import os
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.fixtures.manual import file_block
from tests.fixtures.requirements import PROXIES, skip_without

SERVER = "koppel.noord.example"
ADMIN_PATH = f"{os.environ['PATH']}:/usr/sbin:/sbin"
"""Where Debian keeps nginx."""
CONFIGURATION = """
pid {folder}/nginx.pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    include {folder}/koppel.conf;
}}
"""


def self_signed(folder: Path, host: str = SERVER) -> None:
    """Write `fullchain.pem` and `privkey.pem` for a host, by default the server of the page."""
    folder.mkdir(parents=True, exist_ok=True)
    key, name = (
        ec.generate_private_key(ec.SECP256R1()),
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)]),
    )
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=30))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "fullchain.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "privkey.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )


def test_nginx_accepts_the_example(tmp_path: Path) -> None:
    site = file_block("/etc/nginx/conf.d/koppel.conf")
    certificates = "/etc/letsencrypt/live/koppel.noord.example"
    assert certificates in site
    self_signed(tmp_path / "certificates")
    (tmp_path / "koppel.conf").write_text(site.replace(certificates, str(tmp_path / "certificates")))
    (tmp_path / "nginx.conf").write_text(CONFIGURATION.format(folder=tmp_path))
    _accepts("nginx", "-t", "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf"))


def test_caddy_accepts_the_example(tmp_path: Path) -> None:
    (tmp_path / "Caddyfile").write_text(file_block("/etc/caddy/Caddyfile"))
    _accepts("caddy", "validate", "--config", str(tmp_path / "Caddyfile"), HOME=str(tmp_path))


def test_an_example_that_does_not_parse_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "Caddyfile").write_text("koppel.noord.example { reverse_proxy 127.0.0.1:8400 }\n")
    with pytest.raises(AssertionError, match="Caddyfile"):
        _accepts("caddy", "validate", "--config", str(tmp_path / "Caddyfile"), HOME=str(tmp_path))


def _accepts(program: str, *words: str, **environment: str) -> None:
    path = shutil.which(program, path=ADMIN_PATH)
    if path is None:
        skip_without(PROXIES)
    done = subprocess.run(
        [path, *words], env={"PATH": ADMIN_PATH, **environment}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
