"""Verifies that a DVC remote holds what it lists: DVC trusts names and modes; this module reads and hashes every object.

A version consists of its listing (the object whose hash ends in ``.dir``) and the objects that the listing names.
"""

import hashlib
import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dvc_data.hashfile.db import HashFileDB

WHOLE, MISSING, DAMAGED = "whole", "missing", "damaged"


def state(store: "HashFileDB", oid: str) -> str:
    """The state of an object: WHOLE, MISSING or DAMAGED.

    Raises:
        OSError: The store cannot be read.
    """
    try:
        with store.fs.open(store.oid_to_path(oid), "rb") as content:
            digest = hashlib.file_digest(content, "md5").hexdigest()  # type: ignore[arg-type]  # it has readinto
    except FileNotFoundError:
        return MISSING
    return WHOLE if digest == oid.removesuffix(".dir") else DAMAGED


def objects(store: "HashFileDB", version: str) -> list[str]:
    """The listing of a version, which must be intact, and the objects that it names."""
    with store.fs.open(store.oid_to_path(version), "rb") as listing:
        return [version, *(entry["md5"] for entry in json.load(listing))]


def harm(store: "HashFileDB", version: str) -> list[str]:
    """The damage to a version: the address and state of each missing or damaged object."""
    listed = objects(store, version) if state(store, version) == WHOLE else [version]
    return [
        f"{object_address(store, oid)} is {condition}" for oid in listed if (condition := state(store, oid)) != WHOLE
    ]


def clear(store: "HashFileDB", oids: list[str]) -> list[str]:
    """Remove the damaged objects of a version and then its listing, so that DVC stores them again, the listing last.

    ``oids`` are the ``objects`` of the version in a store that has it intact.

    Returns:
        The addresses of the objects that were damaged, or missing although the listing was there.
    """
    states = {oid: state(store, oid) for oid in oids}
    listing = oids[0]
    harmed = [oid for oid in oids if states[oid] == DAMAGED or (states[oid] == MISSING != states[listing])]
    for oid in dict.fromkeys([listing, *harmed] if harmed else []):
        if states[oid] != MISSING:
            store.fs.remove(store.oid_to_path(oid))
    return [object_address(store, oid) for oid in harmed]


def object_address(store: "HashFileDB", oid: str) -> str:
    """The address of an object: a path, or s3://..."""
    path = store.oid_to_path(oid)
    return path if store.fs.protocol == "local" else store.fs.unstrip_protocol(path)
