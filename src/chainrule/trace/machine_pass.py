"""The pass over a tensor's memory that `moments` describes, in LLVM's language.

It is written in vectors of 16 elements, two to a row, and no addition may be moved: what is added to what is the same
on every processor, whose own vectors may be longer or shorter. A minimum that is compared with NaN stays what it was.
"""

COLUMNS = 32  # of a row: enough additions at once for every processor's vectors
ROWS = 64  # of a block: so many numbers of the tensor's own precision are added to each other, and no more

_WIDTH = COLUMNS // 2
_BITS = {"float": 32, "double": 64}
_INFINITY = "0x7FF0000000000000"
_MINUS_INFINITY = "0xFFF0000000000000"


def pass_code(element: str, has_edges: bool) -> str:
    """Return a module with the function `moments(data, count, out, low, high, shift)`.

    It reads `count` elements at `data` and writes six float64 to `out`: Σ(x − shift), Σ(x − shift)², minimum, maximum,
    how many are zero, and how many are at most `low` or at least `high` (0 when it does not look at edges).

    Args:
        element: LLVM's name of their type, "float" or "double".
        has_edges: count the elements beyond the edges.
    """
    parts = (_begin, _blocks, _rows, _fold, _tail, _end)
    return "\n".join(part(element, has_edges) for part in parts)


def _vector(element: str) -> str:
    return f"<{_WIDTH} x {element}>"


def _filled(element: str, value: str) -> str:
    return f"<{', '.join([f'{element} {value}'] * _WIDTH)}>"


def _wide(name: str, kind: str, value: str, element: str) -> str:
    """Return the line that makes float64 of an element or a vector of them."""
    wide = kind.replace("float", "double")
    return f"  %{name} = {'fpext' if element == 'float' else 'bitcast'} {kind} {value} to {wide}"


def _spread(name: str, element: str, value: str) -> str:
    """Return the lines that fill a vector with one number."""
    vector = _vector(element)
    return f"""  %{name}.first = insertelement {vector} poison, {element} {value}, i32 0
  %{name} = shufflevector {vector} %{name}.first, {vector} poison, <{_WIDTH} x i32> zeroinitializer"""


def _begin(element: str, has_edges: bool) -> str:
    bits, vector, counts = _BITS[element], _vector(element), _vector(f"i{_BITS[element]}")
    narrow = "fptrunc double {0} to float" if element == "float" else "bitcast double {0} to double"
    return f"""
declare i{bits} @llvm.vector.reduce.add.v{_WIDTH}i{bits}({counts})
declare {element} @llvm.vector.reduce.fmin.v{_WIDTH}f{bits}({vector})
declare {element} @llvm.vector.reduce.fmax.v{_WIDTH}f{bits}({vector})
declare double @llvm.vector.reduce.fadd.v{_WIDTH}f64(double, {_vector("double")})

define void @moments(ptr readonly %data, i64 %count, ptr %out, double %low.wide, double %high.wide,
                     double %shift.wide) {{
begin:
  %rest = alloca [{COLUMNS} x {element}], align 64
  %rest.b = getelementptr {element}, ptr %rest, i64 {_WIDTH}
  store {vector} zeroinitializer, ptr %rest
  store {vector} zeroinitializer, ptr %rest.b
  %rows = udiv i64 %count, {COLUMNS}
  %in.rows = mul i64 %rows, {COLUMNS}
  %low = {narrow.format("%low.wide")}
  %high = {narrow.format("%high.wide")}
  %shift = {narrow.format("%shift.wide")}
{_spread("lows", element, "%low")}
{_spread("highs", element, "%high")}
{_spread("shifts", element, "%shift")}
  br label %blocks"""


def _blocks(element: str, _: bool) -> str:
    """The loop over blocks: Σx and Σx² of each half row in float64, everything else as it will be in the end."""
    vector, wide = _vector(element), _vector("double")
    return f"""
blocks:
  %row = phi i64 [0, %begin], [%last, %fold]
  %sum.a = phi {wide} [zeroinitializer, %begin], [%sum.a.next, %fold]
  %sum.b = phi {wide} [zeroinitializer, %begin], [%sum.b.next, %fold]
  %square.a = phi {wide} [zeroinitializer, %begin], [%square.a.next, %fold]
  %square.b = phi {wide} [zeroinitializer, %begin], [%square.b.next, %fold]
  %least.so.far = phi {vector} [{_filled(element, _INFINITY)}, %begin], [%least.next, %fold]
  %most.so.far = phi {vector} [{_filled(element, _MINUS_INFINITY)}, %begin], [%most.next, %fold]
  %zeros = phi i64 [0, %begin], [%zeros.next, %fold]
  %beyond = phi i64 [0, %begin], [%beyond.next, %fold]
  %has.rows = icmp ult i64 %row, %rows
  br i1 %has.rows, label %block, label %tail
block:
  %full = add i64 %row, {ROWS}
  %is.full = icmp ult i64 %full, %rows
  %last = select i1 %is.full, i64 %full, i64 %rows
  br label %next.row"""


