"""A damaged export is refused by name or read as exactly what it says: no cell of another row ever changes."""

from __future__ import annotations

import mutations

N, SEED = 75, 20_260_930


def test_the_good_export_is_read_whole(tmp_path):
    export = mutations.build_export()
    (tmp_path / "icp.yml").write_text("name: acme\n", encoding="utf-8")
    data = mutations.write(export["accounts"]).encode()
    assert mutations.judge(tmp_path, "delimiter", "accounts", data, ",", export) == "read"


def test_the_judge_finds_a_wrong_cell_and_a_lost_row(tmp_path):
    export = mutations.build_export()
    (tmp_path / "icp.yml").write_text("max_quarantined: 1\n", encoding="utf-8")
    mutations.judge(tmp_path, "delimiter", "accounts", mutations.write(export["accounts"]).encode(), ",", export)
    other = [list(row) for row in export["accounts"]]
    other[3][2] = "Energy"
    loaded = mutations.extract.load(tmp_path, tmp_path / "out")
    kept = {table: mutations.pd.read_parquet(loaded.path(table)) for table in export}
    literal = mutations.read_literally(mutations.write(other).encode(), ",")
    assert "A3 is kept with cells" in next(mutations._compare(loaded, "accounts", kept, literal, set()))
    original = mutations.read_literally(mutations.write(export["accounts"]).encode(), ",")
    kept["accounts"] = kept["accounts"].iloc[1:]
    known = {tuple(sorted(row.items())) for row in original}
    assert "is gone" in next(mutations._compare(loaded, "accounts", kept, original, known))


def test_no_random_damage_is_read_wrongly(tmp_path):
    found = mutations.run(N, SEED, tmp_path)
    assert [each for each in found if each[1].startswith("WRONG")] == []
    assert {name for name, outcome in found if outcome == "read"} >= set(mutations.HARMLESS) - {"row dropped"}
    assert sum(outcome == "refused" for _, outcome in found) > N / 20
