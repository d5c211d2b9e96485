"""Stored instances, frames and headers on their way out."""
