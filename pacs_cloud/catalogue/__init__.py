"""What is stored, as small records that can be searched; rebuilt from the buckets alone."""
