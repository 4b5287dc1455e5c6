"""What is left of a very large angle after whole quarters of a turn, with all of its digits.

    x = M·2ᵉ with an integer M < 2⁵³:   x·2/π mod 4 = M · (2ᵉ·2/π mod 4) mod 4

Of 2/π only the bits matter that 2ᵉ brings around the point, 256 of them; no float64 is so near to a multiple of π/2
that they are not enough. M. H. Payne and R. N. Hanek, "Radian reduction for trigonometric functions" (1983).

This is a function of one number. Vectors that hold no such angle jump over it, and where it is called only the lanes
with such angles take its result, so that a lane's number depends on no other lane.
"""

import math

from chainrule.lanes.mathematics.block import BEGIN, Real, Whole

FAR = 2.0**40  # π/2 in three numbers is enough up to here

# The first 1280 bits of 2/π after the point.
_TWO_OVER_PI = int(
    "a2f9836e4e441529fc2757d1f534ddc0db6295993c439041fe5163abdebbc561b7246e3a424dd2e0"
    "06492eea09d1921cfe1deb1cb129a73ee88235f52ebb4484e99c7026b45f7e413991d639835339f4"
    "9c845f8bbdf9283b1ff897ffde05980fef2f118b5a0a6d1f6d367ecf27cb09b74f463f669e5fea2d"
    "7527bac7ebe5f17b3d0739f78a5292ea6bfb5fb11f8d5d0856033046fc7b6babf0cfbc209af4361d",
    16,
)

_RESULT = "{ double, double, i64 }"
_CODE = f"""define internal {_RESULT} @far_angle(double %x) noinline {{
  %bits = bitcast double %x to i64
  %fraction = and i64 %bits, {(1 << 52) - 1}
  %mantissa = or i64 %fraction, {1 << 52}
  %shifted = lshr i64 %bits, 52
  %exponent = and i64 %shifted, 2047
  ; 2 bits before the point and 254 behind it, of 2ᵉ·2/π; e is the exponent − 1075
  %places = sub i64 {1280 - 254 + 1075}, %exponent
  %places.wide = zext i64 %places to i1280
  %window.wide = lshr i1280 {_TWO_OVER_PI}, %places.wide
  %window = trunc i1280 %window.wide to i256
  %mantissa.wide = zext i64 %mantissa to i256
  %product = mul i256 %mantissa.wide, %window
  %rounded = add i256 %product, {1 << 253}
  %quarters.wide = lshr i256 %rounded, 254
  %whole = shl i256 %quarters.wide, 254
  %rest = sub i256 %product, %whole
  %is.negative = icmp slt i256 %rest, 0
  %opposite = sub i256 0, %rest
  %size = select i1 %is.negative, i256 %opposite, i256 %rest
  ; two numbers of 53 bits, from the first bit that is set
  %zeros = call i256 @llvm.ctlz.i256(i256 %size, i1 false)
  %from.first = shl i256 %size, %zeros
  %first.wide = lshr i256 %from.first, 203
  %first = trunc i256 %first.wide to i64
  %first.bits = shl i256 %first.wide, 203
  %others = xor i256 %from.first, %first.bits
  %second.wide = lshr i256 %others, 150
  %second = trunc i256 %second.wide to i64
  %first.number = sitofp i64 %first to double
  %second.number = sitofp i64 %second to double
  ; × 2^(−51 − zeros) and × 2^(−104 − zeros), by their exponents
  %zeros.short = trunc i256 %zeros to i64
  %scale.exponent = sub i64 {1023 - 51}, %zeros.short
  %scale.bits = shl i64 %scale.exponent, 52
  %scale = bitcast i64 %scale.bits to double
  %sign.of.rest = select i1 %is.negative, double -1.0, double 1.0
  %is.below = fcmp olt double %x, 0.0
  %sign.of.x = select i1 %is.below, double -1.0, double 1.0
  %sign = fmul double %sign.of.rest, %sign.of.x
  %signed.scale = fmul double %scale, %sign
  %high = fmul double %first.number, %signed.scale
  %second.scale = fmul double %signed.scale, 0x3CA0000000000000
  %low = fmul double %second.number, %second.scale
  ; (high + low) · π/2
  %r = fmul double %high, 0x3FF921FB54442D18
  %r.minus = fneg double %r
  %r.lost = call double @llvm.fma.f64(double %high, double 0x3FF921FB54442D18, double %r.minus)
  %r.of.low = call double @llvm.fma.f64(double %low, double 0x3FF921FB54442D18, double %r.lost)
  %r.rest = call double @llvm.fma.f64(double %high, double 0x3C91A62633145C07, double %r.of.low)
  %quarters.of.size = trunc i256 %quarters.wide to i64
  %quarters.opposite = sub i64 0, %quarters.of.size
  %quarters = select i1 %is.below, i64 %quarters.opposite, i64 %quarters.of.size
  %angle = insertvalue {_RESULT} poison, double %r, 0
  %angle.rest = insertvalue {_RESULT} %angle, double %r.rest, 1
  %angle.quarters = insertvalue {_RESULT} %angle.rest, i64 %quarters, 2
  ret {_RESULT} %angle.quarters
}}"""  # noqa: S608 (LLVM's `select` is not that of a database)


