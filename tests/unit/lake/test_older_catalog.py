"""A catalog file that was made before tables could change goes on working, and changes."""

from dataclasses import replace

import apsw
import msgspec

from caudal.contract import Column, Contract
from caudal.lake.catalog import LakeTable, open_catalog

SALE = LakeTable("sale", Contract("sale", (Column("id", "string"), Column("qty", "int")), ("id",)), "sale")


def test_a_definition_without_what_came_later_is_read_and_evolves(tmp_path):
    url = f"sqlite:{tmp_path}/catalog.db"
    catalog = open_catalog(url, "shop")
    catalog.declare(SALE)
    catalog.close()
    db = apsw.Connection(str(tmp_path / "catalog.db"))
    old = msgspec.json.decode(db.execute("SELECT definition FROM lake_table").get)
    del old["hidden"], old["eras"]
    for column in old["contract"]["columns"]:
        del column["old_names"]
        column["old_name"] = ""
    db.execute("UPDATE lake_table SET definition = ?", (msgspec.json.encode(old).decode(),))
    db.close()
    catalog = open_catalog(url, "shop")
    assert catalog.tables() == {"sale": SALE}
    columns = (SALE.contract.columns[0], Column("quantity", "int", old_names=("qty",)))
    catalog.evolve(replace(SALE, contract=replace(SALE.contract, columns=columns)))
    assert catalog.tables()["sale"].contract.columns == columns
    catalog.close()
