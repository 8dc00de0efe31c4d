"""More devices than were ordered come at once, from two sides, and the gateway dies in between: as many enrol as were ordered.

MOORING_RACE=DEVICES:QUOTA makes it larger (60:12).
"""

import multiprocessing
import os
import time

from attester import Client, published
from conftest import configure, start_services
from stack import wait_until
from supply_chain import Factory
from test_provenance import add

DEVICES, QUOTA = map(int, os.environ.get("MOORING_RACE", "60:12").split(":"))


def enrol_all(stack, devices, landed):
    """Each device asks until it has an answer for good."""
    client = Client(stack)
    for device in devices:
        while True:
            try:
                status = client.enrol(device)[0]
            except (OSError, AssertionError):
                status = 0
            if status in (200, 201, 403):
                break
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
    for part in (DEVICES // 10, DEVICES // 3):
        wait_until(lambda part=part: landed[0] >= part, "devices have come", 600)
        cold.daemons["gateway"].kill()
        cold.start("gateway").services_ready()
    for client in clients:
        client.join()
    assert landed[:] == [DEVICES, QUOTA]
    assert [order["used"] for order in cold.ctl_json("order", "list")["orders"]] == [QUOTA] * 5
