from __future__ import annotations

import pytest

from ols_core.config import TrainConfig, load_config
from ols_core.errors import ArgumentError
from ols_core.recipes import list_recipes, load_recipe, recipe_folder

RECIPES = {recipe.name: recipe for recipe in list_recipes()}


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_is_valid_at_both_scales_and_the_small_one_is_smaller(name):
    recipe = RECIPES[name]
    full, small = (TrainConfig.from_options(recipe.options(scale)) for scale in ("full", "small"))
    assert small.epochs < full.epochs
    assert small.train_per_class is not None
    assert recipe.about
    for config in (full, small):
        assert all(milestone < config.epochs for milestone in config.milestones)
    for figure in recipe.published:
        assert figure.source


def test_the_networks_and_noise_rates_of_the_paper_are_there():
    networks = ("resnet34", "resnet50", "resnet101", "resnext29-2x64d", "resnext29-32x4d")
    for network in networks:
        assert RECIPES[f"cifar100-{network}"].full["model"] == network
    for classes in (10, 100):
        for rate in (20, 40, 60, 80):
            found = TrainConfig.from_options(RECIPES[f"cifar{classes}-noise{rate}"].options())
            assert (found.dataset, found.label_noise) == (
                f"cifar{classes}",
                f"symmetric:0.{rate // 10}",
            )
    for name in ("cub", "flowers", "cars", "aircraft"):
        assert RECIPES[f"{name}-resnet50"].full["pretrained"] is True


def test_the_options_of_the_bundled_runs_are_a_plain_file_and_a_recipe():
    plain = load_config(recipe_folder() / "cifar100-100-per-class.toml")
    assert TrainConfig.from_options(plain).train_per_class == 100
    assert load_recipe("cifar100-100-per-class").options() == plain


def test_an_unknown_name_names_near_ones():
    with pytest.raises(ArgumentError, match=r"'cifar100-resnet43' does not.*cifar100-resnet34"):
        load_recipe("cifar100-resnet43")
    with pytest.raises(ArgumentError, match="see ols recipes"):
        load_recipe("zzz")


def test_an_unknown_scale_is_refused():
    with pytest.raises(ArgumentError, match="scale must be one of 'full', 'small', got 'tiny'"):
        load_recipe("cifar100-resnet34").options("tiny")


def test_the_options_of_a_recipe_are_a_copy():
    recipe = load_recipe("cifar100-resnet34")
    recipe.options()["model"] = "another"
    assert recipe.full["model"] == "resnet34"


FAMILY = """
[base]
epochs = 10
lr = 0.1
[small]
epochs = 2
[variants.one]
about = "The first."
options = { lr = 0.2 }
[variants.two]
about = "The second."
small = { epochs = 1 }
"""


def test_a_variant_wins_over_its_family_at_either_scale(tmp_path):
    (tmp_path / "family.toml").write_text(FAMILY)
    one, two = list_recipes(tmp_path)
    assert (one.full, one.small) == ({"epochs": 10, "lr": 0.2}, {"epochs": 2, "lr": 0.2})
    assert (two.full, two.small) == ({"epochs": 10, "lr": 0.1}, {"epochs": 1, "lr": 0.1})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("variants = ", "cannot be read as TOML"),
        ("[small]\n[variants.one]\n", "variants.one.about: Field required"),
        ("[smal]\n[small]\n[variants]\n", "smal: Extra inputs"),
        ('extends = "no.toml"\n[small]\n[variants]\n', "no such file"),
    ],
)
def test_a_damaged_family_is_named(tmp_path, content, message):
    (tmp_path / "family.toml").write_text(content)
    with pytest.raises(ArgumentError, match=message):
        list_recipes(tmp_path)


def test_two_recipes_of_one_name_are_refused(tmp_path):
    for file in ("a.toml", "b.toml"):
        (tmp_path / file).write_text(FAMILY)
    with pytest.raises(ArgumentError, match=r"b\.toml: a recipe 'one' exists already"):
        list_recipes(tmp_path)


def test_the_folder_of_an_installed_package_is_found(tmp_path, monkeypatch):
    installed = tmp_path / "data" / "share" / "ols-core" / "recipes"
    installed.mkdir(parents=True)
    (installed / "family.toml").write_text(FAMILY)
    monkeypatch.setattr("ols_core.recipes.__file__", str(tmp_path / "site" / "ols_core" / "r.py"))
    monkeypatch.setattr("sysconfig.get_path", lambda name: str(tmp_path / name))
    assert recipe_folder() == installed
    (installed / "family.toml").unlink()
    with pytest.raises(ArgumentError, match="pass --config FILE"):
        recipe_folder()
