"""Where data come from: a built-in set, a file or Python arrays; one of the three, chosen here."""

from pathlib import Path

from chainrule.data.array_files import read_array_file
from chainrule.data.arrays import build_samples, check_arrays
from chainrule.data.drawn import GAUSSIAN, draw_gaussian
from chainrule.data.samples import Samples
from chainrule.data.scikit_learn import BUILT_IN_SETS, load_built_in
from chainrule.data.tables import build_table_samples, read_table
from chainrule.errors import DataError, did_you_mean
from chainrule.tasks.data_spec import DataSpec

SUFFIXES = (".csv", ".tsv", ".parquet", ".safetensors")
TABLE_SUFFIXES = (".csv", ".tsv", ".parquet")


def read_samples(spec: DataSpec, folder: Path | None, seed: int = 0) -> Samples:
    """Read all rows that the task names.

    Args:
        spec: the task's data table.
        folder: what a relative path counts from; the working directory when None.
        seed: of data that are drawn.

    Raises:
        DataError: no source or two; a file that is not there or cannot be read; data that cannot be used.
    """
    has_arrays = spec.inputs is not None or spec.targets is not None
    if spec.source is not None and has_arrays:
        raise DataError(
            what="The task names its data twice.",
            where="data.source, data.inputs and data.targets",
            found=f"the source '{spec.source}', and values written out",
            expected="either data.source, or data.inputs and data.targets",
        )
    if spec.source != GAUSSIAN:
        _refuse_sizes(spec)
    if has_arrays:
        _refuse_column_choice(spec, "values written out")
        return build_samples(check_arrays(spec.inputs, spec.targets), spec.kind, "arrays")
    if spec.source is None:
        raise DataError(
            what="The task names no data.",
            where="data.source",
            expected="data.source, or data.inputs and data.targets",
            next_step=f"Built-in sets are {', '.join((*BUILT_IN_SETS, GAUSSIAN))}; files end in {', '.join(SUFFIXES)}.",
        )
    if spec.source in BUILT_IN_SETS:
        _refuse_column_choice(spec, f"the built-in set '{spec.source}'")
        return load_built_in(spec.source, spec.kind)
    if spec.source == GAUSSIAN:
        _refuse_column_choice(spec, "drawn at random")
        return draw_gaussian(spec, seed)
    path = (folder or Path()) / Path(spec.source).expanduser()
    _require_file(path, spec.source)
    if path.suffix.lower() in TABLE_SUFFIXES:
        return build_table_samples(read_table(path, _read(path)), spec)
    _refuse_column_choice(spec, f"'{path.name}'")
    return build_samples(read_array_file(path), spec.kind, path.name)


def _refuse_column_choice(spec: DataSpec, source: str) -> None:
    for key, value in (("target", spec.target), ("columns", spec.columns)):
        if value is not None:
            raise DataError(
                what=f"data.{key} chooses columns of a CSV or Parquet file, and the data are {source}.",
                where=f"data.{key}",
                found=repr(value),
                expected=f"no data.{key}",
                next_step="Take it out.",
            )


def _refuse_sizes(spec: DataSpec) -> None:
    for key, value in (("samples", spec.samples), ("features", spec.features)):
        if value is not None:
            raise DataError(
                what=f"data.{key} is the size of data that are drawn at random.",
                where=f"data.{key}",
                found=f"{value}, and other data",
                expected=f'no data.{key}, or data.source = "{GAUSSIAN}"',
            )


def _require_file(path: Path, source: str) -> None:
    if path.is_dir():
        raise DataError(
            what=f"'{source}' is a folder, not a file.",
            where="data.source",
            found=str(path),
            expected=f"a file that ends in {', '.join(SUFFIXES)}",
        )
    if path.suffix == "" and not path.exists():
        error = DataError.unknown_name("built-in data set", source, (*BUILT_IN_SETS, GAUSSIAN), where="data.source")
        error.expected += f"; or a file in {', '.join(SUFFIXES)}"
        raise error
    if path.suffix.lower() not in SUFFIXES:
        raise DataError(
            what=f"'{path.name}' is of a kind that is not read.",
            where=f"data.source; the file is {path}",
            found=path.suffix or "no suffix",
            expected=", ".join(SUFFIXES),
            next_step="Save the data as CSV or Parquet.",
        )
    if path.exists():
        return
    if not path.parent.is_dir():
        raise DataError(
            what=f"There is no folder '{path.parent}'.",
            where="data.source",
            found=source,
            expected="a file in a folder that is there",
        )
    neighbours = sorted(item.name for item in path.parent.iterdir() if item.suffix.lower() in SUFFIXES)
    raise DataError(
        what=f"There is no file '{path.name}'.",
        where=f"data.source; the folder is {path.parent}",
        found=source,
        expected="one of " + ", ".join(neighbours) if neighbours else "a file that is there",
        next_step=did_you_mean(path.name, neighbours),
    )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(
            what=f"'{path.name}' cannot be read.", where=str(path), found=error.strerror or str(error)
        ) from error
