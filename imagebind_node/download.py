"""Downloads that can be resumed, over HTTP ranges (RFC 9110, section 14)."""

from __future__ import annotations

import http.client
import os
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from imagebind_node.errors import ModelFileError

Progress = Callable[[int, "int | None"], None]
TIMEOUT_SECONDS = 30.0
_BLOCK = 1 << 20


def fetch(url: str, part: Path, *, size: int | None, progress: Progress | None, hint: str) -> None:
    """Download `url` into `part`, going on where an earlier attempt stopped.

    size: the whole length in bytes if known; a server that offers another length is refused at once. `hint` ends
    every error message. Raises ModelFileError; what arrived stays in `part` for the next attempt.
    """
    if not url.startswith(("http://", "https://")):
        raise ModelFileError(f"cannot fetch {url}: only http and https addresses are supported; {hint}")
    have = part.stat().st_size if part.is_file() else 0
    if size is not None and have == size:
        return
    if size is not None and have > size:
        part.unlink()
        have = 0
    request = urllib.request.Request(url, headers={"User-Agent": "imagebind_node"})
    if have:
        request.add_header("Range", f"bytes={have}-")
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as response:
            _receive(response, part, have, size, progress, url)
    except urllib.error.HTTPError as error:
        if error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
            part.unlink(missing_ok=True)
            raise ModelFileError(
                f"{url} is shorter than what was fetched before: start again; {hint}"
            ) from error
        raise ModelFileError(
            f"cannot fetch {url}: the server answers {error.code} {error.reason}; {hint}"
        ) from error
    except (TimeoutError, urllib.error.URLError, http.client.HTTPException, ConnectionError) as error:
        reason = getattr(error, "reason", None) or error
        raise ModelFileError(
            f"cannot fetch {url}: no connection ({reason}); run the command again to resume, {hint}"
        ) from error
    except OSError as error:
        raise ModelFileError(f"cannot write {part}: {error.strerror or error}") from error


def _receive(
    response: http.client.HTTPResponse,
    part: Path,
    have: int,
    size: int | None,
    progress: Progress | None,
    url: str,
) -> None:
    resumed = response.status == http.client.PARTIAL_CONTENT
    if resumed and not (response.headers.get("Content-Range") or "").startswith(f"bytes {have}-"):
        raise ModelFileError(f"{url}: the server continues at another place than asked for: remove {part}")
    start = have if resumed else 0
    length = response.headers.get("Content-Length")
    total = start + int(length) if length and length.isdigit() else size
    if size is not None and total is not None and total != size:
        raise ModelFileError(f"{url} offers {total} bytes, expected {size}: it is another file")
    done = start
    with part.open("ab" if resumed else "wb") as file:
        while block := response.read(_BLOCK):
            file.write(block)
            done += len(block)
            if progress is not None:
                progress(done, total)
        file.flush()
        os.fsync(file.fileno())
    if total is not None and done != total:
        raise ConnectionError(f"the connection broke after {done} of {total} bytes")
