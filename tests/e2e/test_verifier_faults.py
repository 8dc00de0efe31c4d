"""The attestation service lies, stalls, breaks off: never a certificate, a clear refusal in time, and all the rest goes on (I6)."""

import concurrent.futures
import json
import threading
import time

import pytest
from attester import Attester, Client, b64, spki
from conftest import folder_for_daemons, new_stack
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from ledgers import certificates_of, query, signed
from signer_peer import b64url, jws
from stack import wait_until
from verifier_peer import TYPES, Plan, Verifier, unsigned

DEADLINE_S = 16
STRANGER = ec.generate_private_key(ec.SECP256R1())
NOW, DAY = int(time.time()), 86400
HTML = b"<!doctype html><title>Welcome to nginx!</title>"


@pytest.fixture(scope="module")
def lied_to():
    """A gateway and a signer; where their attestation service should be, a test's own."""
    with folder_for_daemons() as folder, new_stack(folder) as made:
        made.prepare().start("signer", "gateway", "edge")
        yield made


@pytest.fixture(scope="module")
def liar(lied_to):
    with Verifier(lied_to) as verifier:
        yield verifier


@pytest.fixture
def client(lied_to, liar):
    gateway_is_ready(lied_to)
    return Client(lied_to)


def gateway_is_ready(stack):
    """Also: what failed before has been forgiven, so that the next request is tried."""
    def ready():
        try:
            return stack.https("GET", stack.ports["admin"], "/readyz")[0] == 200
        except OSError:
            return False
    wait_until(ready, "the gateway sees its attestation service")


def refused(stack, answer, status, reason):
    got, headers, problem = answer
    assert (got, problem["status"]) == (status, status), problem
    assert headers["Content-Type"] == "application/problem+json"
    assert problem["code"] == ("try-later" if status == 503 else "attestation-refused")
    assert stack.explain(problem["request_id"])[0] == reason
    if status == 503:
        assert int(headers["Retry-After"]) > 0


def enrol_against(liar, client, plan):
    """(device, answer, seconds)"""
    device = Attester()
    body = liar.request(client, device, plan)
    began = time.monotonic()
    return device, client.post("/v1/enrolments", body), time.monotonic() - began


def submod(claims):
    return claims["submods"]["PSA_IOT"]


def vector(claims, **values):
    submod(claims)["ear_trustworthiness_vector"].update({name.replace("_", "-"): v for name, v in values.items()})


def two_submods(claims):
    claims["submods"]["OTHER"] = json.loads(json.dumps(submod(claims)))


def instance(claims, value):
    submod(claims)["ear.veraison.annotated-evidence"] = {"psa-instance-id": b64(value)} if value else {}


def public_key_as_secret(verifier, claims):
    key = verifier.ear_key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return unsigned(claims, {"alg": "HS256", "typ": "JWT"}, key)


def result_of_another(verifier, claims):
    """Genuine, signed, fresh: the result that some other device got."""
    other = json.loads(json.dumps(claims))
    instance(other, Attester().instance)
    other["eat_nonce"] = b64url(bytes(range(32)))
    return jws(verifier.ear_key, other)


def redirect(exchange):
    exchange.send(302, b"", Location="https://127.0.0.1:1/elsewhere")


def broken_off(status):
    def act(exchange):
        exchange.send(status, b'{"status": "wai', length=5000, Location=f"session/{exchange.nonce}")
        exchange.reset()
    return act


