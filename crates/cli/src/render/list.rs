//! Lists of objects: as a table, as JSON lines, as a template, or as ids alone.
//!
//! JSON is one object a line, as docker prints it and podman does not: a list of any length can
//! then be read line by line.

use super::{
    table::{self, Table},
    template::Format,
    text::escaped,
};
use dhow_base::Result;
use serde_json::{Map, Value};

/// One object: its fields by docker's names, all of them text as docker has them.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    // A handful: to look through them is cheaper than a map, of which a long list makes thousands.
    fields: Vec<(&'static str, String)>,
}

impl Row {
    /// A row of fields.
    pub(crate) fn new(fields: impl IntoIterator<Item = (&'static str, String)>) -> Self {
        Self { fields: fields.into_iter().collect() }
    }

    /// The value of a field.
    pub(crate) fn cell(&self, name: &str) -> &str {
        let field = self.fields.iter().find(|(field, _)| *field == name);
        field.map_or("", |(_, value)| value)
    }

    fn object(&self) -> Value {
        let fields = self.fields.iter();
        Value::Object(
            fields.map(|(name, value)| ((*name).to_owned(), value.as_str().into())).collect(),
        )
    }
}

/// A column: its title and the field that it shows.
pub(crate) type Column = (&'static str, &'static str);

/// What a list is printed as.
#[derive(Debug)]
pub(crate) enum Shape {
    /// The table with its usual columns.
    Table,
    /// One field a line.
    Only(&'static str),
    /// One JSON object a line.
    Json,
    /// One filled template a line.
    Lines(Format),
    /// A table whose cells are those of a template, under the titles of its fields.
    TableOf(Format),
}

impl Shape {
    /// What `--quiet` and `--format` ask for. `id` is the field that is printed alone.
    pub(crate) fn of(quiet: bool, format: Option<&str>, id: &'static str) -> Result<Self> {
        Ok(match format {
            None | Some("" | "table") if quiet => Self::Only(id),
            None | Some("" | "table") => Self::Table,
            Some("json") => Self::Json,
            Some(text) => match text.strip_prefix("table ") {
                Some(cells) => Self::TableOf(Format::parse(cells.trim_start())?),
                None => Self::Lines(Format::parse(text)?),
            },
        })
    }

    /// Whether a field is shown, or may be: of long lists only such are worth making.
    pub(crate) fn shows(&self, columns: &[Column], field: &str) -> bool {
        match self {
            Self::Table => columns.iter().any(|(_, shown)| *shown == field),
            Self::Only(shown) => *shown == field,
            Self::Json => true,
            Self::Lines(format) | Self::TableOf(format) => format.may_use(field),
        }
    }

    /// Whether the first line is one of titles.
    pub(crate) fn has_titles(&self) -> bool {
        matches!(self, Self::Table | Self::TableOf(_))
    }

    /// As [`Shape::print`], and without the titles of a table where that was asked for.
    pub(crate) fn print_titled(
        &self,
        columns: &[Column],
        rows: &[Row],
        noheading: bool,
    ) -> Result<String> {
        let mut text = self.print(columns, rows)?;
        if noheading && self.has_titles() {
            text.drain(..text.find('\n').map_or(0, |end| end + 1));
        }
        Ok(text)
    }

    /// The whole list as text.
    pub(crate) fn print(&self, columns: &[Column], rows: &[Row]) -> Result<String> {
        if let Self::TableOf(format) = self {
            return table_of(format, columns, rows);
        }
        let mut sheet = Sheet::new(self, columns);
        for row in rows {
            sheet.push(row)?;
        }
        sheet.finish()
    }
}

/// A list that grows row by row, for such as are long: no row is kept.
#[derive(Debug)]
pub(crate) struct Sheet<'s> {
    shape: &'s Shape,
    columns: &'s [Column],
    table: Table,
    text: String,
    /// Those that only a table by a template needs, whose titles are the fields of a row.
    rows: Vec<Row>,
}

impl<'s> Sheet<'s> {
    pub(crate) fn new(shape: &'s Shape, columns: &'s [Column]) -> Self {
        let mut table = Table::default();
        if matches!(shape, Shape::Table) {
            table.push(columns.iter().map(|(title, _)| title));
        }
        Self { shape, columns, table, text: String::new(), rows: Vec::new() }
    }

    pub(crate) fn push(&mut self, row: &Row) -> Result<()> {
        match self.shape {
            Shape::Table => self.table.push(self.columns.iter().map(|(_, field)| row.cell(field))),
            Shape::Only(field) => self.line(&escaped(row.cell(field))),
            Shape::Json => self.line(&row.object().to_string()),
            Shape::Lines(format) => self.line(&format.fill(&row.object())?),
            Shape::TableOf(_) => self.rows.push(row.clone()),
        }
        Ok(())
    }

    pub(crate) fn finish(self) -> Result<String> {
        match self.shape {
            Shape::Table => Ok(self.table.lay_out()),
            Shape::TableOf(format) => table_of(format, self.columns, &self.rows),
            Shape::Only(_) | Shape::Json | Shape::Lines(_) => Ok(self.text),
        }
    }

    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }
}

fn table_of(format: &Format, columns: &[Column], rows: &[Row]) -> Result<String> {
    // The titles come from the same template, filled with the titles of the fields. A field that
    // is no column has its own name, in capitals, as docker does it.
    let mut titles = Map::new();
    if let Some(row) = rows.first() {
        titles.extend(
            row.fields.iter().map(|(name, _)| ((*name).to_owned(), name.to_uppercase().into())),
        );
    }
    titles.extend(columns.iter().map(|(title, field)| ((*field).to_owned(), (*title).into())));
    let cells = |text: String| text.split('\t').map(str::to_owned).collect::<Vec<_>>();
    let mut all = vec![cells(format.fill(&Value::Object(titles))?)];
    for row in rows {
        all.push(cells(format.fill(&row.object())?));
    }
    Ok(table::lay_out(&all))
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: &[Column] = &[("ITEM ID", "ID"), ("NAMES", "Names")];

    fn shown(quiet: bool, format: Option<&str>) -> String {
        let row = |id: &str, name: &str| {
            Row::new([("ID", id.to_owned()), ("Names", name.to_owned()), ("State", "up".into())])
        };
        let rows = [row("1", "one"), row("2", "two")];
        Shape::of(quiet, format, "ID").unwrap().print(COLUMNS, &rows).unwrap()
    }

    #[test]
    fn a_list_has_five_shapes() {
        let table = "ITEM ID   NAMES\n1         one\n2         two\n";
        let cases = [
            (false, None, table),
            (false, Some("table"), table),
            (true, None, "1\n2\n"),
            (false, Some("{{.Names}}"), "one\ntwo\n"),
            (false, Some("{{.ID}}={{.State}}"), "1=up\n2=up\n"),
            (
                false,
                Some("json"),
                "{\"ID\":\"1\",\"Names\":\"one\",\"State\":\"up\"}\n{\"ID\":\"2\",\"Names\":\"two\",\"State\":\"up\"}\n",
            ),
            (
                false,
                Some("table {{.Names}}\\t{{.State}}"),
                "NAMES     STATE\none       up\ntwo       up\n",
            ),
        ];
        for (quiet, format, expected) in cases {
            assert_eq!(shown(quiet, format), expected, "{format:?}");
        }
    }
}
