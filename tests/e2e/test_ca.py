"""mooring-ca: what it makes, what it never does, and what it warns of."""

import datetime
import ipaddress
import json
import os
import stat
import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID

BUILD = Path(os.environ.get("MOORING_BUILD") or Path(__file__).resolve().parents[2] / "build").resolve()
FILES = {"root.key", "root.pem", "device.key", "device.pem", "unattested.key", "unattested.pem", "service.key", "service.pem",
         "salt"}


def run(*arguments):
    return subprocess.run([BUILD / "mooring-ca", *map(str, arguments)], capture_output=True, text=True, timeout=30)


@pytest.fixture(scope="module")
def ca(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ca") / "ca"
    done = run("init", "--dir", folder, "--name", "Example OEM", "--trust-domain", "example.com")
    assert done.returncode == 0, done.stderr
    return folder


def load(path):
    return x509.load_pem_x509_certificate(Path(path).read_bytes())


def extension(cert, kind):
    return cert.extensions.get_extension_for_class(kind)


def openssl_verify(ca, issuing, leaf, *options):
    return subprocess.run(["openssl", "verify", "-x509_strict", *options, "-CAfile", ca / "root.pem", "-untrusted",
                           ca / f"{issuing}.pem", leaf], capture_output=True, text=True)


def test_init_makes_a_root_and_three_cas_below_it(ca):
    assert {p.name for p in ca.iterdir()} >= FILES
    root = load(ca / "root.pem")
    assert extension(root, x509.BasicConstraints).value.path_length == 1
    serials = {root.serial_number}
    for name in ("device", "unattested", "service"):
        issuing = load(ca / f"{name}.pem")
        assert extension(issuing, x509.BasicConstraints).value == x509.BasicConstraints(ca=True, path_length=0)
        assert extension(issuing, x509.BasicConstraints).critical
        assert issuing.issuer == root.subject
        assert 64 < issuing.serial_number.bit_length() <= 127
        assert list(extension(issuing, x509.SubjectAlternativeName).value) == [
            x509.UniformResourceIdentifier("spiffe://example.com")]
        serials.add(issuing.serial_number)
        assert openssl_verify(ca, name, ca / f"{name}.pem").returncode == 0
    assert len(serials) == 4


def test_device_cas_are_constrained_and_the_service_ca_is_not(ca):
    for name in ("device", "unattested"):
        constraints = extension(load(ca / f"{name}.pem"), x509.NameConstraints)
        assert constraints.critical
        assert [n.value for n in constraints.value.permitted_subtrees] == ["example.com"]
        assert ipaddress.ip_network("0.0.0.0/0") in [n.value for n in constraints.value.excluded_subtrees]
        assert list(extension(load(ca / f"{name}.pem"), x509.ExtendedKeyUsage).value) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    with pytest.raises(x509.ExtensionNotFound):
        extension(load(ca / "service.pem"), x509.NameConstraints)


def test_secrets_are_for_their_owner_alone(ca):
    for path in ca.iterdir():
        if path.suffix == ".key" or path.name == "salt":
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(ca.stat().st_mode) == 0o700
    assert (ca / "salt").stat().st_size == 32
    assert b"BEGIN PRIVATE KEY" in (ca / "root.key").read_bytes()


def test_nothing_is_ever_overwritten(ca, tmp_path):
    before = {p.name: p.read_bytes() for p in ca.iterdir()}
    done = run("init", "--dir", ca, "--name", "Other", "--trust-domain", "other.example")
    assert done.returncode == 1 and "nothing is overwritten" in done.stderr
    assert run("issue-ca", "device", "--dir", ca, "--out", ca / "device").returncode == 1
    assert {p.name: p.read_bytes() for p in ca.iterdir()} == before
    for present in ("x.key", "x.pem"):
        (tmp_path / present).write_text("precious")
        assert run("issue-service", "x", "--dir", ca, "--client", "--out", tmp_path / "x").returncode == 1
        assert [p.name for p in tmp_path.iterdir()] == [present] and (tmp_path / present).read_text() == "precious"
        (tmp_path / present).unlink()


@pytest.mark.parametrize("present", sorted(FILES))
def test_init_leaves_a_folder_that_holds_any_of_its_files(tmp_path, present):
    (tmp_path / present).write_text("precious")
    assert run("init", "--dir", tmp_path, "--name", "OEM", "--trust-domain", "example.com").returncode == 1
    assert [p.name for p in tmp_path.iterdir()] == [present]


def test_server_certificates(ca, tmp_path):
    done = run("issue-service", "edge-1", "--dir", ca, "--server", "--san", "gw.example.com", "--san", "127.0.0.1", "--san",
               "::1", "--out", tmp_path / "edge")
    assert done.returncode == 0, done.stderr
    cert = load(tmp_path / "edge.pem")
    names = extension(cert, x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["gw.example.com"]
    assert names.get_values_for_type(x509.IPAddress) == [ipaddress.ip_address("127.0.0.1"), ipaddress.ip_address("::1")]
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == ["spiffe://example.com/service/edge/edge-1"]
    assert list(extension(cert, x509.ExtendedKeyUsage).value) == [ExtendedKeyUsageOID.SERVER_AUTH]
    assert (tmp_path / "edge.pem").read_text().endswith((ca / "service.pem").read_text())
    key = load_pem_private_key((tmp_path / "edge.key").read_bytes(), None)
    assert key.public_key().public_numbers() == cert.public_key().public_numbers()
    good = openssl_verify(ca, "service", tmp_path / "edge.pem", "-purpose", "sslserver", "-verify_hostname", "gw.example.com")
    assert good.returncode == 0, good.stderr
    assert openssl_verify(ca, "service", tmp_path / "edge.pem", "-purpose", "sslclient").returncode != 0


def test_client_certificates_name_their_role(ca, tmp_path):
    for role in ("broker", "gateway", "edge", "backend"):
        done = run("issue-service", f"{role}-1", "--dir", ca, "--client", "--role", role, "--days", 90, "--out", tmp_path / role)
        assert done.returncode == 0, done.stderr
        cert = load(tmp_path / f"{role}.pem")
        uri = extension(cert, x509.SubjectAlternativeName).value.get_values_for_type(x509.UniformResourceIdentifier)
        assert uri == [f"spiffe://example.com/service/{role}/{role}-1"]
        assert cert.not_valid_after - datetime.datetime.utcnow() < datetime.timedelta(days=90, seconds=60)
        assert openssl_verify(ca, "service", tmp_path / f"{role}.pem", "-purpose", "sslclient").returncode == 0


def test_a_next_issuing_ca_serves_under_the_same_root(ca, tmp_path):
    assert run("issue-ca", "device", "--dir", ca, "--out", tmp_path / "device-2").returncode == 0
    assert openssl_verify(ca, "device", tmp_path / "device-2.pem").returncode == 0
    first, second = load(ca / "device.pem"), load(tmp_path / "device-2.pem")
    assert first.subject == second.subject and first.serial_number != second.serial_number
    assert first.public_key().public_numbers() != second.public_key().public_numbers()


def test_status_warns_of_what_expires_soon(ca, tmp_path):
    assert run("status", "--dir", ca).returncode == 0
    assert run("issue-service", "short", "--dir", ca, "--client", "--days", 10, "--out", tmp_path / "short").returncode == 0
    done = run("status", "--cert", tmp_path / "short.pem", ca / "root.pem")
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["STATE", "NAME", "EXPIRES", "DAYS", "FILE"]
    assert lines[1].startswith("expiring") and "short" in lines[1] and lines[-1].startswith("ok")
    as_json = run("status", "--dir", tmp_path, "--json")
    assert as_json.returncode == 1
    listed = {entry["name"]: entry for entry in json.loads(as_json.stdout)}
    assert listed["short"]["state"] == "expiring" and listed["short"]["days_left"] in (9, 10)
    assert listed["Example OEM Service CA"]["state"] == "ok"


@pytest.mark.parametrize("arguments, code, says", [
    ([], 2, "a command is missing"),
    (["sign"], 2, 'there is no command "sign"'),
    (["init", "--dir", "x"], 2, "needs"),
    (["init", "--dir", "/nonexistent/ca", "--name", "x", "--trust-domain", "example.com"], 1, "/nonexistent/ca"),
    (["init", "--dir", "{tmp}", "--name", "x", "--trust-domain", "Example.com"], 1, "lower case"),
    (["init", "--dir", "{tmp}", "--name", "x", "--trust-domain", "https://example.com"], 1, "lower case"),
    (["init", "--dir", "{tmp}", "--name", "n" * 60, "--trust-domain", "example.com"], 1, "64 characters"),
    (["issue-service", "--dir", "{ca}", "--client", "--out", "{tmp}/x"], 2, "NAME"),
    (["issue-service", "x", "--dir", "{ca}", "--out", "{tmp}/x"], 2, "--server or --client"),
    (["issue-service", "x", "--dir", "{ca}", "--server", "--client", "--out", "{tmp}/x"], 2, "--server or --client"),
    (["issue-service", "x", "--dir", "{ca}", "--client", "--days", "399", "--out", "{tmp}/x"], 2, "--days"),
    (["issue-service", "x", "--dir", "{ca}", "--client", "--days", "9x", "--out", "{tmp}/x"], 2, "--days"),
    (["issue-service", "x", "--dir", "{ca}", "--client", "--role", "admin", "--out", "{tmp}/x"], 1, "--role"),
    (["issue-service", "a/b", "--dir", "{ca}", "--client", "--out", "{tmp}/x"], 1, "NAME"),
    (["issue-service", "x", "--dir", "{ca}", "--server", "--san", "a b", "--out", "{tmp}/x"], 1, "neither a DNS name"),
    (["issue-service", "Edge_1", "--dir", "{ca}", "--server", "--out", "{tmp}/x"], 1, "needs --san"),
    (["issue-service", "x", "--dir", "{tmp}", "--client", "--out", "{tmp}/x"], 1, "service.pem"),
    (["issue-ca", "root", "--dir", "{ca}", "--out", "{tmp}/x"], 1, "device, unattested, service"),
    (["issue-ca", "--dir", "{ca}", "--out", "{tmp}/x"], 2, "needs"),
    (["status"], 2, "--dir"),
    (["status", "--cert", "{ca}/salt"], 1, "no certificate"),
    (["status", "--dir", "{tmp}/nodir"], 1, "mooring-ca: io: open {tmp}/nodir: No such file or directory"),
    (["status", "--dir", "{tmp}"], 1, "mooring-ca: not-found: {tmp} holds no .pem file"),
])
def test_refusals_say_what_to_do(ca, tmp_path, arguments, code, says):
    done = run(*[a.format(ca=ca, tmp=tmp_path) for a in arguments])
    assert done.returncode == code and says.format(tmp=tmp_path) in done.stderr, done.stderr
    assert not any(tmp_path.iterdir())


def test_a_failed_init_leaves_nothing_behind(tmp_path):
    folder = tmp_path / "ca"
    done = run("init", "--dir", folder, "--name", "n" * 60, "--trust-domain", "example.com")
    assert done.returncode == 1 and not list(folder.iterdir())


def test_help_teaches():
    for arguments in (["--help"], ["init", "--help"]):
        done = run(*arguments)
        assert done.returncode == 0 and "mooring-ca issue-service" in done.stdout
    assert run("--version").stdout.startswith("mooring-ca ")
