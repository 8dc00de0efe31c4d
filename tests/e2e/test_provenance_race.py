"""More devices than were ordered come at once, from two sides, and the gateway dies in between: as many enrol as were ordered.

MOORING_RACE=DEVICES:QUOTA makes it larger (60:12).
"""

import multiprocessing
import os
import time

from attester import Client, b64url_decode, published
from conftest import configure, start_services
from stack import wait_until
from supply_chain import Factory
from test_provenance import add

DEVICES, QUOTA = map(int, os.environ.get("MOORING_RACE", "60:12").split(":"))
COME_LATER = 429, 502, 503


def try_once(client, device):
    """The answer for good; None: nobody is there, or says to come later."""
    try:
        status, _, answer = client.post("/v1/challenges", {})
        if status == 201:
            status, _, answer = client.enrol(device, nonce=b64url_decode(answer["nonce"]))
    except OSError:
        return None
    if status in COME_LATER:
        return None
    assert status in (200, 201, 403), (status, answer)
    return status


def enrol_all(stack, devices, landed):
    """Each device asks until it has an answer for good."""
    client = Client(stack)
    for device in devices:
        while not (status := try_once(client, device)):
            time.sleep(0.05)  # as a device would: it is asked again until it is there
        with landed.get_lock():
            landed[0] += 1
            landed[1] += status != 403


def test_exactly_as_many_enrol_as_were_ordered(cold):
    factory = Factory(cold.folder)
    configure(cold, "gateway", provenance=f"[{factory.device_class(freeze_on_equivocation=False)}]", rate_per_device=6000)
    start_services(cold)
    add(cold, *factory.line_records(), *factory.orders(quota=QUOTA))
    devices = [factory.make(device, n % QUOTA + 1) for n, device in enumerate(published(cold, DEVICES))]
    context = multiprocessing.get_context("fork")
    landed = context.Array("i", 2)
    clients = [context.Process(target=enrol_all, args=(cold, part, landed)) for part in (devices[::2], devices[1::2][::-1])]
    for client in clients:
        client.start()

    def have_come(count):
        assert all(client.exitcode in (None, 0) for client in clients)
        return landed[0] >= count

    try:
        for part in (DEVICES // 10, DEVICES // 3):
            wait_until(lambda part=part: have_come(part), "devices have come", 600)
            cold.daemons["gateway"].kill()
            cold.start("gateway").services_ready()
        for client in clients:
            client.join()
    finally:
        for client in clients:
            client.terminate()
    assert [client.exitcode for client in clients] == [0, 0]
    assert landed[:] == [DEVICES, QUOTA]
    assert [order["used"] for order in cold.ctl_json("order", "list")["orders"]] == [QUOTA] * 5
