"""The device at a plain Mosquitto over mutual TLS: the key that never leaves the secure world, renewal, lost connections.

The gateway is not ours, and there is no plugin: what the broker alone asks of a client.
"""

import collections
import json
import os
import queue
import subprocess
import threading
import time

import pytest
from fake_gateway import FakeGateway
from stack import free_port, system_program, wait_until
from test_device_offline import BUILD, ENVIRONMENT



class Broker:
    def __init__(self, folder, gateway, tls="tlsv1.3"):
        folder.mkdir()
        self.folder, self.port, self.process = folder, free_port(), None
        certificate, key = gateway.authority.save(folder, "broker")
        self.client = gateway.authority.save(folder, "subscriber", usage="client", sans=("subscriber",))
        self.root = gateway.root
        (folder / "mosquitto.conf").write_text(f"""
            {'user root' if os.geteuid() == 0 else ''}
            listener {self.port} 127.0.0.1
            cafile {gateway.root}
            certfile {certificate}
            keyfile {key}
            require_certificate true
            tls_version {tls}
            allow_anonymous true
            set_tcp_nodelay true
            persistence true
            persistence_location {folder}/
        """)

    def start(self):
        self.log = open(self.folder / "log", "ab")
        self.process = subprocess.Popen([system_program("mosquitto"), "-v", "-c", self.folder / "mosquitto.conf"], stdout=self.log,
                                        stderr=self.log)
        wait_until(lambda: self.publish("ready", "yes").returncode == 0, "the broker")
        return self

    def stop(self, kill=False):
        if self.process is None:
            return
        (self.process.kill if kill else self.process.terminate)()
        self.process.wait(10)
        self.process = None
        self.log.close()

    def arguments(self):
        return ["-h", "127.0.0.1", "-p", str(self.port), "--cafile", str(self.root), "--cert", str(self.client[0]), "--key",
                str(self.client[1]), "-q", "1"]

    def publish(self, topic, payload):
        return subprocess.run(["mosquitto_pub", *self.arguments(), "-i", "publisher", "-t", topic, "-m", payload],
                              capture_output=True, check=False)


class Subscriber:
    def __init__(self, broker):
        self.numbers, self.readings = collections.Counter(), {}
        before = (broker.folder / "log").read_bytes().count(b"SUBACK")
        self.process = subprocess.Popen(["mosquitto_sub", *broker.arguments(), "-i", "subscriber", "-c", "-t", "dt/#", "-F", "%p"],
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        threading.Thread(target=self.read, daemon=True).start()
        wait_until(lambda: (broker.folder / "log").read_bytes().count(b"SUBACK") > before, "the subscription")

    def read(self):
        for line in self.process.stdout:
            reading = json.loads(line)
            self.readings[reading["n"]] = reading
            self.numbers[reading["n"]] += 1

    def stop(self):
        self.process.terminate()
        self.process.wait()


class Device:
    def __init__(self, folder, gateway, broker, *more):
        argv = [BUILD / "mooring-device", "run", "--dir", folder, "--gateway", gateway.origin, "--ca", gateway.root,
                "--mqtt", f"127.0.0.1:{broker.port}", *map(str, more)]
        self.log = open(folder / "device.log", "ab")
        self.process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=self.log, text=True, env=ENVIRONMENT)
        self.events, self.seen, self.folder = queue.Queue(), [], folder
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            self.events.put(json.loads(line))
        self.events.put({"event": "(end)"})

    def wait_for(self, name, seconds=30, **members):
        deadline = time.monotonic() + seconds
        while True:
            event = self.events.get(timeout=max(0.01, deadline - time.monotonic()))
            self.seen.append(event)
            if event["event"] == name and members.items() <= event.items():
                return event
            assert event["event"] != "(end)", f"no {name}: {self.seen[-5:]} {(self.folder / 'device.log').read_text()}"

    def stop(self):
        """Its exit code; 0 after SIGTERM."""
        self.process.terminate()
        code = self.process.wait(20)
        self.log.close()
        assert "Sanitizer" not in (self.folder / "device.log").read_text()
        return code


class Place:
    def __init__(self, folder, lifetime=86400, **broker):
        subprocess.run([BUILD / "mooring-factory", "make", "--count", "1", "--dir", folder / "factory"], check=True,
                       stdout=subprocess.DEVNULL)
        self.device_folder = folder / "factory/1"
        self.gateway = FakeGateway(folder / "gateway", folder / "factory/records.ndjson", lifetime=lifetime)
        self.broker = Broker(folder / "broker", self.gateway, **broker).start()
        self.devices = []

    def device(self, *more):
        self.devices.append(Device(self.device_folder, self.gateway, self.broker, *more))
        return self.devices[-1]

    def stop(self):
        for device in self.devices:
            if device.process.poll() is None:
                device.stop()
        self.broker.stop()
        self.gateway.stop()


@pytest.fixture
def make_place(tmp_path):
    places = []

    def make(**options):
        places.append(Place(tmp_path, **options))
        return places[-1]

    yield make
    for place in places:
        place.stop()


