//! Lists of objects: as a table, as JSON lines, as a template, or as ids alone.
//!
//! JSON is one object a line, as docker prints it: a list of any length can then be read line by line.
//! Under podman's name it is one array, of the objects that podman's programs expect.

use super::{
    table::{self, Lines, Table},
    template::Format,
    text::escaped,
};
use crate::manners::Manners;
use dhow_base::Result;
use serde_json::{Map, Value};
use std::{iter, mem};

/// One object: its fields by docker's names, all of them text as docker has them.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    // A handful: to look through them is cheaper than a map, of which a long list makes thousands.
    fields: Vec<(&'static str, String)>,
    podmans: Option<Box<Podmans>>,
}

/// The same object as podman has it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Podmans {
    /// In a list that is printed as JSON.
    pub(crate) document: Value,
    /// Fields of templates that are no text there, or that docker has not.
    pub(crate) fields: Map<String, Value>,
}

impl Row {
    /// A row of fields.
    pub(crate) fn new(fields: impl IntoIterator<Item = (&'static str, String)>) -> Self {
        Self { fields: fields.into_iter().collect(), podmans: None }
    }

    /// The same row, for podman's readers.
    pub(crate) fn with(self, podmans: Podmans) -> Self {
        Self { podmans: Some(Box::new(podmans)), ..self }
    }

    /// The value of a field.
    pub(crate) fn cell(&self, name: &str) -> &str {
        let field = self.fields.iter().find(|(field, _)| *field == name);
        field.map_or("", |(_, value)| value)
    }

    fn object(&self) -> Value {
        let fields = self.fields.iter();
        let mut object: Map<String, Value> =
            fields.map(|(name, value)| ((*name).to_owned(), value.as_str().into())).collect();
        object.extend(self.podmans.iter().flat_map(|podmans| podmans.fields.clone()));
        Value::Object(object)
    }

    fn document(&self) -> Value {
        let document = self.podmans.as_ref().map(|podmans| podmans.document.clone());
        document.filter(|document| !document.is_null()).unwrap_or_else(|| self.object())
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
    /// One JSON array.
    Array,
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

    /// The same, as the other program would print it whose manners these are.
    pub(crate) fn by(self, manners: Manners) -> Self {
        match (self, manners) {
            (Self::Json, Manners::Podman) => Self::Array,
            (Self::TableOf(cells), Manners::Podman) => Self::TableOf(cells.in_columns()),
            (shape, _) => shape,
        }
    }

    /// Whether a field is shown, or may be: of long lists only such are worth making.
    pub(crate) fn shows(&self, columns: &[Column], field: &str) -> bool {
        match self {
            Self::Table => columns.iter().any(|(_, shown)| *shown == field),
            Self::Only(shown) => *shown == field,
            Self::Json | Self::Array => true,
            Self::Lines(format) | Self::TableOf(format) => format.may_use(field),
        }
    }

    /// Whether it is one JSON array.
    pub(crate) fn is_array(&self) -> bool {
        matches!(self, Self::Array)
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
        let mut sheet = Sheet::new(self, columns);
        for row in rows {
            sheet.push(row)?;
        }
        sheet.finish()
    }
}

/// A list that grows row by row, for such as are long: of a row, only its text is kept.
#[derive(Debug)]
pub(crate) struct Sheet<'s> {
    shape: &'s Shape,
    columns: &'s [Column],
    table: Table,
    lines: Lines,
    /// Those that only a table by a template needs, whose titles are the fields of a row.
    rows: Vec<Row>,
    documents: Vec<Value>,
    count: usize,
}

impl<'s> Sheet<'s> {
    pub(crate) fn new(shape: &'s Shape, columns: &'s [Column]) -> Self {
        let mut table = Table::default();
        if matches!(shape, Shape::Table) {
            table.push(columns.iter().map(|(title, _)| title));
        }
        let (lines, rows, documents, count) = Default::default();
        Self { shape, columns, table, lines, rows, documents, count }
    }

