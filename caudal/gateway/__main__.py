"""The part of `caudal up --aws`: `python -m caudal.gateway gateway pipeline.py`."""

import sys

from caudal.gateway.server import run_gateway
from caudal.parts import main

if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], run_gateway)
