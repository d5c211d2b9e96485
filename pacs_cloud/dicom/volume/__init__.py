"""Stacks of slices as volumes: geometry, assembly, planes, projections and views; all pure."""
