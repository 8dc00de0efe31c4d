"""One CA takes the place of another, step by step as docs/operator.md has it: at no step does anything stop working."""

import os
import shutil
import subprocess

from attester import Client, published
from cryptography.hazmat.primitives.asymmetric import ec
from stack import wait_until


def put(stack, target, *sources):
    """These files, one after the other, as the content of a daemon's own file."""
    path = stack.folder / target
    owner = path.stat()
    path.write_bytes(b"".join(source.read_bytes() for source in sources))
    os.chown(path, owner.st_uid, owner.st_gid)


def restart(stack, *names):
    for name in names:
        stack.daemons[name].stop()
        stack.start(name)
    stack.services_ready()


def chain_holds(stack, answer, issuer):
    """The chain that came with the certificate is its own issuer's, and leads to the root."""
    assert answer["chainPem"] == issuer.read_text()
    leaf, chain = stack.folder / "leaf.pem", stack.folder / "chain.pem"
    leaf.write_text(answer["certificatePem"])
    chain.write_text(answer["chainPem"])
    done = subprocess.run(["openssl", "verify", "-purpose", "sslclient", "-CAfile", stack.pki / "root.pem", "-untrusted", chain,
                           leaf], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_device_ca_is_replaced_under_a_live_fleet(own):
    oem = own.folder / "oem-ca"
    old, new = oem / "device.pem", oem / "device-2.pem"
    client = Client(own)
    first, second, third = published(own, 3)
    first_answer = client.enrol(first)[2]
    live = own.device(own.make_devices(1)[0])
    live.wait_for("puback")
    own.run(own.program("mooring-ca"), "issue-ca", "device", "--dir", oem, "--out", oem / "device-2")

    put(own, "gateway/pki/device.pem", old, new)
    restart(own, "gateway")
    status, _, second_answer = client.enrol(second)
    assert status == 201
    chain_holds(own, second_answer, old)

    put(own, "signer/pki/device.pem", new)
    put(own, "signer/pki/device.key", oem / "device-2.key")
    restart(own, "signer")
    status, _, third_answer = client.enrol(third)
    assert status == 201
    chain_holds(own, third_answer, new)
    status, _, again = client.enrol(first)
    assert (status, again["certificatePem"]) == (200, first_answer["certificatePem"])
    chain_holds(own, again, old)

    put(own, "gateway/pki/device.pem", new, old)
    restart(own, "gateway")
    assert own.https("GET", own.ports["device"], "/v1/ca/chain.pem")[2].decode() == new.read_text()
    chain_holds(own, client.enrol(first)[2], old)
    fresh = ec.generate_private_key(ec.SECP256R1())
    status, _, renewed = client.renew(first, first.key, first_answer["certificateId"], fresh)
    assert status == 201
    chain_holds(own, renewed, new)
    newcomer = own.device(own.make_devices(1, "B2")[0])
    newcomer.wait_for("puback")
    live.wait_for("puback")  # of the old CA, and never disturbed
    assert not [e for e in live.seen if e["event"] == "cut-off"]


def test_the_service_ca_is_replaced_under_its_brokers_and_gateways(own, tmp_path):
    oem = own.folder / "oem-ca"
    next_ca = tmp_path / "oem-ca-2"
    shutil.copytree(oem, next_ca)
    for kind in ("key", "pem"):
        (next_ca / f"service.{kind}").unlink()
    own.run(own.program("mooring-ca"), "issue-ca", "service", "--dir", oem, "--out", next_ca / "service")
    both = (next_ca / "service.pem", oem / "service.pem")

    put(own, "gateway/pki/service.pem", *both)
    put(own, "attestd/pki/relying-party-ca.pem", *both)
    restart(own, "attestd", "gateway")
    wait_until(own.broker_live, "the broker's feed, with its old certificate", 40)

    for role, name, target in (("broker", "broker-1", "broker/pki/broker-client"),
                               ("gateway", "gateway-1", "gateway/pki/gateway-client")):
        own.run(own.program("mooring-ca"), "issue-service", name, "--dir", next_ca, "--client", "--role", role,
                "--out", tmp_path / name)
        for kind in ("key", "pem"):
            put(own, f"{target}.{kind}", tmp_path / f"{name}.{kind}")
    put(own, "gateway/pki/service.pem", both[0])
    put(own, "attestd/pki/relying-party-ca.pem", both[0])
    restart(own, "attestd", "gateway")
    wait_until(own.broker_live, "the broker's feed, with its new certificate", 40)
    device = own.device(own.make_devices(1)[0])
    device.wait_for("puback")
