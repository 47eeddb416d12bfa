"""One writer at a time: a lock that dies with the process that holds it."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fesurrogate.errors import InputError

logger = logging.getLogger(__name__)
NAME = ".lock"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a folder, which is made if it is not there, until the block ends or the process does.

    The operating system holds the lock (``flock``), so that that of a killed run blocks nobody.

    Raises:
        InputError: Another run holds it.
        OSError: The folder cannot be written to.

    Note:
        Where the file system knows no locks, a warning says so and the block goes on.
    """
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder / NAME, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                holder = os.read(handle, 200).decode(errors="replace").strip() or "another run"
                raise InputError(
                    f"{folder} is being written by {holder}; wait for it to end, or name another "
                    "folder with --output"
                ) from None
            logger.warning("%s cannot be locked (%s); start no second run there", folder, error)
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
        yield
    finally:
        os.close(handle)
