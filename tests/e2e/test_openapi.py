"""docs/openapi.yaml is what the gateway does: its routes, its members, and the shape of its answers."""

import json
import re
from pathlib import Path

import pytest
import yaml
from attester import Attester, Client, published
from cryptography.hazmat.primitives.asymmetric import ec
from test_ctl_live import signed

REPO = Path(__file__).resolve().parents[2]
API = yaml.safe_load((REPO / "docs/openapi.yaml").read_text())


# ---- as much of JSON Schema as the page uses ----

def resolve(node):
    while "$ref" in node:
        target = API
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        node = target
    return node


TYPES = {"object": dict, "array": list, "string": str, "boolean": bool, "null": type(None)}


def is_type(value, name):
    if name in ("integer", "number"):
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, TYPES[name])


def wrong(value, schema, at="$"):
    """What is wrong with a value; "" where nothing is."""
    schema = resolve(schema)
    names = schema.get("type", [])
    names = [names] if isinstance(names, str) else names
    if names and not any(is_type(value, name) for name in names):
        return f"{at}: {value!r} is no {names}"
    if "enum" in schema and value not in schema["enum"] or "const" in schema and value != schema["const"]:
        return f"{at}: {value!r} is not one of {schema.get('enum', schema.get('const'))}"
    if isinstance(value, dict):
        known = schema.get("properties", {})
        missing = [name for name in schema.get("required", []) if name not in value]
        strange = [name for name in value if known and name not in known]
        if missing or strange:
            return f"{at}: missing {missing}, not documented {strange}"
        return next((w for name, v in value.items() if name in known for w in [wrong(v, known[name], f"{at}.{name}")] if w), "")
    if isinstance(value, list):
        return next((w for i, v in enumerate(value) for w in [wrong(v, schema.get("items", {}), f"{at}[{i}]")] if w), "")
    return ""


def conforms(method, path, answer):
    """The documented answer to this status and media type fits what came."""
    status, headers, body = answer
    answers = API["paths"][path][method.lower()]["responses"]
    documented = resolve(answers.get(str(status)) or answers["default"])
    media = headers.get("Content-Type", "").split(";")[0]
    if "content" not in documented:
        assert not body, (method, path, status, body)
        return
    assert media in documented["content"], (method, path, status, media)
    if "json" in media:
        value = body if isinstance(body, dict) else json.loads(body)
        assert not wrong(value, documented["content"][media]["schema"]), (method, path, status, value)


# ---- routes ----

def routes_in_source():
    return {route for path in ("gateway/http/routes.c", "gateway/admin/admin.c")
            for route in re.findall(r'\{\{"([A-Z]+)", "(/[^"]+)"\}', (REPO / path).read_text())}


def test_every_route_is_documented_and_no_other():
    documented = {(method.upper(), re.sub(r"\{[^}]+\}", "*", path))
                  for path, methods in API["paths"].items() for method in methods}
    assert documented == routes_in_source()


def test_every_public_reason_is_documented_and_no_other():
    codes = re.findall(r'^PUBLIC\(\w+, "([a-z-]+)"', (REPO / "common/reasons.def").read_text(), re.M)
    assert API["components"]["schemas"]["Problem"]["properties"]["code"]["enum"] == codes


@pytest.mark.parametrize("path", API["paths"])
def test_a_method_that_a_resource_does_not_take_is_told_which_it_takes(shared, path):
    status, headers, body = ask(shared, "PATCH", re.sub(r"\{[^}]+\}", "x", path))
    methods = {method.upper() for method in API["paths"][path]}
    assert (status, json.loads(body)["code"]) == (405, "method-not-allowed")
    assert set(headers["Allow"].split(", ")) == methods | ({"HEAD"} if "GET" in methods else set())


# ---- requests ----

@pytest.fixture
def client(shared):
    return Client(shared)


def renewal_body(client):
    return {**client.request(Attester()), "renews": {"certificateId": "00" * 32, "signature": "AAAA"}}


@pytest.mark.parametrize("path,schema,make", [
    ("/v1/enrolments", "Enrolment", lambda client: client.request(Attester())),
    ("/v1/renewals", "Renewal", renewal_body),
])
def test_members_are_required_or_refused_as_documented(client, path, schema, make):
    schema = API["components"]["schemas"][schema]
    body = make(client)
    assert not wrong(body, schema)
    assert set(schema["required"]) == set(body)
    for name in schema["required"]:
        status, _, problem = client.post(path, {k: v for k, v in body.items() if k != name})
        assert (status, problem["detail"]) == (400, f"{name}: is missing")
    status, _, problem = client.post(path, {**body, "undocumented": 1})
    assert status == 400 and "undocumented" in problem["detail"]
    known = client.post(path, {**body, "lifetime_s": 3600})[2]
    assert "lifetime_s" not in known.get("detail", "")


