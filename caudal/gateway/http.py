"""HTTP as the AWS endpoint speaks it: what is no HTTP at all is refused as AWS's clients can read it."""

import msgspec

from caudal.serve.server import Quiet


class AwsHttp(Quiet):
    """The protocol of every server of ours, with an error of AWS's shape."""

    def send_400_response(self, msg: str) -> None:
        body = msgspec.json.encode({"__type": "BadRequest", "message": msg, "Message": msg})
        head = (
            "HTTP/1.1 400 Bad Request\r\ncontent-type: application/x-amz-json-1.1\r\nx-amzn-errortype: BadRequest\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()