LIES = "verifier-answer-invalid"
DOWN = "verifier-unavailable"
AT_SESSION = {
    "500": (lambda x: x.send(500, HTML, "text/html"), DOWN),
    "404": (lambda x: x.send(404, HTML, "text/html"), DOWN),
    "429": (lambda x: x.send(429, b"", **{"Retry-After": "1"}), DOWN),
    "redirect": (redirect, LIES),
    "HTML": (lambda x: x.open(body=HTML, kind="text/html"), LIES),
    "HTML with 200": (lambda x: x.send(200, HTML, "text/html"), LIES),
    "truncated JSON": (lambda x: x.open(body=json.dumps(x.session()).encode()[:-9]), LIES),
    "a name twice": (lambda x: x.open(body=json.dumps(x.session()).encode()[:-1] + b', "status": "waiting"}'), LIES),
    "an array": (lambda x: x.open(body=[x.session()]), LIES),
    "no body": (lambda x: x.open(body=b""), LIES),
    "NUL bytes": (lambda x: x.open(body=bytes(500)), LIES),
    "deep JSON": (lambda x: x.open(body=b"[" * 30000), LIES),
    "another nonce": (lambda x: x.open(body={**x.session(), "nonce": b64url(bytes(32))}), LIES),
    "complete with a result that is no JWT": (lambda x: x.open(body=x.session("complete", result="a.b.c")), "ear-malformed"),
    "complete without a result": (lambda x: x.open(body=x.session("complete")), LIES),
    "Location at another host": (lambda x: x.open(location="https://localhost:1/session/1"), LIES),
    "Location by another scheme": (lambda x: x.open(location=f"http://127.0.0.1:{x.service.stack.ports['attestation']}/session/1"), LIES),
    "Location that looks alike": (lambda x: x.open(location=f"{x.service.stack.attestation}1/session/1"), LIES),
    "Location empty": (lambda x: x.send(201, x.session()), LIES),
    "huge": (lambda x: x.open(body=b" " * (16 << 20)), DOWN),
    "huge header": (lambda x: x.open(**{f"X-{i}": "y" * 4000 for i in range(40)}), DOWN),
    "reset at once": (lambda x: x.reset(), DOWN),
    "reset in the body": (broken_off(201), DOWN),
}
AT_EVIDENCE = {
    "500": (lambda x: x.send(500, b"{}"), DOWN),
    "404": (lambda x: x.send(404, b"{}"), DOWN),
    "202 and no end": (lambda x: x.send(202, x.session("processing")), DOWN),
    "still waiting": (lambda x: x.send(200, x.session("waiting")), DOWN),
    "failed": (lambda x: x.send(200, x.session("failed")), DOWN),
    "redirect": (redirect, LIES),
    "HTML with 200": (lambda x: x.send(200, HTML, "text/html"), LIES),
    "truncated JSON": (lambda x: x.send(200, json.dumps(x.session("complete", result="a.b.c")).encode()[:-5]), LIES),
    "no result": (lambda x: x.send(200, x.session("complete")), LIES),
    "a result that is no text": (lambda x: x.send(200, x.session("complete", result={"status": "affirming"})), LIES),
    "another nonce": (lambda x: x.send(200, {**x.session("complete", result="a.b.c"), "nonce": b64url(bytes(32))}), LIES),
    "a result that is no JWT": (lambda x: x.send(200, x.session("complete", result="affirming")), "ear-malformed"),
    "a huge result": (lambda x: x.send(200, x.session("complete", result="a" * 60000)), "ear-malformed"),
    "huge": (lambda x: x.send(200, b" " * (16 << 20)), DOWN),
    "reset in the body": (broken_off(200), DOWN),
}
# How the result is changed before it is signed by the right key, and what must be said of it.
CLAIMS = {
    "another nonce": (lambda c: c.update(eat_nonce=b64url(bytes(32))), 503, "ear-nonce"),
    "no nonce": (lambda c: c.pop("eat_nonce"), 503, "ear-nonce"),
    "nonces in an array": (lambda c: c.update(eat_nonce=[c["eat_nonce"]]), 503, "ear-nonce"),
    "old": (lambda c: c.update(iat=NOW - 1000), 503, "ear-age"),
    "of the future": (lambda c: c.update(iat=NOW + DAY), 503, "ear-age"),
    "expired": (lambda c: c.update(exp=NOW - 1), 503, "ear-age"),
    "not valid yet": (lambda c: c.update(nbf=NOW + DAY), 503, "ear-age"),
    "no time": (lambda c: c.pop("iat"), 503, "ear-malformed"),
    "unknown profile": (lambda c: c.update(eat_profile="tag:example.com,2030:x"), 503, "ear-malformed"),
    "two submodules": (two_submods, 503, "ear-malformed"),
    "no submodule": (lambda c: c.update(submods={}), 503, "ear-malformed"),
    "no status": (lambda c: submod(c).pop("ear_status"), 503, "ear-malformed"),
    "status of the other spelling": (lambda c: submod(c).update({"ear.status": submod(c).pop("ear_status")}), 503, "ear-malformed"),
    "instance of 32 bytes": (lambda c: instance(c, bytes(32)), 503, "ear-malformed"),
    "warning": (lambda c: submod(c).update(ear_status="warning"), 403, "ear-not-affirming"),
    "no status": (lambda c: submod(c).update(ear_status="none"), 403, "ear-not-affirming"),
    "contraindicated as a whole": (lambda c: c.update(ear_status="contraindicated"), 403, "ear-not-affirming"),
    "affirming with a 96": (lambda c: vector(c, executables=96), 403, "ear-not-affirming"),
    "affirming with a -1": (lambda c: vector(c, hardware=-1), 403, "ear-not-affirming"),
    "affirming with a 99 in an optional place": (lambda c: vector(c, sourced_data=99), 403, "ear-not-affirming"),
    "another instance": (lambda c: instance(c, Attester().instance), 403, "ear-instance-mismatch"),
    "no instance": (lambda c: instance(c, None), 403, "ear-instance-mismatch"),
    "another key": (lambda c: submod(c).update({"ear.veraison.key-attestation": {"akpub": b64url(spki(STRANGER))}}), 403,
                    "ear-key-mismatch"),
    "a reason that is ours alone": (lambda c: submod(c).update(ear_status="contraindicated", mooring_reason="internal"), 403,
                                    "ear-not-affirming"),
}
RESULTS = {
    "by another key": (lambda v, c: jws(STRANGER, c), "ear-signature"),
    "by another key with a kid": (lambda v, c: jws(STRANGER, c, {"alg": "ES256", "typ": "JWT", "kid": "1"}), "ear-signature"),
    "with a key of its own": (lambda v, c: jws(STRANGER, c, {"alg": "ES256", "jwk": {"kty": "EC"}}), "ear-signature"),
    "alg none": (lambda v, c: unsigned(c, {"alg": "none"}), "ear-malformed"),
    "alg HS256 with the public key": (public_key_as_secret, "ear-malformed"),
    "crit": (lambda v, c: jws(v.ear_key, c, {"alg": "ES256", "crit": ["b64"], "b64": False}), "ear-malformed"),
    "claims changed after the signature": (lambda v, c: jws(v.ear_key, {**c, "iat": NOW - 9}).rsplit(".", 1)[0].rsplit(".", 1)[0]
                                           + "." + b64url(json.dumps(c).encode()) + "." + jws(v.ear_key, {}).rsplit(".", 1)[1],
                                           "ear-signature"),
    "of another device": (result_of_another, "ear-nonce"),
}
CASES = {f"session: {name}": (Plan(session=act), 503, reason) for name, (act, reason) in AT_SESSION.items()}
CASES |= {f"evidence: {name}": (Plan(evidence=act), 503, reason) for name, (act, reason) in AT_EVIDENCE.items()}
CASES |= {f"claims: {name}": (Plan(claims=change, at_once=True), status, reason) for name, (change, status, reason) in CLAIMS.items()}
CASES |= {f"result: {name}": (Plan(result=make), 503, reason) for name, (make, reason) in RESULTS.items()}


