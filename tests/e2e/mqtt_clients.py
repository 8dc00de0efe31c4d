"""Three MQTT clients that others have written, behind one interface: libmosquitto's programs, paho and Node's mqtt.

Each has connect, subscribe, publish, messages, drop and leave. What a client does not tell is None in the transcript.
"""

import json
import queue
import re
import shutil
import socket
import subprocess
import threading
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from stack import wait_until

NODE = Path(__file__).resolve().parents[1] / "node"
WAIT_S = 10


class Inbox:
    """Messages of one connection as (topic, payload, QoS, retain), in the order in which they came."""

    def __init__(self):
        self.queue = queue.Queue()

    def until(self, payload):
        """All messages before the one with this payload."""
        taken = []
        while True:
            message = self.queue.get(timeout=WAIT_S)
            if message[1] == payload:
                return taken
            taken.append(message)


# -- libmosquitto ------------------------------------------------------------------------------------------------------

class Mosquitto:
    """mosquitto_sub holds a connection, and gets its subscriptions when it is started; mosquitto_pub makes one a message."""

    name = "mosquitto"

    @staticmethod
    def told_of(_code):
        """What `publish` says of a PUBACK or PUBREC with this reason."""
        return 0, "Not authorized"

    def __init__(self, broker, identity, version):
        self.version, self.processes = version, []
        self.tls = ["-h", "127.0.0.1", "-p", str(broker.port), "--cafile", broker.pki.path("root.pem"), "--cert", identity.pem,
                    "--key", identity.key, "-V", "mqttv5" if version == 5 else "mqttv311", "-d"]

    def connection(self, client_id, clean=True, will=None):
        return MosquittoConnection(self, client_id, clean, will)

    def close(self):
        for process in self.processes:
            process.kill()
            process.wait()


