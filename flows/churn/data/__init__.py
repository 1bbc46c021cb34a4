"""Tables of customers: their sources, types, features, split and versions.

Owns the sources (``sources``, ``fetch``), the types of the described columns (``casting``, ``formats``), the one feature
function (``features``), the split, the snapshots, synthetic customers (``synthetic``), rows of no real customer (``prototypes``),
and customers derived from events (``events``). Imports settings, files and storage. A new kind of source belongs in
``settings.data`` and ``sources``, a new feature transformation in ``features``.
"""
