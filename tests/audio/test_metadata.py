"""Tests what is known of each sound file of a folder: by lists, by names of folders, and what is told of guesses."""

import json
import os
import sys
import unicodedata
from pathlib import Path

import pytest

from wavegan.audio.listing import Listing
from wavegan.audio.metadata import Described, Description, describe
from wavegan.errors import DataError

SOUNDS = ("kick/a.wav", "kick/b.wav", "snare/a.wav", "snare/c.wav")
LABELLED = {name: name.partition("/")[0] for name in SOUNDS}
FOLDERS_NOTE = "The labels are the names of the folders directly above the files"


def described(
    folder: Path, *names: str, passed_over: dict[str, tuple[str, ...]] | None = None, **options
) -> Description:
    """Describes empty files of these names, relative to the folder; describe never opens a sound."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return describe(folder, Listing(tuple(sorted(folder / name for name in names)), passed_over or {}), **options)


def listed(folder: Path, text: str | bytes, *names: str, name: str = "metadata.csv", **options) -> Description:
    """Describes files beside a list of this text; the files are SOUNDS unless others are given."""
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return described(folder, *(names or SOUNDS), **options)


def of(description: Description, folder: Path, kind: str = "label") -> dict[str, str | None]:
    return {path.relative_to(folder).as_posix(): getattr(value, kind) for path, value in description.files.items()}


def rows(separator: str = ",", end: str = "\n") -> str:
    return "".join(f"{name}{separator}{label}{end}" for name, label in LABELLED.items())


# Labels by folders


def test_the_folder_above_is_the_label(tmp_path: Path):
    description = described(tmp_path, "z.wav", "kick/a.wav", "- loops/b.wav", "808/c.wav", "null/d.wav")
    assert of(description, tmp_path) == {
        "- loops/b.wav": "- loops",
        "808/c.wav": "808",
        "kick/a.wav": "kick",
        "null/d.wav": "null",
        "z.wav": None,
    }
    assert description.notes == []
    assert description.passed_over == {}


NESTED = ("kick/808/a.wav", "kick/909/a.wav", "snare/808/a.wav")


def test_folders_that_share_names_give_way_to_those_above(tmp_path: Path):
    description = described(tmp_path, *NESTED)
    assert of(description, tmp_path) == {name: name.split("/")[0] for name in NESTED}
    assert description.notes == [
        "The labels are the upper folders (kick, snare), because the folders below share their names (808); "
        "data.label_level=1 takes the folders directly above the files."
    ]


def test_the_level_of_labels_can_be_chosen(tmp_path: Path):
    assert list(of(described(tmp_path, *NESTED, label_level=1), tmp_path).values()) == ["808", "909", "808"]
    description = described(tmp_path, *NESTED, label_level=2)
    assert list(of(description, tmp_path).values()) == ["kick", "kick", "snare"]
    assert description.notes == []


def test_a_level_is_counted_without_splits_and_some_files_may_lack_it(tmp_path: Path):
    description = described(tmp_path, "train/kick/808/a.wav", "test/kick/b.wav", label_level=2)
    assert of(description, tmp_path) == {"test/kick/b.wav": None, "train/kick/808/a.wav": "kick"}
    assert "There is no label for 1 file with fewer than 2 folders above." in description.notes


def test_a_level_that_no_file_has_is_refused(tmp_path: Path):
    with pytest.raises(
        DataError, match=r"label_level is 3, and no sound .* has 2 folders above it.*set it to 2 or less"
    ):
        described(tmp_path, *NESTED, label_level=3)
    with pytest.raises(DataError, match=r"has 0 folders above it.*remove it, or move the files into folders"):
        described(tmp_path / "flat", "a.wav", label_level=1)


def test_nested_folders_of_different_names_are_labels_and_told(tmp_path: Path):
    description = described(tmp_path, "hits/kick/a.wav", "hits/snare/a.wav", "loops/break/a.wav")
    assert list(of(description, tmp_path).values()) == ["kick", "snare", "break"]
    assert description.notes == [f"{FOLDERS_NOTE}; data.label_level=2 takes the folders above those."]


def test_a_folder_that_holds_all_is_no_choice_of_level(tmp_path: Path):
    description = described(tmp_path, "data/set/kick/a.wav", "data/set/snare/a.wav")
    assert list(of(description, tmp_path).values()) == ["kick", "snare"]
    assert description.notes == []
    deeper = described(tmp_path / "deeper", *(f"set/{name}" for name in NESTED))
    assert list(of(deeper, tmp_path / "deeper").values()) == ["kick", "kick", "snare"]


def test_few_repeated_names_among_many_do_not_change_the_level(tmp_path: Path):
    words = [f"a/{word}/1.wav" for word in ("ant", "ape", "other")] + [
        f"b/{word}/1.wav" for word in ("bat", "bee", "other")
    ]
    description = described(tmp_path, *words)
    assert set(of(description, tmp_path).values()) == {"ant", "ape", "bat", "bee", "other"}
    assert description.notes == [
        f"{FOLDERS_NOTE}, and folders of one name are one label (other); data.label_level=2 takes the folders above "
        "those."
    ]


def test_spellings_of_a_label_are_one(tmp_path: Path):
    """Takes the commonest spelling; a tie goes to the first in the alphabet."""
    decomposed = unicodedata.normalize("NFD", "café")
    names = (
        "Kick/a.wav",
        "kick/a.wav",
        "kick/b.wav",
        "café/a.wav",
        f"{decomposed}/b.wav",
        "Hi  Hat/a.wav",
        "hi hat/a.wav",
    )
    description = described(tmp_path, *names)
    assert set(of(description, tmp_path).values()) == {"kick", "café", "Hi Hat"}
    assert len(description.notes) == 3
    assert description.notes[-1].startswith("The label kick is spelled in more than one way")


def test_a_label_of_bytes_that_are_no_text_can_be_written(tmp_path: Path):
    name = os.fsdecode(b"caf\xe9") + "/a.wav"
    (label,) = of(described(tmp_path, name), tmp_path).values()
    assert label == "caf\ufffd"


# Splits


@pytest.mark.parametrize(
    ("folder", "split"),
    [("train", "train"), ("Training", "train"), ("valid", "validation"), ("val", "validation"), ("dev", "validation"),
     ("TEST", "test"), ("eval", "test"), ("evaluation", "test"), ("testing", "test")],
)  # fmt: skip
def test_split_folders_are_no_labels(tmp_path: Path, folder: str, split: str):
    other = "test" if split == "train" else "train"
    description = described(tmp_path, f"{folder}/a.wav", f"{folder}/kick/b.wav", f"{other}/c.wav")
    values = {path.name: value for path, value in description.files.items()}
    assert values["a.wav"] == Described(None, None, split)
    assert values["b.wav"] == Described("kick", None, split)
    assert values["c.wav"] == Described(None, None, other)
    assert description.notes[0].startswith("These folders are splits, not labels: ")
    assert f"{folder} ({split})" in description.notes[0]


@pytest.mark.parametrize(
    "names", [("data/train/kick/a.wav", "data/test/kick/b.wav"), ("kick/train/a.wav", "kick/test/b.wav")]
)
def test_splits_may_lie_deeper(tmp_path: Path, names: tuple[str, str]):
    description = described(tmp_path, *names, "data/c.wav")
    assert [(value.label, value.split) for path, value in description.files.items() if path.name != "c.wav"] == [
        ("kick", "test"),
        ("kick", "train"),
    ]


def test_words_beside_the_splits_do_not_matter(tmp_path: Path):
    names = ("dev-clean/a.wav", "test-other/b.wav", "train-clean-100/c.wav")
    assert list(of(described(tmp_path, *names), tmp_path, "split").values()) == ["validation", "test", "train"]


def test_a_train_among_vehicles_is_a_label(tmp_path: Path):
    description = described(tmp_path, "car/a.wav", "plane/a.wav", "train/a.wav")
    assert list(of(description, tmp_path).values()) == ["car", "plane", "train"]
    assert set(of(description, tmp_path, "split").values()) == {None}
    assert description.notes == [
        "A folder is called like a split but stands beside other folders, so it counts as one of them: train; rename "
        "or move it if it is a split."
    ]
    horns = described(tmp_path / "horns", "train_horn/a.wav", "train_bell/a.wav")
    assert list(of(horns, tmp_path / "horns").values()) == ["train_bell", "train_horn"]


def test_a_folder_beside_train_and_test_has_no_split(tmp_path: Path):
    description = described(tmp_path, "train/kick/a.wav", "test/kick/b.wav", "noise/c.wav")
    assert {path.name: (value.label, value.split) for path, value in description.files.items()} == {
        "a.wav": ("kick", "train"),
        "b.wav": ("kick", "test"),
        "c.wav": ("noise", None),
    }


# Lists: how they are written


@pytest.mark.parametrize(
    "text",
    [
        f"file_name,label\n{rows()}",
        f"\ufefffile_name,label\r\n{rows(end=chr(13) + chr(10))}",
        f"file_name, label\n{rows(', ', '  ' + chr(10))}",
        f"File Name,LABEL\n{rows()}",
        f"file-name ;Label\r\n{rows(';')}",
        f"sep=;\r\nfile_name;label\r\n{rows(';')}",
        f"file_name\tlabel\n{rows(chr(9))}",
        f"file_name|label\n\n{rows('|')}|\n",
        "label,text,file_name\n" + "".join(f'{b},"Printing, in ""lines""\n",{a}\n' for a, b in LABELLED.items()),
        f"file_name,label\n{rows()}".encode("utf-16"),
        'file_name|text|label\n' + "".join(f'{a}|"so he said|{b}\n' for a, b in LABELLED.items()),
        '"file_name"\t"label"\n' + "".join(f'"{a}"\t"{b}"\n' for a, b in LABELLED.items()),
    ],
    ids=["plain", "byte order mark", "blanks", "case", "semicolons", "sep line", "tabs", "bars", "quotes", "utf-16",
         "a lone quote", "quoted tabs"],
)  # fmt: skip
def test_a_list_is_read_as_people_write_it(tmp_path: Path, text: str | bytes):
    description = listed(tmp_path, text)
    assert of(description, tmp_path) == LABELLED
    assert description.notes == []
    assert description.passed_over == {}


def test_json_lines(tmp_path: Path):
    text = "".join(json.dumps({"file_name": a, "label": b, "seconds": 1.5}) + "\n" for a, b in LABELLED.items())
    assert of(listed(tmp_path, text + "\n", name="metadata.jsonl"), tmp_path) == LABELLED


def test_numbers_and_missing_values_of_json(tmp_path: Path):
    lines = ['{"file_name": "kick/a.wav", "label": 5}', '{"file_name": "kick/b.wav", "label": true}',
             '{"file_name": "snare/a.wav"}', '{"label": NaN, "file_name": "snare/c.wav"}']  # fmt: skip
    description = listed(tmp_path, "\n".join(lines), name="metadata.jsonl")
    assert list(of(description, tmp_path).values()) == ["5", "true", None, None]
    assert description.notes == ["There is no label in 2 lines of metadata.jsonl."]


def test_words_that_may_mean_no_label_are_told(tmp_path: Path):
    text = "file_name,label,speaker\nkick/a.wav,NaN,1\nkick/b.wav,NaN,None\nsnare/a.wav,None,2\nsnare/c.wav,,2\n"
    description = listed(tmp_path, text)
    assert list(of(description, tmp_path).values()) == ["NaN", "NaN", "None", None]
    told = "of metadata.csv counts like any other; leave the field empty where there is no"
    assert description.notes[-3:] == [
        f"The label NaN in 2 lines {told} label.",
        f"The label None in 1 line {told} label.",
        f"The group None in 1 line {told} group.",
    ]


def test_whole_numbers_with_and_without_a_point_are_one_label(tmp_path: Path):
    text = "file_name,label\nkick/a.wav,1.0\nkick/b.wav,1\nsnare/a.wav,1\nsnare/c.wav,1.5\n"
    description = listed(tmp_path, text)
    assert list(of(description, tmp_path).values()) == ["1", "1", "1", "1.5"]
    assert description.notes[-1].startswith("The label 1 is spelled in more than one way (case, blanks, ")


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("metadata.jsonl", '{"file_name": "kick/a.wav"}\n{"file', r"metadata\.jsonl:2: this line cannot be read"),
        ("metadata.jsonl", "[1]\n", r"metadata\.jsonl:1: .*it is \[1\].* each line must be a JSON object"),
        ("metadata.jsonl", '{"file_name": "kick/a.wav", "label": ["a"]}', r":1: label is \[\"a\"\]; it must be a text"),
        ("metadata.jsonl", '{"file_name": "a.wav", "label": 1, "label": 2}', r"1: .*the key label is written twice"),
        ("metadata.csv", "file_name,label\nkick/a.wav,a,b\n", r"metadata\.csv:2: there are 3 fields where .* names 2"),
        ("metadata.csv", 'file_name,label\n"kick/a.wav,a\n', r"metadata\.csv:2: this line cannot be read"),
        ("metadata.csv", "sep=;\nfile_name;label\nkick/a.wav;a;b\n", r"metadata\.csv:3: there are 3 fields"),
        ("metadata.csv", "sound_length,label\n1,x\n", r"columns sound_length, label; file_name is required"),
        ("metadata.csv", "file_nam,label\nkick/a.wav,x\n", r"rename file_nam to file_name"),
        ("metadata.csv", f"# my list\n\nfile_name,label\n{rows()}", "csv:1: this line is a comment: # my list.*remove"),
        ("metadata.csv", f"# hits, of mine\nfile_name,label\n{rows()}", "the first line must hold the names of the"),
        ("metadata.csv", "file_name,label,Label\nkick/a.wav,x,y\n", r"has the columns 'label' and 'Label'"),
        ("metadata.csv", "", r"metadata\.csv in .* names no file"),
        ("metadata.csv", "file_name,label\n", r"metadata\.csv in .* names no file"),
        ("metadata.csv", b"file_name\n\xff\xfe.wav\n", r"metadata\.csv cannot be read .* must be UTF-8 text"),
        ("metadata.csv", "version https://git-lfs.github.com/spec/v1\noid sha256:0\n", r"git-lfs.*run: git lfs pull"),
        ("metadata.csv", "file_name,label\nx.wav,a\ny.wav,b\n", r"of 2 lines .* \(2 are .* not there, x\.wav"),
    ],
)  # fmt: skip
def test_a_list_that_cannot_be_understood_is_refused(tmp_path: Path, name: str, text: str | bytes, reason: str):
    with pytest.raises(DataError, match=reason):
        listed(tmp_path, text, name=name)


def test_a_list_that_is_no_file_is_refused(tmp_path: Path):
    (tmp_path / "folder/metadata.csv").mkdir(parents=True)
    (tmp_path / "pipe").mkdir()
    os.mkfifo(tmp_path / "pipe/metadata.csv")
    for kind in ("folder", "pipe"):
        with pytest.raises(DataError, match=r"metadata\.csv cannot be read; a list must be a regular file"):
            described(tmp_path / kind, "a.wav")


def test_two_lists_in_one_folder_are_refused(tmp_path: Path):
    (tmp_path / "Metadata.CSV").write_text("file_name\n")
    with pytest.raises(DataError, match=r"holds Metadata\.CSV and metadata\.jsonl; only one of them can be read"):
        listed(tmp_path, "{}", name="metadata.jsonl")


def test_other_lists_are_told(tmp_path: Path):
    texts = {"are no sound": ("index.csv", "meta/esc50.csv", "notes.txt")}
    assert described(tmp_path, *SOUNDS, passed_over=texts).notes == [
        "Nothing is read from index.csv, meta/esc50.csv; a list is called metadata.csv and lies beside the sounds or "
        "above."
    ]
    assert listed(tmp_path, f"file_name,label\n{rows()}", passed_over=texts).notes == []


def test_a_list_above_the_source_is_told(tmp_path: Path):
    (tmp_path / "Metadata.CSV").write_text("file_name,label\ns/a.wav,kick\n")
    [note] = described(tmp_path / "s", "a.wav").notes
    assert note.startswith(f"{tmp_path / 'Metadata.CSV'} is not read, as it lies above the source; if it describes")
    above = described(tmp_path, "s/a.wav")
    assert [each.label for each in above.files.values()] == ["kick"] and above.notes == [], "as it says"
    (tmp_path / "s" / "metadata.csv").write_text("file_name,label\na.wav,snare\n")
    assert described(tmp_path / "s", "a.wav").notes == []


def test_a_folder_above_that_is_closed_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def listed_names(folder: str | Path) -> list[str]:
        if Path(folder) == tmp_path.resolve():
            raise PermissionError(folder)
        return names(folder)

    names = os.listdir
    monkeypatch.setattr(os, "listdir", listed_names)
    assert described(tmp_path / "s", "a.wav").notes == []


def test_parquet_without_its_reader_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(DataError, match=r"pyarrow, which is not installed; run: pip install pyarrow, or export it as"):
        listed(tmp_path, b"PAR1", name="metadata.parquet")


def test_parquet(tmp_path: Path):
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    columns = {"file_name": list(SOUNDS), "label": [1, 2, None, 2], "sound": [b"x"] * 4}
    parquet.write_table(arrow.table(columns), tmp_path / "metadata.parquet")
    assert list(of(described(tmp_path, *SOUNDS), tmp_path).values()) == ["1", "2", None, "2"]
    (tmp_path / "metadata.parquet").write_bytes(b"no table")
    with pytest.raises(DataError, match=r"metadata\.parquet cannot be read"):
        described(tmp_path, *SOUNDS)


# Lists: which columns


@pytest.mark.parametrize("column", ["filename", "Path", "slice_file_name", "# file_name", "fname", "audio"])
def test_other_names_of_the_file_column(tmp_path: Path, column: str):
    description = listed(tmp_path, f"{column},label\n{rows()}")
    assert of(description, tmp_path) == LABELLED
    assert description.notes == [f"The files' names are taken from the column {column} of metadata.csv."]


def test_the_file_column_is_the_one_whose_values_are_files(tmp_path: Path):
    text = "path,name,label\n" + "".join(f"/old/{number},{a},{b}\n" for number, (a, b) in enumerate(LABELLED.items()))
    assert of(listed(tmp_path, text), tmp_path) == LABELLED


def test_a_usual_name_stands_for_label(tmp_path: Path):
    description = listed(tmp_path, f"file_name,Category\n{rows()}")
    assert of(description, tmp_path) == LABELLED
    assert description.notes == ["The labels are taken from the column Category of metadata.csv."]


@pytest.mark.parametrize("blank", ["label", "class"])
def test_a_column_without_values_gives_way_to_one_that_has_them(tmp_path: Path, blank: str):
    description = listed(tmp_path, f"file_name,{blank},digit\n" + "".join(f"{a},,{b}\n" for a, b in LABELLED.items()))
    assert of(description, tmp_path) == LABELLED
    assert description.notes == ["The labels are taken from the column digit of metadata.csv."]


def test_of_two_usual_names_the_one_with_text_is_taken_and_the_other_told(tmp_path: Path):
    text = "file_name,category,word\n" + "".join(f"{a},{len(b)},{b}\n" for a, b in LABELLED.items())
    description = listed(tmp_path, text)
    assert of(description, tmp_path) == LABELLED
    assert description.notes == [
        "The labels are taken from the column word of metadata.csv; data.label_column=category takes category instead."
    ]
    chosen = listed(tmp_path, text, label_column="CATEGORY")
    assert list(of(chosen, tmp_path).values()) == ["4", "4", "5", "5"]
    assert chosen.notes == []


def test_an_unknown_column_is_refused_with_the_nearest(tmp_path: Path):
    text = "file_name,animal,age\nkick/a.wav,cat,3\n"
    with pytest.raises(
        DataError, match=r"label_column is anmal; the columns of .* are file_name, animal, age; try animal"
    ):
        listed(tmp_path, text, label_column="anmal")
    with pytest.raises(DataError, match=r"are none, because it has no header; add a first line"):
        listed(tmp_path, "kick/a.wav,x\n", label_column="label")
    with pytest.raises(DataError, match=r"label_column is animal, and .* has no metadata\.csv; a column needs a list"):
        described(tmp_path / "other", "a.wav", label_column="animal")


def test_a_list_without_a_column_of_labels_says_so(tmp_path: Path):
    description = listed(tmp_path, "file_name,animal\nkick/a.wav,cat\n")
    assert of(description, tmp_path) == {"kick/a.wav": None}
    assert description.notes == [
        "metadata.csv has no column label, so there are no labels; data.label_column can name one of animal, or "
        "data.label_level=1 take the names of folders."
    ]


def test_a_level_takes_labels_from_folders_beside_a_list(tmp_path: Path):
    description = listed(tmp_path, "file_name,label\nkick/a.wav,x\nsnare/a.wav,x\n", label_level=1)
    assert of(description, tmp_path) == {"kick/a.wav": "kick", "snare/a.wav": "snare"}
    assert description.notes == ["The labels are names of folders, as data.label_level asks, whatever the lists say."]
    both = listed(tmp_path, "file_name,label\nkick/a.wav,x\nsnare/a.wav,x\n", label_level=1, label_column="label")
    assert set(of(both, tmp_path).values()) == {"x"}
    assert set(
        of(described(tmp_path / "kick", "sub/a.wav", label_level=1, label_column="x"), tmp_path / "kick").values()
    ) == {"sub"}


def test_groups(tmp_path: Path):
    text = "group,file_name,label\nJo,kick/a.wav,ape\n,kick/b.wav,ape\nLi,snare/a.wav,\n"
    description = listed(tmp_path, text)
    assert [(value.label, value.group) for value in description.files.values()] == [
        ("ape", "Jo"),
        ("ape", None),
        (None, "Li"),
    ]
    guessed = listed(tmp_path, "Speaker ID,file_name,label\nJo,kick/a.wav,ape\n")
    assert of(guessed, tmp_path, "group") == {"kick/a.wav": "Jo"}
    assert guessed.notes == ["The groups are taken from the column Speaker ID of metadata.csv."]


def test_the_column_of_labels_is_not_that_of_groups_or_splits_too(tmp_path: Path):
    text = "file_name,speaker,subset\nkick/a.wav,Jo,train\n"
    values = [*listed(tmp_path, text, label_column="speaker").files.values()]
    values += listed(tmp_path, text, label_column="subset").files.values()
    assert values == [Described("Jo", None, "train"), Described("train", "Jo", None)]


def test_a_column_of_splits(tmp_path: Path):
    description = listed(tmp_path, "file_name,label,split\nkick/a.wav,x,Train\nkick/b.wav,x,dev\nsnare/a.wav,x,\n")
    assert list(of(description, tmp_path, "split").values()) == ["train", "validation", None]
    assert description.notes == ["The splits are taken from the column split of metadata.csv."]
    other = listed(tmp_path, "file_name,label,split\nkick/a.wav,x,train\nkick/b.wav,x,extra\n")
    assert set(of(other, tmp_path, "split").values()) == {None}
    assert other.notes[0].startswith("The column split of metadata.csv is not used as splits, because it holds extra")
    (note,) = listed(tmp_path, "file_name,label,split\nkick/a.wav,x,1\n").notes
    assert note.startswith("The column split of metadata.csv is not used as splits, because it holds 1")
    assert listed(tmp_path, "file_name,label,subset\nkick/a.wav,x,large\n").notes == []


def test_a_column_of_another_name_holds_splits_if_it_holds_nothing_else(tmp_path: Path):
    description = listed(tmp_path, "file_name,label,set\nkick/a.wav,x,train\nkick/b.wav,x,test\nsnare/a.wav,x,\n")
    assert list(of(description, tmp_path, "split").values()) == ["train", "test", None]
    assert description.notes == ["The splits are taken from the column set of metadata.csv."]
    for other in ("train", "extra", "1"):  # one split alone may be anything, and so may splits beside other words
        text = f"file_name,label,set\nkick/a.wav,x,train\nkick/b.wav,x,{other}\nsnare/a.wav,x,\n"
        description = listed(tmp_path, text)
        assert set(of(description, tmp_path, "split").values()) == {None} and description.notes == []


def test_names_with_backslashes_and_lists_of_other_kinds_are_told(tmp_path: Path):
    names = ("Drums\\kick\\a.wav", "Drums\\snare\\b.wav")
    description = described(tmp_path, *names, passed_over={"are not sound": ("metadata.xlsx", "a.csv.txt", "b.txt")})
    assert set(of(description, tmp_path).values()) == {None}
    other, backslashes = description.notes
    assert other.startswith("Nothing is read from a.csv.txt, metadata.xlsx; a list is called metadata.csv")
    assert backslashes.startswith(f"2 names hold backslashes, as Windows writes folders ({names[0]}), so there are no")


def test_a_nested_value_of_another_column_is_not_read(tmp_path: Path):
    lines = (
        '{"file_name": "kick/a.wav", "label": "x", "set": ["train"]}',
        '{"file_name": "kick/b.wav", "set": "test"}',
    )
    description = listed(tmp_path, "\n".join(lines), name="metadata.jsonl")
    assert set(of(description, tmp_path, "split").values()) == {None}
    assert description.notes == ["There is no label in 1 line of metadata.jsonl."]


def test_columns_of_times_are_told(tmp_path: Path):
    description = listed(tmp_path, "file_name,Start,end,label\nkick/a.wav,0.2,0.4,x\nkick/b.wav,0,1,x\n")
    (note,) = description.notes
    assert note == "The columns of times of metadata.csv (Start, end) are not read: whole files are used."


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-16", "utf-8-sig"])
def test_a_list_may_be_utf_16_without_a_mark(tmp_path: Path, encoding: str):
    description = listed(tmp_path, "file_name,label\r\nkick/a.wav,bäh\r\nkick/b.wav,x\r\n".encode(encoding))
    assert list(of(description, tmp_path).values()) == ["bäh", "x"]


def test_a_split_may_have_words_beside_it(tmp_path: Path):
    description = listed(tmp_path, "file_name,label,split\nkick/a.wav,x,train_set\nkick/b.wav,x,Test set\n")
    assert [*of(description, tmp_path, "split").values()][:2] == ["train", "test"]


def test_a_list_without_a_header_names_files(tmp_path: Path):
    description = listed(tmp_path, 'a|"Printing, in|x\n\nb|Printing|y\n', "wavs/a.wav", "wavs/b.wav", "wavs/c.wav")
    assert of(description, tmp_path) == {"wavs/a.wav": None, "wavs/b.wav": None}
    assert description.notes[0].startswith("metadata.csv has no header, so its first column names the files")
    assert description.passed_over == {"are not listed in metadata.csv": ("wavs/c.wav",)}


# Lists: which files


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("kick\\a.wav", "kick/a.wav"),
        ("KICK/A.WAV", "kick/a.wav"),
        ("kick/a", "kick/a.wav"),
        ("kick/a.mp3", "kick/a.wav"),
        ("b.wav", "kick/b.wav"),
        ("c", "snare/c.wav"),
        ("/home/me/drums/kick/a.wav", "kick/a.wav"),
        ("C:\\drums\\kick\\a.wav", "kick/a.wav"),
    ],
)
def test_a_name_written_otherwise_means_the_only_file_that_fits(tmp_path: Path, written: str, name: str):
    description = listed(tmp_path, f"file_name,label\n{written},x\n")
    assert of(description, tmp_path) == {name: "x"}
    assert description.notes == [
        f"The only file that fits was taken for 1 name spelled otherwise in metadata.csv, such as {name} for {written}."
    ]


@pytest.mark.parametrize("written", ["kick//a.wav", "./kick/a.wav", "snare/../kick/a.wav"])
def test_a_roundabout_path_is_the_same_name(tmp_path: Path, written: str):
    description = listed(tmp_path, f"file_name,label\n{written},x\n")
    assert of(description, tmp_path) == {"kick/a.wav": "x"}
    assert description.notes == []


def test_accents_match_however_they_are_coded(tmp_path: Path):
    composed, decomposed = unicodedata.normalize("NFC", "É/é.wav"), unicodedata.normalize("NFD", "É/é.wav")
    for folder, name, written in ((tmp_path / "a", composed, decomposed), (tmp_path / "b", decomposed, composed)):
        assert of(listed(folder, f"file_name,label\n{written},x\n", name), folder) == {name: "x"}


@pytest.mark.parametrize(
    "written", ["a.wav", "tom/b.wav", "kick/d.wav", "kick/take.1", "/home/me/b.wav", "home/kick/a.wav"]
)
def test_a_name_that_may_mean_another_file_is_not_guessed(tmp_path: Path, written: str):
    text = f"file_name,label\n{written},x\nsnare/c.wav,y\n"
    description = listed(tmp_path, text, *SOUNDS, "kick/take.wav")
    assert of(description, tmp_path) == {"snare/c.wav": "y"}
    assert written.lstrip() in {name for names in description.passed_over.values() for name in names}


def test_what_is_passed_over_has_its_reason(tmp_path: Path):
    (tmp_path / "notes.txt").touch()
    (tmp_path.parent / "outside.wav").touch()
    text = "file_name,label\nkick/a.wav,x\ngone.wav,x\na.wav,x\nnotes.txt,x\n../outside.wav,x\nmemo.m4a,x\n"
    description = listed(tmp_path, text, passed_over={"need another decoder": ("memo.m4a",)})
    assert description.passed_over == {
        "are listed in metadata.csv but not there": ("gone.wav",),
        "are listed in metadata.csv by names that fit several files; write the folder and the ending": ("a.wav",),
        "are listed in metadata.csv but are not sound, or lie in a folder that is passed over": ("notes.txt",),
        "are listed in metadata.csv but lie outside the folder": ("../outside.wav",),
        "are not listed in metadata.csv": ("kick/b.wav", "snare/a.wav", "snare/c.wav"),
    }


def test_a_file_listed_again_counts_once(tmp_path: Path):
    description = listed(
        tmp_path, "file_name,label\nkick/a.wav,Kick\n./kick/a.wav, kick\nkick/b.wav,\nkick/b.wav,kick\n"
    )
    assert of(description, tmp_path) == {"kick/a.wav": "Kick", "kick/b.wav": "Kick"}
    assert "Files are listed again in 2 lines of metadata.csv; each is used once at most." in description.notes


@pytest.mark.parametrize("column", ["label", "group", "split"])
def test_a_file_with_contradictory_lines_is_left_out(tmp_path: Path, column: str):
    text = f"file_name,{column}\nkick/a.wav,train\nkick/b.wav,train\nkick/a.wav,test\n"
    description = listed(tmp_path, text)
    assert list(of(description, tmp_path)) == ["kick/b.wav"]
    reason = f"are listed in metadata.csv with more than one {column}; keep one line for each file"
    assert description.passed_over[reason] == ("kick/a.wav",)
    with pytest.raises(DataError, match=f"1 are listed in metadata.csv with more than one {column}"):
        listed(tmp_path, f"file_name,{column}\nkick/a.wav,train\nkick/a.wav,test\n")


def test_lists_in_split_folders_name_files_from_there(tmp_path: Path):
    for split, label in (("train", "x"), ("test", "y")):
        (tmp_path / split).mkdir()
        (tmp_path / split / "metadata.csv").write_text(f"file_name,label\naudio/1.wav,{label}\n2,{label}\n")
    names = [f"{split}/audio/{number}.wav" for split in ("train", "test") for number in (1, 2)]
    description = described(tmp_path, *names, "extra/3.wav")
    assert {
        name: (value.label, value.split)
        for name, value in zip(names[2:] + names[:2], description.files.values(), strict=True)
    } == {
        "test/audio/1.wav": ("y", "test"),
        "test/audio/2.wav": ("y", "test"),
        "train/audio/1.wav": ("x", "train"),
        "train/audio/2.wav": ("x", "train"),
    }
    assert description.passed_over == {"are not listed in test/metadata.csv, train/metadata.csv": ("extra/3.wav",)}


def test_a_list_reaches_only_below_its_own_folder(tmp_path: Path):
    text = "file_name,label\n1.wav,x\n2.wav,x\n"
    description = listed(tmp_path, text, "train/1.wav", "test/2.wav", name="train/metadata.csv")
    assert of(description, tmp_path) == {"train/1.wav": "x"}
    assert description.passed_over["are listed in train/metadata.csv but not there"] == ("train/2.wav",)


def test_the_order_is_that_of_the_list(tmp_path: Path):
    assert list(of(listed(tmp_path, "file_name\nsnare/c.wav\nkick/a.wav\n"), tmp_path)) == ["snare/c.wav", "kick/a.wav"]
    assert list(of(described(tmp_path / "none", "b.wav", "a.wav"), tmp_path / "none")) == ["a.wav", "b.wav"]
