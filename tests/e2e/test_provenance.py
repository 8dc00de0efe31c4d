"""Where provenance is asked: which chains are believed, what is used once, and what an operator is told."""

import json

import pytest
from attester import Client, b64url, published
from conftest import configure, start_services
from supply_chain import Factory
from test_ctl_live import signed


@pytest.fixture
def factory(cold):
    return Factory(cold.folder)


@pytest.fixture
def begin(cold, factory):
    """Starts the services with a class of devices, its lines and orders known."""
    def start(bring=True, **options):
        configure(cold, "gateway", provenance=f"[{factory.device_class(**options)}]")
        start_services(cold)
        if bring:
            add(cold, *factory.line_records(), *factory.orders())
        return Client(cold)
    return start


def ask(stack, method, path, body=None):
    data = json.dumps(body).encode() if body is not None else b""
    status, _, answer = stack.https(method, stack.ports["admin"], path, data or None, signed(stack, method, path, data))
    return status, json.loads(answer)


def add(stack, *objects):
    status, answer = ask(stack, "POST", "/v1/admin/provenance/objects", {"objects": [b64url(o) for o in objects]})
    assert status == 200, answer
    return answer


def push(stack, factory, first=1, last=None, **head):
    return ask(stack, "POST", "/v1/admin/provenance/register", factory.push_body(first, last, **head))


def explained(stack, answer):
    """The one entry of a refused request, with its detail."""
    entries = stack.ctl_json("explain", answer["request_id"])["entries"]
    entry = next(e for e in entries if e["kind"] == "refused")
    return entry["reason"], json.loads(entry["detail"])


def test_a_device_with_its_chain_enrols(cold, factory, begin):
    client = begin()
    device = factory.make(published(cold)[0], 1)
    status, _, answer = client.enrol(device)
    assert status == 201, explained(cold, answer)


def test_a_device_without_a_chain_is_refused(cold, factory, begin):
    client = begin()
    status, _, answer = client.enrol(published(cold)[0])
    assert (status, answer["code"]) == (403, "provenance-refused")
    assert explained(cold, answer)[0] == "chain-missing"
