"""The main job, told as it happens: devices are born, enrol, report their temperature, and one is cut off.

Each line is the outcome of a real call to a real daemon. Exit code 0 only if every line held.
"""

import argparse
import base64
import json
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import mqtt_probe
import origin
from factory import FactoryError
from narrator import Narrator, expect_refusal
from stack import ROOT, Stack, StackError, wait_until

HERE = Path(__file__).resolve().parent
NOT_AUTHORISED = 135  # MQTT 5.0 3.4.2.1


class Subscriber:
    """A stock MQTT client (mosquitto_sub) with a service certificate, reading every device's telemetry."""

    def __init__(self, stack, name="telemetry-1"):
        cert = stack.folder / "backend"
        argv = ["mosquitto_sub", "-h", "127.0.0.1", "-p", str(stack.ports["mqtt"]), "--cafile",
                str(stack.pki / "root.pem"), "--cert", f"{cert}/{name}.pem", "--key", f"{cert}/{name}.key",
                "-i", name, "-q", "1", "-c", "-t", "dt/#", "-F", "%t %p"]
        self.process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                        stdin=subprocess.DEVNULL, start_new_session=True)
        self.messages, self.all = queue.Queue(), []
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for text in self.process.stdout:
            topic, _, payload = text.strip().partition(" ")
            self.messages.put((topic, payload))

    def next_from(self, thing, seconds=15):
        deadline = time.monotonic() + seconds
        while True:
            try:
                topic, payload = self.messages.get(timeout=max(0.01, deadline - time.monotonic()))
            except queue.Empty:
                raise StackError(f"no message of {thing} reached the subscriber in {seconds} s") from None
            self.all.append((topic, payload))
            if topic.startswith(f"dt/{thing}/"):
                return json.loads(payload)

    def drain(self):
        while not self.messages.empty():
            self.all.append(self.messages.get())
        return self.all

    def count_on(self, topic):
        return sum(t == topic for t, _ in self.drain())

    def numbers_of(self, thing):
        return [json.loads(p)["n"] for t, p in self.drain() if t.startswith(f"dt/{thing}/")]

    def stop(self):
        self.process.terminate()
        self.process.wait()


def main(arguments):
    folder = Path(arguments.dir) if arguments.dir else Path(tempfile.mkdtemp(prefix="mooring-demo-"))
    tell = Narrator()
    try:
        with Stack(folder) as stack:
            play(stack, tell)
    except KeyboardInterrupt:
        tell.line(False, "interrupted")
    except (StackError, FactoryError, subprocess.SubprocessError, OSError, KeyError) as error:
        tell.line(False, str(error))
    code = tell.summary()
    if code == 0 and not arguments.keep and not arguments.dir:
        shutil.rmtree(folder)
    else:
        print(f"everything is kept in {folder} (logs in {folder}/log)")
    return code


def play(stack, tell):
    supply = open_for_business(stack, tell)
    folders, things = {}, {}
    made_in_the_factory(stack, tell, supply, folders)
    backend = Subscriber(stack)
    try:
        first_power_on(stack, tell, folders, things, backend)
        second_power_on(stack, tell, folders, things, backend)
        refused(stack, tell, folders, things)
        origin.not_ours(stack, tell, supply, folders["surplus"])
        another_topic(stack, tell, folders, things, backend)
        revoked(stack, tell, folders, things, backend)
    finally:
        backend.stop()


