"""All of Mooring in one folder on loopback: the parties, their keys, their configuration, their processes.

`make demo`, `make run` and the end-to-end tests start the same daemons with the same shipped configuration
(config/*.in) through this module. It needs nothing but Python's standard library.
"""

import contextlib
import http.client
import itertools
import json
import os
import pwd
import queue
import shlex
import shutil
import socket
import ssl
import subprocess
import threading
import time
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent
CONFIG = REPO / "config"
ROOT = os.geteuid() == 0
# Where the stack is started as root each daemon has a uid of its own, taken from a range no distribution hands out.
UIDS = {"gateway": 64201, "signer": 64202, "attestd": 64203} if ROOT else dict.fromkeys(
    ("gateway", "signer", "attestd"), 0)
FIXED_PORTS = {"device": 8443, "admin": 8444, "attestation": 8445, "mqtt": 8883}


class StackError(Exception):
    """A part did not do what it must; the message holds the end of its log."""


def _ports():
    """Below the range that clients' connections take theirs from, none twice, and from another place in every process."""
    first, count = 10000, 20000
    for i in itertools.count(os.getpid() * 101):
        yield first + i % count


_untried = _ports()


def free_port():
    for port in _untried:
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def system_program(name):
    """A program of a package; those in sbin are not on every user's PATH. MOORING_NAME in the environment is another one."""
    found = os.environ.get(f"MOORING_{name.upper()}") or shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/bin")
    if not found:
        raise StackError(f"{name} is not installed; run scripts/setup")
    return found


def wait_until(probe, what, seconds=20):
    """Asks `probe` until it returns something true, and returns that."""
    deadline = time.monotonic() + seconds
    while True:
        result = probe()
        if result:
            return result
        if time.monotonic() > deadline:
            raise StackError(f"not within {seconds} s: {what}")
        time.sleep(0.02)


class Daemon:
    """One process with its log; stopping it checks how it ended."""

    def __init__(self, name, argv, log, env=None, user=None):
        self.name, self.argv, self.log, self.env, self.user = name, [str(a) for a in argv], Path(log), env, user
        self.process = None

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                self.argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, user=self.user,
                env={**os.environ, **(self.env or {})}, start_new_session=True)
        return self

    @property
    def pid(self):
        return self.process.pid

    def running(self):
        return self.process is not None and self.process.poll() is None

    def check(self):
        if not self.running():
            raise StackError(f"{self.name} ended with {self.process.returncode}:\n{self.tail()}")

    def tail(self, lines=25):
        if not self.log.exists():
            return ""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def kill(self):
        """As a power cut: no chance to tidy up."""
        self.process.kill()
        self.process.wait()

    def stop(self, seconds=15):
        """SIGTERM; a daemon that does not end with 0, or whose sanitizer spoke, is a failure."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.terminate()
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise StackError(f"{self.name} did not end within {seconds} s of SIGTERM:\n{self.tail()}") from None
        if code != 0:
            raise StackError(f"{self.name} ended with {code}:\n{self.tail()}")


class Device:
    """A thermometer (mooring-device) and the events that it prints."""

    def __init__(self, stack, folder, *arguments):
        self.folder = Path(folder)
        argv = [stack.program("mooring-device"), "run", "--dir", folder, "--gateway", stack.origin,
                "--ca", stack.pki / "root.pem", "--mqtt", f"127.0.0.1:{stack.ports['mqtt']}", *arguments]
        self.errors = open(self.folder / "device.log", "ab")
        self.process = subprocess.Popen([str(a) for a in argv], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=self.errors, text=True, start_new_session=True,
                                        env={**os.environ, **stack.environment.get("device", {})})
        self.events, self.seen = queue.Queue(), []
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            with contextlib.suppress(ValueError):
                self.events.put(json.loads(line))
        self.events.put(None)

    def wait_for(self, *names, seconds=30):
        """The next event with one of these names; StackError when the device ends without it."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                event = self.events.get(timeout=max(0.01, deadline - time.monotonic()))
            except queue.Empty:
                raise StackError(f"device {self.folder.name}: no {'/'.join(names)} in {seconds} s; "
                                 f"last events {self.seen[-5:]}") from None
            if event is None:
                self.events.put(None)
                raise StackError(f"device {self.folder.name} ended ({self.process.wait()}) before "
                                 f"{'/'.join(names)}: {self.seen[-3:]}\n{self.log_tail()}")
            self.seen.append(event)
            if event["event"] in names:
                return event

    def log_tail(self):
        return "\n".join((self.folder / "device.log").read_text(errors="replace").splitlines()[-10:])

    def wait(self, seconds=30):
        return self.process.wait(seconds)

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.errors.close()