    pub(crate) fn push(&mut self, row: &Row) -> Result<()> {
        self.count += 1;
        match self.shape {
            Shape::Table => self.table.push(self.columns.iter().map(|(_, field)| row.cell(field))),
            Shape::Only(field) => self.lines.push(&escaped(row.cell(field))),
            Shape::Json => self.lines.push(&row.object().to_string()),
            Shape::Lines(format) => self.lines.push(&format.fill(&row.object())?),
            Shape::Array => self.documents.push(row.document()),
            Shape::TableOf(_) => self.rows.push(row.clone()),
        }
        Ok(())
    }

    /// The list, with the rows in the order in which they came.
    pub(crate) fn finish(self) -> Result<String> {
        let all = 0..self.count;
        self.finish_in(all)
    }

    /// The list, with the rows in this order, each by its place among those that came.
    pub(crate) fn finish_in(mut self, order: impl Iterator<Item = usize>) -> Result<String> {
        match self.shape {
            Shape::Table => {
                Ok(self.table.lay_out_in(iter::once(0).chain(order.map(|row| row + 1))))
            }
            Shape::TableOf(format) => {
                let rows: Vec<&Row> = order.filter_map(|row| self.rows.get(row)).collect();
                table_of(format, self.columns, &rows)
            }
            Shape::Array => {
                let mut taken = |row| self.documents.get_mut(row).map(mem::take);
                Ok(format!("{:#}\n", Value::Array(order.filter_map(&mut taken).collect())))
            }
            Shape::Only(_) | Shape::Json | Shape::Lines(_) => Ok(self.lines.lay_out_in(order)),
        }
    }
}

fn table_of(format: &Format, columns: &[Column], rows: &[&Row]) -> Result<String> {
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
    fn podman_prints_one_array_of_its_own_objects() {
        let podmans = Podmans {
            document: serde_json::json!({ "Id": "1", "Names": ["one"] }),
            fields: Map::from_iter([("Labels".to_owned(), serde_json::json!({ "a": "b" }))]),
        };
        let row = Row::new([("ID", "1".to_owned()), ("Labels", "a=b".to_owned())]).with(podmans);
        let rows = [row];
        let printed = |format| {
            let shape = Shape::of(false, Some(format), "ID").unwrap().by(Manners::Podman);
            shape.print(COLUMNS, &rows).unwrap()
        };

        let array: Value = serde_json::from_str(&printed("json")).unwrap();
        assert_eq!(array, serde_json::json!([{ "Id": "1", "Names": ["one"] }]));
        assert_eq!(printed("{{.ID}} {{.Labels.a}}"), "1 b\n");
        let table = "table {{.ID}} {{.Names}}";
        let shape = |manners| Shape::of(false, Some(table), "ID").unwrap().by(manners);
        let rows = [Row::new([("ID", "1234567".to_owned()), ("Names", "one".to_owned())])];
        let podmans = shape(Manners::Podman).print(COLUMNS, &rows).unwrap();
        assert_eq!(podmans.lines().last(), Some("1234567   one"), "{podmans}");
        let ours = shape(Manners::Dhow).print(COLUMNS, &rows).unwrap();
        assert_eq!(ours.lines().last(), Some("1234567 one"), "{ours}");
        let none = Shape::of(false, Some("json"), "ID").unwrap().by(Manners::Podman);
        assert_eq!(none.print(COLUMNS, &[]).unwrap(), "[]\n");
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

    #[test]
    fn a_list_of_any_shape_is_printed_in_the_order_that_is_found_out_last() {
        for (quiet, format) in [
            (false, None),
            (true, None),
            (false, Some("json")),
            (false, Some("{{.Names}}")),
            (false, Some("table {{.ID}}\\t{{.Names}}")),
        ] {
            for manners in [Manners::Dhow, Manners::Podman] {
                let shape = Shape::of(quiet, format, "ID").unwrap().by(manners);
                let row = |name: &str| Row::new([("ID", "7".to_owned()), ("Names", name.into())]);
                let came = ["b", "a long name", "a"].map(row);
                let mut sheet = Sheet::new(&shape, COLUMNS);
                for row in &came {
                    sheet.push(row).unwrap();
                }

                let printed = sheet.finish_in([2, 0, 1].into_iter()).unwrap();

                let sorted = ["a", "b", "a long name"].map(row);
                assert_eq!(printed, shape.print(COLUMNS, &sorted).unwrap(), "{format:?}");
            }
        }
    }
}
