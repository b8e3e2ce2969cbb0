//! Event to JSON, written by hand: the shape is fixed, and exports are long.

use std::io::Write as _;

use base64::{display::Base64Display, engine::general_purpose::STANDARD};

use super::{SPEC_VERSION, is_json, is_text};
use crate::event::{Attribute, Envelope, Event};

/// Appends an event in the JSON format of CloudEvents, on one line and without
/// a line break at its end.
pub fn to_json(event: &Event, out: &mut Vec<u8>) {
    let envelope = &event.envelope;
    out.extend_from_slice(b"{\"specversion\":\"");
    out.extend_from_slice(SPEC_VERSION.as_bytes());
    out.extend_from_slice(b"\",\"id\":");
    string(&envelope.id, out);
    out.extend_from_slice(b",\"source\":");
    string(&envelope.source, out);
    out.extend_from_slice(b",\"type\":");
    string(&envelope.event_type, out);
    if let Some(subject) = &envelope.subject {
        out.extend_from_slice(b",\"subject\":");
        string(subject, out);
    }
    if let Some(time) = envelope.time {
        print(out, format_args!(",\"time\":\"{time}\""));
    }
    print(out, format_args!(",\"position\":{},\"recorded\":\"{}\"", event.position, event.recorded));
    if event.version > 0 {
        print(out, format_args!(",\"version\":{}", event.version));
    }
    tags(&envelope.tags, out);
    for (name, value) in &envelope.extensions {
        print(out, format_args!(",\"{name}\":"));
        match value {
            Attribute::String(text) => string(text, out),
            other => print(out, format_args!("{other}")),
        }
    }
    data(envelope, out);
    out.push(b'}');
}

fn tags(tags: &[String], out: &mut Vec<u8>) {
    if tags.is_empty() {
        return;
    }
    out.extend_from_slice(b",\"tags\":");
    match tags {
        [tag] => string(tag, out),
        tags => string(&tags.join(","), out),
    }
}

fn data(envelope: &Envelope, out: &mut Vec<u8>) {
    if envelope.content_type.is_empty() {
        return;
    }
    out.extend_from_slice(b",\"datacontenttype\":");
    string(&envelope.content_type, out);
    let data = &envelope.data[..];
    if is_json(&envelope.content_type) {
        // An HTTP request may have claimed that anything is JSON.
        if serde_json::from_slice::<&serde_json::value::RawValue>(data).is_ok() {
            out.extend_from_slice(b",\"data\":");
            on_one_line(data, out);
            return;
        }
    } else if is_text(&envelope.content_type)
        && let Ok(text) = std::str::from_utf8(data)
    {
        out.extend_from_slice(b",\"data\":");
        string(text, out);
        return;
    }
    print(out, format_args!(",\"data_base64\":\"{}\"", Base64Display::new(data, &STANDARD)));
}

/// JSON as it was written, but for its line breaks: those can only stand
/// between its parts, and would break the line that an event is in an export.
fn on_one_line(json: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(json);
    for byte in &mut out[start..] {
        if matches!(byte, b'\n' | b'\r') {
            *byte = b' ';
        }
    }
}

fn string(text: &str, out: &mut Vec<u8>) {
    serde_json::to_writer(out, text).expect("a string always encodes, and writing to memory can't fail");
}

fn print(out: &mut Vec<u8>, arguments: std::fmt::Arguments<'_>) {
    out.write_fmt(arguments).expect("writing to memory can't fail");
}
