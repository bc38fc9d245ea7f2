"""`python -m caudal.cli` is `caudal`."""

from caudal.cli import main

main()