# ---- answers ----

def test_what_devices_are_answered_conforms(shared, client):
    device = published(shared)[0]
    conforms("POST", "/v1/challenges", client.post("/v1/challenges", {}))
    conforms("POST", "/v1/challenges", client.post("/v1/challenges", {"x": 1}))
    issued = client.enrol(device)
    conforms("POST", "/v1/enrolments", issued)
    conforms("POST", "/v1/enrolments", client.enrol(device))
    conforms("POST", "/v1/enrolments", client.enrol(Attester()))
    renewed = client.renew(device, device.key, issued[2]["certificateId"], ec.generate_private_key(ec.SECP256R1()))
    assert renewed[0] == 201
    conforms("POST", "/v1/renewals", renewed)


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/v1/ca/root.pem", "/v1/ca/chain.pem"])
def test_what_anyone_is_answered_conforms(shared, path):
    answer = shared.https("GET", shared.ports["admin"], path)
    assert answer[0] == 200
    conforms("GET", path, answer)


@pytest.mark.parametrize("port", ["admin", "attestation"])
def test_metrics_are_named_as_prometheus_asks(shared, port):
    ca = shared.pki / ("attestation-ca.pem" if port == "attestation" else "root.pem")
    status, _, text = shared.https("GET", shared.ports[port], "/metrics", ca=ca)
    families = re.findall(r"^# TYPE (\w+) (counter|gauge|histogram)$", text.decode(), re.M)
    assert status == 200 and len(families) > 8
    for name, kind in families:
        assert name.endswith("_total") == (kind == "counter"), name
        assert not re.search(r"micro|milli|_ms\b|_us\b|_time_seconds", name), name


def ask(shared, method, path, body=None):
    data = json.dumps(body).encode() if body is not None else b""
    return shared.https(method, shared.ports["admin"], path, data or None, signed(shared, method, path, data))


def test_what_admins_are_answered_conforms(shared, client):
    device = published(shared)[0]
    thing = client.enrol(device)[2]["thing"]
    refused = client.enrol(Attester())[2]["request_id"]
    for path in ("devices", "services", "log", "alarms", "brokers", "sessions"):
        answer = ask(shared, "GET", f"/v1/admin/{path}")
        assert answer[0] == 200, answer
        conforms("GET", f"/v1/admin/{path}", answer)
    conforms("GET", "/v1/admin/devices/{thing}", ask(shared, "GET", f"/v1/admin/devices/{thing}"))
    conforms("GET", "/v1/admin/devices/{thing}", ask(shared, "GET", "/v1/admin/devices/nobody"))
    conforms("GET", "/v1/admin/requests/{request_id}", ask(shared, "GET", f"/v1/admin/requests/{refused}"))
    for verb, body in (("suspend", {"reason": "test"}), ("resume", {}), ("allow-reenrol", {"reason": "test"}),
                       ("revoke", {"reason": "key-compromise", "wait_ms": 0})):
        answer = ask(shared, "POST", f"/v1/admin/devices/{thing}/{verb}", body)
        assert answer[0] == 200, answer
        conforms("POST", f"/v1/admin/devices/{{thing}}/{verb}", answer)
    for verb, more in (("lookups", {}), ("revocations", {"reason": "unspecified"}), ("suspensions", {"reason": "test"})):
        answer = ask(shared, "POST", f"/v1/admin/{verb}", {"things": [thing, "nobody"], **more})
        assert answer[0] == 200, answer
        conforms("POST", f"/v1/admin/{verb}", answer)
        conforms("POST", f"/v1/admin/{verb}", ask(shared, "POST", f"/v1/admin/{verb}", {"things": []}))
    watched = ask(shared, "GET", f"/v1/admin/changes/{json.loads(answer[2])['seq']}")
    assert watched[0] == 200
    conforms("GET", "/v1/admin/changes/{seq}", watched)
    conforms("POST", "/v1/admin/services", ask(shared, "POST", "/v1/admin/services", {"name": "x"}))
    conforms("DELETE", "/v1/admin/services/{name}", ask(shared, "DELETE", "/v1/admin/services/nobody"))


def test_what_brokers_are_refused_conforms(shared):
    for method, path in (("GET", "/v1/feed"), ("POST", "/v1/feed/receipts"), ("POST", "/v1/feed/sessions")):
        answer = shared.https(method, shared.ports["admin"], path)
        assert answer[0] == 401
        conforms(method, path, answer)