def test_an_honest_service_gets_its_device_a_certificate(lied_to, liar, client):
    """Without it the refusals below would prove nothing."""
    device, (status, _, answer), _ = enrol_against(liar, client, Plan())
    assert status == 201, answer
    assert len(certificates_of(lied_to, device)) == 1


@pytest.mark.parametrize("case", CASES)
def test_a_lie_gets_nobody_a_certificate(lied_to, liar, client, case):
    plan, status, reason = CASES[case]
    before = len(signed(lied_to))
    device, answer, seconds = enrol_against(liar, client, plan)
    refused(lied_to, answer, status, reason)
    assert seconds < DEADLINE_S
    assert certificates_of(lied_to, device) == [] and len(signed(lied_to)) == before


def dripped(stage):
    def act(exchange):
        whole = json.dumps(exchange.session("waiting" if stage == "session" else "complete", result="a.b.c")).encode()
        exchange.drip(201 if stage == "session" else 200, whole, Location=f"session/{exchange.nonce}")
    return act


def test_a_slow_service_is_given_up_in_time_and_holds_up_nothing_else(lied_to, liar, client):
    plans = [Plan(session=dripped("session")), Plan(session=lambda x: x.stall()), Plan(evidence=dripped("evidence")),
             Plan(evidence=lambda x: x.stall())]
    revoked = [enrol_against(liar, client, Plan())[1][2]["thing"] for _ in range(3)]
    port = lied_to.ports["device"]
    with concurrent.futures.ThreadPoolExecutor(len(plans)) as pool:
        slow = [pool.submit(enrol_against, liar, client, plan) for plan in plans]
        wait_until(lambda: {"session", "evidence"} <= {stage for _, stage in liar.calls}, "the slow requests are under way")
        longest = 0
        for thing in revoked:
            began = time.monotonic()
            assert lied_to.https("GET", port, "/healthz")[0] == 200
            assert lied_to.https("GET", port, "/v1/ca/root.pem")[0] == 200
            assert client.post("/v1/challenges", {})[0] == 201
            lied_to.ctl("revoke", thing, "--reason", "key-compromise", "--wait", "0", check=False)
            assert lied_to.show(thing)["state"] == "revoked"
            longest = max(longest, time.monotonic() - began)
        assert not all(answer.done() for answer in slow)
        answers = [answer.result() for answer in slow]
    assert longest < 2
    for device, answer, seconds in answers:
        refused(lied_to, answer, 503, DOWN)
        assert seconds < DEADLINE_S
        assert certificates_of(lied_to, device) == []


