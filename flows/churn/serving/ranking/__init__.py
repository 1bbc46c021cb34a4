"""Lists of any number of customers: read part by part, scored shard by shard, and merged on disk."""
