"""STS: who is asking. There is one account, and whoever reaches the endpoint is its root."""

from caudal.gateway.cloud import ACCOUNT, Service


class Sts(Service):
    """Who asks: GetCallerIdentity."""

    name = "sts"

    def get_caller_identity(self) -> dict[str, str]:
        return {"UserId": ACCOUNT, "Account": ACCOUNT, "Arn": f"arn:aws:iam::{ACCOUNT}:root"}
