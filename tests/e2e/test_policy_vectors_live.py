"""The policy language's vectors at a live broker: each is a certificate, a thing, a document, and what a client then does."""

import json

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from broker_bench import REPO
from feed_peer import DETACHED, SERVICE
from plugin_bench import Bench, allow

VECTORS = json.loads((REPO / "tests/vectors/policy_vectors.json").read_text())
EVERYTHING = {"Version": "2012-10-17", "Statement": [
    *[allow(action, "*") for action in ("Connect", "Publish", "RetainPublish", "Subscribe", "Receive")],
    *[allow(action, f"{kind}/${{$}}{{*") for action, kind in (  # T06: $ at a topic's beginning is to be spelled
        ("Publish", "topic"), ("Subscribe", "topicfilter"), ("Receive", "topic"))]]}
DENIED = 0x87
LONGEST = 1024  # bytes of a topic: nobody may subscribe to a longer one, and see what is published there
FIELDS = {"Subject.CommonName": NameOID.COMMON_NAME, "Subject.Organization": NameOID.ORGANIZATION_NAME}
# A test has the loopback's addresses alone: the vectors' networks are moved there, into documents and connections alike.
MOVED = {"192.0.2.": "127.0.2.", "203.0.113.": "127.0.113."}
# What a broker decides in another way; docs/policy.md says so.
OTHERWISE = {
    "C08": "a certificate is of one thing alone, so that the thing's name has its value under any client id",
    "P18": "brokers do not look at the region of a resource",
    "S21": "a client id with + is not admitted",
    "S22": "a client id with * is not admitted",
}
ALIKE = [vector for vector in VECTORS if vector["id"] not in OTHERWISE]
BY_ID = {vector["id"]: vector for vector in VECTORS}


@pytest.fixture(scope="module")
def room(tmp_path_factory):
    """One broker for all cases; `service` may do everything, and watches."""
    bench = Bench(tmp_path_factory.mktemp("vectors"))
    try:
        bench.start()
        bench.feed.policy("admit", EVERYTHING)
        bench.identity = bench.device("service", policy="admit", flags=SERVICE)
        bench.service = bench.admitted(bench.identity, version=5)
        yield bench
    finally:
        bench.stop()


class Scene:
    """A vector's certificate, thing and document in force, and what its client does."""

    def __init__(self, bench, vector):
        self.bench, self.vector, self.connection = bench, vector, vector["connection"]
        fields = [x509.NameAttribute(FIELDS[name], value, _validate=False)  # one is longer than X.520 allows
                  for name, values in self.connection.get("cert", {}).items() for value in values]
        self.identity = bench.pki.issue(vector["id"], subject=x509.Name(fields))
        self.target = vector["target"].replace(self.connection["certId"], self.identity.fingerprint.hex())
        self.logged = len(bench.broker.text())
        bench.feed.policy("case", self.document())

    def document(self):
        """Several policies are one document with the statements of all: a thing has one policy."""
        policies = self.vector["policies"]
        assert len({policy["Version"] for policy in policies}) == 1
        text = json.dumps({**policies[0], "Statement": [s for policy in policies for s in policy["Statement"]]})
        for address, moved in MOVED.items():
            text = text.replace(address, moved)
        return json.loads(text)

    def under(self, policy):
        """In force when this returns. Who has no thing is a service."""
        thing = self.connection["thing"] or {"name": "service", "type": None, "attributes": None}
        flags = 0 if self.connection["attached"] else DETACHED if self.connection["thing"] else SERVICE
        self.bench.register(self.identity, policy=policy, flags=flags, name=thing["name"], kind=thing["type"],
                            attributes=thing["attributes"])

    def connect(self):
        """PersistentConnect and LastWill as the vector has them."""
        attributes, source = self.connection["connectAttributes"], self.connection.get("sourceIp")
        persistent, topic = "PersistentConnect" in attributes, self.connection.get("lastWillTopic")
        assert ("LastWill" in attributes) == (topic is not None)
        for address, moved in MOVED.items():
            source = source and source.replace(address, moved)
        return self.bench.connect(
            self.identity, version=5, client_id=self.connection["clientId"], clean=not persistent, source=source,
            expiry=3600 if persistent else None,
            will=(topic, "tried", 1, self.connection.get("willRetain", False)) if topic else None)

    def connected(self):
        """A session that was let in by another document, and is under the vector's now."""
        self.under("admit")
        live = self.connect()
        assert live.code == 0, self.news()
        self.under("case")
        return live

    def news(self):
        return self.bench.broker.text()[self.logged:]

    def first(self, topic, act, fence):
        """What the service gets first of what is published on `topic`: by `act`, and by a fence that is always let through."""
        service = self.bench.service
        assert service.subscribe(topic, 1) == 1
        code = act()
        fence(topic)
        got = service.message()
        assert got in ((topic, "tried"), (topic, "fence"))
        assert service.unsubscribe(topic)
        service.arrived()
        return got[1], code

    def fence(self, topic):
        assert self.bench.service.publish(topic, "fence") == 0

    def fence_of_wills(self, topic):
        self.bench.admitted(self.bench.identity, version=5, client_id="fence", will=(topic, "fence", 1)).close()


