"""Devices and services of a test's own with live MQTT sessions at the broker of a real stack."""

import json
import os
import types

from attester import Client as Enroller
from attester import published
from broker_bench import Client, tls_context
from cryptography.hazmat.primitives import serialization


def shim(stack):
    """The stack's broker as broker_bench's client takes one."""
    return types.SimpleNamespace(port=stack.ports["mqtt"], pki=types.SimpleNamespace(path=lambda name: str(stack.pki / name)))


class Identity:
    """A certificate with its key, on disk; `device` is the chip it was issued to, if it was."""

    def __init__(self, stack, name, pem, key, certificate_id, device=None):
        self.stack, self.name, self.pem, self.key, self.certificate_id = stack, name, str(pem), str(key), certificate_id
        self.device = device
        self.context = tls_context(shim(stack).pki, self)

    def connect(self, **arguments):
        """The connection; its `code` says whether the broker let it in."""
        return Client(shim(self.stack), self, context=self.context, **arguments)

    def live(self, **arguments):
        made = self.connect(**arguments)
        assert made.code == 0, self.stack.daemons["broker"].tail()
        return made


def save(stack, folder, answer, device, key):
    name = f"{answer['thing']}-{answer['certificateId'][:8]}"
    pem, private = folder / f"{name}.pem", folder / f"{name}.key"
    pem.write_text(answer["certificatePem"] + answer["chainPem"])
    private.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                          serialization.NoEncryption()))
    return Identity(stack, answer["thing"], pem, private, answer["certificateId"], device)


def enrolled(stack, folder, count=1, **options):
    """Devices of the test's own, with their first certificates."""
    client = Enroller(stack)
    made = []
    for device in published(stack, count, **options):
        status, _, answer = client.enrol(device)
        assert status == 201, answer
        made.append(save(stack, folder, answer, device, device.key))
    return made


def service(stack, folder, *statements):
    """A back end with a policy of its own."""
    name = f"service-{os.urandom(4).hex()}"
    stack.issue(name, "--client", "--role", "backend", out=folder / name)
    (folder / f"{name}.json").write_text(policy(*statements))
    answer = stack.ctl_json("service", "add", folder / f"{name}.pem", "--name", name, "--policy", folder / f"{name}.json")
    return Identity(stack, name, folder / f"{name}.pem", folder / f"{name}.key", answer["certificateId"])


def policy(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(action, *resources):
    return {"Effect": "Allow", "Action": f"iot:{action}", "Resource": [f"arn:aws:iot:*:*:{r}" for r in resources]}
