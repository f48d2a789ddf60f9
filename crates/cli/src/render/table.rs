//! Columns as docker lays them out: at least ten wide, three spaces apart, the last one open.

use super::text::{escaped, is_plain};
use std::borrow::Cow;

const GAP: usize = 3;
const LEAST_WIDTH: usize = 10;
const SPACES: &str = "                                ";

/// A table that is laid out once all of its rows are there. The cells of a long list lie in one text:
/// a piece of memory for each would be most of what the list costs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    text: String,
    cells: Vec<Cell>,
    /// Where each row ends among the cells.
    rows: Vec<usize>,
    /// How wide each column is, with the gap after it.
    widths: Vec<usize>,
}

#[derive(Clone, Copy, Debug)]
struct Cell {
    /// Where it ends in the text.
    end: usize,
    /// Its letters.
    width: usize,
}

impl Table {
    /// Adds a row. Rows may differ in length.
    pub(crate) fn push<S: AsRef<str>>(&mut self, cells: impl IntoIterator<Item = S>) {
        let begin = self.cells.len();
        for cell in cells {
            let cell = cell.as_ref();
            let (cell, width) = if is_plain(cell) {
                (Cow::Borrowed(cell), cell.len())
            } else {
                let safe = escaped(cell);
                let width = safe.chars().count();
                (safe, width)
            };
            self.text.push_str(&cell);
            self.cells.push(Cell { end: self.text.len(), width });
        }
        self.rows.push(self.cells.len());
        let row = self.cells.get(begin..).unwrap_or_default();
        // The last cell of a row pushes nothing to the right.
        for (column, cell) in row.iter().enumerate().take(row.len().saturating_sub(1)) {
            let width = (cell.width + GAP).max(LEAST_WIDTH);
            match self.widths.get_mut(column) {
                Some(widest) => *widest = width.max(*widest),
                None => self.widths.push(width),
            }
        }
    }

    /// The rows as lines, in this order.
    pub(crate) fn lay_out_in(&self, order: impl Iterator<Item = usize>) -> String {
        let line: usize = self.widths.iter().sum();
        let mut text = String::with_capacity(self.text.len() + line * self.rows.len());
        for row in order {
            self.lay_out_row(row, &mut text);
        }
        text
    }

    fn lay_out_row(&self, row: usize, text: &mut String) {
        let first = before(&self.rows, row).copied().unwrap_or(0);
        let mut begin = before(&self.cells, first).map_or(0, |cell| cell.end);
        let end = self.rows.get(row).copied().unwrap_or(first);
        let cells = self.cells.get(first..end).unwrap_or_default();
        for (column, cell) in cells.iter().enumerate() {
            text.push_str(self.text.get(begin..cell.end).unwrap_or_default());
            begin = cell.end;
            if column + 1 < cells.len() {
                let width = self.widths.get(column).copied().unwrap_or(0);
                pad(text, width.saturating_sub(cell.width));
            }
        }
        text.push('\n');
    }
}

/// Lines in one text, until it is known in which order they are printed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lines {
    text: String,
    /// Where each ends.
    ends: Vec<usize>,
}

impl Lines {
    pub(crate) fn push(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
        self.ends.push(self.text.len());
    }

    /// The lines, in this order.
    pub(crate) fn lay_out_in(&self, order: impl Iterator<Item = usize>) -> String {
        let mut text = String::with_capacity(self.text.len());
        for line in order {
            let begin = before(&self.ends, line).copied().unwrap_or(0);
            let end = self.ends.get(line).copied().unwrap_or(begin);
            text.push_str(self.text.get(begin..end).unwrap_or_default());
        }
        text
    }
}

fn before<T>(list: &[T], place: usize) -> Option<&T> {
    list.get(place.checked_sub(1)?)
}

fn pad(text: &mut String, mut width: usize) {
    while width > 0 {
        let step = width.min(SPACES.len());
        text.push_str(&SPACES[..step]);
        width -= step;
    }
}

/// Lays out rows of cells as lines. Rows may differ in length.
pub(crate) fn lay_out<S: AsRef<str>>(rows: &[Vec<S>]) -> String {
    let mut table = Table::default();
    for row in rows {
        table.push(row);
    }
    table.lay_out_in(0..rows.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(cells: &[&str]) -> Vec<String> {
        cells.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn an_empty_list_has_dockers_header() {
        let header =
            row(&["CONTAINER ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAMES"]);

        assert_eq!(
            lay_out(&[header]),
            "CONTAINER ID   IMAGE     COMMAND   CREATED   STATUS    PORTS     NAMES\n"
        );
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell_and_three() {
        let rows = [row(&["A", "B", "C"]), row(&["a long cell", "ä", "and an open end"])];

        assert_eq!(
            lay_out(&rows),
            "A             B         C\na long cell   ä         and an open end\n"
        );
    }

    #[test]
    fn a_cell_cannot_leave_its_line() {
        assert_eq!(lay_out(&[row(&["a\nb"])]), "a\\nb\n");
        assert_eq!(lay_out::<&str>(&[]), "");
    }
}
