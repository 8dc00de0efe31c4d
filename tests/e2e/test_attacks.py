"""What an attacker tries, through the real edges: each test is named after what must not come of it."""

import base64
import collections
import concurrent.futures
import datetime
import http.client
import json
import os
import socket
import ssl
import subprocess
import time

import pytest
import stack as stacks
from attester import Attester, Client, b64url, published
from conftest import folder_for_daemons
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from fake_gateway import Authority


def exchange(stack, port, request, ca="root.pem", source="127.0.0.1"):
    """Sends bytes as they are, which no HTTP library does; (status, body)."""
    context = ssl.create_default_context(cafile=str(stack.pki / ca))
    with socket.create_connection(("127.0.0.1", stack.ports[port]), 10, (source, 0)) as plain:
        with context.wrap_socket(plain, server_hostname="127.0.0.1") as tls:
            tls.sendall(request)
            answer = b"".join(iter(lambda: tls.recv(65536), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), body


def ask(stack, port, path, method="GET", **options):
    request = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    return exchange(stack, port, request.encode(), **options)


@pytest.mark.parametrize("method,path", [
    ("GET", "/v1/admin/devices/..%2f..%2fca%2froot.pem"),
    ("GET", "/v1/admin/requests/%2e%2e%2f%2e%2e%2fca%2fchain.pem"),
    ("POST", "/v1/admin/devices/..%2f..%2fca/revoke"),
    ("POST", "/v1/admin/devices/..%2f..%2f..%2fv1%2fchallenges"),
    ("GET", "/v1/admin/devices/..%2f..%2f..%2fproblems%2f404.json"),
])
def test_the_admin_interface_cannot_be_reached_by_the_devices_door(shared, method, path):
    status, body = ask(shared, "device", path, method)
    assert status == 404, body
    assert "request_id" not in json.loads(body), "it was the gateway that answered, not the edge"


@pytest.mark.parametrize("path", ["/v1/ca/root.pem", "/v1/ca/root.pem?x=%2f", "/v1/ca/chain.pem", "/healthz"])
def test_a_path_that_is_what_it_seems_passes(shared, path):
    assert ask(shared, "device", path)[0] == 200


def test_whoever_knows_an_instance_id_writes_nothing_into_the_devices_history(shared):
    """Evidence that anybody can make names the victim; the operator's view of the victim stays what it was."""
    client, victim = Client(shared), published(shared)[0]
    thing = client.enrol(victim)[2]["thing"]
    before = shared.ctl_json("show", thing)["history"]
    for _ in range(3):
        status, _, problem = client.post("/v1/enrolments", client.request(victim, signer=Attester().rot))
        assert status == 403
        assert shared.explain(problem["request_id"])[0] == "signature-invalid"
    assert shared.ctl_json("show", thing)["history"] == before
    assert shared.show(thing)["state"] == "active"


def test_strangers_do_not_read_the_attestation_services_numbers(shared):
    vendor = {"ca": "attestation-ca.pem"}
    assert ask(shared, "attestation", "/metrics", source="127.0.0.2", **vendor)[0] == 404
    assert ask(shared, "attestation", "/x/../metrics", source="127.0.0.2", **vendor)[0] == 404
    assert ask(shared, "attestation", "/metrics", **vendor)[0] == 200


@pytest.mark.parametrize("port,ca", [("device", "root.pem"), ("admin", "root.pem"), ("attestation", "attestation-ca.pem")])
@pytest.mark.parametrize("method", ["OPTIONS", "TRACE", "PROPFIND", "M-SEARCH"])
def test_a_method_that_nobody_serves_is_refused_in_the_interfaces_own_words(shared, port, ca, method):
    status, body = ask(shared, port, "/healthz", method, ca=ca)
    assert (status, json.loads(body)["code"]) in {(405, "method-not-allowed"), (400, "bad-request")}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be misled into what only root may do")
def test_root_making_the_first_admin_follows_no_link_of_the_daemons():
    """A taken-over gateway owns its folder, and root runs `mooringctl admin init` on it."""
    with folder_for_daemons() as base:
        base.mkdir(mode=0o755)
        state, precious = base / "state", base / "precious"
        state.mkdir(mode=0o700)
        precious.mkdir(mode=0o700)
        os.chown(state, 64201, 64201)
        init = [stacks.Stack(base).program("mooringctl"), "admin", "init", "--daemon", "gateway", "--state-dir", state,
                "--master", precious / "master", "--out"]
        (state / "gateway.db").symlink_to(precious / "made-by-root")
        assert subprocess.run([*init, precious / "key.json"], capture_output=True, check=False).returncode == 1
        assert not (precious / "made-by-root").exists() and not (precious / "key.json").exists()
        (state / "gateway.db").unlink()
        assert subprocess.run([*init, precious / "key.json"], capture_output=True, check=False).returncode == 0
        assert (state / "gateway.db").stat().st_uid == 64201


def flood(stack, requests, cert=None):
    """Statuses and problem codes of so many requests, one after the other on one connection."""
    context = ssl.create_default_context(cafile=str(stack.pki / "attestation-ca.pem"))
    if cert:
        context.load_cert_chain(*cert)
    connection = http.client.HTTPSConnection("127.0.0.1", stack.ports["attestation"], context=context, timeout=20)
    answers = collections.Counter()
    for _ in range(requests):
        connection.request("GET", "/v1/withdrawals?after=0")
        answer = connection.getresponse()
        problem = json.loads(answer.read())
        assert answer.status != 429 or int(answer.headers["Retry-After"]) > 0
        answers[answer.status, problem.get("code")] += 1
    connection.close()
    return answers


@pytest.mark.parametrize("shows", ["no certificate", "a certificate of its own", "a device's certificate"])
def test_strangers_at_the_attestation_service_are_counted_and_cost_the_gateway_nothing(services, tmp_path, shows):
    """From the gateway's own address, as behind one translator of addresses."""
    client, cert = Client(services), None
    devices = published(services, 12)
    if shows == "a certificate of its own":
        cert = Authority().save(tmp_path, "stranger", usage="client")
    elif shows == "a device's certificate":
        (tmp_path / "device.pem").write_text("".join(client.enrol(devices[0])[2][k] for k in ("certificatePem", "chainPem")))
        (tmp_path / "device.key").write_bytes(devices[0].key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
        cert = tmp_path / "device.pem", tmp_path / "device.key"
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        strangers = [pool.submit(flood, services, 2000, cert) for _ in range(2)]
        began = time.monotonic()
        statuses = [client.enrol(device)[0] for device in devices[1:]]
        longest = time.monotonic() - began
        answers = sum((stranger.result() for stranger in strangers), collections.Counter())
    assert statuses == [201] * len(statuses) and longest < 10
    assert set(answers) <= {(401, "unauthenticated"), (403, "forbidden"), (429, "too-many-requests")}, answers
    seconds = time.monotonic() - began
    passed = sum(count for (status, _), count in answers.items() if status != 429)
    assert 900 <= passed <= 1000 + 110 * seconds, answers  # a burst of 1,000, then 100 a second
    assert answers[429, "too-many-requests"] > 500
    assert client.enrol(devices[0])[0] in (200, 201)


def expired_gateway(services, folder):
    """A gateway's client certificate that was right until yesterday: gw.pem and gw.key."""
    ca = services.folder / "oem-ca"
    issuer = x509.load_pem_x509_certificate((ca / "service.pem").read_bytes())
    issuer_key = serialization.load_pem_private_key((ca / "service.key").read_bytes(), None)
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.timezone.utc)
    certificate = (
        x509.CertificateBuilder().subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "gw")]))
        .issuer_name(issuer.subject).public_key(key.public_key()).serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=2)).not_valid_after(now - datetime.timedelta(days=1))
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier("spiffe://example.com/service/gateway/gw")]),
                       critical=False)
        .sign(issuer_key, hashes.SHA256()))
    (folder / "gw.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "gw.key").write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                                      serialization.NoEncryption()))


def test_an_expired_relying_party_is_told_what_is_wrong(services, tmp_path):
    expired_gateway(services, tmp_path)
    status, _, body = services.https("GET", services.ports["attestation"], "/v1/withdrawals?after=0",
                                     ca=services.pki / "attestation-ca.pem", cert=tmp_path / "gw")
    assert (status, json.loads(body)["code"]) == (401, "unauthenticated")
    assert "expired" in json.loads(body)["detail"]


def test_a_csr_seen_earlier_is_worth_nothing_without_its_own_rot(services):
    client = Client(services)
    victim, accomplice = published(services, 2)
    seen = client.request(victim)
    status, _, first = client.post("/v1/enrolments", seen)
    assert status == 201
    csr = base64.b64decode(seen["csr"])
    fresh = {**seen, "nonce": b64url(client.challenge())}
    for body, code, reason in ((seen, "nonce-spent", "nonce-spent"), (fresh, "attestation-refused", "nonce-mismatch"),
                               (client.request(accomplice, csr=csr), "policy-refused", "key-already-certified")):
        status, _, problem = client.post("/v1/enrolments", body)
        assert (status, problem["code"]) == (409 if code == "nonce-spent" else 403, code), problem
        assert services.explain(problem["request_id"])[0] == reason
    status, _, again = client.post("/v1/enrolments", client.request(victim, csr=csr))
    assert (status, again["certificatePem"]) == (200, first["certificatePem"])
    assert services.show(first["thing"])["state"] == "active"
