"""Starts MiniStack for a rehearsal, by xtask/src/cluster/rehearsal/mod.rs, which also sets what its variables say.

MiniStack starts a cluster's container with every privilege and publishes it on every interface, and listens on one
address. Here it listens on loopback, for the pipeline, and on Docker's bridge, for the clusters; a cluster is published
on loopback alone, has no privileges, and gets the engine's socket and a directory, because its pods run beside it. What
MiniStack does not know of EKS is answered by standin.py.
"""

import asyncio
import fcntl
import os
import socket as udp
import struct
import sys

import docker
from docker.models.containers import ContainerCollection
from hypercorn.asyncio import serve
from hypercorn.config import Config

directory, socket = sys.argv[1:3]
clusters = os.path.join(directory, "clusters")
create = ContainerCollection.create


def confined(self, image, command=None, **wanted):
    if wanted.get("labels", {}).get("ministack") == "eks":
        for key in ("privileged", "cap_add", "devices", "security_opt", "tmpfs"):
            wanted.pop(key, None)
        wanted["ports"] = {inside: ("127.0.0.1", outside) for inside, outside in wanted["ports"].items()}
        # The same path on both sides: the engine mounts what is below it into pods.
        wanted["volumes"] = {
            socket: {"bind": "/var/run/docker.sock", "mode": "rw"},
            clusters: {"bind": clusters, "mode": "rw"},
        }
        wanted["labels"]["dev.slipway.directory"] = directory
        # Emulators of two checkouts share the engine, and their clusters may be called the same.
        wanted["name"] += "-" + os.environ["GATEWAY_PORT"]
    try:
        return create(self, image, command, **wanted)
    except Exception as error:
        # MiniStack takes any error for a missing image, and says only that it cannot be pulled.
        print(f"the engine refuses a container of {image}: {error}", file=sys.stderr, flush=True)
        raise


ContainerCollection.create = confined


def address_of(interface):
    """The interface's IPv4 address (netdevice(7), SIOCGIFADDR): Docker does not always say which it gave its bridge."""
    with udp.socket(udp.AF_INET, udp.SOCK_DGRAM) as probe:
        answer = fcntl.ioctl(probe, 0x8915, struct.pack("256s", interface.encode()[:15]))
    return udp.inet_ntoa(answer[20:24])


bridge = docker.from_env().networks.get("bridge").attrs["Options"]["com.docker.network.bridge.name"]

from ministack.app import app  # noqa: E402  it reads its variables and may start containers
from standin import StandIn  # noqa: E402

config = Config()
config.bind = [f"{host}:{os.environ['GATEWAY_PORT']}" for host in ("127.0.0.1", address_of(bridge))]
config.keep_alive_timeout = 75
asyncio.run(serve(StandIn(app), config))
