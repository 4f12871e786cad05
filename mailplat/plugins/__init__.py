"""Parts found by twisted.plugin: the built-in ones, and those of other packages on sys.path."""

from twisted.plugin import pluginPackagePaths

__path__.extend(pluginPackagePaths(__name__))
__all__: list[str] = []
