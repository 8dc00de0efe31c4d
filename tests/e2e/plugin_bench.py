"""A feed, a Mosquitto with the plugin that follows it, and devices: what the tests of the broker's side share."""

import os

from broker_bench import DEFAULT_POLICY, Broker, Client, Pki
from feed_peer import SERVICE, Feed

REFUSED = {4: 5, 5: 0x87}
READER = {"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Action": "iot:Connect", "Resource": "arn:aws:iot:*:*:client/reader-*"},
    {"Effect": "Allow", "Action": "iot:Subscribe", "Resource": ["arn:aws:iot:*:*:topicfilter/dt/*",
                                                              "arn:aws:iot:*:*:topicfilter/will/*",
                                                              "arn:aws:iot:*:*:topicfilter/$SYS/broker/mooring/*"]},
    {"Effect": "Allow", "Action": "iot:Receive", "Resource": ["arn:aws:iot:*:*:topic/*",
                                                            "arn:aws:iot:*:*:topic/$SYS/broker/mooring/*"]}]}


def put_default(bench, *statements):
    """Another default policy, in force when this returns."""
    seq, _ = bench.feed.policy("default", {"Version": "2012-10-17", "Statement": list(statements)})
    bench.feed.wait_receipt(seq)


def allow(action, resource, **condition):
    statement = {"Effect": "Allow", "Action": f"iot:{action}", "Resource": f"arn:aws:iot:*:*:{resource}"}
    return {**statement, "Condition": condition} if condition else statement


class Bench:
    """A feed, a broker that follows it, and identities for devices."""

    def __init__(self, folder):
        self.folder, self.pki, self.brokers, self.clients = folder, Pki(folder / "pki"), [], []
        self.started = False
        self.feed = Feed(self.pki).start()
        self.feed.policy("default", DEFAULT_POLICY)
        self.broker = self.new_broker()

    def new_broker(self, **arguments):
        made = Broker(self.folder / f"broker-{len(self.brokers)}", self.pki, self.feed.port, **arguments)
        self.brokers.append(made)
        return made

    def start(self):
        self.broker.start().ready()
        self.feed.wait_receipt(len(self.feed.log))
        self.started = True
        return self

    def start_with_unseen(self, line):
        """Starts the broker with this line, and without it when the plugin looks: between the two it waits for its database."""
        broker, database = self.broker, self.broker.folder / "data/mosquitto.db"
        included = broker.folder / "conf.d"
        included.mkdir()
        seen = broker.conf.read_text()
        (included / "a.conf").write_text(f"{seen}{line}\n")
        (included / "z.conf").write_text("# When the broker comes here it has read a.conf.\n")
        broker.conf.write_text(f"include_dir {included}\n")
        os.mkfifo(database)
        broker.start()
        broker.logged(f"Loading config file {included}/z.conf")
        (included / "a.conf").write_text(seen)
        database.open("wb").close()
        broker.ready()
        self.feed.wait_receipt(len(self.feed.log))
        self.started = True

    def device(self, name, registered=True, lifetime_s=86400, **record):
        made = self.pki.issue(name, lifetime_s=lifetime_s)
        if registered:
            self.register(made, **record)
        return made

    def register(self, identity, **record):
        seq, _ = self.feed.certificate(identity, **record)
        if self.started and self.feed.server:
            self.feed.wait_receipt(seq)

    def reader(self, client_id="reader-1", **arguments):
        if "service/reader" not in self.feed.policies:
            self.feed.policy("service/reader", READER)
            self.register(self.pki.issue("reader"), policy="service/reader", flags=SERVICE, name="reader")
        return self.connect(OnDisk(self.pki, "reader"), client_id=client_id, **arguments)

    def connect(self, identity, **arguments):
        made = Client(self.broker, identity, **arguments)
        self.clients.append(made)
        return made

    def admitted(self, identity, **arguments):
        made = self.connect(identity, **arguments)
        assert made.code == 0, self.broker.tail()
        return made

    def refused(self, identity, reason, version=4, **arguments):
        made = self.connect(identity, version=version, **arguments)
        assert made.code == REFUSED[version], self.broker.tail()
        self.broker.logged(reason)

    def stop(self):
        for client in self.clients:
            client.close()
        try:
            for broker in self.brokers:
                broker.stop()
        finally:
            self.feed.stop()
            print(self.broker.tail(40))  # pytest shows it where the test has failed


class OnDisk:
    """An identity that is on disk already."""

    def __init__(self, pki, name):
        self.name, self.pem, self.key = name, pki.path(f"{name}.pem"), pki.path(f"{name}.key")
