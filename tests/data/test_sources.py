from pathlib import Path

import pytest

from chainrule.data.sources import read_samples
from chainrule.errors import DataError
from chainrule.tasks.data_spec import DataSpec


def refusal(folder, **options):
    with pytest.raises(DataError) as caught:
        read_samples(DataSpec(**options), folder)
    return str(caught.value)


def test_a_relative_path_counts_from_the_folder_and_an_absolute_one_does_not(tmp_path):
    path = tmp_path / "deep" / "X.CSV"
    path.parent.mkdir()
    path.write_text("a,y\n1,2.5\n")
    relative = read_samples(DataSpec(source="deep/X.CSV", target="y"), tmp_path)
    absolute = read_samples(DataSpec(source=str(path), target="y"), Path("elsewhere"))
    assert relative.inputs.tolist() == absolute.inputs.tolist() == [[1.0]]


def test_a_tsv_file_is_read(tmp_path):
    (tmp_path / "x.tsv").write_text("a\ty\n1\t2.5\n")
    assert read_samples(DataSpec(source="x.tsv", target="y"), tmp_path).input_names == ("a",)


def test_no_data_at_all():
    assert (
        refusal(None)
        == """The task names no data.
  where:    data.source
  expected: data.source, or data.inputs and data.targets
Built-in sets are iris, wine, breast_cancer, digits, diabetes, gaussian; files end in .csv, .tsv, .parquet, .safetensors."""  # noqa: E501
    )


def test_data_twice():
    assert (
        refusal(None, source="iris", inputs=[[1]], targets=[1])
        == """The task names its data twice.
  where:    data.source, data.inputs and data.targets
  found:    the source 'iris', and values written out
  expected: either data.source, or data.inputs and data.targets"""
    )


def test_an_unknown_set_gets_the_nearest_name(tmp_path):
    assert (
        refusal(tmp_path, source="breast-canser")
        == """There is no built-in data set 'breast-canser'.
  where:    data.source
  found:    breast-canser
  expected: one of breast_cancer, diabetes, digits, gaussian, iris, wine; or a file in .csv, .tsv, .parquet, .safetensors
Did you mean 'breast_cancer'?"""  # noqa: E501
    )


def test_a_missing_file_gets_the_nearest_name(tmp_path):
    (tmp_path / "houses.csv").write_text("")
    (tmp_path / "notes.txt").write_text("")
    assert (
        refusal(tmp_path, source="house.csv", target="y")
        == f"""There is no file 'house.csv'.
  where:    data.source; the folder is {tmp_path}
  found:    house.csv
  expected: one of houses.csv
Did you mean 'houses.csv'?"""
    )


def test_a_missing_file_in_an_empty_folder(tmp_path):
    assert (
        refusal(tmp_path, source="house.csv")
        == f"""There is no file 'house.csv'.
  where:    data.source; the folder is {tmp_path}
  found:    house.csv
  expected: a file that is there"""
    )


def test_a_missing_folder(tmp_path):
    assert (
        refusal(tmp_path, source="data/house.csv")
        == f"""There is no folder '{tmp_path / "data"}'.
  where:    data.source
  found:    data/house.csv
  expected: a file in a folder that is there"""
    )


def test_a_folder_is_no_file(tmp_path):
    (tmp_path / "houses").mkdir()
    assert (
        refusal(tmp_path, source="houses")
        == f"""'houses' is a folder, not a file.
  where:    data.source
  found:    {tmp_path / "houses"}
  expected: a file that ends in .csv, .tsv, .parquet, .safetensors"""
    )


@pytest.mark.parametrize("name", ["houses.xlsx", "houses.pickle"])
def test_an_unknown_suffix(tmp_path, name):
    assert (
        refusal(tmp_path, source=name)
        == f"""'{name}' is of a kind that is not read.
  where:    data.source; the file is {tmp_path / name}
  found:    {Path(name).suffix}
  expected: .csv, .tsv, .parquet, .safetensors
Save the data as CSV or Parquet."""
    )


def test_a_file_that_the_system_refuses(tmp_path, monkeypatch):
    (tmp_path / "x.csv").write_text("a,y\n1,2\n")

    def refuse(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    assert (
        refusal(tmp_path, source="x.csv", target="y")
        == f"""'x.csv' cannot be read.
  where: {tmp_path / "x.csv"}
  found: Permission denied"""
    )


def test_columns_are_chosen_in_tables_only():
    assert (
        refusal(None, source="iris", target="species")
        == """data.target chooses columns of a CSV or Parquet file, and the data are the built-in set 'iris'.
  where:    data.target
  found:    'species'
  expected: no data.target
Take it out."""
    )
    assert (
        refusal(None, inputs=[[1]], targets=[1.0], columns=["x1"])
        == """data.columns chooses columns of a CSV or Parquet file, and the data are values written out.
  where:    data.columns
  found:    ['x1']
  expected: no data.columns
Take it out."""
    )
