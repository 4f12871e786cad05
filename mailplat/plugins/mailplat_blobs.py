"""Where large bodies are: ``database:``, ``files:PATH``, ``s3:https://HOST/BUCKET``."""

from __future__ import annotations

from twisted.plugin import IPlugin
from zope.interface import implementer

from mailplat.interfaces.blobs import IBlobStore
from mailplat.interfaces.plugins import BlobSettings, IBlobsPlugin
from mailplat.model.errors import ConfigurationFault

__all__ = ["database", "files", "s3"]


@implementer(IPlugin, IBlobsPlugin)
class InDatabase:
    """Leaves large bodies where the others are."""

    prefix = "database"

    def blobs(self, argument: str, settings: BlobSettings) -> IBlobStore | None:
        """Take nothing."""
        if argument:
            raise ConfigurationFault(f"database:{argument}: expected database: and nothing more")
        return None


@implementer(IPlugin, IBlobsPlugin)
class InFiles:
    """Makes a `mailplat.store.blobs.files.FileBlobs`."""

    prefix = "files"

    def blobs(self, argument: str, settings: BlobSettings) -> IBlobStore:
        """Take a directory."""
        import os

        from mailplat.store.blobs.files import FileBlobs

        if not argument:
            raise ConfigurationFault("files:: expected files:PATH, for instance files:bodies")
        root = os.path.abspath(os.path.join(settings.directory, argument))
        return FileBlobs(root, settings.reactor)


@implementer(IPlugin, IBlobsPlugin)
class InS3:
    """Makes a `mailplat.store.blobs.s3.S3Blobs`."""

    prefix = "s3"

    def blobs(self, argument: str, settings: BlobSettings) -> IBlobStore:
        """Take the URL of a bucket."""
        from mailplat.store.blobs.s3 import S3Blobs, S3Limits
        from mailplat.store.blobs.sigv4 import S3Key

        if not settings.access_key or not settings.secret_key:
            raise ConfigurationFault(
                f"s3:{argument}: bodies.s3_access_key and bodies.s3_secret_key have to be set"
            )
        key = S3Key(settings.access_key, settings.secret_key, settings.region)
        limits = S3Limits(timeout=settings.timeout, tries=settings.tries)
        return S3Blobs(argument, key, settings.reactor, limits)


database = InDatabase()
files = InFiles()
s3 = InS3()
