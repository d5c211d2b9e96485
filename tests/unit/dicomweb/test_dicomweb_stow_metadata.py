"""Metadata cut into instances before anything of it is decoded."""

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pacs_cloud.dicomweb import stow_metadata
from pacs_cloud.errors import InvalidRequest

VALUES: st.SearchStrategy[Any] = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(), st.sampled_from('[]{},:"\\')),
    lambda inner: st.one_of(st.lists(inner), st.dictionaries(st.text(), inner)),
    max_leaves=20,
)
INSTANCES = st.lists(st.dictionaries(st.text(), VALUES), min_size=1, max_size=5)


@given(INSTANCES, st.booleans(), st.sampled_from([None, 2]))
def test_what_is_joined_is_split(
    instances: list[Any], ascii_only: bool, indent: int | None
) -> None:
    document = json.dumps(instances, ensure_ascii=ascii_only, indent=indent).encode(
        "utf-8", "replace"
    )
    found = [json.loads(one) for one in stow_metadata.split(b"\xef\xbb\xbf \n" + document + b"\n")]
    assert found == json.loads(document)


def test_one_object_is_one_instance() -> None:
    assert stow_metadata.split(b' {"a": ["]"]} ') == [b'{"a": ["]"]}']


@given(st.binary(max_size=60))
def test_anything_else_is_refused(document: bytes) -> None:
    _split_or_refuse(document)


@given(st.lists(st.sampled_from([b"[", b"]", b"{", b"}", b",", b'"', b"\\", b"1", b" "])))
def test_what_nearly_is_json_is_refused(pieces: list[bytes]) -> None:
    _split_or_refuse(b"".join(pieces))


def _split_or_refuse(document: bytes) -> None:
    """Whatever is split is what JSON says it is, or each instance is refused on its own."""
    try:
        instances = stow_metadata.split(document)
    except InvalidRequest:
        return
    try:
        whole = orjson.loads(document)
    except orjson.JSONDecodeError:
        # Then the fault lies within an instance, which nobody can decode.
        with pytest.raises(InvalidRequest):
            for one in instances:
                stow_metadata.load(one)
        return
    assert [orjson.loads(one) for one in instances] == (
        whole if isinstance(whole, list) else [whole]
    )


def test_numbers_that_no_attribute_holds_are_refused_in_xml_too() -> None:
    document = (
        b'<NativeDicomModel><DicomAttribute tag="00280010" vr="US">'
        b'<Value number="1">99999999999999999999999</Value></DicomAttribute></NativeDicomModel>'
    )
    with pytest.raises(InvalidRequest):
        stow_metadata.from_xml(document)
