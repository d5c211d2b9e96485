"""A small made-up hospital to train on: patients who never lived, bodies that are none."""
