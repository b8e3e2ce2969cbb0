use std::io::Write;

use flate2::{Compression, write::GzEncoder};

use super::*;

fn event(id: usize) -> String {
    format!(r#"{{"specversion":"1.0","id":"{id}","source":"/s","type":"t"}}"#)
}

fn file(content: &[u8]) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(content).unwrap();
    file
}

async fn read(content: &[u8], options: Options) -> (Vec<Batch>, Option<String>) {
    let file = file(content);
    let mut batches = Batches::read(vec![Input::File(file.path().into())], options).unwrap();
    let mut read = Vec::new();
    while let Some(batch) = batches.next().await {
        match batch {
            Ok(batch) => read.push(batch),
            Err(failure) => {
                let text = failure.to_string().replace(&file.path().display().to_string(), "FILE");
                return (read, Some(text));
            }
        }
    }
    (read, None)
}

#[tokio::test]
async fn plain_and_gzip() {
    let text = format!("\u{feff}{}\r\n\n  {}\n{}", event(1), event(2), event(3));
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(text.as_bytes()).unwrap();
    for content in [text.clone().into_bytes(), gzip.finish().unwrap()] {
        let (batches, failure) = read(&content, Options { keep_text: true, ..Options::default() }).await;
        assert_eq!(failure, None);
        assert_eq!(batches.len(), 1);
        let ids: Vec<_> = batches[0].events.iter().map(|event| event.id.as_str()).collect();
        assert_eq!(ids, ["1", "2", "3"]);
        assert!(batches[0].places.of(1).ends_with("line 3"));
        assert_eq!(batches[0].text, format!("{}\n{}\n{}\n", event(1), event(2), event(3)).as_bytes());
    }
}

#[tokio::test]
async fn many_events_come_in_batches_and_a_limit_ends_them() {
    let text: String = (0..BATCH_EVENTS + 2).map(|id| event(id) + "\n").collect();
    let (batches, _) = read(text.as_bytes(), Options::default()).await;
    assert_eq!(batches.iter().map(|batch| batch.events.len()).collect::<Vec<_>>(), [BATCH_EVENTS, 2]);
    let (batches, _) = read(text.as_bytes(), Options { limit: Some(7), ..Options::default() }).await;
    assert_eq!(batches.iter().map(|batch| batch.events.len()).collect::<Vec<_>>(), [7]);
}

#[tokio::test]
async fn a_line_that_is_no_event_ends_it_before_its_batch() {
    for (line, reason) in [
        ("[", "FILE, line 3: this is a JSON array; write one event a line (jq -c '.[]' does that)"),
        ("{", "FILE, line 3: an event must stand in one line (jq -c . does that)"),
        ("id,type", "FILE, line 3: this is no CloudEvent in JSON, which would begin with {"),
    ] {
        let text = format!("{}\n{}\n{line}\n{}", event(1), event(2), event(3));
        let (batches, failure) = read(text.as_bytes(), Options::default()).await;
        assert!(batches.is_empty());
        assert_eq!(failure.as_deref(), Some(reason));
        let (batches, failure) =
            read(text.as_bytes(), Options { skip_invalid: true, ..Options::default() }).await;
        assert_eq!((batches[0].events.len(), batches[0].skipped.len(), failure), (3, 1, None));
    }
}

#[tokio::test]
async fn a_gzip_file_that_is_cut_off() {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    (0..9).for_each(|id| writeln!(gzip, "{}", event(id)).unwrap());
    let content = gzip.finish().unwrap();
    let (batches, failure) = read(&content[..content.len() - 12], Options::default()).await;
    assert!(batches.is_empty());
    assert!(failure.unwrap().contains("cut off or damaged"));
}

#[test]
fn a_file_that_is_not_there() {
    let failure = Batches::read(vec![Input::File("/no/such".into())], Options::default()).err().unwrap();
    assert_eq!(failure.exit, Exit::Input);
    assert!(failure.message.contains("/no/such"));
}
