"""A supply chain in one folder: programme, register, lines, work orders and the chains of devices, made with the real tools.

    supply = SupplyChain(folder, program)                   # register init, programme init, register open
    chips, boards = supply.line("chips", 1), supply.line("boards", 2, after=["chips"])
    supply.build(devices)                                   # an order and a signature for every line, in their order
    supply.register()                                       # records, orders and all outboxes; receipts into `devices`
    supply.export(after=0)                                  # the file for gateways

Every step can be taken by itself, and everything that the tools wrote stands in attributes: an attacker's test takes a
line's folder, an order or a chain, and does with it what an attacker would.
"""

import json
import os
import subprocess
from pathlib import Path


class FactoryError(Exception):
    """A command did not end as it must; `code` and `said` are its exit code and what it said."""

    def __init__(self, argv, done):
        super().__init__(f"{' '.join(map(str, argv))}: exit {done.returncode}\n{done.stdout}{done.stderr}")
        self.code, self.said = done.returncode, done.stderr


def options_as_words(options):
    """register_within=5, from_="now", first=True -> --register-within 5 --from now --first"""
    words = []
    for name, value in options.items():
        words += [f"--{name.rstrip('_').replace('_', '-')}", *([] if value is True else [value])]
    return words


class Line:
    """One line: its folder, its key's id, its latest record."""

    def __init__(self, supply, name, stages, after=()):
        self.supply, self.name, self.stages, self.after = supply, name, list(stages), list(after)
        self.folder = supply.folder / name
        self.record = supply.folder / f"{name}.record"
        self.version, self.orders = 1, {}

    @property
    def outbox(self):
        return self.folder / "outbox"

    def signed(self, batch, stage, folder=None):
        """What was signed under an order: the outbox file of the line, or of a copy of its folder."""
        return (folder or self.folder) / f"outbox/{batch}.{stage}.{self.id[:8]}"

    @property
    def id(self):
        """32 hex digits."""
        return json.loads(self.supply.run("--json", "line", "show", self.record).stdout)["line"]

    def change(self, state, *words):
        """state: suspend, resume, revoke (--from TIME) or whatever `line` can do with a record. The next version is the record."""
        self.version += 1
        latest = self.supply.folder / f"{self.name}.{self.version}.record"
        self.supply.run("line", state, "--programme", self.supply.programme, "--record", self.record, "--out", latest, *words)
        self.record = latest
        return self.record

    def sign(self, order, *devices, countersign="cose", check=True, **options):
        """Signs the stage of `order` on each device folder; the tool's JSON. check=False: whatever comes of it."""
        words = [word for device in devices for word in ("--device", device)]
        words += options_as_words(options)
        done = self.supply.run("--json", "stage", "sign", "--line", self.folder, "--order", order, "--countersign", countersign,
                               *words, check=check)
        return json.loads(done.stdout) if done.stdout else {"code": done.returncode, "said": done.stderr}


class SupplyChain:
    """A programme with its register, begun in `folder`."""

    def __init__(self, folder, program="mooring-factory", name="Thermo 2026", environment=None):
        self.folder, self.program = Path(folder), program
        self.environment = {**os.environ, **(environment or {})}
        self.programme, self.register_folder = self.folder / "programme", self.folder / "register"
        self.public = self.programme / "programme.json"
        self.lines, self.devices, self.orders = {}, [], []
        self.folder.mkdir(parents=True, exist_ok=True)
        self.run("register", "init", "--dir", self.register_folder)
        self.run("programme", "init", "--dir", self.programme, "--name", name,
                 "--register-key", self.register_folder / "register.pub.pem")
        self.run("register", "open", "--dir", self.register_folder, "--programme", self.public)

    def run(self, *words, check=True):
        """mooring-factory WORDS; FactoryError unless it ends with 0."""
        argv = [str(word) for word in (self.program, *words)]
        done = subprocess.run(argv, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, env=self.environment)
        if check and done.returncode != 0:
            raise FactoryError(argv, done)
        return done

    def line(self, name, *stages, after=(), site=None, days=90, certify=(), key=None):
        """A new line that may do `stages`, certified, with its own record and those of the lines (names) that it follows."""
        made = self.lines[name] = Line(self, name, stages, after)
        self.run("line", "init", "--dir", made.folder, "--programme", self.public, *(["--key", key] if key else []))
        self.run("line", "certify", "--programme", self.programme, "--request", made.folder / "request.json", "--site", site or name,
                 "--stages", ",".join(map(str, stages)), "--days", days, "--out", made.record, *certify)
        self.run("line", "trust", "--dir", made.folder, made.record, *(self.lines[before].record for before in after))
        return made

    def order(self, line, stage, batch="B1", quota=100, until="+30d", name=None, **options):
        """An order for `line`; the file. options: previous=[names or ids], from_="-1h", register_within=S, first=True."""
        out = self.folder / (name or f"{line.name}.{batch}.{stage}.order")
        previous = options.pop("previous", line.after)
        words = [word for before in previous
                 for word in ("--previous", self.lines[before].record if before in self.lines else before)]
        words += options_as_words(options)
        self.run("order", "place", "--programme", self.programme, "--batch", batch, "--stage", stage, "--line", line.record,
                 "--quota", quota, "--until", until, "--out", out, *words)
        line.orders[batch, stage] = out
        self.orders.append(out)
        return out

    def build(self, devices, batch="B1", quota=None, lines=None, countersign="cose"):
        """Every stage of every line, in the order in which the lines were made, for all devices."""
        devices = list(devices)
        for line in lines or self.lines.values():
            for stage in line.stages:
                order = line.orders.get((batch, stage)) or self.order(line, stage, batch, quota or max(len(devices), 1))
                line.sign(order, *devices, countersign=countersign)
        self.devices += [device for device in devices if device not in self.devices]
        return devices

    def register(self, *files, devices=None, receipts=True):
        """Everything that there is (or `files`) goes into the register, and receipts into the chains of `devices` (all)."""
        files = files or [*(line.record for line in self.lines.values()), *self.orders,
                          *(line.outbox for line in self.lines.values() if any(line.outbox.iterdir()))]
        done = self.run("--json", "register", "add", "--dir", self.register_folder, *files)
        devices = self.devices if devices is None else devices
        if receipts and devices:
            self.run("register", "receipt", "--dir", self.register_folder, *devices)
        return json.loads(done.stdout)

    def export(self, after=0, out=None):
        """The entries for gateways (NDJSON); the file."""
        out = Path(out or self.folder / "register.ndjson")
        self.run("register", "export", "--dir", self.register_folder, "--after", after, "--out", out)
        return out


def chain_of(device):
    """The provenance chain that a device keeps, as bytes; b"" where it has none."""
    path = Path(device) / "normal/chain.cbor"
    return path.read_bytes() if path.exists() else b""
