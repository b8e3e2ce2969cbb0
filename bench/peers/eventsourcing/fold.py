"""The accounts fold as a projection of an eventsourcing application; prints the result and the seconds as JSON."""

import itertools
import json
import sys
import time
from uuid import NAMESPACE_URL, uuid5

from eventsourcing.application import Application
from eventsourcing.dispatch import singledispatchmethod
from eventsourcing.domain import Aggregate, datetime_now_with_tzinfo
from eventsourcing.persistence import InfrastructureFactory, Tracking
from eventsourcing.projection import Projection
from eventsourcing.sqlite import SQLiteTrackingRecorder
from eventsourcing.system import NotificationLogReader
from eventsourcing.utils import Environment

# How many notifications a reader selects at once; 10 if not told.
# https://eventsourcing.readthedocs.io/en/stable/topics/system.html
SECTION = 1_000


class Account(Aggregate):
    class Deposited(Aggregate.Event):
        account: str
        amount: int


class Accounts(Application):
    name = "accounts"
    log_section_size = SECTION


class BalancesView(SQLiteTrackingRecorder):
    """State and position change in one transaction: "recording updates to the materialised view atomically with
    tracking objects". https://eventsourcing.readthedocs.io/en/stable/topics/projection.html"""

    def construct_create_table_statements(self):
        table = "CREATE TABLE IF NOT EXISTS balances (account TEXT PRIMARY KEY, balance INTEGER, count INTEGER)"
        return [*super().construct_create_table_statements(), table]

    def deposit(self, account, amount, tracking):
        with self.datastore.transaction(commit=True) as cursor:
            self._insert_tracking(cursor, tracking)
            cursor.execute(
                "INSERT INTO balances VALUES (?, ?, 1) ON CONFLICT (account)"
                " DO UPDATE SET balance = balance + excluded.balance, count = count + 1", (account, amount))

    def totals(self):
        with self.datastore.transaction(commit=False) as cursor:
            cursor.execute("SELECT count(*), sum(balance), sum(count), sum(balance * balance) FROM balances")
            return dict(zip(("accounts", "sum", "count", "squares"), cursor.fetchone()))


class Balances(Projection):
    name = "balances"

    @singledispatchmethod
    def process_event(self, event, tracking):
        pass

    @process_event.register
    def deposited(self, event: Account.Deposited, tracking):
        self.view.deposit(event.account, event.amount, tracking)


def stored(app, file):
    """The events as the application would have stored them, without running a command for each."""
    now, versions = datetime_now_with_tzinfo(), {}
    for line in open(file):
        event = json.loads(line)
        account = event["account"]
        versions[account] = versions.get(account, 0) + 1
        yield app.mapper.to_stored_event(Account.Deposited(
            originator_id=uuid5(NAMESPACE_URL, "/accounts/" + account), originator_version=versions[account],
            timestamp=now, account=account, amount=event["amount"]))


file, folder = sys.argv[1:]
environment = {
    "PERSISTENCE_MODULE": "eventsourcing.sqlite",
    "SQLITE_DBNAME": f"{folder}/events.db",
    "BALANCES_SQLITE_DBNAME": f"{folder}/view.db",
}
app = Accounts(environment)
events = stored(app, file)
while batch := list(itertools.islice(events, 5_000)):
    app.recorder.insert_events(batch)

# What `ProjectionRunner` does, but pulling. It takes a subscription, and of the recorders that implement one "the
# SQLiteApplicationRecorder class does not": https://eventsourcing.readthedocs.io/en/stable/topics/projection.html
view = InfrastructureFactory.construct(Environment(Balances.name, environment)).tracking_recorder(BalancesView)
projection = Balances(view)
reader = NotificationLogReader(app.notification_log, section_size=SECTION)
begun = time.monotonic()
for notifications in reader.select(start=view.max_tracking_id(app.name), inclusive_of_start=False):
    for notification in notifications:
        projection.process_event(app.mapper.to_domain_event(notification), Tracking(app.name, notification.id))
seconds = time.monotonic() - begun
print(json.dumps({"seconds": seconds, **view.totals()}))
