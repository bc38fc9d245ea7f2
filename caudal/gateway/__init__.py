"""The AWS endpoint: AWS's own APIs on loopback, over the same ports as everything else."""
