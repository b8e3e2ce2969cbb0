//! What a plug-in has flushed.

use super::{
    bindings::{events::Span, plugin_interface},
    units::format_size,
};

/// Changes of state, checked: they lie within their buffer and the limits, name
/// tables that exist, and name each key once.
#[derive(Debug, Default)]
pub struct Changes {
    /// Sorted by table and key.
    changes: Vec<Change>,
    buffer: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
struct Change {
    table: u32,
    key: Slice,
    value: Option<Slice>,
}

#[derive(Clone, Copy, Debug)]
struct Slice {
    offset: u32,
    length: u32,
}

impl Slice {
    fn of<'a>(&self, buffer: &'a [u8]) -> &'a [u8] {
        &buffer[self.offset as usize..][..self.length as usize]
    }
}

impl Changes {
    /// Checks what a guest has handed over. Nothing is copied: spans that
    /// overlap cost nothing before they are known to be within the limit.
    pub(super) fn check(
        flushed: plugin_interface::Changes,
        tables: &[String],
        limit: u64,
    ) -> Result<Self, String> {
        let plugin_interface::Changes { changes, bytes: buffer } = flushed;
        let slice = |span: Span| match span.offset as usize + span.length as usize <= buffer.len() {
            true => Ok(Slice { offset: span.offset, length: span.length }),
            false => Err(format!(
                "a span of {} bytes at {} does not lie within the {} bytes flushed",
                span.length,
                span.offset,
                buffer.len()
            )),
        };
        let mut bytes = 0;
        let mut checked = Vec::with_capacity(changes.len());
        for change in changes {
            if change.table as usize >= tables.len() {
                return Err(format!("there is no table {}, only {}", change.table, tables.len()));
            }
            let key = slice(change.key)?;
            let value = change.value.map(slice).transpose()?;
            bytes += u64::from(key.length) + value.map_or(0, |value| u64::from(value.length));
            if bytes > limit {
                return Err(format!("more than {} at once (limits.flush)", format_size(limit)));
            }
            checked.push(Change { table: change.table, key, value });
        }
        let order = |a: &Change, b: &Change| (a.table, a.key.of(&buffer)).cmp(&(b.table, b.key.of(&buffer)));
        if !checked.is_sorted_by(|a, b| order(a, b).is_lt()) {
            checked.sort_unstable_by(order);
            if let Some(twice) = checked.windows(2).find(|pair| order(&pair[0], &pair[1]).is_eq()) {
                return Err(format!("a key of table {:?} twice", tables[twice[0].table as usize]));
            }
        }
        Ok(Self { changes: checked, buffer })
    }

    /// These and then others, as if they had been flushed together; none if that is more than a buffer can
    /// hold (4 GiB).
    pub fn then(mut self, next: Self) -> Option<Self> {
        if self.is_empty() {
            return Some(next);
        }
        let offset = u32::try_from(self.buffer.len()).ok()?;
        u32::try_from(self.buffer.len() + next.buffer.len()).ok()?;
        self.buffer.extend_from_slice(&next.buffer);
        let moved = |slice: Slice| Slice { offset: slice.offset + offset, length: slice.length };
        let moved =
            |change: Change| Change { key: moved(change.key), value: change.value.map(moved), ..change };
        self.changes.extend(next.changes.into_iter().map(moved));
        let Self { changes, buffer } = &mut self;
        let key = |change: &Change| (change.table, change.key.of(buffer));
        // Stable: of a key that is there twice, the later one comes behind.
        changes.sort_by(|a, b| key(a).cmp(&key(b)));
        changes.dedup_by(|later, earlier| {
            let is_same = key(later) == key(earlier);
            if is_same {
                earlier.value = later.value;
            }
            is_same
        });
        Some(self)
    }

    /// How many keys have changed.
    pub fn len(&self) -> usize {
        self.changes.len()
    }

    /// Whether nothing has changed.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Table, key and new value (none: removed), sorted by table and key.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (u32, &[u8], Option<&[u8]>)> {
        self.changes.iter().map(|change| {
            let value = change.value.map(|value| value.of(&self.buffer));
            (change.table, change.key.of(&self.buffer), value)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Offset and length.
    type Place = (u32, u32);

    fn check(changes: &[(u32, Place, Option<Place>)], limit: u64) -> Result<Changes, String> {
        let span = |(offset, length)| Span { offset, length };
        let changes = changes
            .iter()
            .map(|(table, key, value)| plugin_interface::Change {
                table: *table,
                key: span(*key),
                value: value.map(span),
            })
            .collect();
        let flushed = plugin_interface::Changes { changes, bytes: b"abcdef".to_vec() };
        Changes::check(flushed, &["one".to_owned(), "two".to_owned()], limit)
    }

    #[test]
    fn changes_come_out_sorted() {
        let changes = check(&[(1, (0, 1), None), (0, (2, 1), Some((4, 2))), (0, (1, 1), None)], 100).unwrap();
        let rows: Vec<_> = changes.iter().collect();
        assert_eq!(rows, [(0, &b"b"[..], None), (0, b"c", Some(&b"ef"[..])), (1, b"a", None)]);
        assert_eq!(changes.len(), 3);
    }

    #[test]
    fn later_changes_come_over_earlier_ones() {
        let earlier = check(&[(0, (0, 1), Some((1, 1))), (0, (2, 1), Some((3, 1))), (1, (0, 1), None)], 100);
        let later = check(&[(0, (0, 1), None), (0, (1, 1), Some((5, 1))), (1, (0, 1), Some((4, 1)))], 100);
        let both = earlier.unwrap().then(later.unwrap()).unwrap();
        let rows: Vec<_> = both.iter().collect();
        let expected = [(0, "a", None), (0, "b", Some("f")), (0, "c", Some("d")), (1, "a", Some("e"))]
            .map(|(table, key, value)| (table, key.as_bytes(), value.map(str::as_bytes)));
        assert_eq!(rows, expected);
    }

    #[test]
    fn wrong_changes_are_refused() {
        for (changes, reason) in [
            (&[(0, (0, 7), None)][..], "does not lie within"),
            (&[(0, (u32::MAX, u32::MAX), None)], "does not lie within"),
            (&[(0, (0, 1), Some((6, 1)))], "does not lie within"),
            (&[(2, (0, 1), None)], "there is no table 2"),
            (&[(0, (0, 1), None), (0, (1, 1), None), (0, (0, 1), None)], "a key of table \"one\" twice"),
            (&[(0, (0, 6), None), (0, (1, 5), None)], "more than 10 bytes at once (limits.flush)"),
        ] {
            let error = check(changes, 10).unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
    }
}
