"""Splits: stratified, decided by names, and groups never straddle."""

import io
import os
import re
import shutil
import unicodedata
import warnings

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.sparse import coo_matrix, csgraph

from imgcls.datasets import Dataset, _duplicates, components, write_png
from imgcls.errors import ConfigurationError, DataError, DataWarning, EmptyDatasetError

PIXEL = np.zeros((1, 1, 1), np.uint8)


def dataset(labels, **options):
    """One-pixel images that a split tells apart by their ids alone."""
    return Dataset.from_arrays(np.broadcast_to(PIXEL, (len(labels), 1, 1, 1)), labels, **options)


def assignment(parts):
    return {name: number for number, part in enumerate(parts) for name in part.ids}


@pytest.fixture
def uneven():
    """600 images of a, 300 of b, 97 of c, 3 of d, in an order that mixes them."""
    labels = np.random.default_rng(0).permutation(list("a" * 600 + "b" * 300 + "c" * 97 + "d" * 3))
    return dataset(labels, ids=[f"image{index}.jpg" for index in range(1000)])


@pytest.mark.parametrize("fractions", [(0.8, 0.2), (0.7, 0.15, 0.15), (0.5, 0.3, 0.2), (0.25, 0.25, 0.25, 0.25)])
@pytest.mark.parametrize("seed", range(5))
def test_every_part_has_its_share_of_every_class(uneven, fractions, seed):
    parts = uneven.split(fractions, duplicates=None, seed=seed)
    names = [name for part in parts for name in part.ids]
    assert sorted(names) == sorted(uneven.ids)
    for part, fraction in zip(parts, fractions, strict=True):
        for name, count in part.counts().items():
            total = uneven.counts()[name]
            assert count >= (total >= len(fractions))
            # Independent draws: a binomial count, four standard deviations of which hold 99.99 %.
            assert abs(count - fraction * total) <= 4 * np.sqrt(total * fraction * (1 - fraction)) + 1


@pytest.fixture
def parts_of_many():
    """Three ways to a part of 4,000 images, all by seed 0."""
    data = dataset(list("ab" * 2000))
    own = assignment(data.split((0.8, 0.2), duplicates=None))
    parts = [("train", "test")[own[name]] for name in data.ids]
    divided = Dataset(np.broadcast_to(PIXEL, (4000, 1, 1, 1)), list("ab" * 2000), parts=parts)
    return (
        data.split((0.8, 0.2), duplicates=None)[0],
        data.folds(5, duplicates=None)[4][0],
        divided.subset("train"),
    )


@pytest.mark.parametrize("way", range(3))
def test_a_part_is_divided_as_other_images_are(parts_of_many, way):
    """The same seed has decided which images these are: it must not know on which side of a cut they fall."""
    part = parts_of_many[way]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        shares = (0.7, 0.15, 0.15)
        divided = part[::-1].align(["b", "a"]).split(shares, duplicates=None)
        sizes = [len(one) for one in divided] + [len(held_out) for _, held_out in part.folds(5, duplicates=None)]
        again = divided[0].split((0.5, 0.5), duplicates=None)
    sizes += map(len, again)
    totals = [len(part)] * 8 + [len(divided[0])] * 2
    for size, total, share in zip(sizes, totals, [*shares, *[0.2] * 5, 0.5, 0.5], strict=True):
        assert abs(size - share * total) <= 4 * np.sqrt(total * share * (1 - share))
    assert assignment(divided) == assignment(part.split(shares, duplicates=None))


