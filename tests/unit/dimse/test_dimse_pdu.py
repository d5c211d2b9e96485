"""The short PDUs, against pynetdicom's."""

import pytest
from pynetdicom.pdu import (
    A_ABORT_RQ,
    A_ASSOCIATE_RJ,
    A_RELEASE_RP,
    A_RELEASE_RQ,
    P_DATA_TF,
)

from pacs_cloud.dimse import pdu


@pytest.mark.parametrize("source", [0, 2])
@pytest.mark.parametrize("reason", list(pdu.AbortReason))
def test_abort_is_what_pynetdicom_writes_and_reads(source: int, reason: int) -> None:
    theirs = A_ABORT_RQ()
    theirs.source, theirs.reason_diagnostic = source, reason
    assert pdu.encode_abort(source, reason) == theirs.encode()
    assert pdu.decode_abort(theirs.encode()[6:]) == (source, reason)


@pytest.mark.parametrize(
    "rejection",
    [
        pdu.NO_REASON_GIVEN,
        pdu.APPLICATION_CONTEXT_NOT_SUPPORTED,
        pdu.CALLING_AE_TITLE_NOT_RECOGNIZED,
        pdu.CALLED_AE_TITLE_NOT_RECOGNIZED,
        pdu.PROTOCOL_VERSION_NOT_SUPPORTED,
        pdu.TEMPORARY_CONGESTION,
        pdu.LOCAL_LIMIT_EXCEEDED,
    ],
)
def test_rejection_is_what_pynetdicom_writes_and_reads(rejection: pdu.Rejection) -> None:
    theirs = A_ASSOCIATE_RJ()
    theirs.decode(pdu.encode_rejection(rejection))
    assert (theirs.result, theirs.source, theirs.reason_diagnostic) == (
        rejection.result,
        rejection.source,
        rejection.reason,
    )
    # pynetdicom names each defined combination; an undefined one would raise here.
    assert theirs.reason_str
    assert pdu.decode_rejection(theirs.encode()[6:]) == rejection


def test_release_is_what_pynetdicom_writes() -> None:
    assert A_RELEASE_RQ().encode() == pdu.RELEASE_RQ
    assert A_RELEASE_RP().encode() == pdu.RELEASE_RP


def test_a_data_header_is_a_pdu_with_one_pdv() -> None:
    theirs = P_DATA_TF()
    theirs.decode(pdu.DATA_HEADER.pack(pdu.PduType.P_DATA_TF, 9, 5, 7, 3) + b"abc")
    (value,) = theirs.presentation_data_value_items
    assert value.presentation_context_id == 7
    assert value.presentation_data_value == b"\x03abc"
