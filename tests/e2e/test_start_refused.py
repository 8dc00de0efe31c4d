"""A daemon that is told nonsense does not start: exit code 1, and one line that names what is wrong."""

import json
import os
import subprocess

import pytest
from conftest import configure, folder_for_daemons, listens, new_stack
from stack import ROOT, wait_until

RUN_S = 20


@pytest.fixture(scope="module")
def pristine():
    with folder_for_daemons() as folder, new_stack(folder) as made:
        yield made.prepare()


@pytest.fixture
def stack(pristine):
    """The stack, with whatever the test spoils put back afterwards."""
    kept = {}
    pristine.spoil = lambda path, data: (kept.setdefault(path, path.read_bytes() if path.exists() else None), put(path, data))
    configs = {path: path.read_bytes() for path in (pristine.folder / "config").glob("*.yaml")}
    yield pristine
    for path, data in {**configs, **kept}.items():
        put(path, data)


def put(path, data):
    if data is None:
        path.unlink(missing_ok=True)
        return
    mode = path.stat().st_mode if path.exists() else None
    owner = path.parent.stat()
    path.write_bytes(data)
    if mode is None:
        os.chown(path, owner.st_uid, owner.st_gid)
        path.chmod(0o600)


def start(stack, name, *options):
    """(exit code, the log's last line as JSON) of a daemon that should not stay."""
    daemon = stack.daemons[name]
    done = subprocess.run([*daemon.argv, *options], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=RUN_S,
                          env={**os.environ, **(daemon.env or {})})
    lines = done.stderr.splitlines()
    assert lines, done
    return done.returncode, json.loads(lines[-1])


def refuses(stack, name, *words, options=()):
    code, line = start(stack, name, *options)
    assert (code, line["level"]) == (1, "error") and line["reason"] in ("config", "io"), line
    for word in words:
        assert word in line["rule"], line


CONFIG = {
    "unknown key": (dict(certificate_livetime_s=60), ("certificate_livetime_s", "gateway.yaml")),
    "a word for a number": (dict(challenge_ttl_s="soon"), ("challenge_ttl_s",)),
    "beyond its range": (dict(challenge_ttl_s=301), ("challenge_ttl_s", "300")),
    "no https": (dict(attestation_url="http://127.0.0.1:1"), ("attestation_url", "https://")),
    "an origin with a slash": (dict(origins='["https://enrol.example.com/"]'), ("origins",)),
    "an unknown level": (dict(log_level="loud"), ("log_level",)),
    "less than the least": (dict(certificate_lifetime_s=60, certificate_lifetime_min_s=61), ("certificate_lifetime_min_s",)),
    "a socket without a folder": (dict(socket="/nowhere/scgi.sock"), ("/nowhere/scgi.sock",)),
    # each worker finds out for itself, while store and feed are at work
    "a signer's socket that no socket can be": (dict(signer_socket="/" + "long/" * 30), ("signer_socket",)),
}


@pytest.mark.parametrize("case", CONFIG)
def test_a_wrong_key_of_the_configuration(stack, case):
    settings, words = CONFIG[case]
    configure(stack, "gateway", **settings)
    refuses(stack, "gateway", *words)


@pytest.mark.parametrize("name,key", [
    ("gateway", "origins"), ("gateway", "salt_file"), ("signer", "ear_keys"), ("signer", "issuer_key"), ("attestd", "ear_key"),
    ("attestd", "state_dir")])
def test_a_missing_key_of_the_configuration(stack, name, key):
    path = stack.folder / f"config/{name}.yaml"
    path.write_text("".join(line for line in path.read_text().splitlines(True) if not line.startswith(f"{key}:")))
    refuses(stack, name, key)
    refuses(stack, name, key, options=["-t"])


@pytest.mark.parametrize("name", ["gateway", "signer", "attestd"])
@pytest.mark.parametrize("text", [b"", b"\t: [", b"socket: /x\nsocket: /y\n", b"- a\n", b"\xff\xfe"],
                         ids=["empty", "no YAML", "a key twice", "a list", "no text"])
def test_a_file_that_is_no_configuration(stack, name, text):
    path = stack.folder / f"config/{name}.yaml"
    path.write_bytes(text)
    refuses(stack, name, f"{name}.yaml", options=["-t"])