def _rows(element: str, has_edges: bool) -> str:
    """The loop over the rows of a block; masks are 0 or −1, so counting is subtracting them."""
    size = _BITS[element] // 8
    vector, mask, counts = _vector(element), _vector("i1"), _vector(f"i{_BITS[element]}")
    zero = "zeroinitializer"
    looks = [f"  %beyond.count.next = add {counts} %beyond.count, zeroinitializer"]
    if has_edges:
        looks = [
            f"""
  %is.low.{half} = fcmp ole {vector} %{half}, %lows
  %is.high.{half} = fcmp oge {vector} %{half}, %highs
  %low.{half} = sext {mask} %is.low.{half} to {counts}
  %high.{half} = sext {mask} %is.high.{half} to {counts}
  %past.{half} = add {counts} %low.{half}, %high.{half}"""
            for half in "ab"
        ]
        looks.append(f"""
  %past = add {counts} %past.a, %past.b
  %beyond.count.next = sub {counts} %beyond.count, %past""")
    return f"""
next.row:
  %at = phi i64 [%row, %block], [%at.next, %next.row]
  %x.a = phi {vector} [{zero}, %block], [%x.a.next, %next.row]
  %x.b = phi {vector} [{zero}, %block], [%x.b.next, %next.row]
  %xx.a = phi {vector} [{zero}, %block], [%xx.a.next, %next.row]
  %xx.b = phi {vector} [{zero}, %block], [%xx.b.next, %next.row]
  %least = phi {vector} [%least.so.far, %block], [%least.next, %next.row]
  %most = phi {vector} [%most.so.far, %block], [%most.next, %next.row]
  %zero.count = phi {counts} [{zero}, %block], [%zero.count.next, %next.row]
  %beyond.count = phi {counts} [{zero}, %block], [%beyond.count.next, %next.row]
  %place.a = mul i64 %at, {COLUMNS}
  %place.b = add i64 %place.a, {_WIDTH}
  %where.a = getelementptr {element}, ptr %data, i64 %place.a
  %where.b = getelementptr {element}, ptr %data, i64 %place.b
  %a = load {vector}, ptr %where.a, align {size}
  %b = load {vector}, ptr %where.b, align {size}
  %a.shifted = fsub {vector} %a, %shifts
  %b.shifted = fsub {vector} %b, %shifts
  %x.a.next = fadd {vector} %x.a, %a.shifted
  %x.b.next = fadd {vector} %x.b, %b.shifted
  %aa = fmul {vector} %a.shifted, %a.shifted
  %bb = fmul {vector} %b.shifted, %b.shifted
  %xx.a.next = fadd {vector} %xx.a, %aa
  %xx.b.next = fadd {vector} %xx.b, %bb
  %a.is.less = fcmp olt {vector} %a, %b
  %less = select {mask} %a.is.less, {vector} %a, {vector} %b
  %is.least = fcmp olt {vector} %less, %least
  %least.next = select {mask} %is.least, {vector} %less, {vector} %least
  %a.is.more = fcmp ogt {vector} %a, %b
  %more = select {mask} %a.is.more, {vector} %a, {vector} %b
  %is.most = fcmp ogt {vector} %more, %most
  %most.next = select {mask} %is.most, {vector} %more, {vector} %most
  %a.is.zero = fcmp oeq {vector} %a, {zero}
  %b.is.zero = fcmp oeq {vector} %b, {zero}
  %zeros.a = sext {mask} %a.is.zero to {counts}
  %zeros.b = sext {mask} %b.is.zero to {counts}
  %zero.count.a = sub {counts} %zero.count, %zeros.a
  %zero.count.next = sub {counts} %zero.count.a, %zeros.b
{"".join(looks)}
  %at.next = add i64 %at, 1
  %goes.on = icmp ult i64 %at.next, %last
  br i1 %goes.on, label %next.row, label %fold"""


