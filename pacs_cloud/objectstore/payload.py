"""The bytes of a put, which must not change under it."""


def unchanging(data: bytes | memoryview) -> bytes | memoryview:
    """Return `data`, copied where its owner could change it.

    A put that is cancelled may go on in its thread for a moment, while the
    caller already fills the buffer with something else.
    """
    if isinstance(data, bytes) or isinstance(data.obj, bytes):
        return data
    return bytes(data)
