"""The Glue API's crawlers: they scan S3 when they are started, in a thread of their own."""

import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from statistics import median
from typing import Any

from caudal.errors import AlreadyExists, CaudalError, NotFound
from caudal.gateway.cloud import Cloud, Service, refuse
from caudal.gateway.documents import Document
from caudal.gateway.faults import AwsError
from caudal.gateway.glue.crawl import Cancelled, Crawl
from caudal.gateway.glue.entries import Entries
from caudal.gateway.pages import page_after
from caudal.gateway.s3.objects import split_url
from caudal.gateway.tags import Tags

Answer = dict[str, Any]

KIND = "glue.crawler"
PAGE = 100
RUNTIMES = 20
"""Crawls whose length is remembered."""
POLICY = {"UpdateBehavior": "UPDATE_IN_DATABASE", "DeleteBehavior": "DEPRECATE_IN_DATABASE"}
DEFAULTS: Answer = {"RecrawlPolicy": {"RecrawlBehavior": "CRAWL_EVERYTHING"},
                    "LineageConfiguration": {"CrawlerLineageSettings": "DISABLE"}}
BAD = "InvalidInputException"


class Crawlers(Service):
    """What a crawler is, does and found."""

    name = "glue"

    def __init__(self, cloud: Cloud) -> None:
        super().__init__(cloud)
        self.entries = Entries(cloud.documents)
        self._tags = Tags(cloud.documents, "glue")
        self._stops: dict[str, threading.Event] = {}
        self._threads: dict[str, threading.Thread] = {}
        self._closed = False

    def start(self) -> None:
        """A crawl that an earlier process began is begun again: it writes the same tables."""
        for name, crawler in self.cloud.documents.all(KIND).items():
            if crawler["State"] != "READY":
                self._begin(name)

    def close(self) -> None:
        self._closed = True
        for stop in list(self._stops.values()):
            stop.set()
        for thread in list(self._threads.values()):
            thread.join()

    def create_crawler(
        self, *, Name: str, Role: str, Targets: Answer, DatabaseName: str | None = None, Tags: dict[str, str] | None = None,
        CatalogId: str = "", **given: Any,
    ) -> None:
        if not DatabaseName:
            raise AwsError(BAD, "DatabaseName is needed")
        members = _checked({"Targets": Targets, "DatabaseName": DatabaseName, "Role": Role, **given})
        self._refuse_declared(DatabaseName)
        now = time.time()
        crawler = {
            "Classifiers": [], **DEFAULTS, **members, "SchemaChangePolicy": {**POLICY, **given.get("SchemaChangePolicy", {})},
            "Name": Name, "State": "READY", "CreationTime": now, "LastUpdated": now, "Version": 1, "Runtimes": [],
        }
        try:
            self.cloud.documents.create(KIND, Name, crawler)
        except AlreadyExists:
            raise AwsError("AlreadyExistsException", f"Crawler {Name} already exists.") from None
        self._tags.set(self.cloud.arn("glue", f"crawler/{Name}"), Tags or {})

    def get_crawler(self, *, Name: str) -> Answer:
        return {"Crawler": _shown(self._crawler(Name))}

    def get_crawlers(self, *, MaxResults: int = PAGE, NextToken: str = "") -> Answer:
        found = self.cloud.documents.all(KIND, after=NextToken, limit=MaxResults + 1)
        crawlers, token = page_after(found.items(), NextToken, MaxResults)
        return {"Crawlers": [_shown(crawler) for crawler in crawlers], "NextToken": token}

    def batch_get_crawlers(self, *, CrawlerNames: list[str]) -> Answer:
        found = {name: self.cloud.documents.get(KIND, name) for name in CrawlerNames}
        return {"Crawlers": [_shown(crawler) for crawler in found.values() if crawler is not None],
                "CrawlersNotFound": [name for name, crawler in found.items() if crawler is None]}

    def list_crawlers(self, *, MaxResults: int = PAGE, NextToken: str = "", Tags: dict[str, str] | None = None) -> Answer:
        tags = {name: self._tags.get(self.cloud.arn("glue", f"crawler/{name}")) for name in self.cloud.documents.all(KIND)}
        tagged = ((name, name) for name, has in tags.items() if (Tags or {}).items() <= has.items())
        found, token = page_after(tagged, NextToken, MaxResults)
        return {"CrawlerNames": found, "NextToken": token}

    def update_crawler(self, *, Name: str, CatalogId: str = "", **given: Any) -> None:
        members = _checked(given)
        if "DatabaseName" in members:
            self._refuse_declared(members["DatabaseName"])

        def change(old: Document) -> Document:
            _refuse_running(old)
            policy = {**old["SchemaChangePolicy"], **given.get("SchemaChangePolicy", {})}
            return {**old, **members, "SchemaChangePolicy": policy, "LastUpdated": time.time(), "Version": old["Version"] + 1}

        self._change(Name, change)

    def delete_crawler(self, *, Name: str) -> None:
        _refuse_running(self._crawler(Name))
        self.cloud.documents.remove(KIND, Name)
        self._tags.drop(self.cloud.arn("glue", f"crawler/{Name}"))

    def start_crawler(self, *, Name: str) -> None:
        def change(old: Document) -> Document:
            _refuse_running(old)
            return {**old, "State": "RUNNING", "Started": time.time()}

        self._change(Name, change)
        self._begin(Name)

    def stop_crawler(self, *, Name: str) -> None:
        def change(old: Document) -> Document:
            if old["State"] == "READY":
                raise AwsError("CrawlerNotRunningException", f"Crawler with name {Name} isn't running")
            if old["State"] == "STOPPING":
                raise AwsError("CrawlerStoppingException", f"Crawler with name {Name} is stopping")
            return {**old, "State": "STOPPING"}

        self._change(Name, change)
        self._stops[Name].set()

    def get_crawler_metrics(
        self, *, CrawlerNameList: list[str] | None = None, MaxResults: int = PAGE, NextToken: str = ""
    ) -> Answer:
        names = CrawlerNameList or self.cloud.documents.all(KIND)
        found, token = page_after(((name, name) for name in names), NextToken, MaxResults)
        return {"CrawlerMetricsList": [_metrics(self._crawler(name)) for name in found], "NextToken": token}

    def _refuse_declared(self, database: str) -> None:
        """Raises AwsError if the database is none that clients may write to."""

    def _crawler(self, name: str) -> Document:
        found = self.cloud.documents.get(KIND, name)
        if found is None:
            raise _missing(name)
        return found

    def _change(self, name: str, change: Any) -> Document:
        try:
            return self.cloud.documents.change(KIND, name, change)
        except NotFound:
            raise _missing(name) from None

    def _begin(self, name: str) -> None:
        stop = self._stops[name] = threading.Event()
        self._threads[name] = threading.Thread(target=self._run, args=(name, stop), name=f"crawler-{name}", daemon=True)
        self._threads[name].start()

    def _run(self, name: str, stop: threading.Event) -> None:
        crawler = self._crawler(name)
        crawl = Crawl(crawler, self.entries, self.cloud.objects, stop)
        status, told = "SUCCEEDED", ""
        try:
            if crawler["State"] == "STOPPING":
                raise Cancelled
            crawl.run()
            status, told = ("FAILED", "; ".join(crawl.problems)) if crawl.problems else (status, told)
        except Cancelled:
            if self._closed:
                return  # the next process goes on with it
            status = "CANCELLED"
        except CaudalError as error:
            status, told = "FAILED", str(error)

        def end(old: Document) -> Document:
            last = {"Status": status, "StartTime": old["Started"], **({"ErrorMessage": told[:2048]} if told else {})}
            runtimes = [*old["Runtimes"], time.time() - old["Started"]][-RUNTIMES:]
            return {**old, "State": "READY", "LastCrawl": last, "Runtimes": runtimes, "Counts": crawl.counts}

        self._change(name, end)