def test_what_a_seed_has_chosen_elsewhere_it_does_not_divide_in_silence(parts_of_many):
    copied = dataset(["a"] * len(parts_of_many[0]), ids=parts_of_many[0].ids)  # as a folder that a split was written to
    with pytest.warns(DataWarning) as told:
        copied.split((0.85, 0.15), duplicates=None)
    assert len(told) == 1
    assert str(told[0].message) == (
        f"seed=0 gives 0.0% of these {len(copied):,} images (copies and groups as one) to 'test', where 15.0% are asked "
        "for: they seem to be a part of more images that this seed divided before. Give another seed."
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(copied.split((0.85, 0.15), duplicates=None, seed=1)[1]) > 0.1 * len(copied)


@pytest.mark.parametrize("fractions", [(0.999, 0.001), (0.5, 0.5), (0.15, 0.85), (0.25,) * 4])
@pytest.mark.parametrize("count", [12, 300, 2000])
def test_chance_alone_warns_of_nothing(fractions, count):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for seed in range(40):
            dataset(["a"] * count, ids=[f"{seed}-{index}" for index in range(count)])._deal(
                fractions, seed, None, None, verbose=0
            )


def test_where_a_class_is_smaller_than_the_number_of_parts_the_largest_parts_have_it(uneven):
    single = dataset(["a"] * 50 + ["rare"], ids=list(map(str, range(51))))
    for seed in range(20):
        assert single.split((0.1, 0.8, 0.1), duplicates=None, seed=seed)[1].counts()["rare"] == 1


@pytest.mark.parametrize("grouped", [False, True])
def test_names_decide_and_not_their_order(uneven, grouped):
    groups = np.array([f"g{index // 3}" for index in range(len(uneven))]) if grouped else None
    shuffled = np.random.default_rng(1).permutation(len(uneven))
    options = {"seed": 3, "duplicates": None}
    first = uneven.split((0.7, 0.2, 0.1), groups=groups, **options)
    again = uneven.split((0.7, 0.2, 0.1), groups=groups, **options)
    other = uneven[shuffled].split((0.7, 0.2, 0.1), groups=groups[shuffled] if grouped else None, **options)
    assert assignment(first) == assignment(again) == assignment(other)
    assert assignment(uneven.split((0.7, 0.2, 0.1), seed=4, groups=groups, duplicates=None)) != assignment(first)


@pytest.mark.parametrize("kind", ["names", "groups", "several labels"])
def test_files_that_are_added_move_none_of_the_old_ones(kind):
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, (1100, 4)) if kind == "several labels" else random.integers(0, 5, 1100)
    groups = [f"patient {index // 4}" for index in range(1100)] if kind == "groups" else None
    data = dataset(labels, ids=[f"{index}.jpg" for index in range(1100)], groups=groups)
    old = assignment(data[:1000].split((0.7, 0.15, 0.15), duplicates=None))
    new = assignment(data.split((0.7, 0.15, 0.15), duplicates=None))
    assert all(new[name] == part for name, part in old.items())


def test_a_group_moves_no_image_when_a_row_without_one_is_added():
    """One empty cell makes floats of pandas' column of whole numbers."""
    table = "patient,label\n" + "".join(f"{index // 2},{'ab'[index % 2]}\n" for index in range(60))
    before, after = pd.read_csv(io.StringIO(table)), pd.read_csv(io.StringIO(f"{table},a\n"))
    assert (before["patient"].dtype, after["patient"].dtype) == (np.int64, np.float64)  # else the test could not fail
    for kind in (list, np.array, pd.Series):
        old = dataset(before["label"], groups=kind(before["patient"])).split((0.7, 0.3), duplicates=None)
        new = dataset(after["label"], groups=kind(after["patient"])).split((0.7, 0.3), duplicates=None)
        assert {name: part for name, part in assignment(new).items() if name != "60"} == assignment(old)
        given = dataset(after["label"]).split((0.7, 0.3), duplicates=None, groups=kind(after["patient"]))
        assert assignment(given) == assignment(new)
    floats = dataset(before["label"], groups=before["patient"].astype(float)).split((0.7, 0.3), duplicates=None)
    assert assignment(floats) == assignment(old)


def test_an_image_without_a_group_joins_no_group_that_is_called_like_its_id():
    groups = [0, 0, None] * 40  # image "2" has no group, and there are groups "2", "5" ...
    groups = [index if group == 0 else None for index, group in enumerate(groups)]
    groups[0] = groups[1] = 2
    data = dataset(["a", "b"] * 60, groups=groups)
    apart = 0
    for seed in range(20):
        where = assignment(data.split((0.5, 0.5), seed=seed, duplicates=None))
        assert where["0"] == where["1"]
        apart += where["2"] != where["0"]
    assert 2 <= apart <= 18  # 20 throws of a coin


def test_groups_never_straddle():
    random = np.random.default_rng(0)
    groups = random.integers(0, 40, 400)
    data = dataset(random.integers(0, 3, 400), groups=groups)
    parts = data.split((0.6, 0.2, 0.2), duplicates=None)
    members = [set(part.groups.tolist()) for part in parts]
    assert sum(map(len, members)) == len(set.union(*members)) == len(set(groups.tolist()))


