"""mooringctl policy: lint, test, explain, without any service."""

import datetime
import json

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from test_ctl_offline import REPO, ctl

VECTORS = REPO / "tests/vectors/policy_vectors.json"
DEFAULT = REPO / "config/policy-default.json"
ARN = "arn:aws:iot:*:*:"


def write(folder, *statements, name="policy.json", version="2012-10-17"):
    path = folder / name
    path.write_text(json.dumps({"Version": version, "Statement": list(statements)}, indent=2))
    return path


def statement(effect, action, resource, **condition):
    made = {"Effect": effect, "Action": action, "Resource": resource}
    return {**made, "Condition": condition} if condition else made


# -- lint --------------------------------------------------------------------------------------------------------------

def test_the_shipped_policies_have_no_findings():
    done = ctl("policy", "lint", DEFAULT, REPO / "config/policy-reader.json")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("nothing to say") == 2


def test_a_finding_has_code_place_sentence_and_remedy(tmp_path):
    policy = write(tmp_path, statement("Allow", "iot:Connect", "*"),
                   statement("Allow", "iot:Publish", [ARN + "topic/ok", ARN + "topic/dt/${iot:ClientId}/*"]))
    done = ctl("policy", "lint", policy)
    assert done.returncode == 1
    for words in ("danger  client-id-hole at Statement[0].Resource\n", "may connect with another's client id",
                  "remedy: allow iot:Connect on client/${iot:Connection.Thing.ThingName}"):
        assert words in done.stdout, words
    answer = json.loads(ctl("--json", "policy", "lint", policy).stdout)
    assert answer["files"][0]["file"] == str(policy)
    finding = answer["files"][0]["findings"][0]
    assert (finding["code"], finding["severity"], finding["place"]) == ("client-id-hole", "danger", "Statement[0].Resource")
    assert finding["text"] and finding["remedy"]


def test_notes_alone_are_no_failure(tmp_path):
    done = ctl("policy", "lint", write(tmp_path, statement("Allow", "iot:Publish", ARN + "topic/alarms")))
    assert done.returncode == 0 and "note    no-connect at Statement[0]" in done.stdout


def test_a_malformed_document_is_refused_with_its_place(tmp_path):
    bad = write(tmp_path, statement("Allow", "iot:Publish", "topic/a"))
    done = ctl("policy", "lint", bad, DEFAULT)
    assert done.returncode == 1 and "nothing to say" in done.stdout
    assert f"policy-syntax: {bad}: Statement[0].Resource: " in done.stderr
    assert "standard input: line 1" in ctl("policy", "lint", "-", stdin="{").stderr


# -- test --------------------------------------------------------------------------------------------------------------

LAMP = ("--thing", "lamp-1", "--client-id", "lamp-1")


def ask(*policies, action, resource=None, more=()):
    files = [word for policy in policies for word in ("--policy", policy)]
    return ctl("policy", "test", *files, "--action", action, *(("--resource", resource) if resource else ()), *more)


@pytest.mark.parametrize("action, resource, decision", [
    ("iot:Publish", "topic/dt/lamp-1/light", "ALLOWED"), ("publish", "topic/dt/lamp-2/light", "IMPLICIT_DENY"),
    ("iot:Connect", None, "ALLOWED"), ("iot:Subscribe", "topicfilter/cmd/lamp-1/#", "ALLOWED"),
    ("iot:Receive", "arn:aws:iot:eu-west-1:123456789012:topic/cmd/lamp-1/x", "ALLOWED"),
    ("iot:RetainPublish", "topic/dt/lamp-1/light", "IMPLICIT_DENY")])
def test_the_shipped_policy_answers(action, resource, decision):
    done = ask(DEFAULT, action=action, resource=resource, more=LAMP)
    assert done.stdout.startswith(decision + ": "), done.stderr
    assert done.returncode == (0 if decision == "ALLOWED" else 1)