def open_for_business(stack, tell):
    tell.chapter("The OEM and the RoT vendor open for business")
    stack.prepare()
    tell.line(True, "two CAs made: the OEM's (an offline root, issuing CAs below it) and the RoT vendor's")
    supply = origin.prepare(stack, tell)
    stack.start().ready()
    tell.line(True, "up: attestation service, signer, gateway, two edges (nginx), Mosquitto with the plugin")
    tell.note("each daemon under its own uid, confined" if ROOT else
              "single-user mode: all under your uid, each confined by Landlock")
    tell.note(f"devices enrol at {stack.origin}, publish to mqtts://127.0.0.1:{stack.ports['mqtt']}")
    (stack.folder / "backend").mkdir()
    for name in ("telemetry-1", "rogue"):
        stack.issue(name, "--client", "--role", "backend", out=stack.folder / f"backend/{name}")
    stack.ctl("service", "add", stack.folder / "backend/telemetry-1.pem", "--name", "telemetry-1",
              "--policy", stack.folder / "config/shared/policy-reader.json")
    tell.line(True, "a back end is registered by certificate: it may read dt/#, nothing else")
    return supply


def made_in_the_factory(stack, tell, supply, folders):
    tell.chapter("1. The factory")
    origin.place_orders(stack, tell, supply, quota=3)
    devices = stack.make_devices(4, "B1")
    folders["kitchen"], folders["cellar"], folders["attic"], _ = devices
    tell.line(True, "RoT keys injected into four chips, their records published to the attestation service")
    folders["surplus"] = origin.built(tell, supply, devices)
    (folders["suspect"],) = stack.make_devices(1, "B2")
    stack.run(stack.program("mooring-factory"), "make", "--count", 1, "--dir", stack.folder / "factory/GHOST",
              "--batch", "GHOST")
    folders["ghost"] = stack.folder / "factory/GHOST/1"
    published = stack.folder / "factory/tfm-published-test-key.pem"
    shutil.copy(HERE / published.name, published)
    published.chmod(0o600)  # as any private key; that the world knows this one is the point
    stack.run(stack.program("mooring-factory"), "make", "--count", 1, "--dir", stack.folder / "factory/EMU",
              "--batch", "EMU", "--rot-key", published)
    folders["emulator"] = stack.folder / "factory/EMU/1"
    done = stack.ctl("records", "suspend", "--batch", "B2", "--reason", "key-leak-suspected")
    tell.line(done.returncode == 0, "a chip of batch B2 is suspended at the attestation service")
    folders["clone"] = stack.folder / "factory/CLONE"


def first_power_on(stack, tell, folders, things, backend):
    tell.chapter("2. First power-on")
    device = stack.device(folders["kitchen"], "--interval", 200)
    device.wait_for("key-made")
    tell.line(True, "the secure world made a device key; it never leaves it")
    device.wait_for("evidence")
    tell.line(True, "fresh challenge taken; CSR and PSA attestation token bound to it and to this gateway")
    enrolled = device.wait_for("enrolled")
    things["kitchen"] = enrolled["thing"]
    tell.line(True, f"attested, its chain found good, issued, stored: thing {enrolled['thing']}")
    device.wait_for("connected")
    reading = backend.next_from(things["kitchen"])
    tell.line(True, f"MQTT/TLS connected, key used inside the secure world; the back end read {reading['celsius']} C")
    tell.row("first power-on", f"certificate, telemetry as {things['kitchen']}", True)
    device.stop()


def second_power_on(stack, tell, folders, things, backend):
    tell.chapter("3. Later")
    device = stack.device(folders["kitchen"], "--interval", 200)
    kept = device.wait_for("certificate-kept", "enrolled")
    held = kept["event"] == "certificate-kept"
    device.wait_for("connected")
    backend.next_from(things["kitchen"])
    certificates = stack.show(things["kitchen"])["certificates"]
    held = tell.line(held and len(certificates) == 1,
                     f"powered on again: straight to MQTT, still {len(certificates)} certificate")
    tell.row("second power-on", "no new certificate", held)
    device.stop()

    device = stack.device(folders["cellar"], "--interval", 100, "--lifetime", 60)
    things["cellar"] = device.wait_for("enrolled")["thing"]
    device.wait_for("connected")
    tell.line(True, f"a second one, {things['cellar']}, has a certificate for 60 s")
    backend.next_from(things["cellar"])
    tell.note("it renews at two thirds of that: waiting for about 40 s")
    renewed = device.wait_for("renewed", seconds=60)["certificateId"]
    device.wait_for("connected")
    last = device.wait_for("puback")["n"]
    wait_until(lambda: last in backend.numbers_of(things["cellar"]), "the last acknowledged message")
    numbers = sorted(set(backend.numbers_of(things["cellar"])))
    missing = [n for n in range(numbers[0], last + 1) if n not in numbers]
    held = tell.line(not missing, f"renewed while sending: messages {numbers[0]} to {last}, {len(missing)} lost")
    wait_until(lambda: superseded(stack, things["cellar"], renewed), "the old certificate superseded")
    tell.line(True, "its new certificate is active, the old one was revoked at the new one's first CONNECT")
    tell.row("renewal", f"{len(numbers)} messages, {len(missing)} lost", held)
    device.stop()