def test_images_without_a_group_are_dealt_one_by_one():
    """As those that the dataset itself knows no group of: 300 images, with independent draws, and 100 in two groups."""
    groups = [None, float("nan"), np.nan] * 100 + ["p"] * 50 + ["q"] * 50
    data = dataset(["a", "b"] * 200)
    parts = data.split((0.5, 0.5), groups=groups, duplicates=None)
    own = dataset(["a", "b"] * 200, groups=groups).split((0.5, 0.5), duplicates=None)
    assert assignment(parts) == assignment(own)
    for halves in (parts, [validation for _, validation in data.folds(2, groups=groups, duplicates=None)]):
        where = assignment(halves)
        alone = sum(where[str(index)] for index in range(300))
        assert abs(alone - 150) <= 4 * np.sqrt(300 / 4)
        assert len({where[str(index)] for index in range(300, 350)}) == 1
        assert len({where[str(index)] for index in range(350, 400)}) == 1


@pytest.mark.parametrize("seed", range(5))
def test_components_are_those_of_the_graph(seed):
    random = np.random.default_rng(seed)
    first, second = random.integers(0, 60, 80), random.integers(0, 50, 80)
    nodes = np.concatenate([first, second + 60]) + 80  # 80 images, then the values of either kind
    edges = (np.ones(160), (np.tile(np.arange(80), 2), nodes))
    truth = csgraph.connected_components(coo_matrix(edges, shape=(190, 190)), directed=False)[1][:80]
    found = components(first, second)
    assert len(set(found.tolist())) > 3  # else the test could not fail
    assert (
        len(set(zip(found.tolist(), truth.tolist(), strict=True)))
        == len(set(found.tolist()))
        == len(set(truth.tolist()))
    )
    assert found.max() + 1 == len(set(found.tolist()))


def test_several_labels_and_no_labels_split_too():
    rows = np.random.default_rng(0).integers(0, 2, (400, 3))
    rows[:, 2] = 0
    rows[:2, 2] = 1  # two images of the third class
    for seed in range(5):
        parts = dataset(rows, multi_label=True).split((0.5, 0.5), duplicates=None, seed=seed)
        for column in range(2):
            left, right = (int(part.labels[:, column].sum()) for part in parts)
            assert abs(left - right) <= 4 * np.sqrt(left + right)
        assert [int(part.labels[:, 2].sum()) for part in parts] == [1, 1]
    unlabelled = Dataset.from_arrays(np.random.default_rng(0).integers(0, 255, (100, 4, 4), dtype=np.uint8))
    assert sum(map(len, unlabelled.split((0.7, 0.3)))) == 100


# --- copies ----------------------------------------------------------------------------------------------------------