@pytest.mark.parametrize("tls", ["tlsv1.2", "tlsv1.3"])
def test_tls_client_key_stays_in_the_secure_world(make_place, tls):
    place = make_place(tls=tls)
    subscriber = Subscriber(place.broker)
    device = place.device("--interval", 20, "--count", 20)
    device.wait_for("puback", n=20, reason=0)
    assert device.process.wait(10) == 0
    wait_until(lambda: len(subscriber.numbers) == 20, "20 readings")
    assert set(subscriber.numbers) == set(range(1, 21))
    assert all(15 <= r["celsius"] <= 30 and abs(r["t_ms"] / 1000 - time.time()) < 60 for r in subscriber.readings.values())
    subscriber.stop()


def test_commands_arrive(make_place):
    place = make_place()
    device = place.device()
    thing = device.wait_for("enrolled")["thing"]
    device.wait_for("puback", n=1)
    place.broker.publish(f"cmd/{thing}/led", '{"on":true}')
    assert device.wait_for("message")["payload"] == '{"on":true}'
    assert device.stop() == 0


def test_renewal_changes_key_and_certificate_and_loses_no_message(make_place):
    """Certificates that live 6 s: renewed after about 4 s, three times."""
    place = make_place(lifetime=6)
    subscriber = Subscriber(place.broker)
    device = place.device("--interval", 20)
    certificates = [device.wait_for("enrolled")["certificateId"]]
    for number in (1, 2, 3):
        certificates.append(device.wait_for("renewed")["certificateId"])
        assert device.wait_for("connected")["certificateId"] == certificates[-1]
        device.wait_for("key-destroyed", key=number)
    last = device.wait_for("puback")["n"]
    assert device.stop() == 0
    assert len(set(certificates)) == 4
    assert [r["path"] for r in place.gateway.requests] == ["/v1/enrolments"] + 3 * ["/v1/renewals"]
    assert len({r["spki"] for r in place.gateway.requests}) == 4
    assert not [e for e in device.seen if e["event"] == "cut-off"]
    wait_until(lambda: set(range(1, last + 1)) <= set(subscriber.numbers), "every acknowledged reading")
    assert [p.name for p in (place.device_folder / "secure").glob("device-*")] == ["device-4.key"]
    subscriber.stop()


def test_renewal_goes_on_after_a_power_cut_with_the_same_key(make_place):
    place = make_place(lifetime=10)
    device = place.device("--interval", 100)
    device.wait_for("connected")
    place.gateway.script = ["lose"] + 3 * [(503, "try-later", {"Retry-After": 60})]
    device.wait_for("retry")
    device.process.kill()
    device.process.wait()
    place.gateway.script = []
    again = place.device("--interval", 100)
    again.wait_for("certificate-kept")
    again.wait_for("renewed")
    again.wait_for("key-destroyed", key=1)
    assert again.stop() == 0
    assert len({r["spki"] for r in place.gateway.requests}) == 2
    assert place.device_folder.joinpath("normal/state.json").read_text().startswith('{"key":2,')


def test_refused_renewal_does_not_stop_a_device_whose_certificate_is_good(make_place):
    place = make_place(lifetime=8)
    device = place.device("--interval", 50)
    device.wait_for("connected")
    place.gateway.script = [(403, "policy-refused", {})]
    assert device.wait_for("refused")["code"] == "policy-refused"
    n = device.wait_for("puback")["n"]
    device.wait_for("puback", n=n + 10)
    assert device.stop() == 0


def test_broker_that_dies_loses_no_acknowledged_reading(make_place):
    place = make_place()
    subscriber = Subscriber(place.broker)
    device = place.device("--interval", 10)
    device.wait_for("puback", n=30)
    place.broker.stop(kill=True)
    device.wait_for("cut-off")
    subscriber.stop()
    place.broker.start()
    subscriber = Subscriber(place.broker)
    wait_until(lambda: subscriber.numbers, "readings after the restart")
    first = min(subscriber.numbers)
    device.wait_for("puback", n=first + 50)
    assert device.stop() == 0
    acknowledged = [e["n"] for e in device.seen if e["event"] == "puback"]
    assert sorted(acknowledged) == list(range(1, len(acknowledged) + 1)), "a reading was skipped"
    wait_until(lambda: set(range(first, first + 51)) <= set(subscriber.numbers), "the readings since")
    subscriber.stop()


def test_broker_of_another_root_gets_nothing(make_place, tmp_path):
    place = make_place()
    stranger = FakeGateway(tmp_path / "stranger", place.gateway.root.parent.parent / "factory/records.ndjson")
    place.broker.stop()
    place.broker = Broker(tmp_path / "other", stranger).start()
    device = place.device("--interval", 10)
    device.wait_for("unreachable")
    device.wait_for("unreachable")
    assert device.stop() == 0
    assert not [e for e in device.seen if e["event"] in ("connected", "published")]
    stranger.stop()


def test_expired_certificate_is_replaced_for_the_same_key(make_place):
    """Its renewal was refused, and no broker takes it any more: it is certified anew, as at the first boot."""
    place = make_place(lifetime=5)
    device = place.device("--interval", 50)
    first = device.wait_for("enrolled")
    place.gateway.script = [(403, "policy-refused", {})]
    device.wait_for("refused", by="gateway")
    wait_until(lambda: time.time() > first["notAfter"], "the certificate's end")
    place.broker.stop()
    place.broker.start()
    device.wait_for("cut-off")
    second = device.wait_for("enrolled")
    assert device.wait_for("connected")["certificateId"] == second["certificateId"] != first["certificateId"]
    assert device.stop() == 0
    assert len({r["spki"] for r in place.gateway.requests if r["path"] == "/v1/enrolments"}) == 1
