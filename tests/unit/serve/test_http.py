"""The HTTP API over real sockets."""

import threading
import time
from contextlib import closing
from decimal import Decimal

import httpx
import msgspec
import pytest

from caudal.errors import ConfigError
from caudal.ingest.items import encode_item
from caudal.ingest.stream import gate
from caudal.ingest.stream.gate import Backpressure, held_back
from caudal.serve import open_endpoint
from caudal.testing.shop import eventually, product, sale, shop_of

URL = "http://127.0.0.1:0"


@pytest.fixture
def endpoint(trained_stages):
    endpoint = open_endpoint(URL, shop_of(trained_stages))
    endpoint.start()
    yield endpoint
    endpoint.close()


@pytest.fixture
def http(endpoint):
    with httpx.Client(base_url=endpoint.address) as client:
        yield client


@pytest.fixture(scope="module")
def refusing(untouched_stages):
    """Asked for nothing but what is refused."""
    with closing(open_endpoint(URL, shop_of(untouched_stages))) as endpoint:
        endpoint.start()
        with httpx.Client(base_url=endpoint.address) as client:
            yield client


def items(answer):
    assert answer.status_code == 200, answer.text
    return [found["item"] for found in answer.json()["items"]]


def test_a_recommendation_has_items_scores_reasons_and_its_model(http):
    answer = http.get("/v1/recommend/c1?n=3").json()
    assert (answer["user"], answer["slot"], answer["recommender"], answer["model"]) == ("c1", "new", "for_you", 1)
    assert len(answer["items"]) == 3
    assert {"item", "score", "reason", "title"} <= answer["items"][0].keys()


def test_r01_an_unknown_user_is_served_with_200(http):
    answer = http.get("/v1/recommend/never-seen?n=3")
    assert answer.status_code == 200 and len(answer.json()["items"]) == 3
    assert {found["reason"]["kind"] for found in answer.json()["items"]} == {"cold_start"}


def test_r04_what_was_bought_over_http_is_gone_from_the_next_answers(http):
    first = items(http.get("/v1/recommend/c1?n=1"))[0]
    assert http.put("/v1/items/sale", content=encode_item(sale("c1", first, day=70))).status_code == 200
    eventually(lambda: first not in items(http.get("/v1/recommend/c1?n=16")))


def test_slots_items_and_recommenders_are_chosen_by_parameter(http):
    assert items(http.get("/v1/recommend/c1?slot=again&n=20"))
    assert "b1" not in items(http.get("/v1/recommend/c1?slot=similar&item=b1&n=20"))
    assert items(http.get("/v1/recommend/c1?recommender=for_you"))


def test_a_user_of_any_text_is_served(http):
    from urllib.parse import quote

    for name in ("ü ñ", "a+b@c.de", "%", "x" * 500, "'; DROP TABLE sale"):
        assert http.get(f"/v1/recommend/{quote(name, safe='')}").json()["user"] == name


def test_an_item_is_written_read_and_removed(http):
    assert http.put("/v1/items/product", content=b'{"product_id":"z","price":12.50,"n":123456789012345678901234567890}').json()[
        "event_id"
    ]
    assert http.get("/v1/items/product?key=z").text == (
        '{"product_id":"z","price":12.50,"n":123456789012345678901234567890}'  # numbers as they were sent
    )
    assert http.delete("/v1/items/product?key=z").json()["event_id"]
    assert http.delete("/v1/items/product?key=z").json() == {"event_id": None}
    assert http.get("/v1/items/product?key=z").status_code == 404


def test_a_write_is_answered_once_it_is_durable(http, trained_stages):
    http.put("/v1/items/product", content=encode_item(product("z")))
    assert trained_stages.store.get("product", ["z"])["price"] == Decimal("9.50")


def test_a_key_of_several_parts_is_given_in_order_and_typed(http):
    item = sale("c1", "a0", line=7)
    http.put("/v1/items/sale", content=encode_item(item))
    found = http.get("/v1/items/sale", params={"key": [item["order_id"], "7"]})
    assert found.json()["line"] == 7
    assert http.get("/v1/items/sale", params={"key": ["x", "seven"]}).status_code == 400


