"""How a page looks: one style sheet, light and dark, on a phone, on a wide screen and on paper.

A fragment in a notebook has the same style, with every rule bound to the fragment's own element.
"""

import re
from typing import Final

STYLE_SHEET: Final = """
:root {
  color-scheme: light dark;
  --paper: #ffffff; --ink: #1f2933; --quiet: #566270; --line: #d9dfe5; --panel: #f5f7f9; --link: #0b5cad;
  --good: #16703c; --note: #0b5cad; --warning: #8a5300; --error: #b3261e;
  --good-panel: #eaf6ee; --note-panel: #eaf2fb; --warning-panel: #fdf4e3; --error-panel: #fdecea;
  --sans: system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
  --mono: ui-monospace, "Cascadia Mono", "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #15191e; --ink: #e3e8ed; --quiet: #a0acb8; --line: #36404a; --panel: #1e242b; --link: #7db8f5;
    --good: #7fd09b; --note: #7db8f5; --warning: #f0c060; --error: #ff9e94;
    --good-panel: #16281d; --note-panel: #162536; --warning-panel: #2e2513; --error-panel: #351c1a;
  }
}
*, *::before, *::after { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; scroll-padding-top: 1rem; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 1rem/1.55 var(--sans); }
.sheet { max-width: 74rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; overflow-wrap: anywhere; }
h1, h2, h3, h4, h5, h6 { line-height: 1.25; text-wrap: balance; }
h1 { font-size: clamp(1.5rem, 1.2rem + 1.6vw, 2.1rem); margin: 0 0 1rem; }
h2 { font-size: 1.35rem; margin: 2.6rem 0 .8rem; padding-bottom: .3rem; border-bottom: 1px solid var(--line); }
h3 { font-size: 1.12rem; margin: 1.8rem 0 .5rem; }
h4, h5, h6 { font-size: 1rem; margin: 1.4rem 0 .4rem; }
p { margin: .8rem 0; max-width: 44rem; white-space: pre-line; }
a { color: var(--link); }
:focus-visible { outline: 2px solid var(--link); outline-offset: 2px; }

nav { margin: 0 0 1.5rem; padding: .8rem 1rem; border: 1px solid var(--line); border-radius: .5rem; }
nav p { margin: 0 0 .3rem; font-size: .85rem; font-weight: 600; color: var(--quiet); }
nav ol { margin: 0; padding: 0 0 0 1.3rem; columns: 16rem; }
nav li { padding: .15rem 0; break-inside: avoid; }

.formula { margin: 1rem 0; padding: .7rem 1rem; background: var(--panel); border-radius: .5rem; }
.formula pre { margin: 0; font: .95rem/1.6 var(--mono); overflow-x: auto; overflow-wrap: normal; }
.formula .set { overflow-x: auto; overflow-y: hidden; overflow-wrap: normal; padding: .15rem 0; }
.formula math { width: fit-content; min-width: max-content; margin: 0; font-size: 1.1rem; }
.formula mtable.equality { math-style: normal; }
.table math { font-size: 1.08em; math-style: compact; }
.roomy td, .roomy th { padding-top: .7rem; padding-bottom: .7rem; }
.formula mtable.equality mtd { padding: .3rem .25rem; text-align: left; }
.formula mtable.equality mtd:first-child { text-align: right; }
.formula mtable.cases mtd { text-align: left; padding: .1rem .4rem; }
.formula details { margin: .4rem 0 0; padding: 0; border: 0; font-size: .85rem; color: var(--quiet); }
.formula details summary { font-weight: 400; padding: 0; }
.formula details pre { white-space: pre-wrap; overflow-wrap: anywhere; user-select: all; font-size: .85rem; }

figure { margin: 1.4rem 0; }
.picture { width: fit-content; max-width: 100%; padding: .4rem; overflow-x: auto; }
.picture { background: #ffffff; border: 1px solid var(--line); border-radius: .5rem; }
.picture img, .picture svg { display: block; max-width: max(100%, min(28rem, var(--least))); height: auto; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 28rem), 1fr)); gap: 1.4rem; }
.charts { margin: 1.4rem 0; align-items: start; }
.charts figure { margin: 0; min-width: 0; }
.sections { display: flex; flex-wrap: wrap; align-items: flex-start; gap: 0 2.2rem; }
.sections section { min-width: 0; max-width: 100%; }
.sections h3 { margin: .8rem 0 0; }
.sections figure { margin: .7rem 0 1rem; }
figcaption { margin: .4rem .2rem 0; font-size: .9rem; color: var(--quiet); max-width: 44rem; white-space: pre-line; }

.table { width: fit-content; max-width: 100%; overflow: auto; }
.table { max-height: min(75vh, 44rem); border: 1px solid var(--line); border-radius: .5rem; }
table { border-collapse: separate; border-spacing: 0; font-size: .92rem; overflow-wrap: break-word; }
th, td { padding: .35rem .75rem; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; }
td, tbody th { max-width: 40rem; }
tbody tr:last-child > * { border-bottom: 0; }
thead th {
  position: sticky; top: 0; z-index: 2; background: var(--panel);
  max-width: 14rem; font-weight: 600; vertical-align: bottom;
}
tbody th { position: sticky; left: 0; z-index: 1; background: var(--paper); font-weight: 500; }
tbody th { max-width: min(16rem, 45vw); }
thead th:first-child { left: 0; z-index: 3; }
tbody th, thead th:first-child { border-right: 1px solid var(--line); }
.number { text-align: right; font-variant-numeric: tabular-nums lining-nums; }
td.number, tbody th.number { white-space: nowrap; }
tbody tr:hover > * { background: var(--panel); }
.empty { padding: .6rem .75rem; color: var(--quiet); }

.callout { margin: 1rem 0; padding: .7rem 1rem; border-left: 4px solid var(--kind); border-radius: .25rem; }
.callout { white-space: pre-line; }
.callout strong { color: var(--kind); margin-right: .5em; }
.callout.good { --kind: var(--good); background: var(--good-panel); }
.callout.note { --kind: var(--note); background: var(--note-panel); }
.callout.warning { --kind: var(--warning); background: var(--warning-panel); }
.callout.error { --kind: var(--error); background: var(--error-panel); }

.entries { list-style: none; margin: .6rem 0; padding: 0; }
.entries li { display: flex; gap: .7rem; padding: .55rem 0; border-top: 1px solid var(--line); }
.entries li:first-child { border-top: 0; }
.mark { flex: 0 0 2.6rem; color: var(--quiet); font-size: .85rem; line-height: 1.8; text-align: right; }
.mark { font-variant-numeric: tabular-nums; }
.entry { flex: 1 1 0; min-width: 0; }
.flow { color: var(--quiet); font-size: .92rem; margin-left: .4rem; }
.entry dl { margin: .25rem 0 0; display: grid; grid-template-columns: fit-content(14rem) 1fr; gap: .1rem .9rem; }
.entry dl div { display: contents; }
.entry dt { color: var(--quiet); font-size: .85rem; line-height: 1.6; }
.entry dd { margin: 0; min-width: 0; font: .85rem/1.6 var(--mono); white-space: pre-wrap; }
.aside { display: block; margin-top: .2rem; color: var(--quiet); font: .8rem/1.5 var(--mono); }

details { margin: 1rem 0; padding: 0 1rem; border: 1px solid var(--line); border-radius: .5rem; }
summary { cursor: pointer; padding: .55rem 0; font-weight: 600; }
summary + * { margin-top: .3rem; }
details details { margin: .5rem 0; }
details + details { margin-top: -.5rem; }
details details + details { margin-top: 0; }

@media (max-width: 40rem) {
  .sheet { padding: 1rem .8rem 3rem; }
  details { padding: 0 .7rem; }
  .entries li { gap: .4rem; }
  .mark { flex-basis: 1.8rem; }
  .entry dl { grid-template-columns: 1fr; gap: 0; }
  .entry dd { margin-bottom: .2rem; padding-left: .6rem; }
}
@media print {
  :root {
    color-scheme: light;
    --paper: #ffffff; --ink: #000000; --quiet: #444444; --line: #bbbbbb; --panel: #f2f2f2; --link: #000000;
    --good: #16703c; --note: #0b5cad; --warning: #8a5300; --error: #b3261e;
    --good-panel: #ffffff; --note-panel: #ffffff; --warning-panel: #ffffff; --error-panel: #ffffff;
  }
  body { font-size: 10.5pt; }
  .sheet { max-width: none; padding: 0; }
  nav { display: none; }
  .picture { border: 0; padding: 0; overflow: visible; }
  .picture img, .picture svg { max-width: 100%; }
  .charts { grid-template-columns: 1fr 1fr; }
  .table { max-height: none; overflow: visible; border: 0; }
  table { font-size: 8.5pt; }
  thead th, tbody th { position: static; }
  .new-page { break-before: page; }
  h1, h2, h3, h4, summary { break-after: avoid; }
  figure, .callout, .formula, tr { break-inside: avoid; }
  details::details-content { content-visibility: visible; block-size: auto; }
  .formula details { display: none; }
}
"""

