"""What is offered, taken and refused. `interop/test_negotiation.py` holds the same against ws itself."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from socketeer.options import PerMessageDeflate
from socketeer.protocol.extensions import Agreement, UnacceptableOffer, negotiate, parse

#: Options as ws has them where none is given.
FOLLOW = PerMessageDeflate(server_no_context_takeover=False, client_no_context_takeover=False)

PARSED = {
    "a": [("a", [])],
    "a,b": [("a", []), ("b", [])],
    "  a\t,\t b ": [("a", []), ("b", [])],
    "a;b": [("a", [("b", None)])],
    "a ; b ; c=1 , d": [("a", [("b", None), ("c", "1")]), ("d", [])],
    "a;b=c;b=d": [("a", [("b", "c"), ("b", "d")])],
    'a;b="c"': [("a", [("b", "c")])],
    'a; b="c" ;d': [("a", [("b", "c"), ("d", None)])],
    r'a;b="\c\1d"': [("a", [("b", "c1d")])],
    "!#$%&'*+-.^_`|~09AZaz": [("!#$%&'*+-.^_`|~09AZaz", [])],
}


@pytest.mark.parametrize("header", PARSED)
def test_parse(header: str) -> None:
    assert parse(header) == PARSED[header]


@pytest.mark.parametrize(
    "header",
    [
        *(
            "",
            ",",
            "a,",
            ",a",
            "a,,b",
            "a;",
            "a;;b",
            "a;b=",
            "a;=b",
            "a;b =c",
            "a;b= c",
            "a b",
            "a;b c",
            "a=b",
        ),
        *(
            'a;b=""',
            'a;b="c',
            'a;b=c"',
            'a;b="c d"',
            'a;b="c,d"',
            r'a;b="\"',
            r'a;b="\\"',
            'a;b="c"d',
            'a;b="',
        ),
        *('"a"', 'a;"b"', "a/b", "é", "a;b=é", "a\x00", "a\r\nb", "a;b=c,", "a;b=c d", 'a;b="c""d"'),
    ],
)
def test_what_does_not_parse(header: str) -> None:
    with pytest.raises(UnacceptableOffer):
        parse(header)


@given(st.text(alphabet='ab=;, "\\\t', max_size=20))
def test_it_parses_or_refuses(header: str) -> None:
    try:
        found = parse(header)
    except UnacceptableOffer:
        return
    joined = ", ".join(
        "; ".join([name, *(key if value is None else f'{key}="{value}"' for key, value in parameters)])
        for name, parameters in found
    )
    assert parse(joined) == found


@pytest.mark.parametrize("piece", ["a,", "a;b;", "a ", 'a;b="', r"a;b=\c", ";", '"', "a;b=c "])
def test_a_long_header_takes_no_long_time(piece: str) -> None:
    for header in (piece * 20_000, f'a;b="{piece * 20_000}'):
        with pytest.raises(UnacceptableOffer):
            parse(header)


def bits(server: int | None = None, client: int | None = None) -> PerMessageDeflate:
    return PerMessageDeflate(
        server_no_context_takeover=False,
        client_no_context_takeover=False,
        server_max_window_bits=server,
        client_max_window_bits=client,
    )


AGREED = [
    ("", FOLLOW, ""),
    ("; client_max_window_bits", FOLLOW, ""),  # Chromium
    (
        "; client_max_window_bits",
        PerMessageDeflate(),
        "; server_no_context_takeover; client_no_context_takeover",
    ),
    ("; server_no_context_takeover", FOLLOW, "; server_no_context_takeover"),
    ("; client_no_context_takeover", FOLLOW, "; client_no_context_takeover"),
    (
        '; client_max_window_bits="10"; server_max_window_bits=8',
        FOLLOW,
        "; server_max_window_bits=8; client_max_window_bits=10",
    ),
    ("", bits(server=10), "; server_max_window_bits=10"),
    ("; server_max_window_bits=15", bits(server=10), "; server_max_window_bits=10"),
    ("; server_max_window_bits=10", bits(server=10), "; server_max_window_bits=10"),
    ("; client_max_window_bits", bits(client=8), "; client_max_window_bits=8"),
    ("; client_max_window_bits=15", bits(client=9), "; client_max_window_bits=9"),
]


@pytest.mark.parametrize(("offer", "options", "answer"), AGREED)
def test_agreed(offer: str, options: PerMessageDeflate, answer: str) -> None:
    agreement = negotiate(f"permessage-deflate{offer}", options)
    assert agreement is not None
    assert agreement.header() == f"permessage-deflate{answer}"


def test_the_first_offer_that_suits_is_taken() -> None:
    offers = (
        "other; x=1, permessage-deflate; server_max_window_bits=8, "
        "permessage-deflate; server_max_window_bits=12, permessage-deflate"
    )
    assert negotiate(offers, bits(server=10)) == Agreement(server_max_window_bits=10)
    assert negotiate(offers, FOLLOW) == Agreement(server_max_window_bits=8)


@pytest.mark.parametrize("header", ["x-webkit-deflate-frame", "Permessage-Deflate", "a, b; c=1"])
def test_other_extensions_are_passed_over(header: str) -> None:
    assert negotiate(header, FOLLOW) is None


@pytest.mark.parametrize(
    ("offer", "options"),
    [
        ("; server_max_window_bits=9", bits(server=10)),
        ("", bits(client=10)),  # Firefox
        ("; client_max_window_bits=9", bits(client=10)),
    ],
)
def test_offers_that_do_not_suit(offer: str, options: PerMessageDeflate) -> None:
    with pytest.raises(UnacceptableOffer):
        negotiate(f"permessage-deflate{offer}", options)


@pytest.mark.parametrize(
    "parameter",
    [
        "x",
        "x=1",
        "Server_no_context_takeover",
        "server_no_context_takeover=1",
        "client_no_context_takeover=true",
        "server_no_context_takeover; server_no_context_takeover",
        "client_max_window_bits; client_max_window_bits=10",
        "server_max_window_bits",
        *(
            f"{side}_max_window_bits={value}"
            for side in ("server", "client")
            for value in ("7", "16", "0", "-8", "08", "1e1", "0xa", "8.0", "+8", "abc", "8" * 5000)
        ),
    ],
)
def test_a_malformed_offer_refuses_them_all(parameter: str) -> None:
    for header in (
        f"permessage-deflate; {parameter}",
        f"permessage-deflate, permessage-deflate; {parameter}",
        f"permessage-deflate; {parameter}, permessage-deflate",
    ):
        with pytest.raises(UnacceptableOffer) as caught:
            negotiate(header, FOLLOW)
        assert len(str(caught.value)) < 200


def test_other_extensions_may_say_what_they_like() -> None:
    assert negotiate("other; x; x=7, permessage-deflate", FOLLOW) == Agreement()
