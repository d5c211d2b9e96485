"""OHIF at /viewer/: found, fitted to its place, and served."""