class MosquittoConnection(Inbox):
    def __init__(self, family, client_id, clean, will):
        super().__init__()
        self.family, self.client_id, self.process = family, client_id, None
        self.options = ["-i", client_id] + ([] if clean else ["-c"])
        if not clean and family.version == 5:
            self.options += ["-x", "3600"]
        if will:
            topic, payload, qos, retain = will
            self.options += ["--will-topic", topic, "--will-payload", payload, "--will-qos", str(qos)] + ["--will-retain"] * retain
        self.said = queue.Queue()

    def connect(self):
        return None  # with the subscription

    def subscribe(self, topic, qos):
        self.process = subprocess.Popen(
            ["stdbuf", "-oL", "mosquitto_sub", *self.family.tls, *self.options, "-t", topic, "-q", str(qos), "-F", "MESSAGE %t %p %q %r"],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.family.processes.append(self.process)
        threading.Thread(target=self.listen, args=(self.process,), daemon=True).start()
        return self.said.get(timeout=WAIT_S)

    def listen(self, process):
        for line in process.stdout:
            words = line.split()
            if line.startswith("MESSAGE"):
                self.queue.put((words[1], words[2], int(words[3]), int(words[4])))
            elif subscribed := re.match(r"Subscribed \(mid: \d+\): (\d+)", line):
                self.said.put(int(subscribed[1]))

    def publish(self, topic, payload, qos=0, retain=False):
        done = subprocess.run(
            ["mosquitto_pub", *self.family.tls, "-i", f"{self.client_id}-pub", "-t", topic, "-q", str(qos)] + ["-r"] * retain
            + (["-m", payload] if payload else ["-n"]), capture_output=True, text=True, timeout=WAIT_S, check=False)
        refused = re.search(r"Publish \d+ failed: (.+)\.", done.stdout + done.stderr)
        return done.returncode, refused[1] if refused else ""

    def drop(self):
        self.process.kill()
        self.process.wait()

    def leave(self):
        """Its signal handler takes locks: it must not be sent a signal before it sleeps, or it hangs for ever."""
        if not self.process:
            return
        stat = Path(f"/proc/{self.process.pid}/stat")
        wait_until(lambda: self.process.poll() is not None or stat.read_text().rsplit(")", 1)[1].split()[0] in "SZ", "it sleeps")
        self.process.terminate()
        self.process.wait(WAIT_S)


# -- paho --------------------------------------------------------------------------------------------------------------

class Paho:
    name = "paho"

    @staticmethod
    def told_of(_code):
        return 0  # its callback has no room for it

    def __init__(self, broker, identity, version):
        self.broker, self.identity, self.version, self.connections = broker, identity, version, []

    def connection(self, client_id, clean=True, will=None):
        self.connections.append(PahoConnection(self, client_id, clean, will))
        return self.connections[-1]

    def close(self):
        for connection in self.connections:
            connection.client.loop_stop()


class PahoConnection(Inbox):
    def __init__(self, family, client_id, clean, will):
        super().__init__()
        self.family, self.clean, self.said = family, clean, queue.Queue()
        five = family.version == 5
        newer = {"callback_api_version": paho.CallbackAPIVersion.VERSION1} if hasattr(paho, "CallbackAPIVersion") else {}
        self.client = paho.Client(**newer, client_id=client_id, clean_session=None if five else clean,
                                  protocol=paho.MQTTv5 if five else paho.MQTTv311, reconnect_on_failure=False)
        self.client.tls_set(family.broker.pki.path("root.pem"), family.identity.pem, family.identity.key)
        if will:
            self.client.will_set(*will)
        self.client.on_connect = lambda _c, _u, flags, code, *_: self.said.put((number(code), int(bool(flags["session present"]))))
        self.client.on_subscribe = lambda _c, _u, _mid, codes, *_: self.said.put(number(codes[0]))
        self.client.on_publish = lambda *_: self.said.put(0)
        self.client.on_message = lambda _c, _u, m: self.queue.put((m.topic, m.payload.decode(), m.qos, int(m.retain)))

    def connect(self):
        more = {}
        if self.family.version == 5:
            properties = Properties(PacketTypes.CONNECT)
            if not self.clean:
                properties.SessionExpiryInterval = 3600
            more = {"clean_start": self.clean, "properties": properties}
        self.client.connect("127.0.0.1", self.family.broker.port, **more)
        self.client.loop_start()
        return self.said.get(timeout=WAIT_S)

    def subscribe(self, topic, qos):
        self.client.subscribe(topic, qos)
        return self.said.get(timeout=WAIT_S)

    def publish(self, topic, payload, qos=0, retain=False):
        self.client.publish(topic, payload, qos, retain)
        return self.said.get(timeout=WAIT_S)

    def drop(self):
        self.client.socket().shutdown(socket.SHUT_RDWR)
        self.client.loop_stop()

    def leave(self):
        self.client.disconnect()
        self.client.loop_stop()


def number(code):
    """MQTT 5's reason codes are objects."""
    return code if isinstance(code, int) else code.value


# -- Node --------------------------------------------------------------------------------------------------------------

class Node:
    """One process for all connections."""

    name = "node"

    @staticmethod
    def told_of(code):
        return code

    def __init__(self, broker, identity, version):
        if not shutil.which("node") or not (NODE / "node_modules/mqtt").is_dir():
            pytest.skip("the npm package mqtt is not installed: scripts/setup --test takes it from the npm registry")
        self.version, self.n, self.inboxes, self.answers = version, 0, {}, {}
        self.where = {"port": broker.port, "version": version, "ca": broker.pki.path("root.pem"), "cert": identity.pem, "key": identity.key}
        self.process = subprocess.Popen(["node", NODE / "client.js"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        for line in self.process.stdout:
            said = json.loads(line)
            if "message" in said:
                self.inboxes[said["name"]].queue.put(tuple(said["message"]))
            else:
                self.answers[said["n"]].put(said["result"])

    def call(self, **what):
        self.n += 1
        self.answers[self.n] = queue.Queue()
        self.process.stdin.write(json.dumps({"n": self.n, **what}) + "\n")
        self.process.stdin.flush()
        return self.answers[self.n].get(timeout=WAIT_S)

    def connection(self, client_id, clean=True, will=None):
        return NodeConnection(self, client_id, clean, will)

    def close(self):
        self.process.stdin.close()
        self.process.wait(WAIT_S)


class NodeConnection(Inbox):
    def __init__(self, family, client_id, clean, will):
        super().__init__()
        self.family, self.name = family, f"{client_id}/{len(family.inboxes)}"
        self.options = {"id": client_id, "clean": clean}
        if will:
            self.options["will"] = dict(zip(("topic", "payload", "qos", "retain"), will))
        family.inboxes[self.name] = self

    def connect(self):
        return tuple(self.family.call(do="connect", name=self.name, **self.family.where, **self.options))

    def subscribe(self, topic, qos):
        return self.family.call(do="subscribe", name=self.name, filter=topic, qos=qos)

    def publish(self, topic, payload, qos=0, retain=False):
        return self.family.call(do="publish", name=self.name, topic=topic, payload=payload, qos=qos, retain=retain)

    def drop(self):
        self.family.call(do="drop", name=self.name)

    def leave(self):
        self.family.call(do="leave", name=self.name)
