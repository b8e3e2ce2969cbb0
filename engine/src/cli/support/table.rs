//! Aligned tables.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::text;

/// Rows of text under headings, aligned when shown.
pub struct Table {
    headings: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these headings and no rows.
    pub fn new<T: Into<String>>(headings: impl IntoIterator<Item = T>) -> Self {
        Self { headings: headings.into_iter().map(Into::into).collect(), rows: Vec::new() }
    }

    /// Adds a row, one cell a heading.
    pub fn row<T: Into<String>>(&mut self, cells: impl IntoIterator<Item = T>) {
        let mut cells: Vec<String> = cells.into_iter().map(|cell| text::printable(&cell.into())).collect();
        cells.resize(self.headings.len(), String::new());
        self.rows.push(cells);
    }

    /// Whether it has no row.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The table as lines of text. Columns of numbers stand to the right; cells
    /// wider than `widest` are cut off.
    pub fn render(&self, widest: usize) -> String {
        let columns: Vec<Column> = (0..self.headings.len()).map(|index| self.column(index, widest)).collect();
        let mut text = String::new();
        for row in std::iter::once(&self.headings).chain(&self.rows) {
            let mut line = String::new();
            for (index, (cell, column)) in row.iter().zip(&columns).enumerate() {
                if index > 0 {
                    line.push_str("  ");
                }
                column.align(&cut(cell, widest), &mut line);
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }

    fn column(&self, index: usize, widest: usize) -> Column {
        let cells = || self.rows.iter().map(|row| row[index].as_str());
        let width = cells().chain([self.headings[index].as_str()]).map(UnicodeWidthStr::width).max();
        let numeric = !self.rows.is_empty() && cells().all(is_number) && cells().any(|cell| !cell.is_empty());
        Column { width: width.unwrap_or(0).min(widest), numeric }
    }
}

struct Column {
    width: usize,
    numeric: bool,
}

impl Column {
    fn align(&self, cell: &str, line: &mut String) {
        let padding = " ".repeat(self.width.saturating_sub(cell.width()));
        match self.numeric {
            true => line.extend([padding.as_str(), cell]),
            false => line.extend([cell, padding.as_str()]),
        }
    }
}

/// A number with or without separators and unit, or nothing at all.
fn is_number(cell: &str) -> bool {
    let cell = cell.strip_prefix('-').unwrap_or(cell);
    let digits = cell.split(' ').next().unwrap_or_default();
    matches!(cell, "" | "–")
        || digits.starts_with(|c: char| c.is_ascii_digit()) && digits.chars().all(is_in_number)
}

fn is_in_number(c: char) -> bool {
    c.is_ascii_digit() || c == ',' || c == '.'
}

fn cut(cell: &str, widest: usize) -> String {
    if cell.width() <= widest {
        return cell.to_owned();
    }
    let mut width = 0;
    let fits = |c: &char| {
        width += c.width().unwrap_or(0);
        width < widest
    };
    cell.chars().take_while(fits).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn numbers_stand_to_the_right_and_text_to_the_left() {
        let mut table = Table::new(["name", "changes", "last author"]);
        table.row(["Cargo.lock", "1,238", "author-0001"]);
        table.row(["größe", "2", ""]);
        expect![[r#"
            name        changes  last author
            Cargo.lock    1,238  author-0001
            größe             2
        "#]]
        .assert_eq(&table.render(40));
    }

    #[test]
    fn wide_cells_are_cut_and_hashes_are_no_numbers() {
        let mut table = Table::new(["hash", "n"]);
        table.row(["344fbed77a462804e465", "1"]);
        table.row(["120", "–"]);
        expect![[r#"
            hash        n
            344fbed77…  1
            120         –
        "#]]
        .assert_eq(&table.render(10));
    }

    #[test]
    fn a_table_without_rows_is_its_headings() {
        assert_eq!(Table::new(["a", "b"]).render(10), "a  b\n");
    }
}