def test_a_batch_is_all_or_nothing(http):
    good = http.post("/v1/items/product/batch", content=b'[{"product_id":"x"},{"product_id":"y"}]')
    assert len(good.json()["event_ids"]) == 2
    bad = http.post("/v1/items/product/batch", content=b'[{"product_id":"w"},{"title":"no key"}]')
    assert bad.status_code == 400
    assert http.get("/v1/items/product?key=w").status_code == 404


def test_events_are_appended_one_or_many(http, trained_stages):
    one = http.post("/v1/events/view", content=b'{"customer_id":"c1","product_id":"a1"}')
    many = http.post("/v1/events/view", content=b'[{"customer_id":"c1","product_id":"a1"},{"customer_id":"c2"}]')
    assert [len(answer.json()["event_ids"]) for answer in (one, many)] == [1, 2]
    assert sum(end.next for end in trained_stages.stream.ends("view").values()) == 3


def test_a_condition_that_does_not_hold_is_409(http):
    put = {"url": "/v1/items/product", "content": b'{"product_id":"z"}'}
    assert http.put(**put, headers={"If-Match": "*"}).status_code == 409
    assert http.put(**put, headers={"If-None-Match": "*"}).status_code == 200
    assert http.put(**put, headers={"If-None-Match": "*"}).status_code == 409
    assert http.put(**put, headers={"If-Match": '"etag"'}).status_code == 400


@pytest.mark.parametrize(("method", "path", "content", "status"), [
    ("GET", "/nowhere", None, 404),
    ("GET", "/v1/recommend/c1?n=x", None, 400),
    ("GET", "/v1/recommend/c1?n=-1", None, 400),
    ("GET", "/v1/recommend/c1?n=99999999999999999999", None, 400),
    ("GET", "/v1/recommend/c1?slot=old", None, 400),
    ("GET", "/v1/recommend/c1?slot=similar&item=nothing", None, 404),
    ("GET", "/v1/recommend/c1?recommender=none", None, 404),
    ("GET", "/v1/items/none?key=1", None, 404),
    ("GET", "/v1/items/product", None, 400),
    ("GET", "/v1/items/product?key=a&key=b", None, 400),
    ("PUT", "/v1/items/none", b"{}", 404),
    ("PUT", "/v1/items/view", b"{}", 404),
    ("PUT", "/v1/items/product", b"", 400),
    ("PUT", "/v1/items/product", b"{", 400),
    ("PUT", "/v1/items/product", b"[1]", 400),
    ("PUT", "/v1/items/product", b'"$"', 400),
    ("PUT", "/v1/items/product", b"\xff\xfe", 400),
    ("PUT", "/v1/items/product", b'{"title":"no key"}', 400),
    ("PUT", "/v1/items/product", b'{"product_id":null}', 400),
    ("PUT", "/v1/items/product", b'{"product_id":"a","price":NaN}', 400),
    ("PUT", "/v1/items/product", b'{"product_id":"a","price":1e999}', 400),
    ("PUT", "/v1/items/product", b'{"product_id":"a","x":' + b"[" * 5000 + b"]" * 5000 + b"}", 400),
    ("PUT", "/v1/items/product", b'{"product_id":"a","x":{"$bytes":"%"}}', 400),
    ("POST", "/v1/items/product/batch", b'{"product_id":"a"}', 400),
    ("POST", "/v1/events/sale", b"{}", 404),
    ("POST", "/v1/events/view", b"[1]", 400),
    ("PATCH", "/v1/items/product", b"{}", 405),
    ("PUT", "/v1/items/product", b"x" * ((16 << 20) + 1), 413),
])
def test_every_error_is_json_with_its_status_and_no_traceback(refusing, method, path, content, status):
    answer = refusing.request(method, path, content=content)
    assert answer.status_code == status, answer.text
    assert answer.json().keys() == {"error", "hint"} and answer.json()["error"]
    assert "Traceback" not in answer.text


@pytest.mark.parametrize("method,path,says,hint", [
    ("GET", "/v1/recommend/c1?N=3", "no query parameter N", "this route takes n, slot, item, recommender"),
    ("GET", "/v1/recommend/c1?n=3&limit=2&page=1", "no query parameter limit, page", "recommender"),
    ("GET", "/v1/recommend/c1?user=c2", "no query parameter user", "recommender"),
    ("GET", "/v1/items/product?key=a1&fields=title", "no query parameter fields", "this route takes key"),
    ("PUT", "/v1/items/product?if-match=*", "no query parameter if-match", "this route takes none"),
    ("POST", "/v1/events/view?x", "no query parameter x", "this route takes none"),
    ("GET", "/health?deep=1", "no query parameter deep", "this route takes none"),
])
def test_a_parameter_that_a_route_has_not_is_refused_by_name(refusing, method, path, says, hint):
    answer = refusing.request(method, path, content=b'{"product_id":"z"}')
    assert answer.status_code == 400
    assert answer.json()["error"] == says and hint in answer.json()["hint"]
    assert refusing.get("/v1/items/product?key=z").status_code == 404