def far_angles(lanes: int) -> str:
    """Return the function `far_angles` of a vector, and `far_angle` of a number, which it calls."""
    reals, wholes = f"<{lanes} x double>", f"<{lanes} x i64>"
    lines = [_CODE, f"define internal {_results(reals, wholes)} @far_angles({reals} %x) noinline {{"]
    filled = ["poison"] * 3
    for lane in range(lanes):
        lines.append(f"  %x{lane} = extractelement {reals} %x, i32 {lane}")
        lines.append(f"  %of{lane} = call {_RESULT} @far_angle(double %x{lane})")
        for place, (kind, vector) in enumerate((("double", reals), ("double", reals), ("i64", wholes))):
            part, grown = f"%part{place}.{lane}", f"%filled{place}.{lane}"
            lines.append(f"  {part} = extractvalue {_RESULT} %of{lane}, {place}")
            lines.append(f"  {grown} = insertelement {vector} {filled[place]}, {kind} {part}, i32 {lane}")
            filled[place] = grown
    result = _results(reals, wholes)
    lines.append(f"  %some = insertvalue {result} poison, {reals} {filled[0]}, 0")
    lines.append(f"  %more = insertvalue {result} %some, {reals} {filled[1]}, 1")
    lines.append(f"  %all = insertvalue {result} %more, {wholes} {filled[2]}, 2")
    return "\n".join([*lines, f"  ret {result} %all", "}"])


def with_far_angles(x: Real, r: Real, rest: Real, quarters: Whole) -> tuple[Real, Real, Whole]:
    """Return r, what it lacks, and quarters of a turn in the last bits, with those of far angles in their lanes.

    Args:
        x: angles in float64; ±∞ and NaN keep what they have.
        r: what is left of those that are not far.
        rest: what r lacks.
        quarters: how many quarters of a turn were taken away.
    """
    block, size = x.block, abs(x)
    is_far = (size > FAR) & (size < math.inf)
    is_any = block.line(f"call i1 @llvm.vector.reduce.or.v{block.lanes}i1({is_far.type} {is_far.name})")
    block.lines += [f"  br i1 {is_any}, label %far, label %near", "far:"]
    angles = is_far.choose(x, FAR)
    found = block.line(f"call {_results(x.type, quarters.type)} @far_angles({x.type} {angles.name})")

    def chosen(near: Real | Whole, place: int) -> str:
        far = block.line(f"extractvalue {_results(x.type, quarters.type)} {found}, {place}")
        return block.line(f"select {is_far.type} {is_far.name}, {near.type} {far}, {near.type} {near.name}")

    of_r, of_rest, of_quarters = chosen(r, 0), chosen(rest, 1), chosen(quarters, 2)
    block.lines += ["  br label %near", "near:"]

    def joined(near: Real | Whole, far: str) -> str:
        return block.line(f"phi {near.type} [{near.name}, %{BEGIN}], [{far}, %far]")

    of_all = joined(r, of_r), joined(rest, of_rest), joined(quarters, of_quarters)
    return Real(block, of_all[0], "float64"), Real(block, of_all[1], "float64"), Whole(block, of_all[2], "float64")


def _results(reals: str, wholes: str) -> str:
    return f"{{ {reals}, {reals}, {wholes} }}"
