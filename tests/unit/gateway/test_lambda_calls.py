"""Functions that call the endpoint while they run: many at once wait for nobody but AWS's limit."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.unit.gateway.conftest import endpoint
from tests.unit.gateway.zips import zipped

pytestmark = pytest.mark.slow

CODE = """
import json, os, time, urllib.request

def ask(target, kind, **members):
    headers = {"X-Amz-Target": target, "Content-Type": f"application/x-amz-json-{kind}"}
    request = urllib.request.Request(os.environ["AWS_ENDPOINT_URL"], json.dumps(members).encode(), headers)
    return json.load(urllib.request.urlopen(request, timeout=60))

def lists(event, context):
    return ask("DynamoDB_20120810.ListTables", "1.0")["TableNames"]

def nests(event, context):
    if event == 1:
        return 1
    path = f"/2015-03-31/functions/{context.function_name}/invocations"
    request = urllib.request.Request(os.environ["AWS_ENDPOINT_URL"] + path, json.dumps(event - 1).encode())
    return 1 + json.load(urllib.request.urlopen(request, timeout=60))

def waits(event, context):
    time.sleep(event)
"""
MANY = 80
"""More than requests are worked on at once."""


@pytest.fixture(scope="module")
def functions(tmp_path_factory):
    with endpoint(tmp_path_factory.mktemp("lambda")) as aws:
        aws.client("dynamodb").create_table(
            TableName="shop", KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}], BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}])
        config = Config(retries={"total_max_attempts": 1}, read_timeout=100, max_pool_connections=MANY)
        client = aws.client("lambda", config=config)
        for handler in ("lists", "nests", "waits"):
            client.create_function(
                FunctionName=handler, Runtime="python3.12", Role="arn:aws:iam::000000000000:role/r", Handler=f"main.{handler}",
                Code={"ZipFile": zipped(CODE)}, Timeout=60)
        client.aws = aws
        yield client


def call(functions, name, payload):
    answer = functions.invoke(FunctionName=name, Payload=json.dumps(payload))
    return answer.get("FunctionError"), json.loads(answer["Payload"].read())


def test_more_functions_than_requests_at_once_call_back(functions):
    with ThreadPoolExecutor(MANY) as threads:
        found = list(threads.map(lambda n: call(functions, "lists", n), range(MANY)))
    assert found == [(None, ["shop"])] * MANY


def test_a_function_may_call_itself_deeper_than_calls_run_at_once(functions):
    assert call(functions, "nests", 12) == (None, 12)


def test_several_at_once_may_call_themselves(functions):
    """Each of the first ten waits for a call of which there may be ten at once."""
    with ThreadPoolExecutor(12) as threads:
        assert list(threads.map(lambda n: call(functions, "nests", 2), range(12))) == [(None, 2)] * 12


def test_one_too_many_is_refused_as_aws_does(functions, monkeypatch):
    monkeypatch.setattr("caudal.gateway.app.CALLS", 3)
    with ThreadPoolExecutor(3) as threads:
        running = [threads.submit(call, functions, "waits", 4) for _ in range(3)]
        while functions.aws.gateway._app._calling < 3:
            pass
        with pytest.raises(ClientError) as refused:
            call(functions, "waits", 0)
        assert [one.result() for one in running] == [(None, None)] * 3
    answer = refused.value.response
    assert (answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]) == ("TooManyRequestsException", 429)
    assert answer["Reason"] == "ConcurrentInvocationLimitExceeded"
    assert call(functions, "waits", 0) == (None, None)
