"""The store as the configuration describes it, for the server and for those who look after it."""

from __future__ import annotations

from typing import Any

from mailplat.app.parts import make_blobs, make_store
from mailplat.config.options import Configuration
from mailplat.interfaces.plugins import BlobSettings, StoreSettings
from mailplat.interfaces.store import Folder, IStore
from mailplat.message.scan import ScanLimits
from mailplat.model.mailbox import QuotaLimit, SpecialUse

__all__ = ["scan_limits_of", "store_of"]


def store_of(configuration: Configuration, reactor: Any) -> IStore:
    """Make the store; it is not opened.

    Raises:
        ConfigurationFault: It cannot be made of what the configuration says.
    """
    accounts, bodies = configuration.accounts, configuration.bodies
    directory = str(configuration.server.data_directory)
    blobs = make_blobs(
        bodies.use,
        BlobSettings(
            reactor,
            directory,
            access_key=bodies.s3_access_key,
            secret_key=bodies.s3_secret_key.reveal() if bodies.s3_secret_key is not None else "",
            region=bodies.s3_region,
            timeout=bodies.s3_timeout,
            tries=bodies.s3_tries,
        ),
    )
    return make_store(
        configuration.store.use,
        StoreSettings(
            reactor,
            directory,
            folders=_folders(configuration),
            keyword_limit=configuration.store.max_keywords,
            quota=QuotaLimit(accounts.quota_storage, accounts.quota_messages),
            lock_seconds=configuration.store.lock_time,
            blobs=blobs,
            blob_size=bodies.larger,
            blob_seconds=bodies.keep_unused,
            options=configuration.store.options,
        ),
    )


def _folders(configuration: Configuration) -> tuple[Folder, ...]:
    return tuple(
        Folder(one.name, SpecialUse("\\" + one.special_use.value.capitalize()))
        if one.special_use
        else Folder(one.name)
        for one in configuration.folders
    )


def scan_limits_of(configuration: Configuration) -> ScanLimits:
    """Say how far messages are taken apart."""
    options = configuration.message
    return ScanLimits(
        depth=options.mime_depth, parts=options.mime_parts, parameters=options.mime_parameters
    )
