"""The device against a gateway that is not ours: what it sends, what it makes of the answers, what survives a power cut."""

import base64
import json
import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest
from cryptography import x509
from fake_gateway import Authority, FakeGateway, der_spki, pem
from preload import Clock
from stack import REPO, free_port, wait_until

BUILD = Path(os.environ.get("MOORING_BUILD") or REPO / "build").resolve()
# LeakSanitizer would trace the process, which nobody may.
ENVIRONMENT = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0:allocator_may_return_null=1"}
BUSY = (503, "try-later", {"Retry-After": 1})


class Bench:
    """One device out of the factory, and its gateway."""

    def __init__(self, folder):
        folder.mkdir(exist_ok=True)
        subprocess.run([BUILD / "mooring-factory", "make", "--count", "1", "--dir", folder / "factory"], check=True,
                       stdout=subprocess.DEVNULL)
        self.folder, self.device = folder, folder / "factory/1"
        self.gateway = FakeGateway(folder / "gateway", folder / "factory/records.ndjson")

    def argv(self, *more, command="run", origin=None):
        return [str(a) for a in (BUILD / "mooring-device", command, "--dir", self.device, "--gateway",
                                 origin or self.gateway.origin, "--ca", self.gateway.root, *more)]

    def power_on(self, *more, timeout=60, environment=None, **options):
        """Runs it to its end: (exit code, events)."""
        done = subprocess.run(self.argv(*more, **options), stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout,
                              env={**ENVIRONMENT, **(environment or {})}, text=True, check=False)
        assert "Sanitizer" not in done.stderr, done.stderr
        return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]

    def start(self, *more, **options):
        return subprocess.Popen(self.argv(*more, **options), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                env=ENVIRONMENT, start_new_session=True)

    def keys_asked_for(self):
        return {r["spki"] for r in self.gateway.requests}

    def stored(self):
        return x509.load_pem_x509_certificate((self.device / "normal/certificate.pem").read_bytes())


@pytest.fixture
def bench(tmp_path):
    made = Bench(tmp_path)
    yield made
    made.gateway.stop()


def names(events):
    return [e["event"] for e in events]


def one(events, name):
    (found,) = [e for e in events if e["event"] == name]
    return found


@pytest.mark.parametrize("evidence", ["psa-token", "cose-csr"])
def test_first_power_on_enrols_with_evidence_bound_to_csr_challenge_and_gateway(bench, evidence):
    code, events = bench.power_on("--evidence", evidence)
    assert code == 0
    assert names(events) == ["key-made", "challenge", "evidence", "enrolled"]
    (request,) = bench.gateway.requests
    assert request["body"]["evidence"]["type"] == evidence
    assert one(events, "key-made")["spki_sha256"] == request["spki"]
    assert der_spki(bench.stored().public_key()) == der_spki(request["key"])
    assert one(events, "enrolled")["thing"] == request["thing"]


def test_second_power_on_keeps_the_certificate_and_asks_nobody(bench):
    bench.power_on()
    code, events = bench.power_on()
    assert (code, names(events)) == (0, ["certificate-kept"])
    assert len(bench.gateway.requests) == 1


def test_busy_gateway_is_asked_again_after_the_time_it_gave_with_the_same_key_and_a_new_challenge(bench):
    bench.gateway.script = [BUSY, BUSY]
    started = time.monotonic()
    code, events = bench.power_on()
    assert code == 0 and time.monotonic() - started >= 2
    waits = [e["wait_ms"] for e in events if e["event"] == "retry"]
    assert len(waits) == 2 and 1000 <= waits[0] <= 2000 and 1000 <= waits[1] <= 3000
    assert len(bench.keys_asked_for()) == 1
    assert len({r["nonce"] for r in bench.gateway.requests}) == 3


def test_gateway_without_challenges_is_asked_again(bench):
    bench.gateway.challenge_script = [BUSY]
    code, events = bench.power_on()
    assert code == 0 and names(events)[:2] == ["key-made", "retry"]


def test_spent_challenge_is_replaced_at_once(bench):
    bench.gateway.script = [(409, "nonce-spent", {})]
    code, events = bench.power_on()
    assert code == 0
    assert one(events, "retry")["wait_ms"] == 0 and one(events, "retry")["code"] == "nonce-spent"
    assert len(bench.keys_asked_for()) == 1 and len(bench.gateway.requests) == 2


def test_refusal_ends_it_with_code_and_request_id(bench):
    bench.gateway.script = [(403, "attestation-refused", {})]
    code, events = bench.power_on()
    refused = one(events, "refused")
    assert code == 4
    assert (refused["by"], refused["code"], refused["request_id"]) == ("gateway", "attestation-refused", "REQ1")
    assert not (bench.device / "normal/certificate.pem").exists()


