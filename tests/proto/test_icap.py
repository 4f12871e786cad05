"""Tests for ICAP without a connection: at every cut, and with whatever comes."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mailplat.model.errors import Unavailable
from mailplat.proto.icap import (
    Found,
    IcapMethod,
    IcapResponse,
    ResponseReader,
    adapt_request,
    chunk,
    found_in,
    options_request,
    read_options,
)

BLOCKED = (
    b"ICAP/1.0 200 OK\r\nISTag: x\r\nX-Violations-Found: 1\r\n\t-\r\n\tEicar\r\n"
    b"Encapsulated: res-hdr=0, res-body=26\r\n\r\n"
    b"HTTP/1.1 403 Forbidden\r\n\r\n"
    b"3\r\nNo.\r\n2; x=y\r\n!!\r\n0\r\nTrailer: 1\r\n\r\n"
)
OPTIONS = (
    b"ICAP/1.0 200 OK\r\nMethods: RESPMOD, REQMOD\r\nPreview: 1024\r\nAllow: 204\r\n"
    b"Options-TTL: 60\r\nEncapsulated: null-body=0\r\n\r\n"
)


@pytest.mark.parametrize("cut", range(len(BLOCKED) + 1))
def test_a_response_at_every_cut(cut: int) -> None:
    """All of it is read, and what comes behind it is left alone."""
    reader = ResponseReader(100)
    reader.receive(BLOCKED[:cut])
    assert (reader.response is None) is (cut < len(BLOCKED))
    reader.receive(BLOCKED[cut:] + b"more")
    response = reader.response
    assert response is not None
    assert (response.status, response.http_status, response.body) == (200, 403, b"No.!!")
    assert response.fields["x-violations-found"] == "1 - Eicar"
    assert reader.rest == b"more"
    assert found_in(response) == Found("")


def test_responses_without_a_body() -> None:
    """100, 204, and a header alone."""
    for data, status in (
        (b"ICAP/1.0 100 Continue\r\n\r\n", 100),
        (b"ICAP/1.0 204 Done\r\nEncapsulated: null-body=0\r\n\r\n", 204),
        (b"ICAP/1.0 404\r\n\r\n", 404),
        (
            b"ICAP/1.0 200 OK\r\nEncapsulated: req-hdr=0, null-body=18\r\n\r\n"
            b"GET / HTTP/1.1\r\n\r\n",
            200,
        ),
    ):
        reader = ResponseReader(100)
        reader.receive(data)
        assert reader.response is not None
        assert (reader.response.status, reader.response.body) == (status, None)
        assert found_in(reader.response) is None


@given(st.lists(st.binary(max_size=60), max_size=5))
@example([b"HTTP/1.1 200 OK\r\n\r\n"])
@example([b"ICAP/1.0 200 OK\r\nEncapsulated: res-body=5, res-hdr=0\r\n\r\n"])
@example([b"ICAP/1.0 200 OK\r\nEncapsulated: res-body=0\r\n\r\n", b"-1\r\n"])
@example([b"ICAP/1.0 200 OK\r\nEncapsulated: res-body=0\r\n\r\n", b"1\r\nxx\r\n"])
@settings(max_examples=150)
def test_whatever_comes(blocks: list[bytes]) -> None:
    """A server may send anything: a response, a wait, or an error, and nothing else."""
    reader = ResponseReader(1000)
    try:
        for block in blocks:
            reader.receive(block)
    except Unavailable:
        return
    assert reader.response is None or reader.response.status


@pytest.mark.parametrize(
    "data",
    [
        b"ICAP/1.0 200 OK\r\n" + b"X: y\r\n" * 20_000,
        b"ICAP/1.0 200 OK\r\nEncapsulated: res-body=0\r\n\r\nffffffff\r\n",
        b"ICAP/1.0 200 OK\r\nEncapsulated: res-body=0\r\n\r\n" + b"1" * 5000,
        b"ICAP/1.0 200 OK\r\nEncapsulated: res-body=0\r\n\r\n0\r\n" + b"X: y\r\n" * 20_000,
        b"ICAP/1.0 200 OK\r\nEncapsulated: res-hdr=0, res-body=9999999\r\n\r\n",
    ],
    ids=range(5),
)
def test_bounded(data: bytes) -> None:
    """Nothing is without an end."""
    with pytest.raises(Unavailable):
        ResponseReader(1000).receive(data)


def test_options() -> None:
    """What a service wants; without a word on it, no preview."""
    reader = ResponseReader(0)
    reader.receive(OPTIONS)
    assert reader.response is not None
    service = read_options(reader.response)
    assert service.methods == {"RESPMOD", "REQMOD"}
    assert (service.preview, service.seconds) == (1024, 60.0)
    bare = read_options(IcapResponse(200, {"transfer-complete": "*", "preview": "10"}))
    assert (bare.preview, bare.seconds) == (None, 3600.0)
    with pytest.raises(Unavailable):
        read_options(IcapResponse(404, {}))


def test_what_was_found() -> None:
    """Services say it in different fields."""
    for fields, name in (
        ({"x-infection-found": "Type=0; Resolution=2; Threat=Eicar;"}, "Eicar"),
        ({"x-virus-id": "Bad\x1b[31m"}, "Bad?[31m"),
    ):
        assert found_in(IcapResponse(200, fields)) == Found(name)
    assert found_in(IcapResponse(200, {}, 200, b"x")) is None


@pytest.mark.parametrize("method", IcapMethod)
def test_requests(method: IcapMethod) -> None:
    """The parts are where Encapsulated says (§4.4.1)."""
    uri = "icap://127.0.0.1:1344/avscan"
    made = adapt_request(
        *(method, uri, "127.0.0.1:1344"),
        size=5,
        about="mx.example.org/q1",
        client="192.0.2.1",
        preview=3,
    )
    head, _, http = made.partition(b"\r\n\r\n")
    assert head.startswith(f"{method.value.upper()} {uri} ICAP/1.0\r\n".encode())
    assert b"\r\nAllow: 204\r\nX-Client-IP: 192.0.2.1\r\nPreview: 3\r\n" in head
    parts = dict(one.split("=") for one in head.decode().rpartition(": ")[2].split(", "))
    body = int(parts["res-body" if method is IcapMethod.RESPMOD else "req-body"])
    assert body == len(http)
    if method is IcapMethod.RESPMOD:
        assert http[int(parts["res-hdr"]) :].startswith(b"HTTP/1.1 200 OK\r\n")
    assert http.endswith(b"Content-Length: 5\r\n\r\n")
    assert options_request(uri, "127.0.0.1:1344").startswith(b"OPTIONS icap://")
    assert chunk(b"hello") == b"5\r\nhello\r\n"
    assert chunk(b"") == b""