def test_policies_are_read_together(tmp_path):
    deny = write(tmp_path, statement("Deny", "iot:Publish", ARN + "topic/dt/${iot:ClientId}/secret"))
    done = ask(DEFAULT, deny, action="iot:Publish", resource="topic/dt/lamp-1/secret", more=LAMP)
    assert (done.returncode, done.stdout.split(":")[0]) == (1, "EXPLICIT_DENY")


def test_what_is_said_of_the_connection_counts(tmp_path):
    policy = write(tmp_path, statement(
        "Allow", "iot:Publish", ARN + "topic/${iot:Connection.Thing.Attributes[floor]}/${iot:Connection.Thing.ThingTypeName}",
        StringEquals={"iot:Connection.Thing.Attributes[wing]": "west", "iot:DomainName": "mqtt.example.com"},
        IpAddress={"aws:SourceIp": "192.0.2.0/24"}, DateLessThan={"aws:CurrentTime": "2027-01-01T00:00:00Z"}))
    told = [*LAMP, "--thing-type", "lamps", "--attribute", "floor=f2", "--attribute=wing=west", "--source-ip", "192.0.2.9",
            "--domain-name", "mqtt.example.com", "--time", "2026-12-31T23:59:59Z"]
    assert ask(policy, action="iot:Publish", resource="topic/f2/lamps", more=told).returncode == 0
    for option, other in (("--thing-type", "doors"), ("--attribute", "floor=f3"), ("--source-ip", "198.51.100.1"),
                          ("--domain-name", "example.org"), ("--time", "1798761600")):
        at = told.index(option) + 1
        changed = [*told[:at], other, *told[at + 1:]]
        assert ask(policy, action="iot:Publish", resource="topic/f2/lamps", more=changed).returncode == 1, option


def certificate(folder):
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "lamp-7"), x509.NameAttribute(NameOID.COUNTRY_NAME, "SE")])
    now = datetime.datetime(2026, 1, 1)
    made = (x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(4242)
            .not_valid_before(now).not_valid_after(now + datetime.timedelta(days=9))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("lamp-7.example.com")]), False)
            .sign(key, hashes.SHA256()))
    path = folder / "lamp.pem"
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    return path, made.fingerprint(hashes.SHA256()).hex()


def test_a_certificate_gives_its_fields_and_its_id(tmp_path):
    pem, fingerprint = certificate(tmp_path)
    policy = write(tmp_path, statement(
        "Allow", "iot:Publish", ARN + "topic/${iot:Certificate.Subject.CommonName}/${iot:Certificate.SerialNumber}/"
        "${iot:Certificate.Subject.AlternativeName.DNSName}/${iot:CertificateId}"))
    topic = f"topic/lamp-7/4242/lamp-7.example.com/{fingerprint}"
    assert ask(policy, action="iot:Publish", resource=topic, more=("--certificate", pem)).returncode == 0
    assert ask(policy, action="iot:Publish", resource=topic).returncode == 1


def test_wills_retained_messages_and_sessions_are_asked_for_as_a_broker_does(tmp_path):
    policy = write(tmp_path, statement("Allow", "iot:Connect", "*", **{
        "ForAllValues:StringEquals": {"iot:ConnectAttributes": ["LastWill"]}}), statement("Allow", "iot:Publish", ARN + "topic/w"))
    for more, code in (((), 0), (("--will", "w"), 0), (("--will", "x"), 1), (("--will", "w", "--retain"), 1),
                       (("--persistent",), 1)):
        assert ask(policy, action="iot:Connect", resource="client/a", more=more).returncode == code, more


def test_a_thing_may_be_attached_as_on_aws():
    other = ("--thing", "lamp-1", "--client-id", "other")
    for more, code in ((other, 0), ((*other, "--non-exclusive"), 1), ((*LAMP, "--non-exclusive"), 0)):
        assert ask(DEFAULT, action="iot:Publish", resource="topic/dt/lamp-1/x", more=more).returncode == code


