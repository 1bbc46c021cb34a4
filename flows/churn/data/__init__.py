"""Tables of customers: where they come from, in which types, split how, stored under which version.

Owns the sources (``sources``, ``fetch``), the types of the described columns (``casting``, ``formats``), the one feature
function (``features``), the split and the snapshots. Imports settings, files and storage. A new kind of source goes into
``settings.data`` and ``sources``, a new step of feature work into ``features``.
"""
