//! Answers as CSV (RFC 4180): a list as one row each, anything else as one row.
//!
//! Invariant: a row is a line of a spreadsheet and nothing that one computes: text that would begin a formula begins with
//! an apostrophe instead.

use std::fmt::Write;

use serde_json::{Map, Value};

/// An answer as a table with its columns named in the first line.
pub(crate) fn of(answer: &Value) -> String {
    let rows: Vec<Vec<(String, String)>> = rows(answer).into_iter().map(cells).collect();
    let mut columns: Vec<&str> = Vec::new();
    for (name, _) in rows.iter().flatten() {
        if !columns.contains(&name.as_str()) {
            columns.push(name);
        }
    }
    let mut text = line(columns.iter().copied());
    for row in &rows {
        let cell = |column: &&str| row.iter().find(|(name, _)| name == column).map_or("", |(_, cell)| cell);
        text.push_str(&line(columns.iter().map(cell)));
    }
    text
}

/// The list in an answer, or the answer itself.
fn rows(answer: &Value) -> Vec<&Value> {
    let list = |value: &Value| value.as_array().is_some_and(|all| all.iter().all(Value::is_object));
    let lists = |fields: &Map<String, Value>| fields.values().filter(|value| list(value)).count();
    match answer {
        Value::Array(all) => all.iter().collect(),
        Value::Object(fields) if lists(fields) == 1 => fields
            .values()
            .find(|value| list(value))
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .collect(),
        other => vec![other],
    }
}

/// The cells of a row; what lies deeper is named with dots.
fn cells(row: &Value) -> Vec<(String, String)> {
    fn go(name: &str, value: &Value, cells: &mut Vec<(String, String)>) {
        match value {
            Value::Object(fields) => {
                for (key, value) in fields {
                    let name = if name.is_empty() { key.clone() } else { format!("{name}.{key}") };
                    go(&name, value, cells);
                }
            }
            Value::String(text) if text.starts_with(['=', '+', '-', '@', '\t', '\r']) => {
                cells.push((name.to_owned(), format!("'{text}")));
            }
            Value::String(text) => cells.push((name.to_owned(), text.clone())),
            Value::Null => {}
            other => cells.push((name.to_owned(), other.to_string())),
        }
    }
    let mut found = Vec::new();
    let name = if row.is_object() { "" } else { "value" };
    go(name, row, &mut found);
    found
}

fn line<'a>(cells: impl Iterator<Item = &'a str>) -> String {
    let mut line = String::new();
    for (index, cell) in cells.enumerate() {
        if index > 0 {
            line.push(',');
        }
        if cell.contains([',', '"', '\n', '\r']) {
            // Writing to a String cannot fail.
            let _ = write!(line, "\"{}\"", cell.replace('"', "\"\""));
        } else {
            line.push_str(cell);
        }
    }
    line.push_str("\r\n");
    line
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_list_is_a_row_each_and_anything_else_is_one() {
        let answer = json!({"sensors": [
            {"sensor": "a", "present": true, "adopted": {"port": "1-1"}},
            {"sensor": "b, \"c\"", "present": false},
        ]});
        let text = "adopted.port,present,sensor\r\n1-1,true,a\r\n,false,\"b, \"\"c\"\"\"\r\n";
        assert_eq!(of(&answer), text);
        assert_eq!(of(&json!({"deleted": "a", "n": -1})), "deleted,n\r\na,-1\r\n");
        assert_eq!(of(&json!("script")), "value\r\nscript\r\n");
    }

    #[test]
    fn no_name_becomes_a_formula_and_no_line_break_a_row() {
        let text = of(&json!([{"name": "=HYPERLINK(\"x\")"}, {"name": "-1\nx"}]));
        assert_eq!(text, "name\r\n\"'=HYPERLINK(\"\"x\"\")\"\r\n\"'-1\nx\"\r\n");
    }
}