# -- each action, done: True where the broker lets it happen ---------------------------------------------------------------

def connects(scene):
    """A broker learns of a will when it is published: one that the document denies is not, after whatever CONNECT."""
    scene.under("case")
    live = scene.connect()
    assert live.code in (0, DENIED), scene.news()
    if live.code == DENIED:
        assert "policy-denied" in scene.news()
        return False
    topic = scene.connection.get("lastWillTopic")
    if not topic:
        return live.ping()
    got, _ = scene.first(topic, live.close, scene.fence_of_wills)
    if scene.connection.get("willRetain"):
        assert scene.bench.service.publish(topic, "", retain=True) in (0, 0x10)
    return got == "tried"


def publishes(scene, retain=False):
    live = scene.connected()
    if len(scene.target) > LONGEST:
        return live.publish(scene.target, retain=retain) != DENIED
    got, code = scene.first(scene.target, lambda: live.publish(scene.target, "tried", retain=retain), scene.fence)
    assert (got, code) in (("tried", 0), ("fence", DENIED)), scene.news()
    return got == "tried"


def publishes_retained(scene):
    return publishes(scene, retain=True)


def subscribes(scene):
    code = scene.connected().subscribe(scene.target, 1)
    assert code in (1, DENIED), scene.news()
    return code == 1


def receives(scene):
    """The subscription is made under the document that allows everything, and so is the fence sent."""
    scene.under("admit")
    live = scene.connect()
    assert live.code == 0 and live.subscribe(scene.target, 1) == 1
    scene.under("case")
    assert scene.bench.service.publish(scene.target, "tried") == 0
    scene.under("admit")
    scene.fence(scene.target)
    return live.message() == (scene.target, "tried")


DO = {"Connect": connects, "Publish": publishes, "RetainedPublish": publishes_retained, "Subscribe": subscribes,
      "Receive": receives}


def decided(bench, vector):
    scene = Scene(bench, vector)
    allowed = DO[vector["action"]](scene)
    assert "policy-syntax" not in scene.news()
    return allowed


# -- the vectors -----------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("vector", ALIKE, ids=lambda vector: vector["id"])
def test_a_live_broker_decides_as_the_vector_says(room, vector):
    assert decided(room, vector) == (vector["expect"] == "ALLOWED"), vector["source"]


def test_every_vector_is_tried_or_known_to_differ():
    assert len(VECTORS) == 97 and len(BY_ID) == 97
    assert len(ALIKE) + len(OTHERWISE) == len(VECTORS)
    assert {vector["action"] for vector in VECTORS} <= set(DO)


@pytest.mark.parametrize("case", ["C08", "P18"])
def test_one_thing_alone_and_no_region_allow_what_the_vector_denies(room, case):
    assert BY_ID[case]["expect"] == "IMPLICIT_DENY"
    assert decided(room, BY_ID[case])


@pytest.mark.parametrize("case", ["S21", "S22"])
def test_client_ids_that_are_wildcards_get_nowhere(room, case):
    scene = Scene(room, BY_ID[case])
    scene.under("admit")
    assert scene.connect().code == DENIED
    assert "client-id-refused" in scene.news()


# -- a condition on the will, which the broker does not know when it admits --------------------------------------------------

def on_the_will(operator, will):
    statements = [{**allow("Connect", "*"), "Condition": {operator: {"iot:LastWillTopic": "arn:aws:iot:*:*:topic/my/will"}}},
                  allow("Publish", "*")]
    return {"id": f"{operator}-{will.replace('/', '-')}", "action": "Connect", "target": "",
            "policies": [{"Version": "2012-10-17", "Statement": statements}],
            "connection": {"clientId": "client1", "certId": "none", "thing": None, "attached": False,
                           "connectAttributes": ["LastWill"], "lastWillTopic": will}}


def test_who_needs_a_will_to_connect_is_refused_and_if_exists_is_the_way(room):
    assert not decided(room, on_the_will("ArnLike", "my/will"))
    assert decided(room, on_the_will("ArnLikeIfExists", "my/will"))
    assert not decided(room, on_the_will("ArnLikeIfExists", "another/will"))