def _fold(element: str, _: bool) -> str:
    """The end of a block: its columns join the sums in float64."""
    bits, vector, wide = _BITS[element], _vector(element), _vector("double")
    lines = ["fold:"]
    for sums, block in (("sum", "x"), ("square", "xx")):
        for half in "ab":
            lines.append(_wide(f"{block}.{half}.wide", vector, f"%{block}.{half}.next", element))
            lines.append(f"  %{sums}.{half}.next = fadd {wide} %{sums}.{half}, %{block}.{half}.wide")
    for name, count in (("zeros", "zero.count"), ("beyond", "beyond.count")):
        counts = f"{_vector(f'i{bits}')} %{count}.next"
        lines.append(f"  %{name}.few = call i{bits} @llvm.vector.reduce.add.v{_WIDTH}i{bits}({counts})")
        lines.append(f"  %{name}.block = {'zext i32' if bits == 32 else 'bitcast i64'} %{name}.few to i64")
        lines.append(f"  %{name}.next = add i64 %{name}, %{name}.block")
    return "\n".join([*lines, "  br label %blocks"])


def _tail(element: str, has_edges: bool) -> str:
    """The loop over what is left below the last whole row: it is copied into a row of zeros that is added later."""
    bits, vector = _BITS[element], _vector(element)
    beyond = "  %tail.beyond.next = add i64 %tail.beyond, 0"
    if has_edges:
        beyond = f"""  %y.is.low = fcmp ole {element} %y, %low
  %y.is.high = fcmp oge {element} %y, %high
  %y.low = zext i1 %y.is.low to i64
  %y.high = zext i1 %y.is.high to i64
  %tail.beyond.low = add i64 %tail.beyond, %y.low
  %tail.beyond.next = add i64 %tail.beyond.low, %y.high"""
    return f"""
tail:
  %minimum = call nnan {element} @llvm.vector.reduce.fmin.v{_WIDTH}f{bits}({vector} %least.so.far)
  %maximum = call nnan {element} @llvm.vector.reduce.fmax.v{_WIDTH}f{bits}({vector} %most.so.far)
  br label %next.element
next.element:
  %place = phi i64 [%in.rows, %tail], [%place.next, %element]
  %tail.minimum = phi {element} [%minimum, %tail], [%tail.minimum.next, %element]
  %tail.maximum = phi {element} [%maximum, %tail], [%tail.maximum.next, %element]
  %tail.zeros = phi i64 [%zeros, %tail], [%tail.zeros.next, %element]
  %tail.beyond = phi i64 [%beyond, %tail], [%tail.beyond.next, %element]
  %is.left = icmp ult i64 %place, %count
  br i1 %is.left, label %element, label %end
element:
  %where = getelementptr {element}, ptr %data, i64 %place
  %y = load {element}, ptr %where
  %column = sub i64 %place, %in.rows
  %copy = getelementptr {element}, ptr %rest, i64 %column
  %y.shifted = fsub {element} %y, %shift
  store {element} %y.shifted, ptr %copy
  %y.is.less = fcmp olt {element} %y, %tail.minimum
  %tail.minimum.next = select i1 %y.is.less, {element} %y, {element} %tail.minimum
  %y.is.more = fcmp ogt {element} %y, %tail.maximum
  %tail.maximum.next = select i1 %y.is.more, {element} %y, {element} %tail.maximum
  %y.is.zero = fcmp oeq {element} %y, 0.0
  %y.zero = zext i1 %y.is.zero to i64
  %tail.zeros.next = add i64 %tail.zeros, %y.zero
{beyond}
  %place.next = add i64 %place, 1
  br label %next.element"""


def _end(element: str, _: bool) -> str:
    """Add the last row, then the columns: the right half to the left, and these sixteen from left to right."""
    vector, wide = _vector(element), _vector("double")
    lines = ["end:"]
    for half, place in (("a", "%rest"), ("b", "%rest.b")):
        lines.append(f"  %y.{half} = load {vector}, ptr {place}")
        lines.append(f"  %yy.{half} = fmul {vector} %y.{half}, %y.{half}")
    for sums, row in (("sum", "y"), ("square", "yy")):
        for half in "ab":
            lines.append(_wide(f"{row}.{half}.wide", vector, f"%{row}.{half}", element))
            lines.append(f"  %{sums}.{half}.all = fadd {wide} %{sums}.{half}, %{row}.{half}.wide")
        lines.append(f"  %{sums}s = fadd {wide} %{sums}.a.all, %{sums}.b.all")
        added = f"@llvm.vector.reduce.fadd.v{_WIDTH}f64(double 0.0, {wide} %{sums}s)"
        lines.append(f"  %{sums}.out = call double {added}")
    lines += [_wide(f"{name}.out", element, f"%tail.{name}", element) for name in ("minimum", "maximum")]
    lines += [f"  %{name}.out = uitofp i64 %tail.{name} to double" for name in ("zeros", "beyond")]
    for number, name in enumerate(("sum", "square", "minimum", "maximum", "zeros", "beyond")):
        lines.append(f"  %to.{name} = getelementptr double, ptr %out, i64 {number}")
        lines.append(f"  store double %{name}.out, ptr %to.{name}")
    return "\n".join([*lines, "  ret void", "}"])
