"""Every defined term of Specific Character Set, with names of its language."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.charset import python_encoding

from pacs_cloud.dicom.charset import (
    charset_for,
    decode,
    encode_text,
    encodings_of,
    narrowest_charset,
    terms_of,
)

# PS3.5 Annexes H, I, J, K and PS3.3 C.12.1.1.2
EXAMPLES = {
    ("ISO_IR 100",): ("Buc^Jérôme", b"Buc^J\xe9r\xf4me"),
    ("ISO_IR 101",): ("Wałęsa", b"Wa\xb3\xeasa"),
    ("ISO_IR 109",): ("Ĉapelo", b"\xc6apelo"),
    ("ISO_IR 110",): ("Āboliņš", b"\xc0boli\xf1\xb9"),
    ("ISO_IR 126",): ("Διονυσιος", b"\xc4\xe9\xef\xed\xf5\xf3\xe9\xef\xf2"),
    ("ISO_IR 127",): ("قباني^لنزار", b"\xe2\xc8\xc7\xe6\xea^\xe4\xe6\xd2\xc7\xd1"),
    ("ISO_IR 138",): ("שרון^דבורה", b"\xf9\xf8\xe5\xef^\xe3\xe1\xe5\xf8\xe4"),
    ("ISO_IR 144",): ("Люкceмбypг", b"\xbb\xee\xdace\xdc\xd1yp\xd3"),
    ("ISO_IR 148",): ("Çavuşoğlu", b"\xc7avu\xfeo\xf0lu"),
    ("ISO_IR 166",): ("นามสกุล", b"\xb9\xd2\xc1\xca\xa1\xd8\xc5"),
    ("ISO_IR 13",): ("ﾔﾏﾀﾞ^ﾀﾛｳ", b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3"),
    ("ISO_IR 192",): ("Wang^XiaoDong=王^小东", "Wang^XiaoDong=王^小东".encode()),
    ("GB18030",): ("王^小东", b"\xcd\xf5^\xd0\xa1\xb6\xab"),
    ("GBK",): ("王^小东", b"\xcd\xf5^\xd0\xa1\xb6\xab"),
    ("", "ISO 2022 IR 87"): (
        "Yamada^Tarou=山田^太郎=やまだ^たろう",
        b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B",
    ),
    ("ISO 2022 IR 13", "ISO 2022 IR 87"): (
        "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう",
        b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3=\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J=\x1b$B$d$^$@\x1b(J^\x1b$B$?$m$&\x1b(J",
    ),
    ("", "ISO 2022 IR 159"): ("丂", b"\x1b$(D0!\x1b(B"),
    ("", "ISO 2022 IR 149"): (
        "Hong^Gildong=洪^吉洞=홍^길동",
        b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7=\x1b$)C\xc8\xab^\x1b$)C\xb1\xe6\xb5\xbf",
    ),
    ("", "ISO 2022 IR 58"): (
        "Zhang^XiaoDong=张^小东",
        b"Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab",
    ),
    ("ISO 2022 IR 6", "ISO 2022 IR 100"): ("Jérôme", b"J\x1b-A\xe9r\xf4me"),
    ("ISO 2022 IR 6", "ISO 2022 IR 144"): ("Люк", b"\x1b-L\xbb\xee\xda"),
}


@pytest.mark.parametrize("charsets", EXAMPLES, ids="|".join)
def test_decode(charsets: tuple[str, ...]) -> None:
    text, raw = EXAMPLES[charsets]
    assert decode(raw, charsets, "PN") == text


@pytest.mark.parametrize("charsets", EXAMPLES, ids="|".join)
def test_what_is_encoded_decodes_again(charsets: tuple[str, ...]) -> None:
    text, _ = EXAMPLES[charsets]
    assert decode(encode_text(text, charsets, "PN"), charsets, "PN") == text


@pytest.mark.parametrize("term", [term for term in python_encoding if term])
def test_every_defined_term_has_a_text_encoding_that_holds_ascii(term: str) -> None:
    assert decode(b"SMITH^JOHN", [term], "PN") == "SMITH^JOHN"
    (encoding,) = encodings_of([term])
    assert b"\xb1".decode(encoding, "replace")


def test_ascii_and_latin_terms_differ_from_the_rest() -> None:
    expected = {"ISO_IR 6", "ISO 2022 IR 6"}
    defaulting = {t for t in python_encoding if t and encodings_of([t]) == encodings_of([])}
    assert defaulting == expected


@pytest.mark.parametrize("terms", [[], [""], ["nonsense"], ["utf-16"], ["idna"]])
def test_unknown_terms_are_the_default_repertoire(terms: list[str]) -> None:
    assert decode(b"M\xfcller ", terms, "LO") == "Müller"


def test_misspelt_terms_are_understood() -> None:
    assert encodings_of(["ISO-IR 192"]) == encodings_of(["ISO_IR 192"])


def test_bytes_without_meaning_become_replacement_characters() -> None:
    assert decode(b"A\xff\xfeB", ["ISO_IR 192"], "LO") == "A��B"


def test_only_text_vrs_have_a_character_set() -> None:
    assert decode(b"M\xc3\xbc", ["ISO_IR 192"], "CS") == "MÃ¼"
    assert encode_text("Mü", ["ISO_IR 192"], "CS") == b"M?"


def test_what_a_character_set_cannot_hold_becomes_a_question_mark() -> None:
    assert encode_text("山田^A", ["ISO_IR 100"], "PN") == b"??^A"


def test_terms_in_a_value() -> None:
    assert terms_of(b"\\ISO 2022 IR 87 ") == ("", "ISO 2022 IR 87")


def test_a_character_set_for_a_peer() -> None:
    assert charset_for(["SMITH"]) == ()
    assert charset_for(["Müller"]) == ("ISO_IR 192",)
    assert charset_for(["Müller"], ["ISO_IR 100"]) == ("ISO_IR 100",)
    assert charset_for(["Müller", "山田"], ["ISO_IR 100", "\\ISO 2022 IR 87", "ISO_IR 192"]) == (
        "ISO_IR 192",
    )
    assert charset_for(["山田"], ["ISO_IR 100", "\\ISO 2022 IR 87"]) == ("", "ISO 2022 IR 87")
    assert charset_for(["山田"], ["ISO_IR 100"]) == ("ISO_IR 100",)


@pytest.mark.parametrize(
    ("text", "charset"),
    [
        ("Łódź", "ISO_IR 101"),
        ("Ωμέγα", "ISO_IR 126"),
        ("Иван", "ISO_IR 144"),
        ("山田", "ISO_IR 192"),
    ],
)
def test_the_narrowest_character_set(text: str, charset: str) -> None:
    assert narrowest_charset([text]) == (charset,)


@given(st.binary(max_size=60), st.lists(st.sampled_from(sorted(python_encoding)), max_size=3))
def test_any_bytes_decode(raw: bytes, terms: list[str]) -> None:
    assert isinstance(decode(raw, terms, "PN"), str)


@given(st.text(max_size=40), st.lists(st.sampled_from(sorted(python_encoding)), max_size=3))
def test_any_text_encodes(text: str, terms: list[str]) -> None:
    assert isinstance(encode_text(text, terms, "LO"), bytes)


@given(st.text(max_size=40))
def test_utf_8_holds_everything(text: str) -> None:
    kept = text.encode("utf-8", "replace").decode()
    assert decode(encode_text(kept, ["ISO_IR 192"], "UT"), ["ISO_IR 192"], "UT") == kept.rstrip(
        "\0 "
    )
