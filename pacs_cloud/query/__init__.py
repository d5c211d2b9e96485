"""Search over studies, series and instances, for QIDO-RS and C-FIND alike."""
