"""The enrolment path through the real edge, gateway, attestation service and signer."""

import concurrent.futures
import hashlib
import time

import pytest
from attester import Attester, Client, b64, binding, make_csr, published
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from stack import wait_until

DER = serialization.Encoding.DER


@pytest.fixture
def client(shared):
    return Client(shared)


@pytest.fixture
def device(shared):
    return published(shared)[0]


def refused(stack, answer, status, code, reason):
    got, _, problem = answer
    assert (got, problem["code"]) == (status, code), problem
    assert stack.explain(problem["request_id"])[0] == reason
    return problem


@pytest.mark.parametrize("kind", ["psa-token", "cose-csr"])
def test_a_genuine_device_gets_a_certificate_of_the_profile(shared, client, device, kind):
    status, _, answer = client.enrol(device, kind=kind)
    assert status == 201, answer
    leaf = x509.load_pem_x509_certificate(answer["certificatePem"].encode())
    issuer = x509.load_pem_x509_certificate(answer["chainPem"].encode())
    issuer.public_key().verify(leaf.signature, leaf.tbs_certificate_bytes, ec.ECDSA(leaf.signature_hash_algorithm))
    extension = {e.oid: e for e in leaf.extensions}
    assert leaf.subject == x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, answer["thing"])])
    assert leaf.public_key() .public_numbers() == device.key.public_key().public_numbers()
    assert extension[x509.BasicConstraints.oid].value == x509.BasicConstraints(False, None)
    assert list(extension[x509.ExtendedKeyUsage.oid].value) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    names = extension[x509.SubjectAlternativeName.oid].value.get_values_for_type(x509.UniformResourceIdentifier)
    assert names == [f"spiffe://{shared.TRUST_DOMAIN}/thing/{answer['thing']}"]
    assert answer["certificateId"] == hashlib.sha256(leaf.public_bytes(DER)).hexdigest()
    assert leaf.not_valid_after <= issuer.not_valid_after


def test_the_thing_name_is_the_instance_ids_and_not_the_csrs(shared, client, device):
    first = client.enrol(device, csr=make_csr(device.key, "i-am-somebody-else"))[2]
    shown = shared.show(first["thing"])
    assert shown["instance_id"] == device.instance.hex()
    assert "somebody" not in first["thing"]


def test_asking_again_with_the_same_key_gets_the_same_certificate(client, device):
    status, _, first = client.enrol(device)
    again, _, second = client.enrol(device)
    assert (status, again) == (201, 200)
    assert first["certificatePem"] == second["certificatePem"]


def test_many_requests_at_once_get_one_certificate(shared, client, device):
    bodies = [client.request(device) for _ in range(8)]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda body: client.post("/v1/enrolments", body), bodies))
    assert {status for status, _, _ in answers} <= {200, 201}, answers
    assert len({answer["certificatePem"] for _, _, answer in answers}) == 1
    assert len(shared.show(answers[0][2]["thing"])["certificates"]) == 1


def test_a_shorter_life_is_granted_a_longer_one_is_not(client, device):
    body = client.request(device)
    body["lifetime_s"] = 3600
    answer = client.post("/v1/enrolments", body)[2]
    leaf = x509.load_pem_x509_certificate(answer["certificatePem"].encode())
    assert (leaf.not_valid_after - leaf.not_valid_before).total_seconds() <= 3600 + 3600
    body = client.request(device)
    body["lifetime_s"] = 10 * 365 * 86400
    status, _, problem = client.post("/v1/enrolments", body)
    assert status == 400 and "lifetime_s" in problem["detail"]


def test_a_nonce_is_good_for_one_use(shared, client, device):
    nonce = client.challenge()
    assert client.enrol(device, nonce=nonce)[0] == 201
    refused(shared, client.enrol(device, nonce=nonce), 409, "nonce-spent", "nonce-spent")


def test_a_nonce_spent_by_two_at_once_serves_one(client, device):
    nonce = client.challenge()
    bodies = [client.request(device, nonce=nonce) for _ in range(6)]
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        statuses = sorted(status for status, _, _ in pool.map(lambda b: client.post("/v1/enrolments", b), bodies))
    assert statuses == [201] + [409] * 5


def test_a_nonce_of_another_gateway_is_refused(shared, client, device):
    refused(shared, client.enrol(device, nonce=b"\x00" * 32), 409, "nonce-spent", "nonce-forged")


def test_a_malformed_request_does_not_spend_the_nonce(client, device):
    nonce = client.challenge()
    body = client.request(device, nonce=nonce)
    body["csr"] = b64(b"\x30\x03\x02\x01\x00")
    assert client.post("/v1/enrolments", body)[0] == 400
    assert client.enrol(device, nonce=nonce)[0] == 201


def test_evidence_for_another_csr_is_refused(shared, client, device):
    body = client.request(device)
    body["csr"] = b64(make_csr(ec.generate_private_key(ec.SECP256R1())))
    refused(shared, client.post("/v1/enrolments", body), 403, "attestation-refused", "nonce-mismatch")


def test_evidence_over_the_bare_nonce_binds_nothing(shared, client, device):
    nonce = client.challenge()
    refused(shared, client.enrol(device, nonce=nonce, bound=nonce), 403, "attestation-refused", "nonce-mismatch")


def test_evidence_for_another_gateway_is_refused(shared, client, device):
    nonce, csr = client.challenge(), make_csr(device.key)
    bound = binding(nonce, "https://evil.example", csr)
    refused(shared, client.enrol(device, nonce=nonce, csr=csr, bound=bound), 403, "attestation-refused", "nonce-mismatch")


