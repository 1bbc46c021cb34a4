"""A row's key depends on the customer alone: not on types, not on other rows, and not on a library's mood."""

import numpy as np
import pandas as pd
import pytest
from churn.data import customer_keys
from churn.settings.dataset import Dataset


def _siphash(text: bytes) -> int:
    """SipHash-2-4 under pandas' key, mixed by SplitMix64's finaliser: written down again, so that a pandas that hashes
    otherwise fails here, and does not move customers."""
    mask, state = 2**64 - 1, [0] * 4

    def rotated(value: int, bits: int) -> int:
        return (value << bits | value >> (64 - bits)) & mask

    def step() -> None:
        a, b, c, d = state
        a, c = (a + b) & mask, (c + d) & mask
        b, d = rotated(b, 13) ^ a, rotated(d, 16) ^ c
        a, c = (rotated(a, 32) + d) & mask, (c + b) & mask
        state[:] = a, rotated(b, 17) ^ c, rotated(c, 32), rotated(d, 21) ^ a

    halves = [int.from_bytes(half, "little") for half in (b"01234567", b"89123456")]
    state[:] = [
        halves[i % 2] ^ int.from_bytes(word, "big")
        for i, word in enumerate((b"somepseu", b"dorandom", b"lygenera", b"tedbytes"))
    ]
    padded = text + b"\0" * (7 - len(text) % 8) + bytes([len(text) % 256])
    for i in range(0, len(padded), 8):
        word = int.from_bytes(padded[i : i + 8], "little")
        state[3] ^= word
        step(), step()
        state[0] ^= word
    state[2] ^= 255
    for _ in range(4):
        step()
    value = state[0] ^ state[1] ^ state[2] ^ state[3]
    value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9 & mask
    value = (value ^ value >> 27) * 0x94D049BB133111EB & mask
    return value ^ value >> 31


def test_ids_are_hashed_by_a_published_function() -> None:
    ids = ["17", "7590-VHVEG", "Österreich", "a much longer name than eight bytes"]
    found = customer_keys.keys(pd.DataFrame({"id": ids}), "id", [])
    assert found.tolist() == [_siphash(text.encode()) for text in ids]


def test_a_customer_has_one_key_whatever_the_types() -> None:
    numbers = pd.Series([17, 4, 9])
    for same in (
        numbers.astype(float),
        numbers.astype(str),
        numbers.astype(str).astype("category"),
        numbers.astype("Int64"),
    ):
        for name in ("cell", None):  # as the id, and as the only feature
            one, other = (customer_keys.keys(pd.DataFrame({"cell": v}), name, ["cell"]) for v in (numbers, same))
            assert one.tolist() == other.tolist()


def test_missing_cells_are_alike_and_unlike_all_others() -> None:
    missing = [pd.Series([np.nan, 0.0]), pd.Series([None, "0"], dtype="str"), pd.Series([None, "0"], dtype="category")]
    found = [customer_keys.keys(pd.DataFrame({"x": values}), None, ["x"]) for values in missing]
    assert len({tuple(keys.tolist()) for keys in found}) == 1
    assert found[0][0] != found[0][1]
    assert len(set(customer_keys.keys(pd.DataFrame({"x": [0.0, -0.0]}), None, ["x"]).tolist())) == 1


def test_rows_without_an_id_are_told_apart_by_their_cells() -> None:
    table = pd.DataFrame({"id": ["a", None, None, None], "x": [1, 1, 2, 1]})
    a, first, second, third = customer_keys.keys(table, "id", ["x"])
    assert first == third
    assert len({a, first, second}) == 3


def test_other_rows_and_the_order_of_columns_do_not_count(telco: Dataset) -> None:
    from churn.data import casting, synthetic

    table = casting.cast(synthetic.generate(telco, 500, seed=0), telco)[0]
    whole = customer_keys.keys(table, None, telco.raw)
    part = table.iloc[::-7, ::-1].reset_index(drop=True)
    assert customer_keys.keys(part, None, list(telco.raw)[::-1]).tolist() == whole[::-7].tolist()
    assert len(set(whole.tolist())) > 495


@pytest.mark.parametrize("seed", [0, 1, 42, 2**40])
def test_the_share_that_is_drawn_is_the_share_asked_for(seed: int) -> None:
    keys = customer_keys.keys(pd.DataFrame({"id": np.arange(100_000)}), "id", [])
    drawn, other = (customer_keys.fractions(keys, s) < 0.2 for s in (seed, seed + 1))
    assert drawn.mean() == pytest.approx(0.2, abs=4 * np.sqrt(0.2 * 0.8 / 100_000))
    assert (drawn & other).mean() == pytest.approx(0.04, abs=4 * np.sqrt(0.04 * 0.96 / 100_000)), (
        "seeds are independent"
    )
