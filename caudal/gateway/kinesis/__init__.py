"""Kinesis Data Streams: each shard is a stream of one shard, so that shards come and go as Kinesis has it."""
