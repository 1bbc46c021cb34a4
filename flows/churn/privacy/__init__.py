"""Owns what is forgotten: one customer, wherever the id leads (``erasure``), and what is old (``retention``).

A module for each store, whose one function yields what it finds and, if asked to, removes it. A new store gets a module, a
line in ``erasure.STORES`` and one in docs/privacy.md. Imports all rooms but ``cards`` and ``monitoring``; never Metaflow,
whose files ``run_store`` reads as they lie.
"""
