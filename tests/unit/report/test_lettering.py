from gancli.report import lettering


def test_long_name_is_cut_with_an_ellipsis_to_fit():
    font = lettering.load_font(18)
    assert lettering.shorten_text("quick", 200, font) == "quick"
    cut = lettering.shorten_text("a folder with a very long name indeed", 120, font)
    assert cut.endswith("…") and cut.startswith("a folder")
    assert font.getlength(cut) <= 120
    assert lettering.shorten_text("quick", 0, font) == "…"
