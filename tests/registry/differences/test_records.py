from dataclasses import replace

from registry.bundle import Product
from registry.differences.records import compare_tables, compare_values, product_values

MUG = Product(
    product_id="p1",
    title="A mug",
    caption="a blue mug",
    category="mug",
    price=float("nan"),
    attributes={"colour": "blue"},
    image_sha256="1",
    split="train",
    thumbnail=b"",
)


def test_rows_are_compared_by_id_and_column_by_column() -> None:
    lamp, vase = replace(MUG, product_id="p2"), replace(MUG, product_id="p3")
    other = replace(MUG, price=9.5, attributes={"colour": "red", "size": "L"})
    found = compare_tables(product_values([MUG, lamp]), product_values([vase, other]))
    assert (found.before, found.after) == (2, 2)
    assert (found.added, found.removed) == (("p3",), ("p2",))
    assert found.changed == {
        "p1": {
            "attributes.colour": ("blue", "red"),
            "attributes.size": (None, "L"),
            "price": (None, 9.5),
        }
    }
    assert found.changes() == {"attributes": 1, "price": 1}


def test_an_unknown_price_is_no_change_nor_is_another_thumbnail() -> None:
    same = replace(MUG, price=float("nan"), thumbnail=b"other pixels")
    assert compare_tables(product_values([MUG]), product_values([same])).is_empty


def test_catalogues_without_a_common_product() -> None:
    lamp = replace(MUG, product_id="p2")
    assert compare_tables(product_values([MUG]), product_values([lamp])).is_disjoint
    assert not compare_tables(product_values([MUG]), product_values([MUG, lamp])).is_disjoint


def test_values_that_one_side_lacks() -> None:
    assert compare_values({"a": 1, "b": 2}, {"b": 2, "c": 3}) == {"a": (1, None), "c": (None, 3)}
