"""Everything up on fixed ports until Ctrl-C, in ./run; started again, it goes on with the same keys and devices."""

import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

from stack import FIXED_PORTS, REPO, ROOT, Stack, StackError


def folder():
    """./run; but the daemons' own users must be able to enter it, and nobody may enter /root."""
    if ROOT and not all(p.stat().st_mode & 0o001 for p in (REPO, *REPO.parents)):
        return Path("/var/lib/mooring-run")
    return REPO / "run"


def make_thermometers(stack, run):
    if (stack.folder / "factory/B1").exists():
        return ""
    return f"""
  # make two thermometers in the factory, publish their records
  mooring-factory make --count 2 --dir {run}/factory/B1 --batch B1
  mooring-factory publish {run}/factory/B1/records.ndjson --endpoint {stack.attestation} \\
      --ca {run}/pki/attestation-ca.pem --key {run}/pki/vendor-admin.json
"""


def begin_provenance(stack):
    configured = (stack.folder / "config/gateway.yaml").read_text().splitlines()
    if any(line.startswith("provenance:") for line in configured):
        return ""
    return """
  # no device is asked yet on whose lines it was built: docs/provenance.md begins a programme and asks
  mooringctl provenance status
  mooring-factory --help
"""


def how_to_talk(stack):
    run = stack.folder.name
    as_root = "; as root it warns that it stays root" if ROOT else ""
    return f"""
Mooring is up. In another terminal:

  cd {shlex.quote(str(stack.folder.parent))} && . {run}/env    # PATH, and where everything is
  mooringctl devices
  mooringctl --help
{make_thermometers(stack, run)}
  # power one on{as_root}
  mooring-device run --dir {run}/factory/B1/1 --gateway {stack.origin} \\
      --ca {run}/pki/root.pem --mqtt 127.0.0.1:{stack.ports['mqtt']}

  # in a third one, after the same first line: read the telemetry with a stock client
  mosquitto_sub -h 127.0.0.1 -p {stack.ports['mqtt']} --cafile {run}/pki/root.pem -i telemetry-1 -t 'dt/#' -v \\
      --cert {run}/backend/telemetry-1.pem --key {run}/backend/telemetry-1.key

  # in a fourth one, likewise: cut it off; `mooringctl devices` shows its name
  mooringctl revoke THING --reason key-compromise
{begin_provenance(stack)}
Logs: {stack.folder}/log. Ctrl-C ends it, `make run` goes on from there, `rm -r {stack.folder}` forgets it.
"""


def check(where):
    """Says what would otherwise be found in a daemon's log."""
    if where.exists() and where.stat().st_uid != os.geteuid():
        raise StackError(f"{where} belongs to user {where.stat().st_uid}: run as that user, or remove it")
    for port in FIXED_PORTS.values():
        with socket.socket() as s:
            if s.connect_ex(("127.0.0.1", port)) == 0:
                raise StackError(f"port {port} is taken: is another `make run` up?")


def register_back_end(stack):
    """Once: the certificate that reads telemetry."""
    certificate = stack.folder / "backend/telemetry-1"
    if any(s["name"] == certificate.name for s in stack.ctl_json("service", "list")["services"]):
        return
    shutil.rmtree(certificate.parent, ignore_errors=True)
    certificate.parent.mkdir()
    stack.issue(certificate.name, "--client", "--role", "backend", out=certificate)
    stack.ctl("service", "add", f"{certificate}.pem", "--name", certificate.name,
              "--policy", stack.folder / "config/shared/policy-reader.json")


def up(stack):
    if (stack.pki / "vendor-admin.json").exists():  # the last thing that is made
        shutil.copy(stack.program("mosquitto_mooring.so"), stack.folder / "config")  # it may have been built anew
        stack.make_daemons()
    else:
        shutil.rmtree(stack.folder, ignore_errors=True)
        stack.prepare()
    stack.write_env()
    stack.start().ready()
    register_back_end(stack)


def main():
    try:
        check(folder())
        with Stack(folder(), fixed_ports=True) as stack:
            up(stack)
            # Only now: a blocked signal would be inherited by the daemons.
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
            print(how_to_talk(stack), flush=True)
            signal.sigwait({signal.SIGINT, signal.SIGTERM})
    except KeyboardInterrupt:
        return 130
    except (StackError, subprocess.SubprocessError, OSError) as error:
        print(f"make run: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
