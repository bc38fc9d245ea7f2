"""Lambda as boto3 sees it: real processes, real limits."""

import base64
import io
import json
import stat
import time
import zipfile

import pytest
from botocore.exceptions import ClientError

from tests.unit.gateway.conftest import endpoint
from tests.unit.gateway.zips import zipped

pytestmark = pytest.mark.slow

CODE = """
import os, sys, time
calls = 0

def hello(event, context):
    global calls
    calls += 1
    print("asked", event.get("name"))
    return {"hello": event.get("name"), "calls": calls, "who": context.function_name, "id": len(context.aws_request_id),
            "left": context.get_remaining_time_in_millis(), "colour": os.environ.get("COLOUR"), "secret": os.environ.get("SECRET")}

def fails(event, context):
    raise ValueError("no such thing")

def hangs(event, context):
    time.sleep(60)

def leaks(event, context):
    kept = bytearray(900 << 20)
    kept[::4096] = b"x" * len(kept[::4096])
    time.sleep(10)

def exits(event, context):
    sys.exit(3)

def dies(event, context):
    os.kill(os.getpid(), 9)

def odd(event, context):
    return {1, 2}

def calls_back(event, context):
    import boto3
    return boto3.client("sts").get_caller_identity()["Account"]
"""


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch, endpoint(tmp_path_factory.mktemp("lambda")) as aws:
        patch.setenv("SECRET", "of the shop")
        yield aws


@pytest.fixture
def functions(opened):
    client = opened.client("lambda")
    yield client
    for function in client.list_functions()["Functions"]:
        client.delete_function(FunctionName=function["FunctionName"])


def make(functions, handler="hello", **more):
    return functions.create_function(
        FunctionName="f", Runtime="python3.12", Role="arn:aws:iam::000000000000:role/r", Handler=f"main.{handler}",
        Code={"ZipFile": zipped(CODE)}, **more,
    )


def call(functions, payload=None, **more):
    answer = functions.invoke(FunctionName="f", Payload=json.dumps(payload or {}), **more)
    return answer, json.loads(answer["Payload"].read() or b"null")


def refused(call, **members):
    with pytest.raises(ClientError) as error:
        call(**members)
    return error.value.response["Error"]["Code"]


def test_a_function_answers_and_stays_warm(functions):
    made = make(functions, Environment={"Variables": {"COLOUR": "red"}}, Timeout=10)
    assert (made["State"], made["CodeSize"], made["FunctionArn"]) == ("Active", len(zipped(CODE)), "arn:aws:lambda:us-east-1:000000000000:function:f")
    answer, first = call(functions, {"name": "ann"}, LogType="Tail")
    assert (answer["StatusCode"], answer["ExecutedVersion"]) == (200, "$LATEST")
    assert first == {"hello": "ann", "calls": 1, "who": "f", "id": 36, "left": first["left"], "colour": "red", "secret": None}
    assert 8000 < first["left"] <= 10000
    log = base64.b64decode(answer["LogResult"]).decode()
    assert log.startswith("START RequestId: ")
    assert "asked ann\n" in log
    assert call(functions, {"name": "bob"})[1]["calls"] == 2


@pytest.mark.parametrize(("handler", "kind", "message"), [
    ("fails", "ValueError", "no such thing"),
    ("exits", "Runtime.ExitError", "exit status 3"),
    ("dies", "Runtime.ExitError", "SIGKILL"),
    ("odd", "Runtime.MarshalError", "Unable to marshal response"),
    ("nothing", "Runtime.HandlerNotFound", "Handler 'nothing' missing on module 'main'"),
])
def test_what_goes_wrong_in_a_function_is_told_in_lambdas_words(functions, handler, kind, message):
    make(functions, handler)
    answer, told = call(functions)
    assert (answer["StatusCode"], answer["FunctionError"], told["errorType"]) == (200, "Unhandled", kind)
    assert message in told["errorMessage"]
    if kind == "ValueError":
        assert "raise ValueError" in told["stackTrace"][-1]
    assert call(functions)[1]["errorType"] == kind


def test_a_function_that_hangs_is_ended_and_the_next_call_is_answered(functions):
    make(functions, "hangs", Timeout=1)
    assert call(functions)[1]["errorType"] == "Sandbox.Timedout"
    functions.update_function_configuration(FunctionName="f", Handler="main.hello")
    assert call(functions, {"name": "x"})[1]["hello"] == "x"


