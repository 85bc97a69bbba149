"""What was written lasts through a power cut."""

import errno
import os
from pathlib import Path

_UNABLE = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}


def flush(path: Path) -> None:
    """Flush a file, or the names in a folder, to disk.

    Windows cannot open folders and needs no such step for them. Some mounted drives (FUSE) flush files alone, and say
    of a folder that they cannot; nobody can do more there. Any other refusal is an error.
    """
    folder = path.is_dir()
    if os.name == "nt" and folder:
        return
    handle = os.open(path, os.O_RDONLY if folder else os.O_RDWR)  # Windows flushes only what may be written
    try:
        os.fsync(handle)
    except OSError as error:
        if not (folder and error.errno in _UNABLE):
            raise
    finally:
        os.close(handle)
