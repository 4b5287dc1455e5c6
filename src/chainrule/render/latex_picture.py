r"""A drawn network for LaTeX's own picture environment, which needs no package; straight lines are its \qbezier."""

from chainrule.documents import NetworkDrawing
from chainrule.render.latex_text import latex_text
from chainrule.render.network_layout import NetworkPlan, PlacedNode, PlacedText, node_lines, plan_network
from chainrule.render.plain_text import printable_line, shortened

_PAGE_WIDTH = 6.2  # inches between the margins


def network_picture(drawing: NetworkDrawing) -> str:
    """Return a network as a picture environment, no wider than the page."""
    plan = plan_network(drawing)
    share = min(1.0, _PAGE_WIDTH / plan.width)
    names = 0.3 if plan.layer_names else 0.0
    lines = [
        rf"\setlength{{\unitlength}}{{{share:.4f}in}}",
        rf"\begin{{picture}}({plan.width:.3f},{plan.height + names:.3f})",
        *_edges(plan, share),
        *(_text(label.x, label.y, r"\scriptsize " + latex_text(label.text)) for label in plan.labels),
        *(line for node in plan.nodes for line in _node(node)),
        *(_text(name.x, plan.height + 0.15, r"\footnotesize " + latex_text(name.text)) for name in plan.layer_names),
        *(_text(gap.x, gap.y, r"\scriptsize " + latex_text(" ".join(gap.text.split()))) for gap in plan.gaps),
        r"\end{picture}",
    ]
    return "\n".join(lines)


def _edges(plan: NetworkPlan, share: float) -> list[str]:
    """Draw the edges, each interrupted where a label stands: base LaTeX has no colour to lay behind the label."""
    lines = []
    for edge in plan.edges:
        (x, y), (end_x, end_y) = edge.start, edge.end
        hidden = sorted(_inside(edge.start, edge.end, _box(label, share)) for label in plan.labels)
        begin = 0.0
        for first, last in [*(span for span in hidden if span[0] < span[1]), (1.0, 1.0)]:
            if first > begin:
                (a, b), (c, d) = ((x + at * (end_x - x), y + at * (end_y - y)) for at in (begin, first))
                middle = f"({(a + c) / 2:.3f},{(b + d) / 2:.3f})"
                lines.append(rf"\qbezier({a:.3f},{b:.3f}){middle}({c:.3f},{d:.3f})")
            begin = max(begin, last)
    return lines


def _box(label: PlacedText, share: float) -> tuple[float, float, float, float]:
    """Return a label's box in the picture's units, which shrink with the picture while the letters do not."""
    left, bottom, right, top = label.box
    width, height = (right - left) / share / 2, (top - bottom) / share / 2
    return label.x - width, label.y - height, label.x + width, label.y + height


def _inside(
    start: tuple[float, float], end: tuple[float, float], box: tuple[float, float, float, float]
) -> tuple[float, float]:
    """Return between which shares of its length a line runs inside of a box; an empty range when it does not."""
    first, last = 0.0, 1.0
    for from_, to, low, high in ((start[0], end[0], box[0], box[2]), (start[1], end[1], box[1], box[3])):
        if from_ == to:
            if not low <= from_ <= high:
                return 0.0, 0.0
            continue
        enters, leaves = sorted(((low - from_) / (to - from_), (high - from_) / (to - from_)))
        first, last = max(first, enters), min(last, leaves)
    return (first, last) if first < last else (0.0, 0.0)


def _node(placed: PlacedNode) -> list[str]:
    # \circle stops at 40 pt across in base LaTeX, so a circle is four curves.
    x, y, r = placed.x, placed.y, placed.radius
    bend = 0.4142 * r  # a quadratic curve through an eighth of a circle
    corner = 0.7071 * r
    points = [(r, 0.0), (corner, corner), (0.0, r), (-corner, corner), (-r, 0.0), (-corner, -corner), (0.0, -r)]
    points += [(corner, -corner), (r, 0.0)]
    middles = [(r, bend), (bend, r), (-bend, r), (-r, bend), (-r, -bend), (-bend, -r), (bend, -r), (r, -bend)]
    lines = [
        rf"\qbezier({x + a:.3f},{y + b:.3f})({x + c:.3f},{y + d:.3f})({x + e:.3f},{y + f:.3f})"
        for (a, b), (c, d), (e, f) in zip(points, middles, points[1:], strict=False)
    ]
    texts = [rf"\small\bfseries {latex_text(shortened(printable_line(placed.node.name), 22))}"]
    texts += [rf"\scriptsize {latex_text(line)}" for line in node_lines(placed.node)]
    step = 0.16
    top = y + step * (len(texts) - 1) / 2
    return lines + [_text(x, top - row * step, text) for row, text in enumerate(texts)]


def _text(x: float, y: float, text: str) -> str:
    return rf"\put({x:.3f},{y:.3f}){{\makebox(0,0){{{text}}}}}"
