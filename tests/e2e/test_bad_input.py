"""Bytes that no honest device sends: each gets a clear refusal, and the gateway goes on."""

import contextlib
import os
import socket
import ssl
from pathlib import Path

import pytest
from attester import Attester, Client, b64, b64url

VECTORS = Path(__file__).resolve().parents[1] / "vectors/derived"


@pytest.fixture
def client(shared):
    return Client(shared)


def raw(stack, data, port="device", seconds=5):
    """Bytes over a TLS connection of their own; all that comes back until the other side closes or has fallen silent."""
    tls = ssl.create_default_context(cafile=str(stack.pki / "root.pem"))
    with socket.create_connection(("127.0.0.1", stack.ports[port]), timeout=seconds) as plain:
        with tls.wrap_socket(plain, server_hostname="127.0.0.1") as s:
            s.sendall(data)
            got = b""
            while True:
                try:
                    chunk = s.recv(65536)
                except (ssl.SSLError, ConnectionError, TimeoutError):
                    break
                if not chunk:
                    break
                got += chunk
    return got


def statuses(answer):
    return [int(line.split()[1]) for line in answer.split(b"\r\n") if line.startswith(b"HTTP/1.1 ")]


@pytest.mark.parametrize("name,code", [
    ("bad-selfsig", "csr-refused"), ("bad-empty", "bad-request"), ("bad-point-not-on-curve", "csr-refused"),
    ("bad-spki-swapped", "csr-refused"), ("bad-trailing", "csr-refused"), ("bad-truncated", "csr-refused"),
    ("weak-rsa1024", "csr-refused"), ("weak-p192", "csr-refused"), ("weak-p224", "csr-refused"),
    ("weak-sha1-sig", "csr-refused"), ("weak-rsa2048-e3", "csr-refused"), ("policy-rsa2048", "csr-refused"),
    ("policy-ed25519", "csr-refused"), ("policy-secp256k1", "csr-refused"), ("policy-known-test-key", "csr-refused"),
])
def test_a_bad_csr_is_refused_with_its_rule(client, name, code):
    csr = (VECTORS / f"csr/{name}.der").read_bytes()
    status, _, problem = client.enrol(Attester(), csr=csr)
    assert (status, problem["code"]) == (400, code), problem
    assert problem["detail"]


@pytest.mark.parametrize("name", sorted(p.stem for p in (VECTORS / "psa").glob("*.cbor") if not p.stem.startswith("ok-")))
def test_hostile_evidence_is_refused(client, name):
    body = client.request(Attester())
    body["evidence"]["value"] = b64((VECTORS / f"psa/{name}.cbor").read_bytes())
    status, _, problem = client.post("/v1/enrolments", body)
    assert status in (400, 403), problem
    assert problem["code"] in ("bad-request", "evidence-malformed", "attestation-refused")


@pytest.mark.parametrize("body", [
    b"", b"{", b"[]", b"null", b'"x"', b"{}", b'{"csr": 1}', b'{"csr": "!!", "nonce": ""}', b"\xff\xfe", b"[" * 20000,
    b'{"csr":"","csr":""}', b'{"a":' * 3000, b'{"nonce": "\\u0000"}',
])
def test_hostile_json_is_refused(client, body):
    status, headers, problem = client.post("/v1/enrolments", body)
    assert status == 400 and problem["code"] == "bad-request", problem
    assert headers["Content-Type"] == "application/problem+json"


def test_an_oversized_request_is_refused_by_the_edge(client):
    status, headers, problem = client.post("/v1/enrolments", b"x" * 70000)
    assert (status, problem["code"]) == (413, "too-large")
    assert headers["Content-Type"] == "application/problem+json"


def test_a_wrong_content_type_is_refused(client):
    assert client.post("/v1/enrolments", "a=b", {"Content-Type": "text/plain"})[0] == 415


@pytest.mark.parametrize("method", ["TRACE", "CONNECT", "OPTIONS", "PROPFIND"])
def test_other_methods_are_refused(shared, method):
    answer = raw(shared, f"{method} /v1/challenges HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    assert statuses(answer)[0] in (400, 405)


def test_a_slow_request_is_cut(shared):
    answer = raw(shared, b"POST /v1/enrolments HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{", seconds=25)
    assert statuses(answer) in ([], [408])


SMUGGLED = b"GET /v1/admin/devices HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


@pytest.mark.parametrize("head", [
    b"HEAD /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(SMUGGLED),
    b"POST /v1/challenges HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"POST /v1/challenges HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nContent-Length: %d\r\n\r\n" % len(SMUGGLED),
    b"POST /v1/challenges HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n",
    b"POST /v1/challenges HTTP/1.1\r\nHost: x\r\nContent-Length: +5\r\n\r\n",
])
def test_a_smuggled_request_reaches_no_admin_path(shared, head):
    answer = raw(shared, head + SMUGGLED)
    assert b'"devices"' not in answer
    assert all(status in (200, 201, 400, 404, 405, 411, 501) for status in statuses(answer)), answer


def test_a_forged_identity_header_names_no_parameter(shared):
    """The feed wants a broker's certificate; no header can stand for one."""
    pem = (shared.folder / "broker/pki/broker-client.pem").read_text().replace("\n", "%0A")
    forged = "".join(f"{name}: {pem}\r\n" for name in ("CLIENT_CERT", "Client-Cert", "X-Client-Cert", "HTTP_CLIENT_CERT",
                                                      "Ssl-Client-Cert"))
    answer = raw(shared, f"GET /v1/feed?epoch=0&after=0 HTTP/1.1\r\nHost: x\r\n{forged}Connection: close\r\n\r\n".encode(),
                 port="admin")
    assert statuses(answer) == [401], answer


def test_garbage_instead_of_tls(shared):
    for data in (os.urandom(400), b"GET / HTTP/1.0\r\n\r\n", b"\x16\x03\x01\xff\xff" + os.urandom(64), b"\x80" * 3000):
        with socket.create_connection(("127.0.0.1", shared.ports["device"]), timeout=15) as s:
            with contextlib.suppress(OSError):  # the edge may have hung up already
                s.sendall(data)
                s.shutdown(socket.SHUT_WR)
                while s.recv(65536):
                    pass
    assert shared.https("GET", shared.ports["device"], "/healthz")[0] == 200


def test_a_wrong_length_nonce_is_refused(client):
    device = Attester()
    for nonce in (b"\x01" * 31, b"\x01" * 33):
        body = client.request(device)
        body["nonce"] = b64url(nonce)
        status, _, problem = client.post("/v1/enrolments", body)
        assert (status, problem["code"]) == (400, "bad-request")
