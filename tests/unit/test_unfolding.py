"""Files of a few kilobytes that unfold to gigabytes are refused in a line, with little memory."""

import gzip
import io
import zipfile
from contextlib import suppress
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from churn.data import sources, synthetic
from churn.errors import ChurnError
from churn.files import parquet_pages, parquet_size, reader
from churn.settings.data import File
from churn.settings.dataset import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st


def zipped(files: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            kind = zipfile.ZIP_STORED if name == "mimetype" else zipfile.ZIP_DEFLATED
            archive.writestr(name, content, compress_type=kind)
    return packed.getvalue()


@pytest.mark.parametrize("kind", ["far cell", "shared text", "repeated rows"])
def test_a_workbook_that_unfolds_to_too_much_is_refused(kind: str) -> None:
    sheet = "<worksheet xmlns='http://schemas.openxmlformats.org/spreadsheetml/2006/main'><sheetData>{}</sheetData></worksheet>"
    if kind == "repeated rows":
        table = (
            "<table:table table:name='a'><table:table-row table:number-rows-repeated='90000'>"
            "<table:table-cell office:value-type='string' table:number-columns-repeated='1000'>"
            "<text:p>xxx</text:p></table:table-cell></table:table-row></table:table>"
        )
        spaces = " ".join(
            f"xmlns:{name}='urn:oasis:names:tc:opendocument:xmlns:{name}:1.0'" for name in ("office", "table", "text")
        )
        body = f"<office:body><office:spreadsheet>{table}</office:spreadsheet></office:body>"
        content = f"<office:document-content {spaces}>{body}</office:document-content>"
        manifest = "<manifest:manifest xmlns:manifest='urn:oasis:names:tc:opendocument:xmlns:manifest:1.0'/>"
        held = {
            "mimetype": b"application/vnd.oasis.opendocument.spreadsheet",
            "META-INF/manifest.xml": manifest.encode(),
            "content.xml": content.encode(),
        }
    else:
        rows = {
            "far cell": "<row r='1'><c r='A1'><v>1</v></c></row><row r='1048576'><c r='XFD1048576'><v>1</v></c></row>",
            "shared text": "".join(
                f"<row r='{r}'>" + "".join(f"<c r='{c}{r}' t='s'><v>0</v></c>" for c in "ABCDEFGH") + "</row>"
                for r in range(1, 20_000)
            ),
        }
        buffer = io.BytesIO()
        pd.DataFrame({"a": ["x"]}).to_excel(buffer, index=False)
        with zipfile.ZipFile(buffer) as whole:
            held = {name: whole.read(name) for name in whole.namelist()}
        held["xl/worksheets/sheet1.xml"] = sheet.format(rows[kind]).encode()
        strings = f"<sst xmlns='http://schemas.openxmlformats.org/spreadsheetml/2006/main'><si><t>{'x' * 30_000}</t></si></sst>"
        held["xl/sharedStrings.xml"] = strings.encode()
    bomb = zipped(held)
    assert len(bomb) < 2 << 20
    with pytest.raises(ChurnError, match="unpacked it is larger than 67,108,864 bytes"):
        reader.parse(bomb, "bomb", most_bytes=64 << 20)


@pytest.mark.parametrize(
    "options",
    [{}, {"use_dictionary": False}, {"data_page_version": "2.0"}, {"compression": "gzip", "write_page_checksum": True}],
)
def test_pages_say_what_an_honest_footer_says(options: dict[str, object], telco: Dataset) -> None:
    table, out = pa.Table.from_pandas(synthetic.generate(telco, 3000, 1), preserve_index=False), io.BytesIO()
    pq.write_table(table, out, row_group_size=1000, data_page_size=1000, **options)
    metadata, used = pq.read_metadata(out), set()
    for group in range(metadata.num_row_groups):
        for place in range(metadata.num_columns):
            chunk = metadata.row_group(group).column(place)
            pages = list(parquet_pages.pages(out.getvalue(), parquet_size._start(chunk), chunk.total_compressed_size))
            headers = chunk.total_uncompressed_size - sum(page.unpacked for page in pages)
            assert 10 * len(pages) < headers < 120 * len(pages)
            used |= {page.encoding for page in pages} - {None}
    assert used == ({0} if "use_dictionary" in options else {8})


@settings(deadline=None)
@given(st.binary(max_size=200), st.integers(-1, 2000))
def test_what_is_no_page_is_refused_in_time(content: bytes, length: int) -> None:
    with suppress(ValueError):
        for page in parquet_pages.pages(content, 0, length):
            assert page.unpacked >= 0


@pytest.mark.parametrize("kind", ["list", "structure"])
def test_lists_within_cells_are_refused_before_they_unfold(kind: str) -> None:
    texts = pa.repeat("x" * 100_000, 2000)
    nested = {
        "list": pa.ListArray.from_arrays([0, 1000, 2000], texts),
        "structure": pa.StructArray.from_arrays([texts[:2]], ["a"]),
    }
    out = io.BytesIO()
    pq.write_table(pa.table({"id": ["1", "2"], "a": nested[kind]}), out, compression="zstd")
    with pytest.raises(ChurnError, match="column 'a' holds lists or structures, not cells"):
        reader.parse(out.getvalue(), "bomb.parquet", most_bytes=64 << 20)


def test_as_many_columns_as_bytes_are_refused() -> None:
    """A column takes kilobytes, whatever is in it: 400,000 of them, in 4 MB, took 3.7 GB."""
    header = ",".join(f"c{number}" for number in range(400_000))
    with pytest.raises(ChurnError, match="400,000 columns; at most 10,000 are read"):
        reader.parse(f"{header}\n{'1,' * 399_999}1\n".encode(), "wide.csv")
    assert reader.parse(b"a,b\n1,2" + b"," * 400_000 + b"\n", "row.csv").table.shape == (1, 2)
    out = io.BytesIO()
    pq.write_table(pa.table({f"c{number}": [1] for number in range(10_001)}), out)
    with pytest.raises(ChurnError, match="10,001 columns"):
        reader.parse(out.getvalue(), "wide.parquet")


def test_packed_over_and_over_is_said() -> None:
    data = b"a,b\n1,2\n"
    for _ in range(5):
        data = gzip.compress(data)
    with pytest.raises(ChurnError, match="a gzip file within others; unpack it first"):
        reader.parse(data, "customers.csv.gz")


def test_the_limit_of_a_source_is_its_own(telco: Dataset, tmp_path: Path) -> None:
    path = tmp_path / "customers.csv.gz"
    synthetic.generate(telco, 10_000, seed=1).to_csv(path, index=False)
    with pytest.raises(ChurnError, match=r"customers\.csv\.gz: unpacked .* 1,048,576 bytes.*raise expanded_megabytes"):
        sources.read(File(kind="file", path=str(path), expanded_megabytes=1), telco)
    assert sources.read(File(kind="file", path=str(path), expanded_megabytes=8), telco)


def test_the_size_of_parquet_is_that_of_its_table(telco: Dataset) -> None:
    table = pa.Table.from_pandas(synthetic.generate(telco, 5000, seed=1), preserve_index=False)
    out = io.BytesIO()
    pq.write_table(table, out, row_group_size=700)
    metadata = pq.ParquetFile(io.BytesIO(out.getvalue())).metadata
    assert parquet_size.exceeds(out.getvalue(), metadata, round(table.nbytes * 0.9))
    assert not parquet_size.exceeds(out.getvalue(), metadata, round(table.nbytes * 1.6))
