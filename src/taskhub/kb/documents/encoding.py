"""Which encoding a file of text is in."""

import codecs
import re
from typing import BinaryIO

from taskhub.kb.documents.failures import BadDocument, Problem

READ_BYTES = 1 << 20
SAMPLE_BYTES = 1 << 16

BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_NOT_TEXT = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
_HIGH_RUNS = re.compile(rb"[\x80-\xff]+")


def encoding_of(file: BinaryIO) -> str:
    """The name of the codec that reads the file; its position is left anywhere.

    Raises:
        BadDocument: it is no text in any encoding.
    """
    file.seek(0)
    head = file.read(SAMPLE_BYTES)
    for mark, name in BOMS:
        if head.startswith(mark):
            return name
    if wide := _utf16_without_mark(head):
        return wide
    if len(_NOT_TEXT.findall(head.decode("latin-1"))) * 10 > len(head):
        raise BadDocument(Problem.NOT_TEXT, "binary data, not text")
    sample = _sample(file)
    return _encoding_of_sample(sample) if sample else "utf-8"


def _utf16_without_mark(head: bytes) -> str | None:
    """Latin text in UTF-16 has a zero in every second byte; binary data has zeros everywhere."""
    half = len(head) // 2
    even, odd = head[0::2].count(0), head[1::2].count(0)
    if half >= 4 and odd > 0.6 * half and even < 0.05 * half:
        return "utf-16-le"
    if half >= 4 and even > 0.6 * half and odd < 0.05 * half:
        return "utf-16-be"
    return None


def _sample(file: BinaryIO) -> bytes:
    """Lines with bytes above 127 from anywhere in the file: the first accent may come late."""
    file.seek(0)
    lines: list[bytes] = []
    size = 0
    while size < SAMPLE_BYTES and (chunk := file.read(READ_BYTES)):
        if chunk.isascii():
            continue
        for line in chunk.split(b"\n"):
            if not line.isascii():
                lines.append(line[: SAMPLE_BYTES - size])
                size += len(lines[-1]) + 1
            if size >= SAMPLE_BYTES:
                break
    return b"\n".join(lines)


def _encoding_of_sample(sample: bytes) -> str:
    text = sample.decode("utf-8", "replace")
    beyond_ascii = sum(character > "\x7f" for character in text)
    # A few wrong bytes, or a line cut in the middle of a letter, do not make it another encoding.
    if text.count("\ufffd") * 20 <= beyond_ascii:
        return "utf-8"
    if _looks_chinese(sample):
        return "gb18030"
    if _looks_western(sample):
        return "cp1252"
    return _guess(sample)


def _looks_chinese(sample: bytes) -> bool:
    """Simplified Chinese: most letters are among the 3,755 common ones, in GB2312's first rows."""
    try:
        sample.decode("gb18030")
    except UnicodeDecodeError as error:
        if error.start < len(sample) - 3:  # only the sample's own end may cut a letter
            return False
    pairs = [run[i : i + 2] for run in _HIGH_RUNS.findall(sample) for i in range(0, len(run), 2)]
    whole = [pair for pair in pairs if len(pair) == 2]
    common = sum(0xB0 <= pair[0] <= 0xD7 or 0xA1 <= pair[0] <= 0xA3 for pair in whole)
    return len(whole) >= 0.7 * len(pairs) and common >= 0.8 * len(whole)


def _looks_western(sample: bytes) -> bool:
    """Accented letters stand alone between plain ones; other scripts come in runs."""
    runs = _HIGH_RUNS.findall(sample)
    return sum(len(run) == 1 for run in runs) >= 0.6 * len(runs)


def _guess(sample: bytes) -> str:
    from charset_normalizer import from_bytes

    asian_and_cyrillic = [
        "big5",
        "cp932",
        "cp949",
        "euc_jp",
        "gb18030",
        "cp1251",
        "koi8_r",
        "cp866",
    ]
    best = from_bytes(sample, cp_isolation=asian_and_cyrillic).best()
    # latin-1 reads anything; five bytes that cp1252 lacks must not stop a file.
    return best.encoding if best is not None else "latin-1"
