import base64
import re
from collections.abc import Callable
from html.parser import HTMLParser

import pytest

from chainrule.documents import (
    Callout,
    Chart,
    Column,
    Document,
    Entries,
    Entry,
    Equalities,
    Equality,
    Fold,
    Formula,
    Graph,
    Heading,
    Prose,
    Series,
    Table,
)
from chainrule.render.page import fragment_html, page_html
from chainrule.render.page_style import FRAGMENT_STYLE, STYLE_SHEET, bound_style

HOSTILE = """</style></title></pre>"'><script>alert(1)</script><img src=x onerror=alert(1)> &amp; \x00\x1b\ud800"""


class Skeleton(HTMLParser):
    """The elements and attribute names of a page, and its texts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, tuple[str, ...]]] = []
        self.addresses: list[str] = []
        self.alternatives: list[str] = []
        self.texts: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, tuple(name for name, _ in attrs)))
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]
        self.alternatives += [value or "" for name, value in attrs if name == "alt"]

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def body_of(*blocks: object) -> str:
    page = page_html(Document("T", blocks))  # type: ignore[arg-type]
    return page[page.index("<h1>T</h1>") + len("<h1>T</h1>\n") : page.index("\n</main>")]


def test_hostile_strings_change_nothing_but_texts(document_with: Callable[[str], Document]) -> None:
    pages = [page_html(document_with(text)) for text in (HOSTILE, "plain")]
    assert Skeleton(pages[0]).elements == Skeleton(pages[1]).elements
    assert "script" not in {tag for tag, _ in Skeleton(pages[0]).elements}
    # Texts of a graph are cut to the width of a box.
    hostile, plain = (Skeleton(re.sub("<svg.*?</svg>", "", page, flags=re.DOTALL)) for page in pages)
    shown = "<script>alert(1)</script><img src=x onerror=alert(1)> &amp; \\x00\\x1b\\ud800"
    assert sum(shown in text for text in hostile.texts) == sum("plain" in text for text in plain.texts) > 20


def test_the_page_can_be_saved_as_utf_8(document_with: Callable[[str], Document]) -> None:
    page = page_html(document_with(HOSTILE))
    assert page.encode("utf-8").decode("utf-8") == page


def test_the_page_loads_nothing(every_block: Document) -> None:
    page = page_html(every_block)
    addresses = Skeleton(page).addresses
    assert len(addresses) == 1 + 2 + 4  # the empty icon, two headings, four pictures
    assert all(address.startswith(("data:", "#")) for address in addresses)
    assert re.findall(r"https?:|url\(|@import|//[a-z]", re.sub(r"base64,[\w+/=]+", "", page)) == []
    for picture in re.findall(r"data:image/svg\+xml;base64,([\w+/=]+)", page):
        svg = base64.b64decode(picture).decode()
        namespaces = {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
        assert set(re.findall(r"https?://[^\"]*", svg)) == namespaces


def test_the_policy_forbids_scripts_and_the_network(every_block: Document) -> None:
    policy = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page_html(every_block))
    assert policy == [
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
    ]


def test_the_same_document_gives_the_same_page(every_block: Document) -> None:
    assert page_html(every_block) == page_html(every_block)


def test_the_page_is_for_light_and_dark_for_paper_and_for_phones(every_block: Document) -> None:
    page = page_html(every_block)
    assert '<html lang="en">' in page
    assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in page
    for query in ("(prefers-color-scheme: dark)", "print", "(max-width: 40rem)"):
        assert f"@media {query} {{" in page


def colours(page: str) -> list[dict[str, str]]:
    """Return the light and the dark colours of the style sheet by their names."""
    blocks = re.findall(r":root \{(.*?)\n *\}", page, flags=re.DOTALL)[:2]
    return [dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block)) for block in blocks]


def luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(
    ("text", "ground"),
    [
        ("ink", "paper"),
        ("quiet", "paper"),
        ("link", "paper"),
        ("ink", "panel"),
        ("quiet", "panel"),
        *((kind, f"{kind}-panel") for kind in ("good", "note", "warning", "error")),
        *(("ink", f"{kind}-panel") for kind in ("good", "note", "warning", "error")),
    ],
)
def test_texts_have_the_contrast_that_wcag_asks_for(scheme: int, text: str, ground: str) -> None:
    palette = colours(page_html(Document("T", ())))[scheme]
    lighter, darker = sorted((luminance(palette[text]), luminance(palette[ground])), reverse=True)
    assert (lighter + 0.05) / (darker + 0.05) >= 4.5


def test_level_two_headings_make_the_contents() -> None:
    page = body_of(Heading("One & only"), Heading("Inner", 3), Heading("Two"), Fold("F", (Heading("Hidden"),)))
    assert (
        page
        == """<nav aria-label="Contents">