class Stack:
    """The OEM (CA, signer, gateway, edge, broker) and the RoT vendor (attestation service and its edge)."""

    TRUST_DOMAIN = "example.com"

    def __init__(self, folder, fixed_ports=False, build=None, environment=None):
        self.folder = Path(folder).resolve()
        self.build = Path(build or os.environ.get("MOORING_BUILD") or REPO / "build").resolve()
        self.ports = dict(FIXED_PORTS) if fixed_ports else {name: free_port() for name in FIXED_PORTS}
        self.environment = environment or {}
        self.pki = self.folder / "pki"  # what anyone may have: the root, and the operators' own keys
        self.origin = f"https://127.0.0.1:{self.ports['device']}"
        self.admin = f"https://127.0.0.1:{self.ports['admin']}"
        self.attestation = f"https://127.0.0.1:{self.ports['attestation']}"
        self.daemons = {}
        self.devices = []

    # -- programs -----------------------------------------------------------------------------------------------

    def program(self, name):
        path = self.build / name
        if not path.exists():
            raise StackError(f"{path} is not built; run make")
        return path

    def run(self, *argv, check=True, user=None, **options):
        done = subprocess.run([str(a) for a in argv], capture_output=True, text=True, user=user,
                              stdin=subprocess.DEVNULL, **options)
        if check and done.returncode:
            raise StackError(f"{' '.join(map(str, argv))} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done

    def services(self):
        """What mooringctl has to know of the gateway and of the attestation service, by the environment."""
        return {
            "MOORING_ENDPOINT": self.admin,
            "MOORING_CA": str(self.pki / "root.pem"),
            "MOORING_KEY": str(self.pki / "admin.json"),
            "MOORING_ATTESTATION_ENDPOINT": self.attestation,
            "MOORING_ATTESTATION_CA": str(self.pki / "attestation-ca.pem"),
            "MOORING_ATTESTATION_KEY": str(self.pki / "vendor-admin.json"),
        }

    def ctl(self, *arguments, check=True):
        """mooringctl with the admins' keys."""
        return self.run(self.program("mooringctl"), *arguments, check=check, env={**os.environ, **self.services()})

    def ctl_json(self, *arguments):
        return json.loads(self.ctl("--json", *arguments).stdout)

    def show(self, thing):
        """A device as the gateway knows it, its certificates among its members."""
        answer = self.ctl_json("show", thing)
        return {**answer["device"], "certificates": answer["certificates"]}

    def explain(self, request_id):
        """(reason code, rule) of a refusal as `mooringctl explain` gives them to the operator.

        A refusal is answered before it is in the log: the device does not wait for the commit.
        """
        def refusals():
            answer = self.ctl("--json", "explain", request_id, check=False)
            entries = json.loads(answer.stdout)["entries"] if answer.returncode == 0 else []
            return [e for e in entries if e["kind"] == "refused"]

        last = wait_until(refusals, f"the log entry of request {request_id}")[-1]
        return last["reason"], json.loads(last["detail"] or "{}").get("rule", "")

    # -- keys and certificates ------------------------------------------------------------------------------------

    def make_pki(self):
        """What an operator does once: two CAs (OEM, vendor), the service certificates, each daemon's own folder."""
        ca = self.program("mooring-ca")
        oem, vendor = self.folder / "oem-ca", self.folder / "vendor-ca"
        self.run(ca, "init", "--dir", oem, "--name", "Example OEM", "--trust-domain", self.TRUST_DOMAIN)
        self.run(ca, "init", "--dir", vendor, "--name", "Example RoT vendor", "--trust-domain", "vendor.example")
        names = ("--san", "127.0.0.1", "--san", "localhost")
        for daemon in ("edge", "gateway", "signer", "broker", "attestd", "attestation-edge"):
            (self.folder / daemon / "pki").mkdir(parents=True)
            (self.folder / daemon / "state").mkdir()
        self.pki.mkdir()
        self.issue("edge", "--server", *names, out=self.folder / "edge/pki/edge")
        self.issue("broker", "--server", *names, out=self.folder / "broker/pki/broker")
        self.issue("broker-1", "--client", "--role", "broker", out=self.folder / "broker/pki/broker-client")
        self.issue("gateway-1", "--client", "--role", "gateway", out=self.folder / "gateway/pki/gateway-client")
        self.issue("attestation", "--server", *names, out=self.folder / "attestation-edge/pki/edge", ca="vendor-ca")
        self.run("openssl", "x509", "-in", oem / "service.pem", "-addtrust", "clientAuth", "-trustout",
                 "-out", self.folder / "attestation-edge/pki/relying-parties.pem")
        for name, folder in (("feed", "gateway"), ("ear", "attestd")):
            private, public = self.folder / folder / f"pki/{name}.key", self.pki / f"{name}.pub.pem"
            self.run("openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", private)
            self.run("openssl", "pkey", "-in", private, "-pubout", "-out", public)
        for source, targets in {
            oem / "root.pem": ("pki/root.pem", "gateway/pki/root.pem", "broker/pki/root.pem"),
            oem / "device.pem": ("gateway/pki/device.pem", "signer/pki/device.pem"),
            oem / "device.key": ("signer/pki/device.key",),
            oem / "service.pem": ("gateway/pki/service.pem", "attestd/pki/relying-party-ca.pem"),
            oem / "salt": ("signer/pki/salt", "gateway/pki/salt"),
            vendor / "root.pem": ("pki/attestation-ca.pem", "gateway/pki/attestation-ca.pem"),
            self.pki / "ear.pub.pem": ("gateway/pki/ear.pub.pem", "signer/pki/ear.pub.pem"),
            self.pki / "feed.pub.pem": ("broker/pki/feed.pub.pem",),
        }.items():
            for target in targets:
                shutil.copy(source, self.folder / target)

    def issue(self, name, *arguments, out, ca="oem-ca"):
        self.run(self.program("mooring-ca"), "issue-service", name, "--dir", self.folder / ca, *arguments, "--out", out)

    def write_env(self):
        """What a shell needs to talk to all of it, to be read with `.`; the file."""
        values = {
            **self.services(),
            "MOORING_ORIGIN": self.origin,
            "MOORING_CONFIG": self.folder / "config",
        }
        lines = [f"export {name}={shlex.quote(str(value))}" for name, value in values.items()]
        env = self.folder / "env"
        env.write_text("\n".join((f'export PATH={shlex.quote(str(self.build))}:"$PATH"', *lines, "")))
        return env

    def hand_over(self):
        """Each daemon's folder becomes its own uid's; nobody else may look inside."""
        if not ROOT:
            return
        owners = dict(UIDS)
        owners["broker"] = pwd.getpwnam("mosquitto").pw_uid
        for name, uid in owners.items():
            top = self.folder / name
            for path in (top, *top.rglob("*")):
                os.chown(path, uid, uid)
            top.chmod(0o700)
            run = self.folder / "run" / name
            if run.exists():
                os.chown(run, uid, uid)

    # -- configuration ----------------------------------------------------------------------------------------------

    def render(self, template, target, **values):
        arguments = [f"{key}={value}" for key, value in values.items()]
        target.write_text(self.run(CONFIG / "render", CONFIG / template, *arguments).stdout)
        target.chmod(0o644)
        return target

    def make_config(self):
        folder, run = self.folder, self.folder / "run"
        edge_uid = 33 if ROOT else os.geteuid()
        for name in ("gateway", "signer", "attestd"):
            (run / name).mkdir(parents=True)
        for name in ("edge", "attestation-edge"):
            (folder / name / "temp").mkdir()
        conf = folder / "config"
        conf.mkdir()
        public = conf / "shared"  # a copy, so that a daemon's uid can read it wherever the checkout is
        shutil.copytree(CONFIG, public)
        nginx_user = "user www-data;" if ROOT else ""
        plugin = conf / "mosquitto_mooring.so"
        shutil.copy(self.program("mosquitto_mooring.so"), plugin)
        shutil.copy(CONFIG / "class-thermometer.json", conf)  # what gateway.yaml names for a beginning
        self.render("gateway.yaml.in", conf / "gateway.yaml", RUN=run, EDGE_UID=edge_uid, ORIGIN=self.origin,
                    STATE=folder / "gateway/state", PKI=folder / "gateway/pki", CONFIG=public, CLASSES=conf,
                    TRUST_DOMAIN=self.TRUST_DOMAIN, ATTESTATION_URL=self.attestation, GATEWAY_UID=UIDS["gateway"])
        self.render("signer.yaml.in", conf / "signer.yaml", RUN=run, STATE=folder / "signer/state",
                    PKI=folder / "signer/pki", ORIGIN=self.origin, TRUST_DOMAIN=self.TRUST_DOMAIN,
                    GATEWAY_UID=UIDS["gateway"] or os.geteuid(), SIGNER_UID=UIDS["signer"])
        self.render("attestd.yaml.in", conf / "attestd.yaml", RUN=run, STATE=folder / "attestd/state",
                    PKI=folder / "attestd/pki", EDGE_UID=edge_uid, VERIFIER_ID="example-rot-vendor",
                    ATTESTD_UID=UIDS["attestd"])
        self.render("edge.conf.in", conf / "edge.conf", DIR=folder / "edge", USER=nginx_user, BIND="127.0.0.1",
                    DEVICE_PORT=self.ports["device"], ADMIN_BIND="127.0.0.1", ADMIN_PORT=self.ports["admin"],
                    CERT=folder / "edge/pki/edge.pem", KEY=folder / "edge/pki/edge.key",
                    SOCKET=run / "gateway/scgi.sock", PROBLEMS=public / "problems")
        self.render("attestation-edge.conf.in", conf / "attestation-edge.conf", DIR=folder / "attestation-edge",
                    USER=nginx_user, BIND="127.0.0.1", PORT=self.ports["attestation"],
                    CERT=folder / "attestation-edge/pki/edge.pem", KEY=folder / "attestation-edge/pki/edge.key",
                    RELYING_PARTIES=folder / "attestation-edge/pki/relying-parties.pem",
                    SOCKET=run / "attestd/scgi.sock", PROBLEMS=public / "problems")
        broker = folder / "broker"
        for name in ("data", "mooring"):
            (broker / name).mkdir()
        self.render("mosquitto.conf.in", conf / "mosquitto.conf", DIR=broker, USER="user mosquitto" if ROOT else "",
                    BIND="127.0.0.1", PORT=self.ports["mqtt"], PKI=broker / "pki", PLUGIN=plugin,
                    GATEWAY=f"127.0.0.1:{self.ports['admin']}", BROKER="broker-1",
                    CONFIG_FILE=conf / "mosquitto.conf")

    def make_daemons(self):
        conf, logs = self.folder / "config", self.folder / "log"
        logs.mkdir(exist_ok=True)

        def daemon(name, *argv):
            self.daemons[name] = Daemon(name, argv, logs / f"{name}.log", self.environment.get(name))

        for name in ("attestd", "signer", "gateway"):
            daemon(name, self.program(f"mooring-{name}"), "--config", conf / f"{name}.yaml")
        for name in ("attestation-edge", "edge"):
            daemon(name, system_program("nginx"), "-p", self.folder / name, "-c", conf / f"{name}.conf",
                   "-g", "daemon off;", "-e", "stderr")
        daemon("broker", system_program("mosquitto"), "-c", conf / "mosquitto.conf")

    # -- life -----------------------------------------------------------------------------------------------------

    def prepare(self):
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o755)
        (self.folder / "factory").mkdir()
        self.make_pki()
        self.make_config()
        self.make_daemons()
        self.hand_over()
        # A copy, which the daemons' users can run wherever the checkout is.
        tool = shutil.copy(self.program("mooringctl"), self.folder / "config/mooringctl")
        for daemon, key in (("gateway", "admin.json"), ("attestd", "vendor-admin.json")):
            out = self.folder / daemon / "state" / key
            self.run(tool, "admin", "init", "--state-dir", self.folder / daemon / "state",
                     "--master", self.folder / daemon / "pki/admin.master", "--out", out,
                     user=UIDS[daemon] or None)
            shutil.copy(out, self.pki / key)
            (self.pki / key).chmod(0o600)
            out.unlink()
        return self

    def start(self, *names):
        for name in names or ("attestd", "attestation-edge", "signer", "gateway", "edge", "broker"):
            self.daemons[name].start()
        return self

    def ready(self, seconds=30):
        """Every part has said so itself: the services over HTTPS, the broker by a live feed."""
        self.services_ready(seconds)
        wait_until(self.broker_live, "the broker's feed", seconds)
        return self

    def services_ready(self, seconds=30):
        wait_until(lambda: self._says_ready("attestation", "attestation-ca.pem"), "the attestation service", seconds)
        wait_until(lambda: self._says_ready("admin", "root.pem"), "the gateway", seconds)
        return self

    def _says_ready(self, port, ca):
        for daemon in self.daemons.values():
            if daemon.process is not None:
                daemon.check()
        try:
            return self.https("GET", self.ports[port], "/readyz", ca=self.pki / ca)[0] == 200
        except OSError:
            return False

    def broker_live(self):
        if self.daemons["broker"].process is not None:
            self.daemons["broker"].check()
        answer = self.ctl("--json", "brokers", check=False)
        if answer.returncode:
            return False
        brokers = json.loads(answer.stdout).get("brokers", [])
        return any(b["name"] == "broker-1" and b["state"] == "live" for b in brokers) and self.mqtt_listens()

    def mqtt_listens(self):
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", self.ports["mqtt"])) == 0

    def https(self, method, port, path, body=None, headers=None, ca=None, cert=None):
        """One request on a connection of its own: (status, headers, body)."""
        context = ssl.create_default_context(cafile=str(ca or self.pki / "root.pem"))
        if cert:
            context.load_cert_chain(f"{cert}.pem", f"{cert}.key")
        connection = http.client.HTTPSConnection("127.0.0.1", port, context=context, timeout=20)
        try:
            connection.request(method, path, body=body, headers=headers or {})
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        except http.client.HTTPException as error:
            raise OSError(str(error)) from error
        finally:
            connection.close()

    def device(self, folder, *arguments):
        device = Device(self, folder, *arguments)
        self.devices.append(device)
        return device

    def make_devices(self, count, batch="B1", *arguments):
        """Thermometers with RoT keys, their records published to the attestation service."""
        out = self.folder / "factory" / batch
        self.run(self.program("mooring-factory"), "make", "--count", count, "--dir", out, "--batch", batch, *arguments)
        self.publish(out / "records.ndjson")
        return [out / str(n) for n in range(1, count + 1)]

    def publish(self, records):
        return self.run(self.program("mooring-factory"), "publish", records, "--endpoint", self.attestation,
                        "--ca", self.pki / "attestation-ca.pem", "--key", self.pki / "vendor-admin.json")

    # -- provenance -------------------------------------------------------------------------------------------------

    def require_provenance(self, supply, variants, name="thermometer", **more):
        """Before the gateway starts: devices must show that they come from this supply chain (factory.SupplyChain)."""
        conf = self.folder / "config"
        public = shutil.copy(supply.public, conf / f"programme-{name}.json")
        (conf / f"class-{name}.json").write_text(json.dumps({
            "class": name, "programme": str(public), "mode": "required",
            "variants": [{"name": title, **variant} for title, variant in variants.items()], **more}, indent=1))
        with open(conf / "gateway.yaml", "a", encoding="utf-8") as config:
            config.write(f"provenance: [{conf}/class-{name}.json]\n")

    def stop(self):
        """Ends everything; the first part that did not end well is the error."""
        for device in self.devices:
            device.stop()
        trouble = None
        for name in ("broker", "edge", "gateway", "signer", "attestation-edge", "attestd"):
            try:
                if name in self.daemons:
                    self.daemons[name].stop()
            except StackError as error:
                trouble = trouble or error
        if trouble:
            raise trouble

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        try:
            self.stop()
        except StackError:
            if kind is None:
                raise
