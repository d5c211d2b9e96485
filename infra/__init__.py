"""The cloud resources that the archive runs on, described once and created from that."""
