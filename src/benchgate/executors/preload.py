"""Imported by a zygote for its workers: what every cell needs, and all that registers itself. Starts no threads."""

from benchgate import registration

registration.load_builtin()
