"""What every answer says to browsers, whoever made it."""

from pacs_cloud.dicomweb.security_headers import SecurityHeaders

OURS = SecurityHeaders(has_origins=False)
SHARED = SecurityHeaders(has_origins=True)


def test_an_answer_that_says_nothing_is_neither_kept_nor_framed_nor_guessed_at() -> None:
    assert dict(OURS.missing([], is_tls=False)) == {
        b"x-content-type-options": b"nosniff",
        b"x-frame-options": b"DENY",
        b"referrer-policy": b"no-referrer",
        b"content-security-policy": b"default-src 'none'; sandbox; frame-ancestors 'none'",
        b"cross-origin-resource-policy": b"same-origin",
        b"cache-control": b"no-store",
    }


def test_what_has_an_etag_is_kept_by_its_reader_and_asked_about_again() -> None:
    added = dict(OURS.missing([(b"etag", b'"x"')], is_tls=False))
    assert added[b"cache-control"] == b"private, no-cache"


def test_what_an_answer_says_stays() -> None:
    own = [
        (b"cache-control", b"public, max-age=60"),
        (b"content-security-policy", b"default-src 'self'"),
        (b"referrer-policy", b"same-origin"),
        (b"cross-origin-resource-policy", b"same-site"),
        (b"x-content-type-options", b"nosniff"),
        (b"x-frame-options", b"SAMEORIGIN"),
        (b"strict-transport-security", b"max-age=1"),
    ]
    assert OURS.missing(own, is_tls=True) == []


def test_scripts_of_other_origins_may_show_what_they_may_read() -> None:
    assert dict(SHARED.missing([], is_tls=False))[b"cross-origin-resource-policy"] == (
        b"cross-origin"
    )


def test_only_who_came_by_tls_is_told_to_come_by_tls() -> None:
    name = b"strict-transport-security"
    assert name not in dict(OURS.missing([], is_tls=False))
    assert dict(OURS.missing([], is_tls=True))[name] == b"max-age=31536000"
