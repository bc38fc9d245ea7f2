"""S3: SeaweedFS as a process of its own beside the endpoint, which hands S3's requests on to it."""
