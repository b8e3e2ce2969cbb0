import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.flink.api.connector.sink2.Sink;
import org.apache.flink.api.connector.sink2.SinkWriter;
import org.apache.flink.api.connector.sink2.WriterInitContext;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.table.api.Schema;
import org.apache.flink.table.api.bridge.java.StreamTableEnvironment;
import org.apache.flink.table.connector.ChangelogMode;
import org.apache.flink.types.Row;

/** The accounts fold in Flink SQL; prints the result and the seconds as JSON. */
public class Fold {
    /** What the sink has been given last for each account, to check it. One writer fills it, as parallelism is 1. */
    static final Map<String, long[]> LATEST = new HashMap<>();

    /** When the writer was ready: from then on the job runs. */
    static volatile long begun;

    record Latest() implements Sink<Row> {
        @Override
        public SinkWriter<Row> createWriter(WriterInitContext context) {
            begun = System.nanoTime();
            return new SinkWriter<>() {
                @Override
                public void write(Row row, Context context) {
                    LATEST.put(row.getFieldAs(0), new long[] {row.getFieldAs(1), row.getFieldAs(2)});
                }

                @Override
                public void flush(boolean endOfInput) {}

                @Override
                public void close() {}
            };
        }
    }

    public static void main(String[] arguments) throws Exception {
        String file = arguments[0], checkpoints = arguments[1], batch = arguments[2];
        var settings = new Configuration();
        settings.setString("parallelism.default", "1");
        settings.setString("execution.runtime-mode", "STREAMING");
        // Or else a job with checkpoints begins anew after each failure, without end.
        settings.setString("restart-strategy.type", "none");
        settings.setString("execution.checkpointing.interval", "5 s");
        settings.setString("execution.checkpointing.storage", "filesystem");
        settings.setString("execution.checkpointing.dir", "file://" + checkpoints);
        settings.setString("execution.checkpointing.externalized-checkpoint-retention", "RETAIN_ON_CANCELLATION");
        // https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/state/large_state_tuning/: "When it comes to
        // reducing the time that checkpoints take, activating incremental checkpoints should be one of the first
        // considerations", "The first step to try and increase performance should be to increase the amount of
        // managed memory".
        settings.setString("state.backend.type", "rocksdb");
        settings.setString("execution.checkpointing.incremental", "true");
        settings.setString("taskmanager.memory.managed.size", "1g");
        // https://nightlies.apache.org/flink/flink-docs-stable/docs/dev/datastream/execution/execution_configuration/:
        // "will instruct the runtime to reuse user objects for better performance".
        settings.setString("pipeline.object-reuse", "true");
        // https://nightlies.apache.org/flink/flink-docs-stable/docs/dev/table/tuning/: "This can significantly reduce
        // the state overhead and get a better throughput", and two phases "the cost of state access". The latency is
        // that of its example, whose size is 5,000.
        settings.setString("table.exec.mini-batch.enabled", "true");
        settings.setString("table.exec.mini-batch.allow-latency", "5 s");
        settings.setString("table.exec.mini-batch.size", batch);
        settings.setString("table.optimizer.agg-phase-strategy", "TWO_PHASE");

        var environment = StreamExecutionEnvironment.getExecutionEnvironment(settings);
        var tables = StreamTableEnvironment.create(environment);
        tables.executeSql(
                "CREATE TABLE events (account STRING, amount BIGINT)"
                        + " WITH ('connector' = 'filesystem', 'format' = 'json', 'path' = 'file://" + file + "')");
        var balances = tables.sqlQuery("SELECT account, SUM(amount), COUNT(*) FROM events GROUP BY account");
        tables.toChangelogStream(balances, Schema.newBuilder().build(), ChangelogMode.upsert()).sinkTo(new Latest());
        environment.execute("accounts");
        double seconds = (System.nanoTime() - begun) / 1e9;

        try (var folder = Files.walk(Path.of(checkpoints))) {
            if (folder.noneMatch(path -> path.endsWith("_metadata"))) {
                throw new IllegalStateException("there is no checkpoint");
            }
        }
        long sum = 0, count = 0, squares = 0;
        for (long[] account : LATEST.values()) {
            sum += account[0];
            count += account[1];
            squares += account[0] * account[0];
        }
        System.out.printf(
                "{\"seconds\": %.3f, \"accounts\": %d, \"sum\": %d, \"count\": %d, \"squares\": %d}%n",
                seconds, LATEST.size(), sum, count, squares);
        System.exit(0);
    }
}
