from pipelines.pages.tables import LONGEST_TABLE, Table, cut


def test_a_long_table_is_cut_in_two_and_none_is_lost():
    rows = [str(number) for number in range(LONGEST_TABLE + 1)]
    first, second = cut("slices", rows)
    assert [*first.rows, *second.rows] == rows
    assert (first.part, second.part) == (1, 2)
    assert len(first.rows) - len(second.rows) in (0, 1)


def test_a_short_table_stays_whole_and_an_empty_one_is_none():
    rows = [str(number) for number in range(LONGEST_TABLE)]
    assert cut("slices", rows) == [Table("slices", 0, rows)]
    assert cut("slices", []) == []
