"""The few things of an archive that are not packs, in one file, and put back from it."""