def texture(seed, side=96):
    """A picture that has something to see at every scale."""
    random = np.random.default_rng(seed)
    layers = [np.kron(random.uniform(0, 255, (n, n, 3)), np.ones((side // n, side // n, 1))) for n in (3, 6, 12)]
    noise = random.normal(0, 6, (side, side, 3))  # as a camera has it: a PNG is larger than a JPEG
    return (np.mean(layers, axis=0) + noise).clip(0, 255).astype(np.uint8)


@pytest.fixture
def copies(tmp_path):
    """40 pictures, 10 of which have a byte copy, 10 a smaller JPEG, 10 a mirrored one."""
    for index in range(40):
        picture = Image.fromarray(texture(index))
        folder = tmp_path / "copies" / ("even", "odd")[index % 2]
        folder.mkdir(parents=True, exist_ok=True)
        picture.save(folder / f"{index}.png")
        if index < 10:
            (folder / f"{index} copy.png").write_bytes((folder / f"{index}.png").read_bytes())
        elif index < 20:
            picture.resize((64, 64)).save(folder / f"{index} small.jpg", quality=80)
        elif index < 30:
            picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(folder / f"{index} mirrored.jpg", quality=70)
    return tmp_path / "copies"


def number(name):
    return name.split("/")[1].split(".")[0].split(" ")[0]


@pytest.mark.parametrize(("duplicates", "straddle"), [("near", 0), ("exact", 20), (None, 30)])
def test_copies_never_straddle(copies, duplicates, straddle):
    straddling = set()
    for seed in range(8):
        parts = Dataset.from_folder(copies).split((0.5, 0.5), seed=seed, duplicates=duplicates)
        straddling |= set.intersection(*({number(name) for name in part.ids} for part in parts))
    assert len(straddling) <= straddle
    assert bool(straddling) == bool(straddle)  # else the test could not fail


def test_copies_that_are_added_go_where_the_original_is_and_move_nothing(copies):
    data = Dataset.from_folder(copies)
    originals = data[[" " not in name for name in data.ids]]
    for seed in range(8):
        before = assignment(originals.split((0.7, 0.3), seed=seed))
        after = assignment(data.split((0.7, 0.3), seed=seed))
        assert all(after[name] == part for name, part in before.items())


def test_content_decides_and_not_the_name(copies):
    before = Dataset.from_folder(copies).split((0.7, 0.3))
    for path in list(copies.rglob("*.png")):
        path.rename(path.with_name(f"renamed {path.name}"))
    after = Dataset.from_folder(copies).split((0.7, 0.3))
    assert {name.replace("renamed ", ""): part for name, part in assignment(after).items()} == assignment(before)


def test_images_of_one_group_and_their_copies_stay_together(copies):
    groups = [int(number(name)) // 4 for name in Dataset.from_folder(copies).ids]
    groups[0] = 99  # one image of a chain: group 99 - copy - its own group
    parts = Dataset.from_folder(copies).split((0.5, 0.5), groups=groups)
    members = [{number(name) for name in part.ids} for part in parts]
    assert not members[0] & members[1]


@pytest.mark.parametrize(
    "groups",
    [r"^(\d+)", re.compile(r"^(?P<group>\d+)"), lambda path: number(f"/{path.name}")],
    ids=["text", "pattern", "function"],
)
def test_groups_of_a_split_may_follow_from_names_as_those_of_a_source(copies, groups):
    data = Dataset.from_folder(copies)
    truth = data.split((0.5, 0.5), groups=[number(name) for name in data.ids], duplicates=None)
    in_memory = Dataset.from_arrays([sample.image for sample in data], data.labels, ids=data.ids)
    for one in (data, in_memory):
        assert assignment(one.split((0.5, 0.5), groups=groups, duplicates=None)) == assignment(truth)
        for training, held_out in one.folds(3, groups=groups, duplicates=None):
            assert {number(name) for name in training.ids}.isdisjoint(map(number, held_out.ids))


def test_a_column_is_no_group_of_a_split():
    with pytest.raises(ConfigurationError, match=r"^group='patient' has no group that says what the group is\."):
        dataset(["a", "b"] * 20).split((0.5, 0.5), groups="patient")


def test_planted_copies_among_a_thousand_photos(shared_data, tmp_path):
    """50 byte copies, 50 edited ones and 100 new photos join 1,000: nothing straddles, nothing old moves."""
    photos = sorted(shared_data.glob("flowers224/train/*/*.jpg"))
    photos = [photos[index] for index in np.random.default_rng(0).permutation(len(photos))[:1100]]
    for index, path in enumerate(photos):
        (tmp_path / "photos" / path.parent.name).mkdir(parents=True, exist_ok=True)
        (tmp_path / ("photos" if index < 1000 else "later") / path.parent.name).mkdir(parents=True, exist_ok=True)
        shutil.copy(path, tmp_path / ("photos" if index < 1000 else "later") / path.parent.name)
    before = assignment(Dataset.from_folder(tmp_path / "photos").split((0.7, 0.15, 0.15)))
    assert len(before) == 1000

    shutil.copytree(tmp_path / "later", tmp_path / "photos", dirs_exist_ok=True)
    for index, path in enumerate(photos[:100]):
        folder = tmp_path / "photos" / path.parent.name
        if index < 50:
            shutil.copy(path, folder / f"{path.stem} copy.jpg")
            continue
        edited = Image.open(path).resize((112 + index, 112 + index))
        edited = edited.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if index % 2 else edited
        edited.save(folder / f"{path.stem} copy.jpg", quality=40 + index // 2)
    data = Dataset.from_folder(tmp_path / "photos")
    parts = data.split((0.7, 0.15, 0.15))
    after = assignment(parts)
    assert len(after) == 1200
    assert [name for name, part in before.items() if after[name] != part] == []
    copied = [name for name in after if name.endswith(" copy.jpg")]
    straddling = [name for name in copied if after[name] != after[name.replace(" copy", "")]]
    assert len(copied) == 100
    assert len(straddling) <= 2  # at least 95 % of the edited copies are found
    cluster = _duplicates.clusters(data).cluster
    place = {name: index for index, name in enumerate(data.ids)}
    members = [{cluster[place[name]] for name in part.ids} for part in parts]
    assert sum(map(len, members)) == len(set.union(*members))


# --- folds and files -------------------------------------------------------------------------------------------------


def test_folds_hold_every_image_out_once(uneven):
    folds = uneven.folds(5, duplicates=None)
    held_out = [name for _, validation in folds for name in validation.ids]
    assert sorted(held_out) == sorted(uneven.ids)
    for training, validation in folds:
        assert sorted([*training.ids, *validation.ids]) == sorted(uneven.ids)
        assert all(count for name, count in validation.counts().items() if name != "d")
    with pytest.raises(
        ConfigurationError, match=r"^count=1 is not accepted\. Accepted: a whole number of at least 2\.$"
    ):
        uneven.folds(1)


@pytest.mark.parametrize("duplicates", ["near", "exact", None])
def test_folds_hold_out_both_of_a_file_that_is_listed_twice(tmp_path, duplicates):
    pixels = np.random.default_rng(0).integers(0, 256, (12, 8, 8, 3), dtype=np.uint8)
    paths = [tmp_path / f"{index}.png" for index in range(12)]
    for path, image in zip(paths, pixels, strict=True):
        write_png(image, path)
    data = Dataset.from_files([*paths, *paths], ["a", "b"] * 12)
    folds = data.folds(3, duplicates=duplicates)
    assert sorted(name for _, validation in folds for name in validation.ids) == sorted(data.ids)
    for training, validation in folds:
        assert set(training.ids).isdisjoint(validation.ids)
        assert sorted([*training.ids, *validation.ids]) == sorted(data.ids)
        labels = {one.id: one.label for one in training}
        assert all(labels[str(path)] == "ab"[index % 2] for index, path in enumerate(paths) if str(path) in labels)


def test_folds_of_a_divided_source_are_divided_anew():
    data = Dataset(np.broadcast_to(PIXEL, (40, 1, 1, 1)), ["a", "b"] * 20, parts=["train"] * 30 + ["test"] * 10)
    for pair in data.folds(2, duplicates=None):
        assert [part.parts for part in pair] == [None, None]  # else `fit` would leave images of the fold out
    with pytest.raises(EmptyDatasetError) as caught:
        data[:2].folds(3, duplicates=None)
    assert str(caught.value) == (
        "2 images do not fill 3 parts. Give fewer parts or more images; copies of one image and images of one group stay together."
    )


def test_a_file_remembers_the_split(uneven, tmp_path):
    file = tmp_path / "split.csv"
    first = assignment(uneven[:900].split((0.7, 0.15, 0.15), duplicates=None, file=file))
    assert file.read_text().splitlines()[:1] == ["id,part"]
    frame = pd.read_csv(file)
    assert dict(zip(frame["id"], frame["part"], strict=True)) == {
        name: ("train", "validation", "test")[part] for name, part in first.items()
    }
    assert list(tmp_path.iterdir()) == [file]  # it has taken its place whole, and nothing is left beside it
    second = assignment(uneven.split((0.7, 0.15, 0.15), duplicates=None, seed=7, file=file))
    assert all(second[name] == part for name, part in first.items())
    assert len(pd.read_csv(file)) == 1000
    assert list(tmp_path.iterdir()) == [file]


def test_an_image_that_links_two_groups_joins_them_unless_a_file_keeps_them_apart(tmp_path):
    """A copy of an image of one part, in a group of the other part."""
    pixels = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 3), dtype=np.uint8)
    labels, groups = np.array(["a", "b"] * 20), np.arange(40) // 2
    before = assignment(Dataset.from_arrays(pixels, labels, groups=groups).split((0.6, 0.4), file=tmp_path / "a.csv"))
    other = next(index for index in range(40) if before[str(index)] != before["0"])
    more = Dataset.from_arrays(
        np.append(pixels, pixels[:1], axis=0), np.append(labels, "a"), groups=np.append(groups, groups[other])
    )
    after = assignment(more.split((0.6, 0.4)))
    assert after["0"] == after["40"] == after[str(other)]
    moved = {groups[int(name)] for name, part in before.items() if after[name] != part}
    assert moved in ({groups[0]}, {groups[other]})  # the one that follows the other, and nothing else
    with pytest.warns(DataWarning, match="All is right where the old images still come first"):  # as they do
        kept = assignment(more.split((0.6, 0.4), file=tmp_path / "a.csv"))
    assert kept == before | {"40": 0}


def by_content(parts):
    return {sample.image.tobytes(): number for number, part in enumerate(parts) for sample in part}


@pytest.mark.parametrize("change", ["in front", "in another order"])
def test_a_file_of_numbers_warns_where_they_have_become_those_of_other_images(tmp_path, change):
    """Else test images would be learnt from, and nothing would say so."""
    random, file = np.random.default_rng(0), tmp_path / "split.csv"
    pixels, more = (random.integers(0, 256, (count, 8, 8, 3), dtype=np.uint8) for count in (60, 5))
    data = Dataset.from_arrays(pixels, ["a", "b"] * 30)
    before = by_content(data.split((0.7, 0.3), file=file))
    assert by_content(data.split((0.7, 0.3), file=file)) == before  # the same images: no warning
    behind = Dataset.from_arrays(np.concatenate([pixels, more]), ["a", "b"] * 30 + ["a"] * 5)
    assert before.items() <= by_content(behind.split((0.7, 0.3), file=file)).items()
    in_front = change == "in front"
    changed = np.concatenate([more, pixels]) if in_front else pixels[::-1]
    labels = "aaaaa" + "ab" * 30 if in_front else "ba" * 30
    with pytest.warns(DataWarning) as caught:
        after = by_content(Dataset.from_arrays(changed, list(labels)).split((0.7, 0.3), file=file))
    assert [str(one.message) for one in caught] == [
        f"{str(file)!r} knows images without names by their numbers, and does not list them as they are dealt now: some were added or left out, or their order, the seed, the groups or the fractions are others. An image goes where that number went, so that test images are learnt from where numbers have shifted. All is right where the old images still come first, in their order. Else name them, and make the file anew: Dataset.from_arrays(images, labels, ids=names)."
    ]
    assert any(after[one] == 0 and part == 1 for one, part in before.items())  # what it warns of
    names = {image.tobytes(): f"{index}.png" for index, image in enumerate([*pixels, *more])}
    for images, kinds in ((pixels, "ab" * 30), (changed, labels)):  # named, none moves, and there is no warning
        named = Dataset.from_arrays(images, list(kinds), ids=[names[image.tobytes()] for image in images])
        assert before.items() <= by_content(named.split((0.7, 0.3), file=tmp_path / "named.csv")).items()


def test_a_file_of_numbers_warns_of_other_images_where_none_is_read(tmp_path):
    data, file = dataset(["a", "b"] * 20), tmp_path / "split.csv"
    first = assignment(data[:30].split((0.5, 0.5), duplicates=None, file=file))
    assert assignment(data[:30].split((0.5, 0.5), seed=5, duplicates=None, file=file)) == first
    with pytest.warns(DataWarning, match="knows images without names by their numbers"):
        after = assignment(data.split((0.5, 0.5), duplicates=None, file=file))
    assert first.items() <= after.items()


def test_a_file_keeps_no_id_that_images_of_several_parts_have(tmp_path):
    """As of ids that are file names without their class folders: a file holds one part for each."""
    pixels = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 3), dtype=np.uint8)
    ids, file = [f"{index}.jpg" for index in range(20)] * 2, tmp_path / "split.csv"
    data = Dataset.from_arrays(pixels, ["a"] * 20 + ["b"] * 20, ids=ids)
    first, second = (set(part.ids) for part in data.split((0.5, 0.5)))
    divided = [name for name in ids[:20] if name in first & second]
    assert len(divided) > 3  # else the test could not fail
    with pytest.raises(DataError) as caught:
        data.split((0.5, 0.5), file=file)
    assert str(caught.value) == (
        f"ids that several images have, which go to different parts: {', '.join(map(repr, divided[:3]))} and {len(divided) - 3} more. {str(file)!r} can keep one part for an id. Give each image an id of its own, such as its path, or leave file= out."
    )
    assert not file.exists()
    twice = Dataset.from_arrays(np.concatenate([pixels[:20]] * 2), ["a", "b"] * 20, ids=ids)  # copies are of one part
    kept = assignment(twice.split((0.5, 0.5), file=file))
    assert assignment(twice.split((0.5, 0.5), seed=9, file=file)) == kept


@pytest.mark.parametrize("ids", [range(100, 400), np.arange(100, 400), [float(number) for number in range(100, 400)]])
def test_a_file_remembers_ids_that_are_numbers(tmp_path, ids):
    data, file = dataset(["a", "b", "c"] * 100, ids=ids), tmp_path / "split.csv"
    first = data.split((0.7, 0.3), duplicates=None, file=file)
    assert assignment(data.split((0.7, 0.3), duplicates=None, file=file, seed=9)) == assignment(first)
    rows = pd.read_csv(file, index_col="id")["part"]
    for part, images in zip(("train", "test"), first, strict=True):
        assert set(rows.index[rows == part]) == set(map(int, images.ids))


def test_a_file_remembers_names_that_are_no_utf8(tmp_path):
    for index in range(20):
        name = b"ros\xe9 %d.png" % index if index % 2 else "rosé %d.png".encode() % index
        write_png(np.full((8, 8, 1), index, np.uint8), tmp_path / os.fsdecode(name))
    data = Dataset.from_files(tmp_path, [f"{index % 2}" for index in range(20)])
    first = assignment(data.split((0.5, 0.5), duplicates=None, file=tmp_path / "split.csv"))
    assert assignment(data.split((0.5, 0.5), duplicates=None, seed=5, file=tmp_path / "split.csv")) == first
    parts = ("train", "test")
    expected = sorted(b"%s,%s" % (os.fsencode(name), parts[part].encode()) for name, part in first.items())
    assert sorted((tmp_path / "split.csv").read_bytes().splitlines()[1:]) == expected


def test_new_copies_go_where_the_file_has_the_original(copies, tmp_path):
    """With another seed nothing else would bring them there; and a larger copy would become the original."""
    data = Dataset.from_folder(copies)
    originals = data[[" " not in name for name in data.ids]]
    before = assignment(originals.split((0.5, 0.5), file=tmp_path / "split.csv"))
    for name in originals.ids:
        Image.open(copies / name).resize((192, 192)).save(copies / name.replace(".png", " large.png"))
    after = assignment(Dataset.from_folder(copies).split((0.5, 0.5), seed=5, file=tmp_path / "split.csv"))
    assert len(after) == 40 + 30 + 40
    where = {number(name): part for name, part in before.items()}
    assert len(set(where.values())) == 2  # else the test could not fail
    assert all(part == where[number(name)] for name, part in after.items())


def test_new_images_of_a_group_go_where_the_file_has_the_others(tmp_path):
    groups = [f"p{index // 4}" for index in range(80)]
    data = dataset(["a", "b"] * 40, ids=[f"{index}.jpg" for index in range(80)], groups=groups)
    first = np.arange(80) % 4 < 2
    data[first].split((0.5, 0.5), duplicates=None, file=tmp_path / "split.csv")
    parts = data.split((0.5, 0.5), seed=5, duplicates=None, file=tmp_path / "split.csv")
    members = [set(part.groups.tolist()) for part in parts]
    assert not members[0] & members[1]
    assert len(members[0] | members[1]) == 20


def test_images_of_one_id_are_never_divided():
    """The part without a class takes the nearest image, and not one of two that are the same."""
    data = dataset(["a"] * 3 + ["b"] * 3, ids=["x", "x", "y", "z", "w", "z"])
    patients = dataset(["a"] * 3 + ["b"] * 3, ids=["x", "x", "y", "z", "w", "z"], groups=list("pqrstu"))
    for seed in range(40):
        for one in (data, patients):
            training, test = one.split((0.5, 0.5), seed=seed, duplicates=None)
            assert set(training.ids).isdisjoint(test.ids)
            assert all(min(part.counts().values()) > 0 for part in (training, test))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "id,part\n1.jpg,training\n",
            "has the parts 'training', and a split into 2 has train, test. Give as many fractions as the file has parts, or another file.",
        ),
        ("name\n1.jpg\n", "cannot be read as a split: 'id'. Accepted: a CSV file with the columns id, part."),
    ],
)
def test_a_file_that_is_no_split_is_refused_in_words(uneven, tmp_path, text, words):
    file = tmp_path / "split.csv"
    file.write_text(text)
    with pytest.raises(DataError) as caught:
        uneven.split((0.8, 0.2), duplicates=None, file=file)
    assert str(caught.value) == f"{str(file)!r} {words}"
    assert file.read_text() == text


