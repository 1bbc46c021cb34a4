"""Erasure of one customer from every store (``erasure``), and removal of old data (``retention``).

Each store has a module with one function, which yields what it finds and, on request, removes it. A new store needs a module, a
line in ``erasure.STORES`` and one in docs/privacy.md. Imports all rooms but ``cards`` and ``monitoring``; never Metaflow,
whose files ``run_store`` reads directly.
"""
