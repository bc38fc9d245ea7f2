"""The AWS endpoint over a pipeline without tables, as a process that may be killed: its folder is the argument."""

import sys
import threading

from caudal.config import Config, GatewayConfig
from caudal.gateway.server import Gateway
from caudal.pipeline import Pipeline

with Pipeline("shop").open(Config(folder=sys.argv[1], gateway=GatewayConfig(url="http://127.0.0.1:0"))) as stages:
    gateway = Gateway(stages)
    gateway.start()
    print(gateway.address, flush=True)
    threading.Event().wait()