@pytest.mark.parametrize("words, said", [
    ((), "--policy FILE is needed"),
    (("--policy", DEFAULT), "--action must be"),
    (("--policy", DEFAULT, "--action", "iot:Fly"), "--action must be"),
    (("--policy", DEFAULT, "--action", "iot:Publish"), "--resource of iot:Publish is topic/"),
    (("--policy", DEFAULT, "--action", "iot:Publish", "--resource", "topicfilter/a"), "--resource of iot:Publish is topic/"),
    (("--policy", DEFAULT, "--action", "iot:Publish", "--resource", "arn:aws:s3:::topic/a"), "--resource of iot:Publish"),
    (("--policy", DEFAULT, "--action", "iot:Connect", "--resource", "client/a", "--client-id", "b"), "different clients"),
    (("--policy", DEFAULT, "--action", "iot:Connect", "--client-id", "b", "--attribute", "a=b"), "--thing NAME is needed"),
    (("--policy", DEFAULT, "--action", "iot:Connect", *LAMP, "--attribute", "=b"), "--attribute is NAME=VALUE"),
    (("--policy", DEFAULT, "--action", "iot:Connect", *LAMP, "--time", "soon"), "--time must be"),
    (("--vectors", VECTORS, "--policy", DEFAULT), "stands alone"),
    (("--policy", DEFAULT) * 11, "more than 10 times"),
])
def test_a_command_line_that_cannot_be_meant_is_refused(words, said):
    done = ctl("policy", "test", *words)
    assert (done.returncode, done.stdout) == (2, "") and said in done.stderr, done.stderr


# -- vectors -----------------------------------------------------------------------------------------------------------

def test_every_vector_agrees():
    done = ctl("policy", "test", "--vectors", VECTORS)
    assert (done.returncode, done.stdout) == (0, "97 cases: 97 agree, 0 do not\n")


def test_each_mismatch_is_named(tmp_path):
    cases = json.loads(VECTORS.read_text())[:5]
    cases[1]["expect"] = "ALLOWED"
    cases[2]["policies"][0]["Statement"][0]["Effect"] = "Perhaps"
    (tmp_path / "cases.json").write_text(json.dumps(cases))
    done = ctl("policy", "test", "--vectors", tmp_path / "cases.json")
    assert done.returncode == 1
    first, second, total = done.stdout.splitlines()
    assert first == f"{cases[1]['id']}: EXPLICIT_DENY, expected ALLOWED ({cases[1]['source']})"
    assert second.startswith(f"{cases[2]['id']}: policy-syntax, expected ") and "Statement[0].Effect" in second
    assert total == "5 cases: 3 agree, 2 do not"
    answer = json.loads(ctl("--json", "policy", "test", "--vectors", tmp_path / "cases.json").stdout)
    assert (answer["cases"], answer["agree"], [m["id"] for m in answer["mismatches"]]) == (5, 3, [cases[1]["id"], cases[2]["id"]])


@pytest.mark.parametrize("content, said", [("[", "cases.json:1: "), ("{}", "a list of cases is needed")])
def test_a_file_that_is_no_list_of_cases_is_refused(tmp_path, content, said):
    (tmp_path / "cases.json").write_text(content)
    done = ctl("policy", "test", "--vectors", tmp_path / "cases.json")
    assert done.returncode == 1 and said in done.stderr


def test_no_cases_at_all_are_no_success(tmp_path):
    (tmp_path / "cases.json").write_text("[]")
    assert ctl("policy", "test", "--vectors", tmp_path / "cases.json").returncode == 1


# -- explain -----------------------------------------------------------------------------------------------------------

def explain(*words):
    return ctl("policy", "explain", *words)


def test_an_explanation_names_the_statement_and_the_values():
    done = explain("--policy", DEFAULT, "--action", "iot:Publish", "--resource", "topic/dt/lamp-1/x", *LAMP)
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert lines[0] == "ALLOWED: iot:Publish on topic/dt/lamp-1/x"
    assert "  Allow 0 OneClientIdTheThingsOwn is about another action" in lines
    assert "  Allow 1 DataFromTheThing matches: Statement[1].Resource, topic/dt/lamp-1/*" in lines
    assert any(line.split() == ["iot:Connection.Thing.ThingName", "lamp-1"] for line in lines)


