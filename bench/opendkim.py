"""OpenDKIM's library (Debian: libopendkim11, which opendkim brings), called in this process.

So what is measured is its work, without the start of a process or the way to a daemon.
"""

from __future__ import annotations

import ctypes
from ctypes import POINTER, byref, c_bool, c_char_p, c_int, c_size_t, c_ssize_t, c_void_p
from ctypes.util import find_library

from mailplat.message import headers

__all__ = ["OpenDKIM", "opendkim"]

_OK = 0
_RELAXED = 1
_RSA_SHA256 = 1
_BLOCK = 65536

_Lookup = ctypes.CFUNCTYPE(c_int, c_void_p, c_void_p, c_void_p, c_size_t)


def opendkim(pem: bytes, record: bytes) -> OpenDKIM | None:
    """Load the library; None where it is not installed."""
    name = find_library("opendkim")
    return OpenDKIM(ctypes.CDLL(name), pem, record) if name else None


class OpenDKIM:
    """Signs for sel._domainkey.example.org and verifies, relaxed/relaxed.

    Args:
        library: libopendkim.
        pem: The private key.
        record: The key record that answers every question.
    """

    def __init__(self, library: ctypes.CDLL, pem: bytes, record: bytes) -> None:
        self._library = library
        self._pem = pem
        for function in ("dkim_init", "dkim_sign", "dkim_verify"):
            getattr(library, function).restype = c_void_p
        library.dkim_init.argtypes = [c_void_p, c_void_p]
        library.dkim_sign.argtypes = [
            c_void_p, c_char_p, c_void_p, c_char_p, c_char_p, c_char_p,
            c_int, c_int, c_int, c_ssize_t, POINTER(c_int),
        ]  # fmt: skip
        library.dkim_verify.argtypes = [c_void_p, c_char_p, c_void_p, POINTER(c_int)]
        library.dkim_header.argtypes = [c_void_p, c_char_p, c_size_t]
        library.dkim_body.argtypes = [c_void_p, c_char_p, c_size_t]
        library.dkim_eoh.argtypes = library.dkim_free.argtypes = [c_void_p]
        library.dkim_eom.argtypes = [c_void_p, POINTER(c_bool)]
        library.dkim_getsighdr.argtypes = [c_void_p, c_void_p, c_size_t, c_size_t]
        library.dkim_set_key_lookup.argtypes = [c_void_p, _Lookup]
        self._lib = library.dkim_init(None, None)

        def look(_: object, __: object, buffer: int, size: int) -> int:
            ctypes.memmove(buffer, record + b"\0", min(size, len(record) + 1))
            return _OK

        self._look = _Lookup(look)  # the library keeps no reference of Python's
        library.dkim_set_key_lookup(self._lib, self._look)

    def sign(self, message: bytes) -> bytes:
        """Make the value of the field."""
        status = c_int()
        handle = self._library.dkim_sign(
            self._lib, b"id", None, self._pem, b"sel", b"example.org",
            _RELAXED, _RELAXED, _RSA_SHA256, -1, byref(status),
        )  # fmt: skip
        self._run(handle, message)
        buffer = ctypes.create_string_buffer(4096)
        assert self._library.dkim_getsighdr(handle, buffer, len(buffer), 16) == _OK
        self._library.dkim_free(handle)
        return buffer.value

    def verify(self, message: bytes) -> None:
        """Verify a message's signature, which holds."""
        handle = self._library.dkim_verify(self._lib, b"id", None, byref(c_int()))
        self._run(handle, message)
        self._library.dkim_free(handle)

    def _run(self, handle: int, message: bytes) -> None:
        library = self._library
        header, body = headers.split(message)
        for start, stop in headers.spans(header):
            field = header[start:stop].rstrip(b"\r\n")
            assert library.dkim_header(handle, field, len(field)) == _OK
        assert library.dkim_eoh(handle) == _OK
        for at in range(0, len(body), _BLOCK):
            block = body[at : at + _BLOCK]
            assert library.dkim_body(handle, block, len(block)) == _OK
        assert library.dkim_eom(handle, byref(c_bool())) == _OK
