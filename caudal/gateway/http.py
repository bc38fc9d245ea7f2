"""HTTP as the AWS endpoint speaks it: what is no HTTP at all is refused as AWS's clients can read it."""

import msgspec

from caudal.gateway.http2 import EitherProtocol


class AwsHttp(EitherProtocol):
    """HTTP/1.1 or HTTP/2, with an error of AWS's shape for what is neither."""

    def send_400_response(self, msg: str) -> None:
        body = msgspec.json.encode({"__type": "BadRequest", "message": msg, "Message": msg})
        head = (
            "HTTP/1.1 400 Bad Request\r\ncontent-type: application/x-amz-json-1.1\r\nx-amzn-errortype: BadRequest\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()
