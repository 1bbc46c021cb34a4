"""S3: its client, and the checks that the buckets that the environment names can be used."""
