from pacs_cloud.dicom.memo import Fragment, Memo
from pacs_cloud.dicom.records import MEMO_LIMIT
from pacs_cloud.dicom.span_memo import SpanMemo


def size(memo: Memo) -> int:
    return sum(
        len(raw) + len(fragment.json)
        for generation in (memo._young, memo._old)
        for lane in generation.values()
        for raw, fragment in lane.items()
    )


def test_a_fragment_is_found_in_its_lane_only() -> None:
    memo = Memo(1 << 20)
    memo.keep("latin", b"raw", Fragment(b"json"))
    assert memo.recall("latin", b"raw") == Fragment(b"json")
    assert memo.lane("latin").get(b"raw") == Fragment(b"json")
    assert memo.recall("greek", b"raw") is None


def test_it_stays_within_its_limit() -> None:
    memo = Memo(100_000)
    for n in range(10_000):
        memo.keep(n % 7, n.to_bytes(4, "big") * 10, Fragment(b"j" * 40))
        assert size(memo) < 100_000
    assert memo.recall(9_999 % 7, (9_999).to_bytes(4, "big") * 10) is not None
    assert memo.recall(0, bytes(40)) is None


def test_what_is_used_outlives_what_is_not() -> None:
    memo = Memo(100_000)
    memo.keep("lane", b"used", Fragment(b"1"))
    memo.keep("lane", b"unused", Fragment(b"2"))
    for n in range(1_000):
        memo.keep("lane", b"%d" % n, Fragment(b"x" * 100))
        assert memo.recall("lane", b"used") == Fragment(b"1")
    assert memo.recall("lane", b"unused") is None


def test_lanes_alone_do_not_grow_it() -> None:
    memo = Memo(1_000_000)
    for n in range(10_000):
        memo.lane(n)
    assert len(memo._young) + len(memo._old) < 1_000


def test_the_end_of_a_sequence_seen_before() -> None:
    spans = SpanMemo()
    spans.keep(b"sequence;", 1, implicit=False)
    assert spans.end_of(b"..sequence;..", 1, 2, implicit=False) == 11
    assert spans.end_of(b"..sequence;..", 1, 2, implicit=True) is None
    assert spans.end_of(b"..sequence;..", 2, 2, implicit=False) is None
    assert spans.end_of(b"..sequence", 1, 2, implicit=False) is None


def test_spans_are_few_and_not_large() -> None:
    spans = SpanMemo(limit_bytes=1_000)
    for n in range(1_000):
        spans.keep(b"%5d" % n * 20, n % 50, implicit=False)
        assert sum(len(r) for recent in spans._seen.values() for r in recent) <= 1_000
    spans.keep(bytes(MEMO_LIMIT + 1), 1, implicit=True)
    assert (1, True) not in spans._seen
