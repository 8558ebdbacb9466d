"""Downloads of single files."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pooch
import requests

from dmcore.errors import UserError
from doublemargin.experiment.sources.places import MissingError

RETRIES = 3
"""How often a failed or damaged download is tried again, after 1, 2, 3 … seconds."""


def download(url: str, path: Path, pin: Mapping[str, str]) -> Path:
    """Downloads a file to where none is; whole or not at all.

    A broken connection, a server's error, a truncated or damaged file are tried again; a missing file is not.
    """
    pooch.get_logger().setLevel(logging.WARNING)
    hashes = [f"{kind}:{pin[kind]}" for kind in ("sha256", "md5") if kind in pin]
    fetcher = pooch.create(
        path.parent, "", registry={path.name: next(iter(hashes), None)}, urls={path.name: url}, retry_if_failed=RETRIES
    )
    try:
        fetcher.fetch(path.name, downloader=_Download(progressbar=sys.stderr.isatty(), chunk_size=2**20, timeout=30))
    except (requests.RequestException, ValueError, OSError) as error:
        reason = getattr(error.args[0] if error.args else error, "reason", error)  # without urllib3's wrapping
        raise UserError(f"{url}: {' '.join(str(reason).split())[:200]}") from error
    path.chmod(0o644)  # pooch's own mode would hide the file from a group
    return path


class _Download(pooch.HTTPDownloader):
    """pooch's downloader, which would try again for a file that the server does not have."""

    def __call__(self, url: str, output_file: str, *args: Any, **options: Any) -> bool | None:
        print(f"downloading {url}", file=sys.stderr, flush=True)
        try:
            return super().__call__(url, output_file, *args, **options)
        except requests.HTTPError as error:
            error.response.close()
            if error.response.status_code in (403, 404, 410):
                raise MissingError(f"{url}: {error.response.status_code} {error.response.reason}") from error
            raise
