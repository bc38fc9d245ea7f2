"""What `caudal up --aws` needs beside AWS's clients: a pipeline, here one without tables of its own."""

from caudal import Pipeline

shop = Pipeline("shop")
