"""The part of the Athena API about what clients keep: workgroups, named queries, prepared statements, tags."""

import time
import uuid
from datetime import UTC, datetime
from typing import Any

from caudal.errors import AlreadyExists
from caudal.gateway.cloud import Cloud, Service, refuse
from caudal.gateway.documents import Document
from caudal.gateway.faults import AwsError
from caudal.gateway.pages import page
from caudal.gateway.tags import Tags, read_tags

Answer = dict[str, Any]

BAD = "InvalidRequestException"
GROUP, NAMED, PREPARED = "athena.workgroup", "athena.named", "athena.prepared"
PRIMARY = "primary"
ENGINE = {"SelectedEngineVersion": "AUTO", "EffectiveEngineVersion": "Athena engine version 3"}
_SETTINGS = {"ResultConfiguration", "EnforceWorkGroupConfiguration", "BytesScannedCutoffPerQuery", "EngineVersion",
             "PublishCloudWatchMetricsEnabled", "RequesterPaysEnabled"}


class WorkGroups(Service):
    """What clients keep."""

    name = "athena"

    def __init__(self, cloud: Cloud) -> None:
        super().__init__(cloud)
        self.documents = cloud.documents
        self._tags = Tags(cloud.documents, "athena")

    def workgroup(self, name: str) -> Document:
        """A workgroup. Raises AwsError."""
        found = self.documents.get(GROUP, name)
        if found is None and name == PRIMARY:
            found = {"Name": PRIMARY, "State": "ENABLED", "Configuration": {"EnforceWorkGroupConfiguration": False},
                     "CreationTime": 0, "Description": ""}
        if found is None:
            raise AwsError(BAD, f"WorkGroup {name} is not found.")
        return found

    def create_work_group(
        self, *, Name: str, Configuration: Answer | None = None, Description: str = "", Tags: list[Answer] | None = None,
    ) -> None:
        settings = {"EnforceWorkGroupConfiguration": True, **(Configuration or {})}
        _check(settings)
        document = {"Name": Name, "State": "ENABLED", "Configuration": settings, "Description": Description,
                    "CreationTime": time.time()}
        if Name == PRIMARY:
            raise AwsError(BAD, "WorkGroup primary is already created.")
        try:
            self.documents.create(GROUP, Name, document)
        except AlreadyExists:
            raise AwsError(BAD, f"WorkGroup {Name} is already created.") from None
        self._tags.set(self.cloud.arn("athena", f"workgroup/{Name}"), read_tags(Tags))

    def get_work_group(self, *, WorkGroup: str) -> Answer:
        group = self.workgroup(WorkGroup)
        settings = {"PublishCloudWatchMetricsEnabled": False, "RequesterPaysEnabled": False, "ResultConfiguration": {},
                    **group["Configuration"], "EngineVersion": ENGINE}
        return {"WorkGroup": {**group, "Configuration": settings, "CreationTime": _time(group["CreationTime"])}}

    def list_work_groups(self, *, NextToken: str = "", MaxResults: int = 50) -> Answer:
        groups = {PRIMARY: self.workgroup(PRIMARY), **self.documents.all(GROUP)}
        found, token = page(sorted(groups), NextToken, MaxResults)
        shown = [{"Name": name, "State": groups[name]["State"], "Description": groups[name]["Description"],
                  "CreationTime": _time(groups[name]["CreationTime"]), "EngineVersion": ENGINE} for name in found]
        return {"WorkGroups": shown, "NextToken": token}

    def update_work_group(
        self, *, WorkGroup: str, Description: str | None = None, ConfigurationUpdates: Answer | None = None, State: str = "",
    ) -> None:
        group = self.workgroup(WorkGroup)
        settings, updates = dict(group["Configuration"]), dict(ConfigurationUpdates or {})
        result = updates.pop("ResultConfigurationUpdates", {})
        if updates.pop("RemoveBytesScannedCutoffPerQuery", False):
            settings.pop("BytesScannedCutoffPerQuery", None)
        location = dict(settings.get("ResultConfiguration", {}))
        if result.pop("RemoveOutputLocation", False):
            location.pop("OutputLocation", None)
        settings |= {**updates, "ResultConfiguration": {**location, **result}}
        _check(settings)
        changed = {"Configuration": settings, "Description": group["Description"] if Description is None else Description}
        self.documents.put(GROUP, WorkGroup, {**group, **changed, "State": State or group["State"]})

    def delete_work_group(self, *, WorkGroup: str, RecursiveDeleteOption: bool = False) -> None:
        self.workgroup(WorkGroup)
        if WorkGroup == PRIMARY:
            raise AwsError(BAD, "The primary workgroup cannot be deleted.")
        named = [id for id, query in self.documents.all(NAMED).items() if query["WorkGroup"] == WorkGroup]
        prepared = list(self.documents.all(PREPARED, prefix=f"{WorkGroup}/"))
        if (named or prepared) and not RecursiveDeleteOption:
            raise AwsError(BAD, f"WorkGroup {WorkGroup} is not empty.")
        gone = [(GROUP, WorkGroup), *((NAMED, id) for id in named), *((PREPARED, name) for name in prepared)]
        self.documents.write(remove=gone)
        self._tags.drop(self.cloud.arn("athena", f"workgroup/{WorkGroup}"))

    def create_named_query(
        self, *, Name: str, Database: str, QueryString: str, Description: str = "", ClientRequestToken: str = "",
        WorkGroup: str = PRIMARY,
    ) -> Answer:
        self.workgroup(WorkGroup)
        id = str(uuid.uuid5(uuid.NAMESPACE_OID, ClientRequestToken)) if ClientRequestToken else str(uuid.uuid4())
        query = {"Name": Name, "Database": Database, "QueryString": QueryString, "Description": Description,
                 "NamedQueryId": id, "WorkGroup": WorkGroup}
        try:
            self.documents.create(NAMED, id, query)
        except AlreadyExists:
            if self.documents.get(NAMED, id) != query:
                raise AwsError(BAD, "Idempotent parameters do not match") from None
        return {"NamedQueryId": id}

    def get_named_query(self, *, NamedQueryId: str) -> Answer:
        found = self.documents.get(NAMED, NamedQueryId)
        if found is None:
            raise AwsError(BAD, f"NamedQuery {NamedQueryId} was not found")
        return {"NamedQuery": found}

    def batch_get_named_query(self, *, NamedQueryIds: list[str]) -> Answer:
        found = {id: self.documents.get(NAMED, id) for id in NamedQueryIds}
        missing = [{"NamedQueryId": id, "ErrorCode": BAD, "ErrorMessage": "was not found"} for id in found if not found[id]]
        return {"NamedQueries": [query for query in found.values() if query], "UnprocessedNamedQueryIds": missing}

    def list_named_queries(self, *, NextToken: str = "", MaxResults: int = 50, WorkGroup: str = PRIMARY) -> Answer:
        ids = [id for id, query in self.documents.all(NAMED).items() if query["WorkGroup"] == WorkGroup]
        found, token = page(ids, NextToken, MaxResults)
        return {"NamedQueryIds": found, "NextToken": token}

    def update_named_query(self, *, NamedQueryId: str, Name: str, QueryString: str, Description: str = "") -> None:
        query = self.get_named_query(NamedQueryId=NamedQueryId)["NamedQuery"]
        self.documents.put(NAMED, NamedQueryId, {**query, "Name": Name, "QueryString": QueryString, "Description": Description})

    def delete_named_query(self, *, NamedQueryId: str) -> None:
        if self.documents.remove(NAMED, NamedQueryId) is None:
            raise AwsError(BAD, f"NamedQuery {NamedQueryId} was not found")

    def create_prepared_statement(
        self, *, StatementName: str, WorkGroup: str, QueryStatement: str, Description: str = "",
    ) -> None:
        self.workgroup(WorkGroup)
        statement = {"StatementName": StatementName, "QueryStatement": QueryStatement, "WorkGroupName": WorkGroup,
                     "Description": Description, "LastModifiedTime": time.time()}
        try:
            self.documents.create(PREPARED, f"{WorkGroup}/{StatementName.lower()}", statement)
        except AlreadyExists:
            raise AwsError(BAD, f"Prepared Statement {StatementName} already exists in WorkGroup {WorkGroup}") from None

    def get_prepared_statement(self, *, StatementName: str, WorkGroup: str) -> Answer:
        found = self.documents.get(PREPARED, f"{WorkGroup}/{StatementName.lower()}")
        if found is None:
            raise _no_statement(StatementName, WorkGroup)
        return {"PreparedStatement": {**found, "LastModifiedTime": _time(found["LastModifiedTime"])}}

    def batch_get_prepared_statement(self, *, PreparedStatementNames: list[str], WorkGroup: str) -> Answer:
        found, missing = [], []
        for name in PreparedStatementNames:
            try:
                found.append(self.get_prepared_statement(StatementName=name, WorkGroup=WorkGroup)["PreparedStatement"])
            except AwsError as error:
                missing.append({"StatementName": name, "ErrorCode": error.code, "ErrorMessage": str(error)})
        return {"PreparedStatements": found, "UnprocessedPreparedStatementNames": missing}

    def list_prepared_statements(self, *, WorkGroup: str, NextToken: str = "", MaxResults: int = 50) -> Answer:
        found, token = page(list(self.documents.all(PREPARED, prefix=f"{WorkGroup}/").values()), NextToken, MaxResults)
        shown = [{"StatementName": one["StatementName"], "LastModifiedTime": _time(one["LastModifiedTime"])} for one in found]
        return {"PreparedStatements": shown, "NextToken": token}

    def update_prepared_statement(
        self, *, StatementName: str, WorkGroup: str, QueryStatement: str, Description: str = "",
    ) -> None:
        self.get_prepared_statement(StatementName=StatementName, WorkGroup=WorkGroup)
        changed = {"StatementName": StatementName, "QueryStatement": QueryStatement, "WorkGroupName": WorkGroup,
                   "Description": Description, "LastModifiedTime": time.time()}
        self.documents.put(PREPARED, f"{WorkGroup}/{StatementName.lower()}", changed)

    def delete_prepared_statement(self, *, StatementName: str, WorkGroup: str) -> None:
        if self.documents.remove(PREPARED, f"{WorkGroup}/{StatementName.lower()}") is None:
            raise _no_statement(StatementName, WorkGroup)

    def list_tags_for_resource(self, *, ResourceARN: str, NextToken: str = "", MaxResults: int = 75) -> Answer:
        return {"Tags": self._tags.shown(ResourceARN)}

    def tag_resource(self, *, ResourceARN: str, Tags: list[Answer]) -> None:
        self._tags.add(ResourceARN, read_tags(Tags))

    def untag_resource(self, *, ResourceARN: str, TagKeys: list[str]) -> None:
        self._tags.remove(ResourceARN, TagKeys)


def _no_statement(name: str, workgroup: str) -> AwsError:
    return AwsError("ResourceNotFoundException", f"PreparedStatement {name} was not found in workGroup {workgroup}")


def _check(settings: Answer) -> None:
    refuse({name: value for name, value in settings.items() if name not in _SETTINGS}, BAD)
    result = settings.get("ResultConfiguration", {})
    refuse({name: value for name, value in result.items() if name != "OutputLocation"}, BAD)
    if not result.get("OutputLocation", "s3://b").startswith("s3://"):
        raise AwsError(BAD, "OutputLocation is not a valid S3 path.")


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