def test_request_called_malformed_is_not_repeated(bench):
    bench.gateway.script = [(400, "csr-refused", {})]
    code, events = bench.power_on()
    assert code == 1 and one(events, "refused")["code"] == "csr-refused"
    assert len(bench.gateway.requests) == 1


def test_a_new_key_replaces_key_and_certificate(bench):
    code, events = bench.power_on()
    first = one(events, "enrolled")["certificateId"]
    bench.gateway.script = [(403, "key-refused", {})]
    code, events = bench.power_on("--new-key")
    assert code == 4 and one(events, "refused")["remedy"].endswith("mooring-device run --new-key")
    assert names(events)[0] == "key-made" and names(events)[-1] == "key-destroyed"
    assert one(bench.power_on()[1], "certificate-kept")["certificateId"] == first  # it is what it was
    bench.gateway.script = ["lose"]
    code, events = bench.power_on("--new-key")
    assert code == 0 and one(events, "enrolled")["certificateId"] != first
    assert len(bench.keys_asked_for()) == 3 and bench.gateway.requests[-1]["spki"] == bench.gateway.requests[-2]["spki"]
    assert one(bench.power_on()[1], "certificate-kept")["certificateId"] == one(events, "enrolled")["certificateId"]


def test_lost_answer_is_asked_for_again_with_the_same_key(bench):
    bench.gateway.script = ["lose"]
    code, events = bench.power_on()
    assert code == 0 and one(events, "enrolled")["status"] == 200
    assert len(bench.gateway.requests) == 2 and len(bench.gateway.issued) == 1


def test_certificate_for_another_key_is_not_taken(bench):
    bench.gateway.script = ["other-key"]
    code, events = bench.power_on()
    retry = one(events, "retry")
    assert code == 0 and retry["code"] == "peer-answer-invalid" and "another key" in retry["detail"]
    assert der_spki(bench.stored().public_key()) == der_spki(bench.gateway.requests[0]["key"])


def test_certificate_of_another_root_is_not_taken(bench):
    other = Authority("Somebody else")
    ours, bench.gateway.authority = bench.gateway.authority, other
    process = bench.start()
    events = [json.loads(process.stdout.readline()) for _ in range(4)]
    bench.gateway.authority = ours
    bench.gateway.issued.clear()
    events += [json.loads(line) for line in process.stdout]
    assert process.wait(30) == 0
    assert "pinned root" in one(events, "retry")["detail"]
    assert bench.stored().issuer == ours.device_ca.subject


def test_server_of_another_root_hears_nothing(bench):
    bench.gateway.root.write_text(pem(Authority("Somebody else").root))
    process = bench.start()
    events = [json.loads(process.stdout.readline()) for _ in range(2)]
    process.terminate()
    assert process.wait(10) == 0
    assert names(events) == ["key-made", "retry"] and events[1]["code"] == "peer-unreachable"
    assert not bench.gateway.challenges


def test_gateway_is_verified_by_its_origin_whatever_address_is_dialled(tmp_path):
    made = Bench(tmp_path)
    made.gateway.stop()
    made.gateway = FakeGateway(tmp_path / "named", tmp_path / "factory/records.ndjson", sans=("gw.example.com",))
    address = f"127.0.0.1:{made.gateway.port}"
    wrong, made.gateway.origin = made.gateway.origin, "https://gw.example.com"
    process = made.start("--connect", address, origin=wrong)
    events = [json.loads(process.stdout.readline()) for _ in range(2)]
    process.terminate()
    assert process.wait(10) == 0
    assert events[1]["code"] == "peer-unreachable" and not made.gateway.challenges
    code, events = made.power_on("--connect", address)
    made.gateway.stop()
    assert (code, names(events)[0], names(events)[-1]) == (0, "key-kept", "enrolled")


def test_request_is_written_and_not_sent(bench, tmp_path):
    taken = tmp_path / "request.json"
    code, events = bench.power_on("--out", taken, command="request")
    assert code == 0 and one(events, "request-written")["file"] == str(taken)
    assert not bench.gateway.requests
    written = json.loads(taken.read_text())
    nonce = base64.urlsafe_b64decode(written["nonce"] + "=")
    assert bench.gateway.challenges == {nonce: False}
    status, answer, _ = bench.gateway.certify("/v1/enrolments", taken.read_text())
    assert status == 201 and answer["thing"]


