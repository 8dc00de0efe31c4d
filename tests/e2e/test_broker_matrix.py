"""Mosquitto is itself with the plugin in it: three clients of others, MQTT 3.1.1 and 5, with the plugin and without.

What happens is written down line by line. The transcript is the same without the plugin, with it under a policy that allows
all, and with it once more; under a policy that denies something it differs in the lines that the policy is about.
"""

import pytest

from mqtt_clients import Mosquitto, Node, Paho
from plugin_bench import allow, put_default

EVERYTHING = [allow(action, "*") for action in ("Connect", "Publish", "RetainPublish", "Subscribe", "Receive")] + [
    allow("Subscribe", "topicfilter/$share/*")]
DENIED = [{"Effect": "Deny", "Action": f"iot:{action}", "Resource": f"arn:aws:iot:*:*:{resource}"} for action, resource in (
    ("Publish", "topic/m/unpublished"), ("RetainPublish", "topic/m/unkept"), ("Receive", "topic/m/undelivered"),
    ("Subscribe", "topicfilter/n/*"))]


class Script:
    """The scenarios, for one client and version of the protocol; `lines` is what came of them: (what, about what, result)."""

    def __init__(self, family):
        self.family, self.lines = family, []

    def run(self):
        for scenario in (self.publications, self.retained, self.wills, self.persistent, self.shared):
            self.lines.append((scenario.__name__, None, None))
            scenario()
        self.family.close()
        return self.lines

    def note(self, what, about, result):
        self.lines.append((what, about, result))

    def connected(self, client_id, *filters, qos=2, **options):
        made = self.family.connection(client_id, **options)
        self.note("connects", client_id, made.connect())
        for topic in filters:
            self.note("subscribes", (client_id, topic, qos), made.subscribe(topic, qos))
        return made

    def published(self, sender, topic, payload, qos, retain=False):
        self.note("publishes", (topic, payload, qos, retain), sender.publish(topic, payload, qos, retain))

    def received(self, who, name, sender=None):
        """All that has come to `who` before a last message; the order of messages with unlike QoS is the client's affair."""
        if sender:
            sender.publish("m/fence", "fence", 2)
        self.note("receives", name, sorted(who.until("fence")))

    def publications(self):
        sender = self.connected("sender")
        for level in (0, 1, 2):
            receiver = self.connected("receiver", "m/#", qos=level)
            for topic in ("m/a", "m/unpublished", "m/undelivered")[:1 + level]:
                for qos in (0, 1, 2):
                    self.published(sender, topic, f"at-{qos}", qos)
            self.received(receiver, "receiver", sender)
            receiver.leave()
        self.connected("refused", "n/#").leave()
        sender.leave()

    def retained(self):
        sender = self.connected("sender")
        for qos in (0, 1, 2):
            for topic in (f"m/kept/{qos}", "m/unkept"):
                self.published(sender, topic, f"at-{qos}", qos, True)
        for turn in ("kept", "cleared"):
            receiver = self.connected("receiver", "m/#")
            self.received(receiver, f"receiver, {turn}", sender)
            receiver.leave()
            for topic in ("m/kept/0", "m/kept/1", "m/kept/2", "m/unkept"):
                self.published(sender, topic, "", 1, True)
        sender.leave()

    def wills(self):
        sender, receiver = self.connected("sender"), self.connected("receiver", "m/#")
        for topic in ("m/unpublished", "m/will"):
            for qos in (0, 1, 2):
                self.connected(f"dying-{qos}", "m/none", will=(topic, f"will-{qos}", qos, False)).drop()
        self.connected("last", "m/none", will=("m/fence", "fence", 2, False)).drop()
        self.received(receiver, "receiver")
        self.connected("polite", "m/none", will=("m/will", "polite", 0, False)).leave()
        self.received(receiver, "receiver", sender)
        receiver.leave()
        sender.leave()

    def persistent(self):
        sender = self.connected("sender")
        self.connected("sleeper", "m/#", clean=False).leave()
        for qos in (1, 2):
            for topic in ("m/a", "m/undelivered"):
                self.published(sender, topic, f"at-{qos}", qos)
        sleeper = self.connected("sleeper", "m/another", clean=False)
        self.received(sleeper, "sleeper", sender)
        sleeper.leave()
        fresh = self.connected("sleeper", "m/fence", clean=True)
        self.received(fresh, "sleeper, clean", sender)
        fresh.leave()
        sender.leave()

    def shared(self):
        """Members have their turns: six messages, and a last one each."""
        sender = self.connected("sender")
        members = [self.connected(f"member-{n}", "$share/team/m/#") for n in (1, 2)]
        for n in range(6):
            self.published(sender, "m/a", f"{n}", 1)
        for _ in members:
            sender.publish("m/fence", "fence", 2)
        for n, member in enumerate(members, 1):
            self.received(member, f"member-{n}")
            member.leave()
        sender.leave()


def transcript(broker, identity, client, version):
    return Script(client(broker, identity, version)).run()


def denied(line, client, version):
    """What becomes of a line of the transcript under DENIED."""
    what, about, result = line
    if what == "receives":
        return what, about, [m for m in result if m[0] not in ("m/unpublished", "m/undelivered", "m/unkept")]
    if what == "subscribes" and about[1] == "n/#":
        return what, about, 0x87 if version == 5 else 0x80
    if what == "publishes" and about[0] in ("m/unpublished", "m/unkept") and about[2] and version == 5:
        return what, about, client.told_of(0x87)
    return line


@pytest.mark.parametrize("version", [4, 5])
@pytest.mark.parametrize("client", [Mosquitto, Paho, Node], ids=lambda c: c.name)
def test_mosquitto_is_itself_but_for_what_the_policy_denies(bench, client, version):
    thing = bench.device("thing")
    bare = bench.new_broker()
    lines = bare.conf.read_text().splitlines()
    bare.conf.write_text("\n".join(line for line in lines if not line.startswith("plugin")) + "\nallow_anonymous true\n")
    bare.start().ready()
    without = transcript(bare, thing, client, version)
    put_default(bench, *EVERYTHING)
    assert transcript(bench.broker, thing, client, version) == without
    assert transcript(bench.broker, thing, client, version) == without
    put_default(bench, *EVERYTHING, *DENIED)
    expected = [denied(line, client, version) for line in without]
    assert sum(a != b for a, b in zip(without, expected)) >= 6, "the policy denies nothing: the test shows nothing"
    assert transcript(bench.broker, thing, client, version) == expected