def test_a_split_that_fails_leaves_no_file_behind(tmp_path):
    data, file = dataset(["a", "b"] * 15), tmp_path / "split.csv"
    with pytest.raises(EmptyDatasetError):
        data.split((0.6, 0.2, 0.2), groups=[index % 2 for index in range(30)], duplicates=None, file=file)
    assert not list(tmp_path.iterdir())
    parts = data.split((0.6, 0.2, 0.2), groups=range(30), duplicates=None, file=file)
    assert assignment(parts) == assignment(data.split((0.6, 0.2, 0.2), groups=range(30), duplicates=None))


def test_a_file_that_leaves_a_part_empty_is_named_and_kept(tmp_path):
    data, file = dataset(["a", "b"] * 2), tmp_path / "split.csv"
    file.write_text(text := "id,part\n0,train\n1,train\n2,test\n3,test\n")
    with pytest.raises(EmptyDatasetError) as caught:
        data.split((0.6, 0.2, 0.2), duplicates=None, file=file)
    assert str(caught.value) == (
        "4 images do not fill 3 parts. Give fewer parts or more images; copies of one image and images of one group "
        f"stay together. {str(file)!r} says where some of them go: mend it or name another file."
    )
    assert file.read_text() == text


def test_a_file_that_excel_saved_is_read(uneven, tmp_path):
    file = tmp_path / "split.csv"
    first = assignment(uneven.split((0.8, 0.2), duplicates=None, file=file))
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes().replace(b"\n", b"\r\n"))
    assert assignment(uneven.split((0.8, 0.2), seed=5, duplicates=None, file=file)) == first