def superseded(stack, thing, renewed):
    states = sorted((c["certificateId"] == renewed, c["state"], c["revocation_reason"])
                    for c in stack.show(thing)["certificates"])
    return states == [(False, "revoked", "superseded"), (True, "active", "")]


def refused(stack, tell, folders, things):
    tell.chapter("4. Refused, and the operator knows why")
    for name, reason, story in (
            ("ghost", "device-unknown", "a device that nobody made"),
            ("emulator", "published-test-key", "an emulator with TF-M's published test key"),
            ("suspect", "device-suspended", "a chip suspended at the attestation service")):
        device = stack.device(folders[name])
        event = device.wait_for("refused", "enrolled")
        expect_refusal(stack, tell, story, event, reason, public="attestation-refused")
        device.stop()
    swapped_csr(stack, tell, folders)
    clone(stack, tell, folders, things)
    rogue = mqtt_connect(stack, stack.folder / "backend/rogue", "rogue")
    held = tell.line(rogue.returncode != 0 and "not authorised" in rogue.stderr.lower(),
                     "a certificate of the right CA that was never registered: the broker does not admit it")
    tell.note(f"mosquitto_pub says: {rogue.stderr.strip().splitlines()[0]}")
    tell.row("unregistered certificate", "CONNACK not authorised", held)


def swapped_csr(stack, tell, folders):
    """A genuine token, taken on its way and sent with another CSR."""
    taken = stack.folder / "taken.json"
    stack.run(stack.program("mooring-device"), "request", "--dir", folders["attic"], "--gateway", stack.origin,
              "--ca", stack.pki / "root.pem", "--out", taken)
    request = json.loads(taken.read_text())
    other = stack.folder / "other.der"
    stack.run("openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
              stack.folder / "other.key", "-subj", "/CN=mallory", "-outform", "DER", "-out", other)
    request["csr"] = base64.b64encode(other.read_bytes()).decode()
    status, _, body = stack.https("POST", stack.ports["device"], "/v1/enrolments", json.dumps(request),
                                  {"Content-Type": "application/json"})
    problem = json.loads(body)
    event = {"event": "refused" if status >= 400 else "enrolled", **problem}
    expect_refusal(stack, tell, "a token replayed with another CSR", event, "nonce-mismatch", "attestation-refused")


def clone(stack, tell, folders, things):
    """The same RoT key in a second body: it makes a second device key."""
    folders["clone"].mkdir(parents=True)
    first = stack.device(folders["attic"])
    things["attic"] = first.wait_for("enrolled")["thing"]
    first.stop()
    secure = folders["clone"] / "secure"
    secure.mkdir(mode=0o700)
    for name in ("rot.key", "identity.json"):
        shutil.copy(folders["attic"] / "secure" / name, secure / name)
    (folders["clone"] / "normal").mkdir()
    shutil.copy(folders["attic"] / "normal/chain.cbor", folders["clone"] / "normal/chain.cbor")
    device = stack.device(folders["clone"])
    event = device.wait_for("refused", "enrolled")
    expect_refusal(stack, tell, "a second key for a device that has one", event, "clone-suspect", "policy-refused")
    device.stop()
    alarms = stack.ctl_json("alarms")["alarms"]
    state = stack.show(things["attic"])["state"]
    tell.line(any(a["thing"] == things["attic"] for a in alarms) and state == "suspended",
              f"clone alarm raised, {things['attic']} is {state} until an operator has looked")


