"""Imported by a zygote for its workers: what every cell needs, and all that registers itself. Starts no threads."""

from benchgate import registration
from benchgate.core import runtimes, tasks
from benchgate.storage.sources import sources

registration.load_builtin()
# The sources that an artifact's key is made of are read here once, and not by every worker that opens an artifact.
sources({type(registry[name]).__module__ for registry in (runtimes, tasks) for name in registry})
