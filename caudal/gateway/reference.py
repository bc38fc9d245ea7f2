"""The reference of AWS operations, generated from the services: `python -m caudal.gateway.reference > docs/aws.md`."""

from importlib import import_module

from caudal.gateway.cloud import SERVICES, Service
from caudal.gateway.operations import load_model

HEAD = """# AWS's own APIs

`caudal up --aws` serves AWS's APIs on loopback, over the stages of the pipeline: any AWS client works with
`AWS_ENDPOINT_URL=http://127.0.0.1:4566` alone. It needs `pip install 'caudal[aws]'`, and no pipeline file: in an empty
folder AWS's APIs alone run, and what clients create lies in `caudal-data/` there. An operation is served in full, or
refused by its name with AWS's own `UnknownOperationException`; no answer is canned. This page is generated from
`caudal/gateway/`; a whole shop that names nothing but AWS is [examples/aws_shop](../examples/aws_shop/README.md).

The port speaks HTTP/1.1 and, for clients that begin with it, HTTP/2. Proven with boto3, the AWS command line, AWS's SDK for
JavaScript 3, awswrangler, PyAthena, PyIceberg's GlueCatalog and dbt-athena, unchanged: `tests/clients`.

S3 is SeaweedFS, a process beside the endpoint that starts with the first request for it; requests that are no other
service's are handed on to it as they are.

There is one account, `000000000000`, and one region, `[gateway] region`. Without `[gateway] credentials` every request is
answered whoever signed it, but only on this machine; with it, a wrong signature is refused. AWS's quotas are off unless
`caudal up --aws-limits` (or `[gateway] limits`) turns them on, so that code that waits and tries again can be tested; sizes of
items, records, pages and batches are AWS's always. With `caudal up --aws-disorder SEED` (or `[gateway] disorder`) DynamoDB's
changes come to Kinesis late and repeated, as AWS warns that they may, for whoever tests what reads them.

What was acknowledged is on the disk: the process may be killed at any time, and goes on where it was when it starts again.
Deliveries, crawls and event source mappings that were at work are repeated to the same end, not twice.

64 requests are worked on at once, and beside them up to 1,000 that wait for a program of the user's (Invoke, InvokeEndpoint):
what such a program asks of the endpoint waits for none of these. Ten calls of one Lambda function run at once; more do only
while those stand still, for they may be waiting for calls of their own.
"""


def reference() -> str:
    """The page, as Markdown."""
    return HEAD + "".join(_section(kind) for kind in _kinds())


def _kinds() -> list[type[Service]]:
    targets = (target.split(":") for target in SERVICES.values())
    return [getattr(import_module(module), kind) for module, kind in targets]


def _section(kind: type[Service]) -> str:
    names = sorted(load_model(kind.name).operation_names)
    served = [name for name in names if kind.serves(name)]
    refused = [name for name in names if not kind.serves(name)]
    first = (kind.__doc__ or "").strip().splitlines()[0]
    return f"\n## {kind.name}\n\n{first}\n\nServed: {_list(served)}.\n\nRefused: {_list(refused)}.\n"


def _list(names: list[str]) -> str:
    return ", ".join(names) or "none"


if __name__ == "__main__":
    print(reference(), end="")