FILES = {
    ("gateway", "gateway/pki/feed.key"): "feed_key", ("gateway", "gateway/pki/salt"): "salt_file",
    ("gateway", "gateway/pki/device.pem"): "issuing_cert", ("gateway", "gateway/pki/ear.pub.pem"): "ear_keys",
    ("gateway", "gateway/pki/gateway-client.key"): "attestation_key", ("gateway", "config/shared/policy-default.json"): "default_policy",
    ("signer", "signer/pki/device.key"): "device.key", ("signer", "signer/pki/salt"): "salt",
    ("signer", "signer/pki/ear.pub.pem"): "ear", ("attestd", "attestd/pki/ear.key"): "ear",
    ("attestd", "attestd/pki/relying-party-ca.pem"): "relying",
}


@pytest.mark.parametrize("data", [None, b"", b"-----BEGIN NOTHING-----\n"], ids=["missing", "empty", "nonsense"])
@pytest.mark.parametrize("name,path", FILES, ids=[path for _, path in FILES])
def test_a_file_that_is_not_what_it_must_be(stack, name, path, data):
    stack.spoil(stack.folder / path, data)
    code, line = start(stack, name, "-t")
    assert (code, line["level"]) == (1, "error"), line
    assert FILES[name, path] in line["rule"], line


def test_a_default_policy_is_measured_without_its_white_space(stack):
    """Ten kilobytes of indentation are no reason to refuse; a statement that means nothing is, with its place."""
    path = stack.folder / "config/shared/policy-default.json"
    policy = json.loads(path.read_text())
    stack.spoil(path, json.dumps(policy, indent=200).encode())
    assert path.stat().st_size > 10000
    daemon = stack.daemons["gateway"]
    done = subprocess.run([*daemon.argv, "-t"], capture_output=True, text=True, timeout=RUN_S, env={**os.environ, **(daemon.env or {})})
    assert done.returncode == 0, done
    policy["Statement"][1]["Resource"] = "topic/dt"
    stack.spoil(path, json.dumps(policy).encode())
    refuses(stack, "gateway", "default_policy", "Statement[1].Resource: ", "write \"arn:aws:iot", options=["-t"])


@pytest.mark.parametrize("name,path", [
    ("gateway", "gateway/pki/feed.key"), ("gateway", "gateway/pki/salt"), ("signer", "signer/pki/device.key"), ("signer", "signer/pki/salt"),
    ("attestd", "attestd/pki/ear.key")])
def test_a_secret_that_others_may_read(stack, name, path):
    secret = stack.folder / path
    mode = secret.stat().st_mode
    secret.chmod(0o644)
    try:
        refuses(stack, name, path.rsplit("/", 1)[1], options=["-t"])
    finally:
        secret.chmod(mode)


def test_a_key_that_is_not_the_certificates(stack):
    stack.spoil(stack.folder / "signer/pki/device.key", (stack.folder / "oem-ca/service.key").read_bytes())
    refuses(stack, "signer", "issuer_key")


@pytest.mark.parametrize("name,path,reason", [
    ("gateway", "gateway/state/gateway.db", "store-unavailable"), ("attestd", "attestd/state/attestd.db", "store-unavailable"),
    ("signer", "signer/state/journal", "journal-damaged")])
def test_a_state_that_is_damaged(stack, name, path, reason):
    stack.spoil(stack.folder / path, b"this is no database\n" * 500)
    for extra in ("-wal", "-shm"):
        stack.spoil(stack.folder / f"{path}{extra}", None)
    code, line = start(stack, name)
    assert (code, line["level"]) == (1, "error"), line
    assert line["reason"] == reason and path.rsplit("/", 1)[1] in line["rule"], line
    assert (stack.folder / path).read_bytes().startswith(b"this is no database")


@pytest.mark.skipif(not ROOT, reason="needs root to start from")
@pytest.mark.parametrize("name", ["gateway", "signer", "attestd"])
def test_root_without_a_user_to_become(stack, name):
    configure(stack, name, run_as_uid=0, run_as_gid=0)
    refuses(stack, name, "run_as_uid")


def test_two_on_one_socket(stack):
    """The second gives way; the first goes on."""
    stack.start("signer")
    try:
        path = stack.folder / "run/signer/signer.sock"
        wait_until(lambda: listens(path), "the first signer")
        assert start(stack, "signer")[0] == 1
        assert stack.daemons["signer"].running() and listens(path)
    finally:
        stack.daemons["signer"].stop()


@pytest.mark.parametrize("name", ["gateway", "attestd"])
def test_two_on_one_state(stack, name):
    """A second one, on a socket of its own, would settle the first one's open requests and write beside it."""
    stack.start(name)
    try:
        path = stack.folder / f"run/{name}/scgi.sock"
        wait_until(lambda: listens(path), f"the first {name}")
        configure(stack, name, socket=path.with_name("other.sock"))
        refuses(stack, name, f"{name}/state is in use")
        assert stack.daemons[name].running() and listens(path)
    finally:
        stack.daemons[name].stop()