_DARK: Final = STYLE_SHEET[STYLE_SHEET.index("--paper: #15191e") : STYLE_SHEET.index("}\n}\n*, *::before")].strip()
_LIGHT: Final = STYLE_SHEET[STYLE_SHEET.index("--paper: #ffffff") : STYLE_SHEET.index("  --sans")].strip()
_SELECTORS: Final = re.compile(r"(@?)([^{}@;]+)\{")


def bound_style(style: str, scope: str) -> str:
    """Return a style sheet whose rules hold inside the elements of one selector only.

    Rules of the whole page (`:root`, `body`) become rules of those elements; those of `html` are left out.
    """

    def bind(match: re.Match[str]) -> str:
        if match.group(1):
            return match.group()
        selectors = [selector.strip() for selector in match.group(2).split(",")]
        bound = [scope if one in (":root", "body") else f"{scope} {one}" for one in selectors]
        return "\n" + ", ".join(bound) + " {"

    style = re.sub(r"^html \{[^}]*\}\n", "", style, flags=re.MULTILINE)
    return _SELECTORS.sub(bind, style)


# Notebooks have a light and a dark look of their own, whatever the system's is; these are how they say so.
FRAGMENT_STYLE: Final = (
    bound_style(STYLE_SHEET, ".chainrule-document")
    + f"""
.chainrule-document {{ padding: .8rem 1rem; border: 1px solid var(--line); border-radius: .5rem; }}
.chainrule-document {{ overflow-wrap: anywhere; }}
.chainrule-document .title {{ font-size: 1.15rem; font-weight: 600; margin: 0 0 .6rem; }}
.chainrule-document th, .chainrule-document td {{ background: var(--paper); color: var(--ink); }}
[data-jp-theme-light="true"] .chainrule-document, .vscode-light .chainrule-document {{ color-scheme: light; {_LIGHT} }}
[data-jp-theme-light="false"] .chainrule-document, .vscode-dark .chainrule-document {{ color-scheme: dark; {_DARK} }}
"""
)