def test_an_unknown_origin_is_refused(shared, client, device):
    refused(shared, client.enrol(device, audience="https://evil.example"), 400, "bad-request", "origin-unknown")


def test_what_only_the_records_know_looks_the_same_outside(shared, client):
    """Unknown, wrong key, suspended: one public code; the operator is told which."""
    unknown = Attester()
    known, suspended = published(shared, 2)
    shared.ctl("records", "suspend", "--device", suspended.instance.hex(), "--reason", "test")
    forged = client.request(known, signer=unknown.rot)
    problems = [
        refused(shared, client.enrol(unknown), 403, "attestation-refused", "device-unknown"),
        refused(shared, client.post("/v1/enrolments", forged), 403, "attestation-refused", "signature-invalid"),
        refused(shared, client.enrol(suspended), 403, "attestation-refused", "device-suspended"),
    ]
    assert len({(p["title"], p.get("detail")) for p in problems}) == 1


def test_suspended_and_resumed_at_the_attestation_service(shared, client, device):
    shared.ctl("records", "suspend", "--device", device.instance.hex(), "--reason", "test")
    refused(shared, client.enrol(device), 403, "attestation-refused", "device-suspended")
    shared.ctl("records", "resume", "--device", device.instance.hex(), "--reason", "test")
    assert client.enrol(device)[0] == 201


def test_the_rot_key_itself_gets_no_certificate(shared, client, device):
    csr = make_csr(device.rot)
    refused(shared, client.enrol(device, csr=csr), 403, "attestation-refused", "csr-key-is-rot-key")


def test_an_unsecured_life_cycle_is_refused(shared, client, device):
    refused(shared, client.enrol(device, claims={2395: 0x1000}), 403, "attestation-refused", "lifecycle-not-secured")


def test_a_second_key_is_a_clone_and_quarantines(shared, client, device):
    thing = client.enrol(device)[2]["thing"]
    device.key = ec.generate_private_key(ec.SECP256R1())
    refused(shared, client.enrol(device), 403, "policy-refused", "clone-suspect")
    assert shared.show(thing)["state"] == "suspended"
    assert any(a["thing"] == thing for a in shared.ctl_json("alarms")["alarms"])
    refused(shared, client.enrol(device), 403, "policy-refused", "device-quarantined")


def test_a_grant_allows_one_new_key_and_no_more(shared, client, device):
    first = client.enrol(device)[2]
    shared.ctl("allow-reenrol", first["thing"], "--reason", "board swapped")
    device.key = ec.generate_private_key(ec.SECP256R1())
    status, _, second = client.enrol(device)
    assert (status, second["thing"]) == (201, first["thing"])
    shown = shared.show(first["thing"])
    assert shown["generation"] == 2
    assert {c["certificateId"]: c["state"] for c in shown["certificates"]} == {
        first["certificateId"]: "revoked", second["certificateId"]: "active"}
    device.key = ec.generate_private_key(ec.SECP256R1())
    refused(shared, client.enrol(device), 403, "policy-refused", "clone-suspect")


def test_a_revoked_device_cannot_reenrol_until_it_is_granted(shared, client, device):
    thing = client.enrol(device)[2]["thing"]
    shared.ctl("revoke", thing, "--reason", "key-compromise")
    refused(shared, client.enrol(device), 403, "policy-refused", "device-revoked")
    assert shared.ctl("resume", thing, check=False).returncode == 1
    shared.ctl("allow-reenrol", thing, "--reason", "returned and checked")
    device.key = ec.generate_private_key(ec.SECP256R1())
    assert client.enrol(device)[0] == 201


def test_a_renewal_needs_the_current_key_and_replaces_it(shared, client, device):
    first = client.enrol(device)[2]
    fresh, stranger = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    refused(shared, client.renew(device, stranger, first["certificateId"], fresh), 403, "policy-refused", "renewal-signature")
    status, _, second = client.renew(device, device.key, first["certificateId"], fresh)
    assert status == 201 and second["thing"] == first["thing"]
    states = {c["certificateId"]: c["state"] for c in shared.show(first["thing"])["certificates"]}
    assert states == {first["certificateId"]: "active", second["certificateId"]: "active"}
    assert shared.show(first["thing"])["generation"] == 1


def test_a_renewal_of_anothers_certificate_is_refused(shared, client):
    mine, other = published(shared, 2)
    theirs = client.enrol(other)[2]
    client.enrol(mine)
    fresh = ec.generate_private_key(ec.SECP256R1())
    answer = client.renew(mine, other.key, theirs["certificateId"], fresh)
    refused(shared, answer, 403, "policy-refused", "renewal-certificate-unknown")


def test_a_key_certified_for_one_device_is_not_certified_for_another(shared, client):
    one, two = published(shared, 2)
    assert client.enrol(one)[0] == 201
    two.key = one.key
    refused(shared, client.enrol(two), 403, "policy-refused", "key-already-certified")


def test_one_noisy_device_is_slowed_down_alone(shared, client):
    noisy, quiet = published(shared, 2)
    answers = [client.enrol(noisy) for _ in range(14)]
    waits = [int(headers["Retry-After"]) for status, headers, _ in answers if status == 429]
    assert waits and all(1 <= wait <= 6 for wait in waits), waits  # ten a minute: one each six seconds
    assert client.enrol(quiet)[0] == 201
    began = time.monotonic()
    wait_until(lambda: client.enrol(noisy)[0] == 200, "the device may enrol again")
    assert waits[-1] - 1.5 < time.monotonic() - began < waits[-1] + 1.5