def _missing(name: str) -> AwsError:
    return AwsError("EntityNotFoundException", f"Crawler entry with name {name} does not exist")


def _refuse_running(crawler: Document) -> None:
    if crawler["State"] != "READY":
        raise AwsError("CrawlerRunningException", f"Crawler with name {crawler['Name']} has already started")


def _checked(given: Mapping[str, Any]) -> Answer:
    """The members that are served. Raises AwsError for the others."""
    served = ("Role", "DatabaseName", "Description", "Targets", "TablePrefix", "SchemaChangePolicy")
    made = {name: value for name, value in given.items() if name in served}
    others = {name: value for name, value in given.items() if name not in served and value != DEFAULTS.get(name) and value != []}
    refuse(others, BAD)
    targets = made.get("Targets")
    if targets is None:
        return made
    refuse({name: value or None for name, value in targets.items() if name != "S3Targets"}, BAD)
    if not targets.get("S3Targets"):
        raise AwsError(BAD, "a crawler needs S3Targets")
    for target in targets["S3Targets"]:
        refuse({name: value or None for name, value in target.items() if name not in ("Path", "SampleSize")}, BAD)
        try:
            split_url(target.get("Path", ""))
        except NotFound as error:
            raise AwsError(BAD, str(error)) from None
    return made


def _shown(crawler: Document) -> Answer:
    shown = {name: value for name, value in crawler.items() if name not in ("Runtimes", "Counts", "Started")}
    for name in ("CreationTime", "LastUpdated"):
        shown[name] = datetime.fromtimestamp(shown[name], UTC)
    if "LastCrawl" in shown:
        shown["LastCrawl"] = {**shown["LastCrawl"], "StartTime": datetime.fromtimestamp(shown["LastCrawl"]["StartTime"], UTC)}
    running = crawler["State"] != "READY"
    return {**shown, "CrawlElapsedTime": int(1000 * (time.time() - crawler["Started"])) if running else 0}


def _metrics(crawler: Document) -> Answer:
    runtimes = crawler["Runtimes"] or [0.0]
    return {"CrawlerName": crawler["Name"], "StillEstimating": crawler["State"] != "READY", "LastRuntimeSeconds": runtimes[-1],
            "MedianRuntimeSeconds": median(runtimes), "TimeLeftSeconds": 0.0, **crawler.get("Counts", {})}
