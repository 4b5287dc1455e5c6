r"""A drawn network for LaTeX's own picture environment, which needs no package; straight lines are its \qbezier."""

from chainrule.documents import NetworkDrawing
from chainrule.render.latex_text import latex_text
from chainrule.render.network_layout import NetworkPlan, PlacedNode, node_lines, plan_network
from chainrule.render.plain_text import printable_line, shortened

_PAGE_WIDTH = 6.2  # inches between the margins
_ABOVE = 0.09  # inches from the middle of an edge to its label: nothing can hide the line behind it


def network_picture(drawing: NetworkDrawing) -> str:
    """Return a network as a picture environment, no wider than the page."""
    plan = plan_network(drawing)
    share = min(1.0, _PAGE_WIDTH / plan.width)
    names = 0.3 if plan.layer_names else 0.0
    lines = [
        rf"\setlength{{\unitlength}}{{{share:.4f}in}}",
        rf"\begin{{picture}}({plan.width:.3f},{plan.height + names:.3f})",
        *_edges(plan),
        *(_text(label.x, label.y + _ABOVE, r"\scriptsize " + latex_text(label.text)) for label in plan.labels),
        *(line for node in plan.nodes for line in _node(node)),
        *(_text(name.x, plan.height + 0.15, r"\footnotesize " + latex_text(name.text)) for name in plan.layer_names),
        *(_text(gap.x, gap.y, r"\scriptsize " + latex_text(" ".join(gap.text.split()))) for gap in plan.gaps),
        r"\end{picture}",
    ]
    return "\n".join(lines)


def _edges(plan: NetworkPlan) -> list[str]:
    lines = []
    for edge in plan.edges:
        (x, y), (end_x, end_y) = edge.start, edge.end
        middle = f"({(x + end_x) / 2:.3f},{(y + end_y) / 2:.3f})"
        lines.append(rf"\qbezier({x:.3f},{y:.3f}){middle}({end_x:.3f},{end_y:.3f})")
    return lines


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