def withdrawal(seq, device, state="suspended"):
    return {"seq": seq, "time": NOW, "instance_id": device.instance.hex(), "state": state, "reason": "key-compromise",
            "mark": "0123456789abcdef", "superseded": False}


def test_only_signed_withdrawals_in_order_count(lied_to, liar, client, monkeypatch):
    device, (_, _, answer), _ = enrol_against(liar, client, Plan())
    lies = [
        lambda after: {"entries": [jws(STRANGER, withdrawal(after + 1, device))], "last": after + 1},
        lambda after: {"entries": [unsigned(withdrawal(after + 1, device), {"alg": "none"})], "last": after + 1},
        lambda after: {"entries": [withdrawal(after + 1, device)], "last": after + 1},
        lambda after: {"entries": [jws(liar.ear_key, withdrawal(after, device))], "last": after + 1},
        lambda after: {"entries": [jws(liar.ear_key, withdrawal(after + 2, device))], "last": after + 1},
        lambda after: {"entries": [jws(liar.ear_key, withdrawal(after + 2, device))], "last": after + 2},
        lambda after: {"entries": [jws(liar.ear_key, withdrawal(after + 1, device))], "last": 10 ** 15},
        lambda after: {"entries": [jws(liar.ear_key, withdrawal(after + 1, device, "revoked"))], "last": after + 1},
        lambda after: {"entries": [], "last": -1},
        lambda after: HTML.decode(),
    ]
    def tell(lie):
        asked = threading.Event()
        monkeypatch.setattr(liar, "withdrawals", lambda after: (asked.set(), lie(after))[1])
        return asked

    # A lie doubles the pause before the next question, so each is told to a gateway started afresh.
    for number, lie in enumerate(lies):
        asked = tell(lie)
        restart(lied_to)
        assert asked.wait(20)
        gateway_is_ready(lied_to)
        assert lied_to.show(answer["thing"])["state"] == "active", number
    tell(lambda after: {"entries": [jws(liar.ear_key, withdrawal(after + 1, device))], "last": after + 1})
    wait_until(lambda: lied_to.show(answer["thing"])["state"] == "suspended", "the one true withdrawal")
    assert query(lied_to, "SELECT withdrawals_last FROM meta") > [(0,)]


def restart(stack):
    stack.daemons["gateway"].stop()
    stack.start("gateway")


@pytest.mark.parametrize("document", [
    HTML, {"service-state": "INITIALIZING", "media-types": TYPES}, {"service-state": "READY", "media-types": []},
    {"service-state": "READY", "media-types": ["application/x"]}, [],
], ids=["HTML", "not ready", "no types", "types of others", "an array"])
def test_a_service_that_is_not_ready_is_not_asked(lied_to, liar, client, monkeypatch, document):
    asked = threading.Event()
    with monkeypatch.context() as patch:
        patch.setattr(liar, "discovery", lambda: (asked.set(), document)[1])
        restart(lied_to)
        assert asked.wait(20)
        wait_until(lambda: b'"recovery":"ok"' in ready_text(lied_to), "the gateway has begun")
        liar.calls.clear()
        device, answer, _ = enrol_against(liar, client, Plan())
        refused(lied_to, answer, 503, DOWN)
        assert liar.calls == []
    gateway_is_ready(lied_to)
    assert client.enrol(device)[0] == 201


def ready_text(stack):
    try:
        return stack.https("GET", stack.ports["admin"], "/readyz")[2]
    except OSError:
        return b""
