"""Checks of tables that do not fit into memory; the checks themselves are those of ``validation`` and ``schema``."""
