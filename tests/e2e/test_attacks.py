"""What an attacker tries, through the real edges: each test is named after what must not come of it."""

import json
import os
import socket
import ssl
import subprocess

import pytest
import stack as stacks
from attester import Attester, Client, published
from conftest import folder_for_daemons


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
