"""Private keys as people paste them. What is wrong with one is said without quoting it."""

import base64
import binascii
import re
import textwrap

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from apps.common.errors import Misconfigured

_PEM = re.compile(r"-----BEGIN ([A-Z ]+)-----(.+)-----END \1-----", re.ASCII | re.DOTALL)


def unusable(why: str, *, fix: str) -> Misconfigured:
    """The error of a key that cannot be used."""
    return Misconfigured("VENUE_KEY_UNUSABLE", f"The venue key cannot be used: {why}.", fix=fix)


def read_private_key(secret: str, *, fix: str) -> object:
    r"""The key of a PEM block (SEC1 or PKCS8, a literal `\n` read as a line end), of any kind, or the Ed25519 key of a
    base64 text (32 bytes, or 64 with the public half).

    Raises Misconfigured VENUE_KEY_UNUSABLE with this `fix`.
    """
    text = secret.replace("\\r", "").replace("\\n", "\n").replace("\r", "").strip()
    if not text.isascii() or not text:
        raise unusable("it is empty" if not text else "it holds characters no key has", fix=fix)
    match = _PEM.fullmatch(text)
    if match is None:
        return _from_base64(text, fix)
    # Line ends are lost on the way through many a form and variable; the lines are made anew.
    lines = textwrap.wrap("".join(match[2].split()), 64)
    return _from_pem("\n".join([f"-----BEGIN {match[1]}-----", *lines, f"-----END {match[1]}-----", ""]), fix)


def _from_pem(text: str, fix: str) -> object:
    try:
        return load_pem_private_key(text.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # The library's message may quote what it read; it is left out.
        raise unusable("the PEM block does not hold an unencrypted private key", fix=fix) from None


def _from_base64(text: str, fix: str) -> Ed25519PrivateKey:
    try:
        raw = base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        raise unusable("it is neither PEM nor base64", fix=fix) from None
    if len(raw) not in {32, 64}:
        raise unusable(f"an Ed25519 key has 32 or 64 bytes, this has {len(raw)}", fix=fix)
    key = Ed25519PrivateKey.from_private_bytes(raw[:32])
    if len(raw) == 64 and key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw) != raw[32:]:
        raise unusable("its public half does not belong to its private half", fix=fix)
    return key
