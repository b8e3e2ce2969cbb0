"""The accounts fold as a bytewax dataflow with recovery; prints the result and the seconds as JSON."""

import json
import sys
import time
from datetime import timedelta

import bytewax.operators as op
from bytewax._bytewax import cli_main  # what `python -m bytewax.run` calls, so that start-up is not in the time
from bytewax.connectors.files import FileSource
from bytewax.dataflow import Dataflow
from bytewax.operators import StatefulBatchLogic
from bytewax.outputs import DynamicSink, StatelessSinkPartition
from bytewax.recovery import RecoveryConfig

# "Fetching smaller batches […] may decrease latency, while increasing batch sizes may improve throughput"
# https://github.com/bytewax/bytewax/blob/main/docs/guide/advanced-concepts/performance.md
# With several events of an account in a batch, `on_batch` is called once for them.
BATCH = 500_000
# "the longer this duration is, the less overhead there will be"; 10 s is what `bytewax.run` takes if not told.
# https://github.com/bytewax/bytewax/blob/main/docs/guide/concepts/recovery.md
SNAPSHOT = timedelta(seconds=10)

latest = {}  # what the sink has been given last for each account, to check it


class Account(StatefulBatchLogic):
    """Balance and count of one account, for the operator on which all other stateful ones are built."""

    def __init__(self, state):
        self.balance, self.count = state or (0, 0)

    def on_batch(self, values):
        for amount in values:
            self.balance += amount
        self.count += len(values)
        return [(self.balance, self.count)], StatefulBatchLogic.RETAIN

    def snapshot(self):
        return self.balance, self.count


class Partition(StatelessSinkPartition):
    def write_batch(self, items):
        latest.update(items)


class Sink(DynamicSink):
    def build(self, step_id, worker_index, worker_count):
        return Partition()


def parse(lines):
    for line in lines:
        event = json.loads(line)
        yield event["account"], event["amount"]


file, recovery = sys.argv[1:]
flow = Dataflow("accounts")
lines = op.input("read", flow, FileSource(file, batch_size=BATCH))
amounts = op.flat_map_batch("parse", lines, parse)
accounts = op.stateful_batch("fold", amounts, Account)
op.output("write", accounts, Sink())

begun = time.monotonic()
cli_main(flow, workers_per_process=1, epoch_interval=SNAPSHOT, recovery_config=RecoveryConfig(recovery))
seconds = time.monotonic() - begun
print(json.dumps({
    "seconds": seconds,
    "accounts": len(latest),
    "sum": sum(balance for balance, _ in latest.values()),
    "count": sum(count for _, count in latest.values()),
    "squares": sum(balance * balance for balance, _ in latest.values()),
}))
