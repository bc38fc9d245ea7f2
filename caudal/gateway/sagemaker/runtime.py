"""The SageMaker Runtime API: InvokeEndpoint."""

from typing import Any

from caudal.gateway.cloud import Service, refuse
from caudal.gateway.faults import AwsError

BODY_BYTES = 6_291_456


class SageMakerRuntime(Service):
    """Asks the models of an endpoint."""

    name = "sagemaker-runtime"
    quick = frozenset({"InvokeEndpoint"})
    programs = {"InvokeEndpoint": "ThrottlingException"}

    def invoke_endpoint(
        self, *, EndpointName: str, Body: bytes = b"", ContentType: str = "application/octet-stream", Accept: str = "*/*",
        CustomAttributes: str = "", TargetVariant: str = "", InferenceId: str = "", **other: Any,
    ) -> dict[str, Any]:
        refuse(other, "ValidationError")
        if len(Body) > BODY_BYTES:
            raise AwsError("ValidationError", f"the body has {len(Body)} bytes: {BODY_BYTES} are the most")
        headers = {"content-type": ContentType, "accept": Accept}
        if CustomAttributes:
            headers["x-amzn-sagemaker-custom-attributes"] = CustomAttributes
        variant, reply = self.cloud.service("sagemaker").invoke(EndpointName, Body, headers, TargetVariant)
        if not 200 <= reply.status < 300:
            told = reply.body.decode("utf-8", "replace")
            side = "client" if reply.status < 500 else "server"
            message = f'Received {side} error ({reply.status}) from primary with message "{told}".'
            raise AwsError("ModelError", message, status=424, OriginalStatusCode=reply.status, OriginalMessage=told)
        return {"Body": reply.body, "ContentType": reply.content_type, "InvokedProductionVariant": variant}
