"""S3, its client and the checks that its buckets can be used; checksums, by which what is read is what was written."""
