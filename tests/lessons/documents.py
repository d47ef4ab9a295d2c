"""Documents for tests: prose of so many words, and PDFs made here."""

import io
import zlib

WORDS = ("stop", "entry", "exit", "trend", "volume", "spread", "margin", "risk", "target", "order", "price", "hedge")


def prose(count: int, *, every: int = 0) -> str:
    """So many words, a full stop after each twelfth, an empty line after each `every`."""
    parts = []
    for number in range(count):
        word = f"{WORDS[number % len(WORDS)]}{number}" + ("." if number % 12 == 11 else "")
        parts.append(word + ("\n\n" if every and number % every == every - 1 else " "))
    return "".join(parts).strip()


def pdf(*pages: str) -> bytes:
    """A PDF with a line of text on each page."""
    return _pdf([f"BT /F1 12 Tf 20 100 Td ({text}) Tj ET".encode() for text in pages], flate=False)


def pdf_bomb(size: int = 200_000_000) -> bytes:
    """A PDF of a few hundred kilobytes whose page unpacks to so many bytes."""
    return _pdf([b"BT /F1 12 Tf (A) Tj ET\n" + b" " * size], flate=True)


def _pdf(streams: list[bytes], *, flate: bool) -> bytes:
    font = b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"
    kids = " ".join(f"{4 + 2 * number} 0 R" for number in range(len(streams)))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(streams)} >>".encode(),
        font,
    ]
    for number, stream in enumerate(streams):
        content = zlib.compress(stream, 9) if flate else stream
        filters = " /Filter /FlateDecode" if flate else ""
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 200 200] /Contents {5 + 2 * number} 0 R "
            "/Resources << /Font << /F1 3 0 R >> >> >>".encode()
        )
        objects.append(f"<< /Length {len(content)}{filters} >>\nstream\n".encode() + content + b"\nendstream")
    out = io.BytesIO()
    out.write(b"%PDF-1.7\n")
    places = []
    for number, body in enumerate(objects, start=1):
        places.append(out.tell())
        out.write(f"{number} 0 obj\n".encode() + body + b"\nendobj\n")
    start = out.tell()
    out.write(f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n".encode())
    out.write(b"".join(f"{place:010d} 00000 n \n".encode() for place in places))
    out.write(f"trailer\n<< /Size {len(objects) + 1} /Root 1 0 R >>\nstartxref\n{start}\n%%EOF\n".encode())
    return out.getvalue()
