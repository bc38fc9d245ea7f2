"""Data Firehose: records from a stream, through a Lambda function, to objects in S3, each record once."""
