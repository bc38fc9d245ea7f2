"""The AWS endpoint as a process of its own, which tests kill."""

import subprocess
import sys
from pathlib import Path

import boto3
from botocore.config import Config

SCRIPT = Path(__file__).with_name("endpoint.py")


class Endpoint:
    """A process that serves, and clients of it."""

    def __init__(self, folder):
        self.process = subprocess.Popen([sys.executable, str(SCRIPT), str(folder)], stdout=subprocess.PIPE, text=True)
        self.address = self.process.stdout.readline().strip()

    def client(self, service):
        once = Config(retries={"total_max_attempts": 1}, read_timeout=20)
        return boto3.client(service, endpoint_url=self.address, region_name="us-east-1", aws_access_key_id="k", aws_secret_access_key="s", config=once)

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
