"""The process that syncs files for another one, which sends it their descriptors.

`sync_process` starts this file as a program, with nothing but the standard library, and a
Unix socket as its standard input. A request is 4 bytes of the sender's choice with one
or two descriptors: of a file to be synced, then of a directory. The answer is the same
4 bytes and an errno (0: durable). It ends when its peer has gone, and with the first
surprise: what it has not answered then counts as failed.
"""

import array
import errno
import os
import signal
import socket
import struct
import sys
import threading
import traceback

TAG_BYTES = 4
ERROR = struct.Struct("=i")
_DESCRIPTOR_BYTES = array.array("i").itemsize
_ROOM = socket.CMSG_SPACE(2 * _DESCRIPTOR_BYTES)


def serve(peer: socket.socket) -> None:
    """Answer requests until `peer` closes."""
    while True:
        tag, ancillary, flags, _ = peer.recvmsg(TAG_BYTES, _ROOM)
        if not tag:
            return
        descriptors = array.array("i")
        for _, _, data in ancillary:
            descriptors.frombytes(data[: len(data) // _DESCRIPTOR_BYTES * _DESCRIPTOR_BYTES])
        # The kernel drops descriptors that we have no number left for.
        whole = bool(descriptors) and not flags & socket.MSG_CTRUNC
        number = _sync(descriptors) if whole else errno.EMFILE
        for descriptor in descriptors:
            os.close(descriptor)
        try:
            peer.send(tag + ERROR.pack(number))
        except (BrokenPipeError, ConnectionResetError):
            return


def _sync(descriptors: "array.array[int]") -> int:
    try:
        os.fdatasync(descriptors[0])
        for directory in descriptors[1:]:
            os.fsync(directory)
    except OSError as error:
        return error.errno or errno.EIO
    return 0


def _serve_or_end(peer: socket.socket) -> None:
    try:
        serve(peer)
    except BaseException:  # noqa: BLE001 - the outermost edge: the peer is told by our end
        traceback.print_exc()
        os._exit(1)


def main() -> None:
    """Serve on standard input, on as many threads as the first argument says."""
    # Whoever stops the archive stops the sender; what that still syncs is answered.
    for stop in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(stop, signal.SIG_IGN)
    peer = socket.socket(fileno=0)
    for _ in range(int(sys.argv[1])):
        threading.Thread(target=_serve_or_end, args=(peer,)).start()


if __name__ == "__main__":
    main()
