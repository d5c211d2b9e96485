"""Benchmarks beside real peers."""
