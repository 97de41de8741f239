from taskhub.kb.segments.words import keywords, words


def test_chinese_is_cut_into_words_and_their_parts() -> None:
    assert {"中华人民共和国", "人民", "共和国", "postgres"} <= set(words("中华人民共和国 Postgres"))


def test_marks_are_no_words_and_full_width_letters_are_folded() -> None:
    assert words("Ｈｅｌｌｏ， （world）！ ...") == ["hello", "world"]


def test_keywords_are_the_frequent_nouns_and_verbs() -> None:
    text = "索引建立以后，搜索使用索引。索引的更新由 worker 完成，worker 重试。"

    assert keywords(text)[0] == "索引"
    assert "worker" in keywords(text)
    assert "的" not in keywords(text)
    assert len(keywords(text, most=2)) == 2
