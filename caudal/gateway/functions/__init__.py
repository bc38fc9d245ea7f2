"""Lambda: functions from zip files, run in worker processes of their own, and the streams that feed them."""