<p>Contents</p>
<ol>
<li><a href="#section-1">One &amp; only</a></li>
<li><a href="#section-2">Two</a></li>
</ol>
</nav>
<h2 id="section-1">One &amp; only</h2>
<h3>Inner</h3>
<h2 id="section-2">Two</h2>
<details><summary>F</summary>
<h2>Hidden</h2>
</details>"""
    )
    assert body_of(Heading("Alone")) == '<h2 id="section-1">Alone</h2>'


def test_small_blocks_are_written_like_this() -> None:
    assert body_of(Prose("a < b")) == "<p>a &lt; b</p>"
    assert body_of(Callout("warning", "w")) == (
        '<div class="callout warning" role="note"><strong>Warning</strong>w</div>'
    )
    assert body_of(Formula("x²")) == '<div class="formula"><pre tabindex="0">x²</pre></div>'
    assert body_of(Formula("x²", "x^2")) == (
        '<div class="formula" data-latex="x^2"><div class="set" tabindex="0"><math display="block">'
        "<msup><mi>x</mi><mrow><mn>2</mn></mrow></msup></math></div>"
        "<details><summary>LaTeX</summary><pre>x^2</pre></details></div>"
    )
    assert body_of(Formula("x²", r"\unknown{x}")) == (
        r'<div class="formula" data-latex="\unknown{x}"><pre tabindex="0">x²</pre>'
        r"<details><summary>LaTeX</summary><pre>\unknown{x}</pre></details></div>"
    )
    assert body_of(Heading("Key", starts_page=True)) == '<h2 id="section-1" class="new-page">Key</h2>'
    assert body_of(Fold("f", (), is_open=True)) == "<details open><summary>f</summary>\n\n</details>"


def test_equal_forms_stand_under_each_other() -> None:
    page = body_of(Equality(Formula("y", "y"), (Formula("1 + 1", "1 + 1"), Formula("2", "2"))))
    rows = (
        "<mtr><mtd><mi>y</mi></mtd><mtd><mo>=</mo></mtd><mtd><mn>1</mn><mo>+</mo><mn>1</mn></mtd></mtr>"
        "<mtr><mtd></mtd><mtd><mo>=</mo></mtd><mtd><mn>2</mn></mtd></mtr>"
    )
    latex = r"\begin{aligned} y &amp; = 1 + 1 \\ &amp; = 2 \end{aligned}"
    assert page == (
        f'<div class="formula" data-latex="{latex}"><div class="set" tabindex="0"><math display="block">'
        f'<mtable class="equality">{rows}</mtable></math></div>'
        f"<details><summary>LaTeX</summary><pre>{latex}</pre></details></div>"
    )
    inline = body_of(Equalities((Equality(Formula("y", "y"), (Formula("1", "1"), Formula("2", "2"))),)))
    assert "<mtd><mn>1</mn><mo>=</mo><mn>2</mn></mtd>" in inline
    alone = body_of(Equality(Formula("", ""), (Formula("a", "a"), Formula("b", "b"))))
    assert "<mtr><mtd></mtd><mtd></mtd><mtd><mi>a</mi></mtd></mtr>" in alone


def test_a_formula_in_a_table_is_set() -> None:
    page = body_of(
        Table((Column("name"), Column("is")), ((Formula("w1", "w_1"), Formula("a<b", r"\\unknown")),), is_roomy=True)
    )
    assert '<div class="table roomy" tabindex="0"' in page
    assert '<th scope="row"><math><msub><mi>w</mi><mn>1</mn></msub></math></th><td>a&lt;b</td>' in page


def test_tables_print_numbers_by_column_and_name_their_rows() -> None:
    table = Table((Column("name"), Column("value", ".2f")), (("a<b", 0.125), ("c", None)), "Values")
    assert (
        body_of(table)
        == """<figure><div class="table" tabindex="0" role="region" aria-label="Values">
