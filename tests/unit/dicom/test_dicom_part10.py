from io import BytesIO
from struct import pack

import pytest
from dicom_making import bundled_files, explicit, instance
from pydicom import dcmread

from pacs_cloud.dicom.part10 import (
    IMPLEMENTATION_CLASS_UID,
    IMPLEMENTATION_VERSION_NAME,
    encode_file_meta,
    read_file_meta,
)
from pacs_cloud.dicom.quiet import quiet_pydicom
from pacs_cloud.dicom.uid import EXPLICIT_LE, is_conforming
from pacs_cloud.errors import InvalidInstance, InvalidUid, Refusal

PREFIX = bytes(128) + b"DICM"
SYNTAX = explicit(0x00020010, "UI", b"1.2.840.10008.1.2.1\0")
UIDS = {
    "sop_class_uid": "1.2.840.10008.5.1.4.1.1.7",
    "sop_instance_uid": "1.2.3.4",
    "transfer_syntax_uid": EXPLICIT_LE,
}


def test_what_is_written_is_read() -> None:
    written = encode_file_meta(**UIDS)
    meta = read_file_meta(written + instance())
    assert meta.sop_class_uid == UIDS["sop_class_uid"]
    assert meta.sop_instance_uid == "1.2.3.4"
    assert meta.transfer_syntax_uid == EXPLICIT_LE
    assert meta.dataset_offset == len(written)


def test_the_same_in_gives_the_same_out() -> None:
    assert encode_file_meta(**UIDS) == encode_file_meta(**UIDS)


def test_each_instance_of_a_class_has_its_own() -> None:
    for uid in ("1.2.3", "1.2.34", "1.2.345", "1.2.3"):
        written = encode_file_meta(**(UIDS | {"sop_instance_uid": uid}))
        assert read_file_meta(written).sop_instance_uid == uid
        assert dcmread(BytesIO(written + instance())).file_meta.MediaStorageSOPInstanceUID == uid


def test_pydicom_reads_it_and_finds_the_group_length_right() -> None:
    written = encode_file_meta(**UIDS)
    dataset = dcmread(BytesIO(written + instance()))
    assert dataset.file_meta.FileMetaInformationGroupLength == len(written) - 144
    assert dataset.file_meta.FileMetaInformationVersion == b"\0\1"
    assert dataset.file_meta.ImplementationClassUID == IMPLEMENTATION_CLASS_UID
    assert dataset.file_meta.ImplementationVersionName == IMPLEMENTATION_VERSION_NAME
    assert dataset.SOPInstanceUID == "1.2.3.4"


def test_our_implementation_class_uid_conforms() -> None:
    assert is_conforming(IMPLEMENTATION_CLASS_UID)
    assert int(IMPLEMENTATION_CLASS_UID.removeprefix("2.25.")) < 2**128


def test_every_bundled_file_agrees_with_pydicom() -> None:
    for path in bundled_files():
        if path.name == "meta_missing_tsyntax.dcm":
            continue
        meta = read_file_meta(path.read_bytes())
        with quiet_pydicom():
            dataset = dcmread(path, force=True, stop_before_pixels=True)
        assert meta.transfer_syntax_uid == dataset.file_meta.TransferSyntaxUID
        assert meta.sop_instance_uid == dataset.file_meta.get("MediaStorageSOPInstanceUID", "")


@pytest.mark.parametrize("length", [0, 2, 9999])
def test_a_wrong_group_length_is_not_believed(length: int) -> None:
    group_length = explicit(0x00020000, "UL", pack("<L", length))
    assert (
        read_file_meta(PREFIX + group_length + SYNTAX + instance()).dataset_offset == 132 + 12 + 28
    )


def test_a_group_length_may_be_absent() -> None:
    assert read_file_meta(PREFIX + SYNTAX + instance()).transfer_syntax_uid == EXPLICIT_LE


def test_a_file_may_end_after_its_meta_information() -> None:
    assert read_file_meta(PREFIX + SYNTAX).dataset_offset == 132 + 28


@pytest.mark.parametrize("data", [b"", b"DICM", bytes(132), instance(), bytes(128) + b"DIC"])
def test_without_preamble_it_is_no_part_10_file(data: bytes) -> None:
    with pytest.raises(InvalidInstance, match="no DICOM Part 10 file") as refused:
        read_file_meta(data)
    assert refused.value.refusal is Refusal.UNREADABLE


def test_without_transfer_syntax_it_is_unsupported() -> None:
    uid = explicit(0x00020003, "UI", b"1.2.3.4\0")
    with pytest.raises(InvalidInstance) as refused:
        read_file_meta(PREFIX + uid + instance())
    assert refused.value.refusal is Refusal.UNSUPPORTED_SYNTAX
    assert refused.value.sop_instance_uid == "1.2.3.4"


def test_a_malformed_transfer_syntax_is_refused() -> None:
    with pytest.raises(InvalidUid):
        read_file_meta(PREFIX + explicit(0x00020010, "UI", b"../x"))


def test_a_cut_group_is_unreadable() -> None:
    for cut in range(1, 20):
        with pytest.raises(InvalidInstance):
            read_file_meta((PREFIX + SYNTAX)[:-cut])


def test_malformed_uids_in_the_meta_information_are_left_to_the_data_set() -> None:
    bad = explicit(0x00020002, "UI", b"oops") + explicit(0x00020003, "UI", b"../x")
    meta = read_file_meta(PREFIX + bad + SYNTAX)
    assert (meta.sop_class_uid, meta.sop_instance_uid) == ("", "")