def mqtt_connect(stack, certificate, client):
    return stack.run("mosquitto_pub", "-h", "127.0.0.1", "-p", stack.ports["mqtt"], "--cafile", stack.pki / "root.pem",
                     "--cert", f"{certificate}.pem", "--key", f"{certificate}.key", "-i", client, "-t", "x", "-m", "y",
                     "-q", "1", check=False)


def another_topic(stack, tell, folders, things, backend):
    tell.chapter("6. One thermometer is not another")
    victim = f"dt/{things['cellar']}/temperature"
    before = backend.count_on(victim)  # of its owner, which is off now
    device = stack.device(folders["kitchen"], "--interval", 100, "--count", 3, "--topic", victim)
    answers = [device.wait_for("puback")["reason"] for _ in range(3)]
    device.stop()
    honest = stack.device(folders["kitchen"], "--interval", 100, "--count", 1)
    honest.wait_for("connected")
    backend.next_from(things["kitchen"])
    honest.stop()
    forged = backend.count_on(victim) - before
    tell.note(f"{things['kitchen']} publishes to {victim}")
    held = tell.line(set(answers) == {NOT_AUTHORISED} and forged == 0,
                     f"denied, each of {len(answers)} times; {forged} messages reached the subscriber")
    tell.row("another's topic", "denied", held)


def revoked(stack, tell, folders, things, backend):
    tell.chapter("7. The admin revokes it")
    folder, thing = folders["kitchen"], things["kitchen"]
    # The demo may look into the secure world's folder; a device's normal world may not.
    (key,) = (folder / "secure").glob("device-*.key")
    tls = mqtt_probe.context(stack, folder / "normal/certificate.pem", key)
    code, session, _ = mqtt_probe.connect(stack, tls, thing)
    tell.line(code == 0, "a TLS session of this thermometer is put aside, for a trick at the end")
    device = stack.device(folder, "--interval", 10)
    device.wait_for("connected")
    backend.next_from(thing)
    answer = stack.ctl_json("revoke", thing, "--reason", "key-compromise")
    ms = device.wait_for("cut-off")["t_ms"] - answer["recorded_at_ms"]  # both clocks tell whole milliseconds
    after = f"{ms} ms" if ms >= 1 else "less than 1 ms"
    brokers = ", ".join(b["name"] for b in answer["brokers"])
    held = tell.line(answer["effective"],
                     f"mooringctl revoke: effective at {brokers}; new connections denied, sessions cut")
    held &= tell.line(ms < 1000,
                      f"its session was cut while it was sending, {after} after the revocation was durable")
    again = device.wait_for("refused", "connected", seconds=60)
    held &= tell.line(again["event"] == "refused", f"connecting again: {again.get('code', 'connected')}")
    device.stop()
    code, _, resumed = mqtt_probe.connect(stack, tls, thing, session)
    held &= tell.line(resumed and code == 5, f"on the TLS session put aside: {'resumed' if resumed else 'not resumed'}, "
                      f"CONNECT answered with {code} (5 is not authorised)")
    for path in (folder / "normal").iterdir():
        if path.name != "chain.cbor":
            path.unlink()
    device = stack.device(folder)
    event = device.wait_for("refused", "enrolled")
    expect_refusal(stack, tell, "enrolling again after revocation", event, "device-revoked", "policy-refused")
    device.stop()
    tell.row("revocation", f"session cut after {after}, for good", held)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dir", help="work in this folder and keep it")
    parser.add_argument("--keep", action="store_true", help="keep the folder, with logs and databases")
    sys.exit(main(parser.parse_args()))
