"""Operations: what comes in, what waits, where it lies, what it costs, and who did what."""