def test_power_cut_anywhere_in_the_first_boot_leaves_one_key(bench):
    """Both worlds are killed at once, twenty times, at a random moment; the gateway is slow enough to be hit in between."""
    whole = time.monotonic()
    probe = Bench(bench.folder / "probe")
    probe.power_on()
    probe.gateway.stop()
    whole = time.monotonic() - whole
    dice = random.Random(20261122)
    cut_after_events = []
    for attempt in range(20):
        bench.gateway.script = ["lose", BUSY]
        process = bench.start()
        time.sleep(dice.uniform(0, whole))
        os.killpg(process.pid, signal.SIGKILL)
        out, _ = process.communicate()
        cut_after_events.append(len(out.splitlines()))
        assert not (bench.device / "normal/certificate.pem").exists(), attempt
    bench.gateway.script = []
    code, events = bench.power_on()
    assert code == 0 and names(events)[-1] == "enrolled"
    assert len(set(cut_after_events)) > 1, "every cut came at the same point"
    assert len(bench.keys_asked_for()) == 1
    assert len(list((bench.device / "secure").glob("device-*"))) == 1
    assert not [p for p in bench.device.rglob("*") if p.name.count(".") > 1], "half-written files stay"


def test_power_cut_of_the_normal_world_alone_lets_the_next_power_on_in(bench):
    bench.gateway.script = [(503, "try-later", {"Retry-After": 60})]
    process = bench.start()
    while json.loads(process.stdout.readline())["event"] != "retry":
        pass
    process.kill()
    process.communicate()
    code, events = bench.power_on()
    assert code == 0 and names(events)[0] == "key-kept"


def test_gateway_that_hangs_does_not_keep_a_device_from_ending(bench):
    bench.gateway.script = ["hang"]
    process = bench.start()
    while json.loads(process.stdout.readline())["event"] != "evidence":
        pass
    wait_until(lambda: bench.gateway.requests, "the request")
    process.terminate()
    assert process.wait(5) == 0
    bench.gateway.released.set()
    code, events = bench.power_on()
    assert code == 0 and names(events)[0] == "key-kept"


def test_second_device_on_the_same_folder_is_refused(bench):
    bench.gateway.script = [(503, "try-later", {"Retry-After": 60})]
    process = bench.start()
    while json.loads(process.stdout.readline())["event"] != "retry":
        pass
    second = subprocess.run(bench.argv(), capture_output=True, text=True, env=ENVIRONMENT, timeout=30, check=False)
    process.terminate()
    assert process.wait(10) == 0
    assert second.returncode == 1 and "in use by another mooring-device" in second.stderr


def test_device_without_a_clock_takes_the_gateways(bench, tmp_path):
    """Its system clock says 1970: it checks the gateway at the release's date, then sets itself by the answer."""
    clock = Clock(tmp_path)
    clock.set(1000 - time.time())
    code, events = bench.power_on(environment=clock.environment)
    assert code == 0
    assert abs(one(events, "enrolled")["t_ms"] / 1000 - time.time()) < 5
    assert abs(json.loads((bench.device / "normal/state.json").read_text())["clock"] - time.time()) < 5
    # The next power-on knows at least the time that was stored.
    code, events = bench.power_on(environment=clock.environment)
    assert names(events) == ["certificate-kept"] and abs(events[0]["t_ms"] / 1000 - time.time()) < 10


@pytest.mark.parametrize("line,said", [
    ("mooring-device", "one command is needed: run or request"),
    ("mooring-device rnu", 'there is no command "rnu": did you mean run?'),
    ("mooring-device run", "--dir, --gateway and --ca are needed"),
    ("mooring-device run --gatway x", "there is no option --gatway: did you mean --gateway?"),
    ("mooring-device run --dir", "--dir needs a value"),
    ("mooring-device run --lifetime soon", "not a whole number from 60 to 31622400: soon"),
    ("mooring-device run --gateway http://a", "--gateway http://a: the origin does not start with https://, in lower case"),
    ("mooring-device run --evidence x", "neither psa-token nor cose-csr: x"),
    ("mooring-device request --dir d --gateway https://a --ca c --out o --new-key", "--mqtt and --new-key are for run"),
])
def test_wrong_use_is_exit_code_2_and_says_what_was_meant(line, said):
    program, *arguments = line.split()
    done = subprocess.run([BUILD / program, *arguments], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"{program}: {said}{'' if said.endswith('?') else '.'} --help explains.\n"


def test_help_teaches_and_wrong_use_is_told(bench):
    shown = subprocess.run([BUILD / "mooring-device", "--help"], capture_output=True, text=True, check=True).stdout
    assert "--dir" in shown and "16 taken, but\n  nobody subscribes" in shown
    for section in ("Exit code", "Files", "Examples"):
        assert f"\n{section}\n  " in shown
    nobody = subprocess.run([BUILD / "mooring-device", "run", "--dir", bench.folder / "nowhere", "--gateway",
                             f"https://127.0.0.1:{free_port()}", "--ca", bench.gateway.root],
                            capture_output=True, text=True, env=ENVIRONMENT, check=False)
    assert nobody.returncode == 1 and "nowhere/secure: No such file" in nobody.stderr
    assert "mooring-factory make" in nobody.stderr