def test_the_description_says_what_bodies_are_by_each_tables_contract(http):
    paths = http.get("/schema/openapi.json").json()["paths"]

    def body(path, method):
        return paths[path][method]["requestBody"]["content"]["application/json"]["schema"]

    items = {found["title"]: found for found in body("/v1/items/{table}", "put")["oneOf"]}
    assert items["product"]["properties"]["product_id"] == {"type": "string"}
    assert items["product"]["properties"]["price"]["type"] in ("number", ["number", "null"])
    assert "product_id" in items["product"]["required"]
    assert {"type": "integer"} in items["sale"]["properties"].values()
    batch = body("/v1/items/{table}/batch", "post")["oneOf"]
    assert {found["items"]["title"] for found in batch} == set(items)
    assert "requestBody" not in paths["/v1/items/{table}"]["get"]
    events = body("/v1/events/{table}", "post")["oneOf"]
    assert [found["type"] for found in events[:2]] == ["object", "array"]


def test_a_page_of_another_site_cannot_write_through_the_browser(http):
    put = {"url": "/v1/items/product", "content": encode_item(product("z"))}
    assert http.put(**put, headers={"Origin": "https://elsewhere.example"}).status_code == 403
    assert http.put(**put, headers={"Origin": "http://localhost:3000"}).status_code == 200


@pytest.mark.parametrize("host,status", [
    ("localhost", 200), ("127.0.0.1:80", 200), ("[::1]:8420", 200), ("LOCALHOST.", 403), ("elsewhere.example", 403),
    ("127.0.0.1.elsewhere.example:80", 403), ("0.0.0.0", 403), ("[", 403), ("", 403),
])
def test_a_name_that_a_page_has_pointed_at_this_machine_is_not_answered(http, host, status):
    for path in ("/v1/items/product?key=a1", "/v1/recommend/u", "/health", "/schema/openapi.json"):
        assert http.get(path, headers={"Host": host}).status_code == status
    put = {"url": "/v1/items/product", "content": encode_item(product("z"))}
    assert http.put(**put, headers={"Host": host, "Origin": f"http://{host}"}).status_code == status


def test_behind_a_proxy_it_answers_to_every_name(stages):
    with closing(open_endpoint("http://127.0.0.1:0?public=yes", shop_of(stages))) as endpoint:
        endpoint.start()
        asked = {"Host": "shop.example", "Origin": "https://shop.example"}
        assert httpx.get(f"{endpoint.address}/v1/recommend/u", headers=asked).status_code == 200
        assert httpx.get(f"{endpoint.address}/v1/recommend/u", headers={**asked, "Origin": "https://x.example"}).status_code == 403


def test_the_api_describes_itself(http):
    paths = http.get("/schema/openapi.json").json()["paths"]
    assert {"/health", "/v1/recommend/{user}", "/v1/items/{table}", "/v1/events/{table}"} <= paths.keys()


def test_health_is_200_with_the_lag_of_each_table_and_the_model(http):
    answer = http.get("/health")
    found = answer.json()
    assert (answer.status_code, found["live"], found["ready"]) == (200, True, True)
    shop = found["recommenders"]["for_you"]
    assert shop["model"] == 1
    assert {name: table["lag_seconds"] for name, table in shop["tables"].items()} == {"sale": 0.0, "product": 0.0}


def test_a_promoted_version_takes_over_without_a_failed_request(http, trained_stages):
    card = trained_stages.trainer.train(trained_stages.pipeline.recommenders["for_you"], seed=0, evaluate=False)
    assert card.version == 2
    seen, stop = [], threading.Event()

    def ask():
        with httpx.Client(base_url=str(http.base_url)) as client:
            while not stop.is_set():
                answer = client.get("/v1/recommend/c1?n=3")
                seen.append((answer.status_code, answer.json().get("model")))

    thread = threading.Thread(target=ask)
    thread.start()
    eventually(lambda: (200, 2) in seen)
    trained_stages.models.rollback("for_you")
    eventually(lambda: seen[-1] == (200, 1))
    stop.set()
    thread.join()
    assert {status for status, _ in seen} == {200}
    assert [seen[0][1], seen[-1][1]] == [1, 1]


