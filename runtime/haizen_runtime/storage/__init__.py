"""Fetching models: http(s), s3, gs, Azure Blob, the Hugging Face hub and local paths, safely and resumably."""

from haizen_runtime.storage.errors import Cancelled, ChecksumMismatch, DownloadError
from haizen_runtime.storage.fetching import fetch, fetch_all
from haizen_runtime.storage.limits import AddressPolicy, Limits
from haizen_runtime.storage.sources import ProgressCallback

__all__ = [
    "AddressPolicy",
    "Cancelled",
    "ChecksumMismatch",
    "DownloadError",
    "Limits",
    "ProgressCallback",
    "fetch",
    "fetch_all",
]
