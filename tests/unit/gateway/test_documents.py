"""What the AWS services remember."""

import threading

import pytest

from caudal.errors import AlreadyExists, NotFound
from caudal.gateway.documents import Documents


@pytest.fixture
def documents(tmp_path):
    opened = Documents(tmp_path / "documents.db")
    yield opened
    opened.close()


def test_a_document_is_there_when_the_file_is_opened_again(tmp_path):
    first = Documents(tmp_path / "d.db")
    first.create("stream", "a", {"shards": 2})
    first.close()
    again = Documents(tmp_path / "d.db")
    assert again.get("stream", "a") == {"shards": 2}
    again.close()


def test_creating_twice_is_refused_and_changes_nothing(documents):
    documents.create("stream", "a", {"n": 1})
    with pytest.raises(AlreadyExists):
        documents.create("stream", "a", {"n": 2})
    assert documents.get("stream", "a") == {"n": 1}


def test_documents_are_listed_by_page_and_prefix(documents):
    for name in ("a1", "a2", "b1", "a3"):
        documents.put("t", name, {})
    assert list(documents.all("t", after="a1", limit=2)) == ["a2", "a3"]
    assert list(documents.all("t", prefix="b")) == ["b1"]
    assert documents.all("other") == {}


def test_changes_from_many_threads_are_all_kept(documents):
    documents.create("t", "n", {"n": 0})
    threads = [threading.Thread(target=lambda: [documents.change("t", "n", lambda d: {"n": d["n"] + 1}) for _ in range(25)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert documents.get("t", "n") == {"n": 100}


def test_a_change_of_nothing_is_refused(documents):
    with pytest.raises(NotFound):
        documents.change("t", "n", lambda d: d)


def test_what_is_removed_is_given_back(documents):
    documents.put("t", "n", {"n": 1})
    assert documents.remove("t", "n") == {"n": 1}
    assert documents.remove("t", "n") is None
    assert documents.get("t", "n") is None
