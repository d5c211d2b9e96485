"""Instances that contradict each other: listed, compared, and chosen between."""
