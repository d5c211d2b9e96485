"""What is deleted: hidden, marked, restored or purged."""