@pytest.mark.slow
def test_a_function_that_takes_too_much_memory_is_ended(functions):
    make(functions, "leaks", Timeout=20, MemorySize=256)
    assert call(functions)[1]["errorType"] == "Runtime.OutOfMemory"


def test_a_function_calls_the_endpoint_with_no_setting_of_its_own(functions):
    make(functions, "calls_back", Timeout=20)
    assert call(functions)[1] == "000000000000"


def test_new_code_is_what_runs_next(functions):
    make(functions)
    old = call(functions)[1]["calls"]
    functions.update_function_code(FunctionName="f", ZipFile=zipped("def hello(event, context):\n    return 'new'\n"))
    assert (old, call(functions)[1]) == (1, "new")


def test_code_comes_from_s3_too(opened, functions):
    s3 = opened.client("s3")
    s3.create_bucket(Bucket="code")
    s3.put_object(Bucket="code", Key="f.zip", Body=zipped(CODE))
    functions.create_function(FunctionName="f", Runtime="python3.11", Role="arn:aws:iam::000000000000:role/r", Handler="main.hello",
                              Code={"S3Bucket": "code", "S3Key": "f.zip"})
    assert call(functions, {"name": "s3"})[1]["hello"] == "s3"


def test_an_event_is_called_later_and_tried_again(functions, tmp_path):
    code = f"""
from pathlib import Path
def hello(event, context):
    with open({str(tmp_path / "seen")!r}, "a") as file:
        file.write(event["n"])
    if len(Path({str(tmp_path / "seen")!r}).read_text()) < 2:
        raise OSError
"""
    functions.create_function(FunctionName="f", Runtime="python3.11", Role="arn:aws:iam::000000000000:role/r", Handler="main.hello",
                              Code={"ZipFile": zipped(code)})
    assert functions.invoke(FunctionName="f", InvocationType="Event", Payload=b'{"n": "a"}')["StatusCode"] == 202
    until = time.monotonic() + 10
    while not (tmp_path / "seen").exists() or (tmp_path / "seen").read_text() != "aa":
        assert time.monotonic() < until
        time.sleep(0.02)


def linked():
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        entry = zipfile.ZipInfo("link")
        entry.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(entry, "/etc/passwd")
    return out.getvalue()


@pytest.mark.parametrize("code", [b"no zip", b"", zipped("x", name="../../out.py"), zipped("x", name="/etc/out.py"), linked()],
                         ids=["text", "empty", "above", "root", "link"])
def test_a_zip_that_is_none_or_leads_out_is_refused(functions, code):
    asked = {"FunctionName": "f", "Runtime": "python3.11", "Role": "arn:aws:iam::000000000000:role/r", "Handler": "main.hello"}
    assert refused(functions.create_function, **asked, Code={"ZipFile": code}) == "InvalidParameterValueException"


@pytest.mark.parametrize("changes", [
    {"Runtime": "nodejs20.x"}, {"Handler": "main"}, {"Layers": ["arn:aws:lambda:us-east-1:123456789012:layer:l:1"]}, {"PackageType": "Image"}, {"Publish": True},
])
def test_what_is_not_served_is_refused(functions, changes):
    asked = {"FunctionName": "f", "Runtime": "python3.11", "Role": "arn:aws:iam::000000000000:role/r", "Handler": "main.hello",
             "Code": {"ZipFile": zipped(CODE)}}
    assert refused(functions.create_function, **asked | changes) == "InvalidParameterValueException"


def test_functions_are_listed_found_changed_and_removed(functions):
    make(functions)
    assert refused(make, functions=functions) == "ResourceConflictException"
    arn = functions.list_functions()["Functions"][0]["FunctionArn"]
    assert functions.get_function(FunctionName=arn)["Configuration"]["Timeout"] == 3
    changed = functions.update_function_configuration(FunctionName=arn, Timeout=9)
    assert refused(functions.update_function_configuration, FunctionName="f", Timeout=8, RevisionId="old") == "PreconditionFailedException"
    assert functions.update_function_configuration(FunctionName="f", Timeout=8, RevisionId=changed["RevisionId"])["Timeout"] == 8
    functions.delete_function(FunctionName="f")
    assert refused(functions.invoke, FunctionName="f") == "ResourceNotFoundException"
    assert refused(functions.get_function, FunctionName="f:3") == "ResourceNotFoundException"


def test_a_function_is_there_after_a_restart(tmp_path):
    with endpoint(tmp_path) as aws:
        make(aws.client("lambda"))
    with endpoint(tmp_path) as aws:
        assert call(aws.client("lambda"), {"name": "again"})[1]["hello"] == "again"
