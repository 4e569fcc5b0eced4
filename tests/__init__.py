"""The fast tests of the logic modules. A package, so that files of the folders below may have the same names."""