<table>
<thead><tr><th scope="col">name</th><th scope="col" class="number">value</th></tr></thead>
<tbody>
<tr><th scope="row">a&lt;b</th><td class="number">0.12</td></tr>
<tr><th scope="row">c</th><td class="number"></td></tr>
</tbody>
</table></div><figcaption>Values</figcaption></figure>"""
    )
    assert '<p class="empty">no rows</p>' in body_of(Table((Column("name"),), ()))


def test_pictures_say_what_they_show() -> None:
    series = tuple(Series(f"s{number}", (1.0,), (1.0,)) for number in range(8))
    chart = Chart("k", "Loss", "epoch", "loss", series, caption="Falls.")
    assert Skeleton(body_of(chart)).alternatives == [
        "Loss. Chart of loss against epoch: s0, s1, s2, s3, s4, s5 and 2 more. Falls."
    ]


def test_every_picture_has_an_alternative_text(every_block: Document) -> None:
    assert Skeleton(page_html(every_block)).alternatives == [
        "The loss. Chart of loss against epoch: training, validation, best, bars. Caption",
        "Confusion. Matrix of 2 by 2 numbers, true by predicted. Caption",
        "The network. Network of 2-2-2 nodes. Caption",
        "Confusion. Matrix of 2 by 2 numbers, true by predicted. Caption",
    ]


def test_charts_that_follow_each_other_stand_in_rows_and_a_lone_one_does_not() -> None:
    chart = Chart("c", "C", "x", "y", (Series("s", (0.0, 1.0), (1.0, 2.0)),))
    html = page_html(Document("T", (chart, Prose("between"), chart, chart, Heading("End"))))
    assert html.count('<div class="charts">') == 1
    rows = html[html.index('<div class="charts">') :]
    assert html.index("between") < html.index('<div class="charts">')
    assert rows[: rows.index("End")].count("<img") == 2


def test_sections_of_a_fold_stand_side_by_side() -> None:
    blocks = (Prose("first"), Heading("1", 3), Prose("one"), Heading("2", 3), Prose("two"))
    html = page_html(Document("T", (Fold("steps", blocks, True),)))
    assert re.sub(r"\s+", "", html[html.index("<details") : html.index("</details>")]) == (
        '<detailsopen><summary>steps</summary><p>first</p><divclass="sections">'
        "<section><h3>1</h3><p>one</p></section><section><h3>2</h3><p>two</p></section></div>"
    )


def test_entries_are_a_list_with_their_facts() -> None:
    entry = Entry("#3", "linear", "a → b", (("value", "1 < 2"),), "net.py:3: x = f(x)")
    assert body_of(Entries((entry, Entry("", "add")))) == (
        '<ol class="entries">\n<li><span class="mark">#3</span><div class="entry"><strong>linear</strong> '
        '<span class="flow">a → b</span><dl><div><dt>value</dt><dd>1 &lt; 2</dd></div></dl>'
        '<code class="aside">net.py:3: x = f(x)</code></div></li>\n'
        '<li><div class="entry"><strong>add</strong></div></li>\n</ol>'
    )


def test_a_graph_stands_in_the_page_itself_so_that_its_texts_can_be_searched(graph: Graph) -> None:
    page = body_of(graph)
    assert page.startswith('<figure><div class="picture" tabindex="0" role="group" aria-label="The graph"><svg style="')
    assert page.endswith("</svg>\n</div><figcaption>Caption</figcaption></figure>")
    texts = Skeleton(page).texts
    assert {"linear", "fc1", "weight", "[2, 2]", "block", "norm 0.25", "[4, 3]"} <= set(texts)


def test_a_table_without_headers_has_no_head_on_the_page() -> None:
    assert "<thead>" not in body_of(Table((Column(""), Column("")), (("a", 1),)))


def test_a_fragment_brings_its_style_and_has_no_addresses_that_two_of_them_would_share(every_block: Document) -> None:
    fragment = fragment_html(every_block)
    assert fragment.startswith('<div class="chainrule-document">\n<style>')
    assert fragment.rstrip().endswith("</div>")
    skeleton = Skeleton(fragment)
    assert {"html", "body", "head", "nav", "h1", "script", "link"} & {tag for tag, _ in skeleton.elements} == set()
    assert all("id" not in names for _, names in skeleton.elements)
    assert all(address.startswith("data:") for address in skeleton.addresses)
    assert "Report" in skeleton.texts


def test_hostile_strings_change_nothing_in_a_fragment(document_with: Callable[[str], Document]) -> None:
    hostile, plain = (Skeleton(fragment_html(document_with(text))) for text in (HOSTILE, "plain"))
    assert hostile.elements == plain.elements


def test_every_rule_of_a_fragment_is_bound_to_it() -> None:
    rules = re.sub(r"@media[^{]*", "@", FRAGMENT_STYLE)
    selectors = [part.strip() for found in re.findall(r"([^{};]+)\{", rules) for part in found.split(",")]
    assert len(selectors) > 100
    loose = [one for one in selectors if one.lstrip("} \n") != "@" and ".chainrule-document" not in one]
    assert loose == []
    assert FRAGMENT_STYLE.count("{") == FRAGMENT_STYLE.count("}")


def test_binding_a_style_keeps_what_it_says() -> None:
    style = "html { zoom: 1; }\n:root { --a: 1; }\nbody { margin: 0; }\n@media print {\n  a, b > i { color: red; }\n}\n"
    bound = " ".join(bound_style(style, ".s").split())
    assert bound == ".s { --a: 1; } .s { margin: 0; } @media print { .s a, .s b > i { color: red; } }"
    declared = re.findall(r"[\w-]+: [^;{}]+;", re.sub(r"^html .*$", "", STYLE_SHEET, flags=re.MULTILINE))
    assert re.findall(r"[\w-]+: [^;{}]+;", bound_style(STYLE_SHEET, ".s")) == declared
