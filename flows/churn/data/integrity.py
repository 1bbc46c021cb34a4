"""Whether a DVC remote holds what it lists: DVC believes in names and modes, here every object is read and hashed.

A version is its listing (the object whose hash ends in ``.dir``) and the objects that the listing names.
"""

import hashlib
import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dvc_data.hashfile.db import HashFileDB

WHOLE, MISSING, DAMAGED = "whole", "missing", "damaged"


def state(store: "HashFileDB", oid: str) -> str:
    """What has become of an object. Raises OSError if the store cannot be read."""
    try:
        with store.fs.open(store.oid_to_path(oid), "rb") as content:
            found = hashlib.file_digest(content, "md5").hexdigest()  # type: ignore[arg-type]  # it has readinto
    except FileNotFoundError:
        return MISSING
    return WHOLE if found == oid.removesuffix(".dir") else DAMAGED


def objects(store: "HashFileDB", version: str) -> list[str]:
    """The version's listing, then the objects named in it. The listing must be whole."""
    with store.fs.open(store.oid_to_path(version), "rb") as listing:
        return [version, *(entry["md5"] for entry in json.load(listing))]


def harm(store: "HashFileDB", version: str) -> list[str]:
    """What is wrong with the version, an object's address and state each."""
    listed = objects(store, version) if state(store, version) == WHOLE else [version]
    return [f"{address(store, oid)} is {found}" for oid in listed if (found := state(store, oid)) != WHOLE]


def clear(store: "HashFileDB", oids: list[str]) -> list[str]:
    """Make room for a version (``objects``, from where it is whole): the addresses of what was damaged, or missing although
    the listing was there.

    Damaged objects are removed, and the listing with them. DVC stores what is missing, and the listing last.
    """
    states = {oid: state(store, oid) for oid in oids}
    listing = oids[0]
    harmed = [oid for oid in oids if states[oid] == DAMAGED or (states[oid] == MISSING != states[listing])]
    for oid in dict.fromkeys([listing, *harmed] if harmed else []):
        if states[oid] != MISSING:
            store.fs.remove(store.oid_to_path(oid))
    return [address(store, oid) for oid in harmed]


def address(store: "HashFileDB", oid: str) -> str:
    """Where an object is: a path, or s3://..."""
    path = store.oid_to_path(oid)
    return path if store.fs.protocol == "local" else store.fs.unstrip_protocol(path)
