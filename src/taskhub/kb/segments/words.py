"""Words of a text, Chinese included, as full-text search needs them."""

import unicodedata
from collections import Counter

import rjieba

# The text search configuration for `words`: stems English and leaves its stop words out; Chinese
# words pass as they are. Text and question must go through the same one.
CONFIGURATION = "english"
# Nouns, names, verbs and foreign words of rjieba's tags; a text's topic is told by them.
_TOPICAL = ("n", "v", "eng")


def words(text: str) -> list[str]:
    """Every word in the text's order, long Chinese words also in their parts; full-width folded."""
    found = rjieba.cut_for_search(unicodedata.normalize("NFKC", text).lower())
    # Nearly every word that counts is of letters and digits alone, which is told in one step.
    return [word for word in found if word.isalnum() or any(map(str.isalnum, word))]


def keywords(text: str, most: int = 10) -> list[str]:
    """The text's most frequent topical words of two or more letters, the most frequent first."""
    tagged = rjieba.tag(unicodedata.normalize("NFKC", text).lower())
    counted = Counter(
        word
        for word, tag in tagged
        if 2 <= len(word) <= 64
        and tag.startswith(_TOPICAL)
        and (word.isalpha() or any(map(str.isalpha, word)))
    )
    return [word for word, _ in counted.most_common(most)]