def test_a_file_of_other_images_is_refused_in_words(uneven, tmp_path):
    file = tmp_path / "split.csv"
    file.write_text("id,part\nother/1.jpg,train\n")
    with pytest.raises(DataError) as caught:
        uneven.split((0.8, 0.2), duplicates=None, file=file)
    assert str(caught.value) == (
        f"{str(file)!r} lists none of these 1,000 images: 'other/1.jpg' there, 'image0.jpg', 'image1.jpg', 'image2.jpg' "
        "and 997 more here. Make the dataset as it was made then, or name another file."
    )


# --- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fractions", [(0.8, 0.3), (1.0,), (1.2, -0.2), (0.5, 0.5, 0.0), 0.8, ("a", "b"), ()])
def test_wrong_fractions_are_refused_in_words(fractions):
    with pytest.raises(ConfigurationError) as caught:
        dataset([0, 1]).split(fractions)
    assert str(caught.value) == (
        f"fractions={fractions!r} is not accepted. Accepted: two or more numbers above 0 that sum to 1, "
        "such as (0.8, 0.2) or (0.7, 0.15, 0.15)."
    )


@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        ({}, DataError, "the source is not divided into train/ and test/. Give fractions, such as (0.8, 0.2)."),
        (
            {"fractions": (0.4, 0.3, 0.3)},
            EmptyDatasetError,
            "2 images do not fill 3 parts. Give fewer parts or more images; copies of one image and images of one group stay together.",
        ),
        (
            {"fractions": (0.5, 0.5), "groups": ["a", "a"]},
            EmptyDatasetError,
            "2 images do not fill 2 parts. Give fewer parts or more images; copies of one image and images of one group stay together.",
        ),
        (
            {"fractions": (0.5, 0.5), "groups": ["a"]},
            DataError,
            "there are 2 images and 1 groups. Give one for each image.",
        ),
        (
            {"fractions": (0.5, 0.5), "duplicates": "all"},
            ConfigurationError,
            "duplicates='all' is not known. Accepted: near, exact, None.",
        ),
    ],
)
def test_a_split_that_cannot_be_is_refused_in_words(options, kind, words):
    with pytest.raises(kind) as caught:
        dataset(["a", "a"]).split(**options)
    assert str(caught.value) == words


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"seed": 1}, "seed="),
        ({"groups": ["p", "p", "q"]}, "groups="),
        ({"duplicates": None}, "duplicates="),
        ({"file": "split.csv"}, "file="),
        ({"file": "split.csv", "seed": 3, "duplicates": "exact"}, "seed=, duplicates=, file="),
    ],
)
def test_what_would_do_nothing_to_a_divided_source_is_refused_in_words(tmp_path, monkeypatch, options, words):
    monkeypatch.chdir(tmp_path)
    data = Dataset(np.zeros((3, 4, 4), np.uint8), ["a", "b", "a"], parts=["train", "train", "test"])
    with pytest.raises(ConfigurationError) as caught:
        data.split(**options)
    assert str(caught.value) == (
        f"the source is divided already, and without fractions its own parts are taken: {words} would do nothing. Leave that out, or give fractions, such as (0.8, 0.2), to divide anew."
    )
    assert not list(tmp_path.iterdir())
    assert [part.ids for part in data.split(seed=0, verbose=0)] == [("0", "1"), ("2",)]


def test_a_file_of_a_split_knows_names_however_their_accents_are_written(tmp_path):
    """macOS takes letters and accents of file names apart, and other systems do not."""
    names = [f"Käse{index}.jpg" for index in range(40)] + ["ascii.jpg"]
    apart = dataset(["a"] * 41, ids=[unicodedata.normalize("NFD", name) for name in names])
    together = dataset(["a"] * 41, ids=[unicodedata.normalize("NFC", name) for name in names])
    assert set(apart.ids) & set(together.ids) == {"ascii.jpg"}
    first = apart.split((0.7, 0.3), duplicates=None, file=tmp_path / "split.csv")
    second = together.split((0.7, 0.3), duplicates=None, seed=99, file=tmp_path / "split.csv")
    for one, other in zip(first, second, strict=True):
        assert {unicodedata.normalize("NFC", name) for name in one.ids} == set(other.ids)
