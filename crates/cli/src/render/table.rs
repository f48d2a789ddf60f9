//! Columns as docker lays them out: at least ten wide, three spaces apart, the last one open.

use super::text::escaped;

const GAP: usize = 3;
const LEAST_WIDTH: usize = 10;

/// Lays out rows of cells as lines. Rows may differ in length.
pub(crate) fn lay_out<S: AsRef<str>>(rows: &[Vec<S>]) -> String {
    let rows: Vec<Vec<_>> =
        rows.iter().map(|row| row.iter().map(|cell| escaped(cell.as_ref())).collect()).collect();
    let mut widths: Vec<usize> = Vec::new();
    for row in &rows {
        // The last cell of a row pushes nothing to the right.
        for (column, cell) in row.iter().enumerate().take(row.len().saturating_sub(1)) {
            let width = (cell.chars().count() + GAP).max(LEAST_WIDTH);
            match widths.get_mut(column) {
                Some(widest) => *widest = width.max(*widest),
                None => widths.push(width),
            }
        }
    }
    let mut text = String::new();
    for row in &rows {
        for (column, cell) in row.iter().enumerate() {
            text.push_str(cell);
            if column + 1 < row.len() {
                let width = widths.get(column).copied().unwrap_or(0);
                let pad = width.saturating_sub(cell.chars().count());
                text.extend(std::iter::repeat_n(' ', pad));
            }
        }
        text.push('\n');
    }
    text
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