def test_an_explanation_says_what_stops_a_statement(tmp_path):
    policy = write(tmp_path, statement("Allow", "iot:Publish", ARN + "topic/${iot:Connection.Thing.ThingName}"),
                   statement("Deny", "iot:Publish", "*", IpAddress={"aws:SourceIp": "10.0.0.0/8"}))
    done = explain("--policy", policy, "--action", "iot:Publish", "--resource", "topic/a", "--source-ip", "192.0.2.9")
    assert done.returncode == 1
    assert "Allow 0 names a variable without a value: Statement[0].Resource, ${iot:Connection.Thing.ThingName}" in done.stdout
    assert 'Deny  1 has a condition that fails: Statement[1].Condition.IpAddress."aws:SourceIp", 192.0.2.9' in done.stdout
    assert "iot:Connection.Thing.ThingName           has none" in done.stdout


def test_each_question_of_a_packet_is_explained():
    done = explain("--json", "--policy", DEFAULT, "--action", "iot:Connect", "--will", "dt/lamp-1/w", "--retain", *LAMP)
    answer = json.loads(done.stdout)
    assert (done.returncode, answer["decision"]) == (1, "IMPLICIT_DENY")
    assert [(q["action"], q["decision"]) for q in answer["questions"]] == [
        ("iot:Connect", "ALLOWED"), ("iot:Publish", "ALLOWED"), ("iot:RetainPublish", "IMPLICIT_DENY")]
    steps = [s["step"] for s in answer["questions"][1]["statements"]]
    assert steps == ["other-action", "matches", "other-action", "other-action"]
    assert answer["values"] == {"iot:Connection.Thing.ThingName": "lamp-1"}


def test_a_shared_subscription_is_two_questions():
    done = explain("--json", "--policy", DEFAULT, "--action", "iot:Subscribe", "--resource", "topicfilter/$share/g/cmd/lamp-1/x", *LAMP)
    answer = json.loads(done.stdout)
    assert (done.returncode, answer["decision"]) == (1, "IMPLICIT_DENY")
    assert [(q["resource"], q["decision"]) for q in answer["questions"]] == [
        ("topicfilter/$share/g/cmd/lamp-1/x", "IMPLICIT_DENY"), ("topicfilter/cmd/lamp-1/x", "ALLOWED")]


# -- help --------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("command", ["lint", "test", "explain"])
def test_help_teaches(command):
    done = ctl("policy", command, "--help")
    assert done.returncode == 0 and "Examples" in done.stdout and "Exit code" in done.stdout
    assert f"policy {command}" in ctl("policy", "--help").stdout


def test_the_examples_of_the_help_run(tmp_path):
    """As they stand, from the checkout, but for the path of the shipped policies."""
    for command in ("lint", "test", "explain"):
        text = ctl("policy", command, "--help").stdout.split("Examples\n")[1].replace("\\\n", " ")
        for line in text.splitlines():
            words = [word.strip("'") for word in line.split()[1:]]
            words = [str(REPO / "config" / word) if word.startswith("policy-") else word for word in words]
            words = [str(REPO / word) if word.startswith("tests/") else word for word in words]
            assert ctl(*words).returncode in (0, 1), line


def test_the_operators_page_shows_what_works(tmp_path):
    """The documents and the cases in docs/policy.md."""
    blocks = [block.split("```")[0] for block in (REPO / "docs/policy.md").read_text().split("```json\n")[1:]]
    assert len(blocks) == 2
    assert "nothing to say" in ctl("policy", "lint", "-", stdin=blocks[0]).stdout
    (tmp_path / "cases.json").write_text(blocks[1])
    assert ctl("policy", "test", "--vectors", tmp_path / "cases.json").stdout == "1 cases: 1 agree, 0 do not\n"
