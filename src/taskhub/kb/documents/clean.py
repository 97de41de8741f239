"""Take out of a text what no reader sees and Postgres or a model refuses."""

import re

# C0 without tab and line feed, DEL, C1, U+FFFE and U+FFFF, and halves of surrogate pairs.
_CONTROL = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f-\x84\x86-\x9f\ufffe\uffff\ud800-\udfff]")
_MARKDOWN_LINK = r"!?\[[^\]\n]{0,500}\]\([^)\s]{1,2000}\)"
_URL = re.compile(rf"({_MARKDOWN_LINK})|https?://[^\s<>\"'，。；！？、）】》]{{1,2000}}")
_MAIL = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}")


def clean(text: str, *, spaces: bool = False, urls: bool = False, mails: bool = False) -> str:
    """The text without control characters, `<|`, `|>`, U+FFFE and lone surrogates.

    Args:
        spaces: also make runs of blanks one blank and runs of empty lines one.
        urls: also take out web addresses, except those in Markdown links and images.
        mails: also take out mail addresses.
    """
    text = re.sub("\r\n?|[\x0c\x85\u2028]", "\n", text)
    # Marks of special tokens: a model must not take a document's text for its own frame.
    text = text.replace("<|", "<").replace("|>", ">")
    text = _CONTROL.sub("", text)
    if urls:
        text = _URL.sub(lambda match: match[1] or "", text)
    if mails:
        text = _MAIL.sub("", text)
    if spaces:
        text = re.sub(r"[^\S\n]+", " ", text)
        text = re.sub(r"\n(?: ?\n){2,}", "\n\n", text)
    return text