def test_a_damaged_version_does_not_take_over_and_health_says_so(http, trained_stages):
    data = trained_stages.files.get("models/for_you/v000001/model.bin")
    trained_stages.trainer.train(trained_stages.pipeline.recommenders["for_you"], seed=1, evaluate=False)
    trained_stages.files.delete("models/for_you/v000002/model.bin")
    eventually(lambda: "missing" in http.get("/health").json()["recommenders"]["for_you"]["problem"])
    assert http.get("/v1/recommend/c1").json()["model"] == 1
    assert http.get("/health").status_code == 200
    trained_stages.files.put("models/for_you/v000002/model.bin", data)
    eventually(lambda: http.get("/v1/recommend/c1").json()["model"] == 2)


def test_nothing_personal_is_logged(http, caplog):
    caplog.set_level("DEBUG")
    http.get("/v1/recommend/secret-person")
    http.put("/v1/items/sale", content=b'{"customer_id":"secret-person"}')
    http.put("/v1/items/sale?key=secret-person", content=b"{")
    ours = [record.getMessage() for record in caplog.records if not record.name.startswith(("httpx", "httpcore"))]
    assert not any("secret-person" in message for message in ours)


@pytest.mark.parametrize("url", ["http://0.0.0.0:8420", "http://example.com:80", "http://[::]:1", "http://192.168.0.1:80"])
def test_it_listens_beyond_this_machine_only_if_told_to(stages, url):
    with pytest.raises(ConfigError, match="others than this machine") as caught:
        open_endpoint(url, shop_of(stages))
    assert caught.value.hint.endswith("?public=yes")
    open_endpoint(f"{url}?public=yes", shop_of(stages))


@pytest.mark.parametrize("url", [
    "http://127.0.0.1", "http://:80", "http://127.0.0.1:x", "http://127.0.0.1:99999", "http://127.0.0.1:1/path",
    "http://127.0.0.1:1?public=maybe", "https://127.0.0.1:1", "127.0.0.1:1",
])
def test_an_address_that_is_none_is_refused(stages, url):
    with pytest.raises(ConfigError):
        open_endpoint(url, shop_of(stages))


def test_a_port_that_is_taken_is_told(endpoint, trained_stages):
    other = open_endpoint(endpoint.address, shop_of(trained_stages))
    with pytest.raises(ConfigError, match="in use"):
        other.start()


def test_many_writers_at_once_are_all_durable(http, trained_stages):
    def write(n):
        with httpx.Client(base_url=str(http.base_url)) as client:
            for i in range(10):
                assert client.put("/v1/items/product", content=encode_item(product(f"w{n}-{i}"))).status_code == 200

    threads = [threading.Thread(target=write, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(item["product_id"].startswith("w") for item in trained_stages.store.scan("product")) == 80


def test_closing_frees_the_port_and_ends_the_threads(stages):
    before = threading.active_count()
    endpoint = open_endpoint(URL, shop_of(stages))
    endpoint.start()
    endpoint.close()
    time.sleep(0.05)
    assert threading.active_count() <= before
    again = open_endpoint(endpoint.address, shop_of(stages))
    again.start()
    again.close()


def test_a_shop_whose_lake_is_far_behind_answers_429_and_one_without_space_503(http, trained_stages, monkeypatch):
    monkeypatch.setattr(gate, "PATIENCE_SECONDS", 0.0)
    config, item = trained_stages.config.stream, encode_item(product("b99"))
    for settings, status, word in (({"waiting_mb": 1e-6}, 429, "wait to be delivered"), ({"free_mb": 1e12}, 503, "nearly full")):
        held_back(trained_stages.store, Backpressure(
            msgspec.structs.replace(config, **settings), lambda: trained_stages.stream, lambda name: [{}]))
        answer = http.put("/v1/items/product", content=item)
        assert (answer.status_code, answer.headers["retry-after"]) == (status, "1")
        assert word in answer.json()["error"] and answer.json()["hint"]
