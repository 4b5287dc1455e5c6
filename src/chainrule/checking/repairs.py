"""A wrong formula put right by a pair of brackets: what was meant, and what precedence made of it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from chainrule.checking.derivations import Derivation, flat_reading
from chainrule.checking.readings import Constant, Operation, Reading, UnreadableError, reading_text
from chainrule.checking.slips import Slip

_RANK = {"+": 1, "-": 1, "*": 2, "/": 2, "^": 3}
_MOST_TOKENS = 120
_MOST_TWICE = 21
_SHOWN = {"+": "+", "-": "−", "*": "·", "/": "/", "^": "^"}


@dataclass(frozen=True, slots=True)
class _Sign:
    text: str


_Token = Reading | _Sign


def repaired_slips(reading: Reading, is_right: Callable[[Reading], bool]) -> tuple[Slip, ...]:
    """Return the slip of missing brackets, when one or two pairs of brackets make a formula right; else ().

    Args:
        reading: the formula that stands there.
        is_right: whether a formula is the right one.
    """
    tokens = _flat(reading)
    if len(tokens) > _MOST_TOKENS:
        return ()
    for repaired in (*_bracketed_once(tokens), *_bracketed_everywhere(tokens)):
        if _is_right(repaired, is_right):
            return (_slip(repaired),)
    for slip, operated in _other_operators(tokens):
        if _is_right(operated, is_right):
            return (slip,)
    if len(tokens) > _MOST_TWICE:
        return ()
    for once in _bracketed_once_tokens(tokens):
        for repaired in _bracketed_once(once):
            if _is_right(repaired, is_right):
                return (_slip(repaired),)
    return ()


def unbracketed(derivation: Derivation) -> Iterator[tuple[Slip, Reading]]:
    """Yield what belongs in a cell with brackets left out: one pair, or every pair around differences of one kind."""
    slip = Slip("missing brackets", f"meant is {reading_text(derivation.reading)}")
    for whole in (derivation.reading, flat_reading(derivation.products)):
        tokens = _flat(whole)
        depth = _depths(tokens)
        pairs = []
        for start, token in enumerate(tokens):
            if token == _Sign("("):
                pairs.append((start, next(end for end in range(start + 1, len(tokens)) if depth[end] == depth[start])))
        inner = [pair for pair in pairs if _Sign("(") not in tokens[pair[0] + 1 : pair[1]]]
        ones = [pair for pair in inner if isinstance(tokens[pair[0] + 1], Constant)]
        others = [pair for pair in inner if pair not in ones]
        for chosen in (*([pair] for pair in pairs), ones, others, inner):
            left_out = {place for pair in chosen for place in pair}
            if left_out:
                yield slip, _parsed([token for place, token in enumerate(tokens) if place not in left_out])


def _other_operators(tokens: Sequence[_Token]) -> Iterator[tuple[Slip, Reading]]:
    """Yield the formula with another operator in one place, and with a product in the place of every sum."""
    for place, token in enumerate(tokens):
        for other in "+-*/" if _is_operator(token) else "":
            if token != _Sign(other) and isinstance(token, _Sign):
                reading = _parsed([*tokens[:place], _Sign(other), *tokens[place + 1 :]])
                detail = f"{_SHOWN[token.text]} stands where {_SHOWN[other]} belongs; meant is {reading_text(reading)}"
                yield Slip("wrong operator", detail), reading
    product = [_Sign("*") if token == _Sign("+") else token for token in tokens]
    yield Slip("wrong operator", "+ stands where · belongs: along a path, derivatives are multiplied"), _parsed(product)


def _slip(repaired: Reading) -> Slip:
    return Slip("missing brackets", f"meant is {reading_text(repaired)}")


def _is_right(reading: Reading, is_right: Callable[[Reading], bool]) -> bool:
    try:
        return is_right(reading)
    except UnreadableError:
        return False


def _bracketed_once_tokens(tokens: Sequence[_Token]) -> Iterator[list[_Token]]:
    """Yield the formula with one pair of brackets more, around any operands that stand side by side."""
    depth = _depths(tokens)
    places = [place for place, token in enumerate(tokens) if token != _Sign(")") and not _is_operator(token)]
    for start in places:
        for end in range(start + 2, len(tokens)):
            if depth[end] < depth[start]:
                break
            if _is_operator(tokens[end]) or tokens[end] == _Sign("(") or depth[end] != depth[start]:
                continue
            yield [*tokens[:start], _Sign("("), *tokens[start : end + 1], _Sign(")"), *tokens[end + 1 :]]


def _bracketed_once(tokens: Sequence[_Token]) -> Iterator[Reading]:
    for bracketed in _bracketed_once_tokens(tokens):
        yield _parsed(bracketed)


def _bracketed_everywhere(tokens: Sequence[_Token]) -> Iterator[Reading]:
    """Yield the formula with brackets around every difference of one kind: each 1 − a, each a − t, or all of both."""
    kinds: dict[str, list[int]] = {}
    for place in range(1, len(tokens) - 1):
        left, right = tokens[place - 1], tokens[place + 1]
        if tokens[place] == _Sign("-") and not isinstance(left, _Sign) and not isinstance(right, _Sign):
            kinds.setdefault("number" if isinstance(left, Constant) else "name", []).append(place)
    for chosen in (*kinds.values(), [place for places in kinds.values() for place in places]):
        bracketed: list[_Token] = []
        for place, token in enumerate(tokens):
            opens, closes = place + 1 in chosen, place - 1 in chosen
            bracketed += [*([_Sign("(")] if opens else []), token, *([_Sign(")")] if closes else [])]
        if not any(place + 2 in chosen for place in chosen):  # a − b − c: the brackets would cross
            yield _parsed(bracketed)


def _depths(tokens: Sequence[_Token]) -> list[int]:
    """Return how deep in brackets each token stands; a bracket stands as deep as what is around it."""
    depths, depth = [], 0
    for token in tokens:
        if token == _Sign(")"):
            depth -= 1
        depths.append(depth)
        if token == _Sign("("):
            depth += 1
    return depths


def _is_operator(token: _Token) -> bool:
    return isinstance(token, _Sign) and token.text in _RANK


def _flat(reading: Reading, rank: int = 0) -> list[_Token]:
    """Return a formula as signs and operands, with the brackets that it needs; functions are operands."""
    if not isinstance(reading, Operation) or reading.operator not in _RANK:
        return [reading]
    operator, parts = reading.operator, reading.arguments
    if len(parts) == 1:
        inner: list[_Token] = [Operation(operator, parts)] if not isinstance(parts[0], Operation) else [reading]
        return inner
    own = _RANK[operator]
    tokens = [*_flat(parts[0], own), _Sign(operator), *_flat(parts[1], own + (operator in "-/^"))]
    return [_Sign("("), *tokens, _Sign(")")] if own < rank else tokens


def _parsed(tokens: Sequence[_Token]) -> Reading:
    """Return the formula of signs and operands, by precedence."""
    operands: list[Reading] = []
    signs: list[str] = []

    def close(rank: int) -> None:
        while signs and signs[-1] != "(" and _RANK[signs[-1]] >= rank:
            right, left = operands.pop(), operands.pop()
            operands.append(Operation(signs.pop(), (left, right)))

    for token in tokens:
        if not isinstance(token, _Sign):
            operands.append(token)
        elif token.text == "(":
            signs.append("(")
        elif token.text == ")":
            close(0)
            signs.pop()
        else:
            close(_RANK[token.text])
            signs.append(token.text)
    close(0)
    return operands[0]
