# Nexmark's events, as its generator prints them, as CloudEvents:
# nexmark --number 100000 --no-wait | jq -c -f cloudevents.jq > nexmark.ndjson
to_entries[0] as {$key, $value}
| ($value.date_time % 1000 + 1000 | tostring[1:]) as $millis
| {
    specversion: "1.0",
    id: (input_line_number | tostring),
    source: "/nexmark",
    type: "nexmark.\($key | ascii_downcase)",
    subject: ($value.id // $value.auction | tostring),
    time: ($value.date_time / 1000 | floor | strftime("%Y-%m-%dT%H:%M:%S.\($millis)Z")),
    datacontenttype: "application/json",
    data: $value
  }
