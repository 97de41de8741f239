"""How many tokens a text has, by the vocabulary that the splitter cuts with."""

import functools
import re
import unicodedata

from semantic_text_splitter import TextSplitter

TOKENIZER = "gpt-4o"  # its vocabulary is inside the splitter's wheel
KEPT_WORDS = 100_000
KEPT_CHARACTERS = 32
# Of the planes above the first, only the ideographs are letters here: re finds a letter among a
# few ranges of those planes in no time, and among all of them four times slower.
_IDEOGRAPHS = "\\U00020000-\\U00033fff"
# Words of one token, of which one stands apart from whatever character follows.
_LEADS = ("1", "a", "\n")

_known: dict[str, int] = {}


def count_tokens(text: str) -> int:
    """How many tokens the text has.

    The splitter counts tokens but does not tell, and asking it whether a text fits a size costs
    twice as much as cutting it. The vocabulary joins no bytes across words, though, and a word that
    was counted once need not be counted again: a page costs 0.1 ms instead of 2. Where Python knows
    other letters than the vocabulary's authors it may be wrong, of prose by 1 in 10,000.
    """
    if len(_known) > KEPT_WORDS:
        _known.clear()
    return sum(map(_counted, _words().findall(text)))


def _counted(word: str) -> int:
    found = _known.get(word)
    if found is None:
        found = _searched(word)
        if len(word) <= KEPT_CHARACTERS:
            _known[word] = found
    return found


def _searched(word: str) -> int:
    """A text fits a size when it comes back in one piece."""

    def fits(size: int) -> bool:
        splitter = TextSplitter.from_tiktoken_model(TOKENIZER, size, trim=False)
        return len(splitter.chunks(word)) <= 1

    low, high = 1, 1
    most = len(word.encode())  # no token is less than a byte
    while high < most and not fits(high):
        low, high = high + 1, high * 2
    high = min(high, most)
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if fits(middle) else (middle + 1, high)
    if low == 1 and len(word) == 1 and not word.isascii():
        # A character cannot be cut, so it fits any size; behind another word it has a place to be.
        for lead in _LEADS:
            if _words().findall(lead + word) == [lead, word]:
                return _searched(lead + word) - 1
    return low


@functools.cache
def _words() -> re.Pattern[str]:
    """The words of the vocabulary o200k, as its authors publish them, for Python's own re."""
    kinds: dict[str, list[str]] = {kind: [] for kind in ("upper", "lower", "other", "number")}
    for number in range(0x10000):
        category = unicodedata.category(letter := chr(number))
        if category in ("Lu", "Lt"):
            kinds["upper"].append(letter)
        elif category == "Ll":
            kinds["lower"].append(letter)
        elif category[0] == "M" or category in ("Lm", "Lo"):
            kinds["other"].append(letter)
        elif category[0] == "N":
            kinds["number"].append(letter)
    upper, lower, other, number_ = map(_ranges, kinds.values())
    # Marks are no letters where a word may begin with what is no letter.
    letters = _ranges([one for one in kinds["other"] if unicodedata.category(one)[0] == "L"])
    letters = f"{upper}{lower}{letters}{_IDEOGRAPHS}"
    other += _IDEOGRAPHS
    first = f"[^\\r\\n{letters}{number_}]?"
    end = "(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    return re.compile(
        f"{first}[{upper}{other}]*[{lower}{other}]+{end}"
        f"|{first}[{upper}{other}]+[{lower}{other}]*{end}"
        f"|[{number_}]{{1,3}}"
        f"| ?[^\\s{letters}{number_}]+[\\r\\n/]*"
        r"|\s*[\r\n]+|\s+(?!\S)|\s+"
    )


def _ranges(letters: list[str]) -> str:
    """Sorted letters as the inside of a character class."""
    found: list[list[int]] = []
    for number in map(ord, letters):
        if found and found[-1][1] == number - 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return "".join(f"\\U{first:08x}-\\U{last:08x}" for first, last in found)
