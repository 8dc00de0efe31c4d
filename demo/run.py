"""Everything up on fixed ports until Ctrl-C, in ./run; started again, it goes on with the same keys and devices."""

import shutil
import signal
import sys
from pathlib import Path

from stack import REPO, Stack, StackError

FOLDER = REPO / "run"


def how_to_talk(stack):
    ctl = stack.program("mooringctl")
    return f"""
Mooring is up. In another terminal:

  export MOORING_ENDPOINT={stack.admin} MOORING_CA={stack.pki}/root.pem MOORING_KEY={stack.pki}/admin.json
  {ctl} devices
  {ctl} --help

  # make two thermometers in the factory, publish their records, power one on
  {stack.program('mooring-factory')} make --count 2 --dir {stack.folder}/factory/B1 --batch B1
  {stack.program('mooring-factory')} publish {stack.folder}/factory/B1/records.ndjson --endpoint {stack.attestation} \\
      --ca {stack.pki}/attestation-ca.pem --key {stack.pki}/vendor-admin.json
  {stack.program('mooring-device')} run --dir {stack.folder}/factory/B1/1 --gateway {stack.origin} \\
      --ca {stack.pki}/root.pem --mqtt 127.0.0.1:{stack.ports['mqtt']}

  # read the telemetry with a stock client
  mosquitto_sub -h 127.0.0.1 -p {stack.ports['mqtt']} --cafile {stack.pki}/root.pem --cert {stack.folder}/backend/telemetry-1.pem \\
      --key {stack.folder}/backend/telemetry-1.key -i telemetry-1 -t 'dt/#' -v

  # and cut it off
  {ctl} revoke THING --reason key-compromise

Logs: {stack.folder}/log. Ctrl-C ends it; `rm -r {stack.folder}` forgets it.
"""


def main():
    stack = Stack(FOLDER, fixed_ports=True)
    fresh = not (FOLDER / "pki").exists()
    if fresh:
        shutil.rmtree(FOLDER, ignore_errors=True)
        stack.prepare()
    else:
        stack.make_daemons()
    with stack:
        try:
            stack.start().ready()
            if fresh:
                (FOLDER / "backend").mkdir()
                stack.issue("telemetry-1", "--client", "--role", "backend", out=FOLDER / "backend/telemetry-1")
                stack.ctl("service", "add", FOLDER / "backend/telemetry-1.pem", "--name", "telemetry-1",
                          "--policy", FOLDER / "config/shared/policy-reader.json")
        except StackError as error:
            print(error, file=sys.stderr)
            return 1
        # Only now: a blocked signal would be inherited by the daemons.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
        print(how_to_talk(stack), flush=True)
        signal.sigwait({signal.SIGINT, signal.SIGTERM})
    return 0


if __name__ == "__main__":
    sys.exit(main())
