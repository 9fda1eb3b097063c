//! A strict reader of the Prometheus text format, version 0.0.4, written from its description: whatever is not
//! exactly of that form ends the test.

use std::collections::{BTreeMap, BTreeSet};

/// The samples of one answer, by their names with their labels, as they stand there.
#[derive(Debug)]
pub(crate) struct Exposition {
    samples: BTreeMap<String, f64>,
    kinds: BTreeMap<String, String>,
}

impl Exposition {
    /// Reads a text, and panics at the first line that is not of the format.
    pub(crate) fn read(text: &str) -> Self {
        assert!(text.ends_with('\n'), "the last line has no end");
        let mut this = Self { samples: BTreeMap::new(), kinds: BTreeMap::new() };
        let (mut helped, mut ended) = (BTreeSet::new(), BTreeSet::new());
        // The metric whose samples follow.
        let mut current = String::new();
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').unwrap_or_else(|| panic!("no help: {line}"));
                assert!(is_name(name) && !help.is_empty(), "{line}");
                assert!(helped.insert(name.to_owned()), "a second help: {line}");
                ended.insert(std::mem::replace(&mut current, name.to_owned()));
                assert!(!ended.contains(name), "the metric comes twice: {line}");
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').unwrap_or_else(|| panic!("no type: {line}"));
                assert_eq!(name, current, "the type is not behind its help: {line}");
                assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
                let kind = kind.to_owned();
                assert!(this.kinds.insert(name.to_owned(), kind).is_none(), "a second type: {line}");
            } else {
                assert!(!line.starts_with('#') && !line.is_empty(), "{line}");
                this.sample(line, &current);
            }
        }
        this.check_histograms();
        this
    }

    fn sample(&mut self, line: &str, current: &str) {
        let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no value: {line}"));
        let name = series.split('{').next().unwrap_or_default();
        let kind = self.kinds.get(current).unwrap_or_else(|| panic!("without a type: {line}"));
        let of_it = match kind.as_str() {
            "histogram" => {
                ["_bucket", "_sum", "_count"].iter().any(|part| name == format!("{current}{part}"))
            }
            _ => name == current,
        };
        assert!(of_it, "among those of {current}: {line}");
        assert!(kind != "counter" || name.ends_with("_total"), "a counter without _total: {line}");
        let mut names = BTreeSet::new();
        for (label, value) in labels(series) {
            assert!(is_name(&label) && !label.contains(':'), "{line}");
            assert!(names.insert(label), "a label twice: {line}");
            assert!(!value.contains('"'), "{line}");
        }
        let number: f64 = value.parse().unwrap_or_else(|_| panic!("no number: {line}"));
        assert!(number.is_finite() && number >= 0.0, "{line}");
        assert!(self.samples.insert(series.to_owned(), number).is_none(), "a series twice: {line}");
    }

    /// Buckets grow, the last is the count, and there is a sum.
    fn check_histograms(&self) {
        let mut series: BTreeMap<String, Vec<(f64, f64)>> = BTreeMap::new();
        for (sample, value) in self.samples.iter().filter(|(sample, _)| sample.contains("_bucket{")) {
            let mut of: Vec<_> = labels(sample);
            let index = of.iter().position(|(label, _)| label == "le").unwrap_or_else(|| panic!("{sample}"));
            let (_, bound) = of.remove(index);
            let bound = if bound == "+Inf" { f64::INFINITY } else { bound.parse().unwrap() };
            let name = sample.split("_bucket{").next().unwrap_or_default();
            let rest: Vec<String> = of.iter().map(|(label, value)| format!("{label}=\"{value}\"")).collect();
            let labels = if rest.is_empty() { String::new() } else { format!("{{{}}}", rest.join(",")) };
            series.entry(format!("{name} {labels}")).or_default().push((bound, *value));
        }
        for (of, mut buckets) in series {
            let (name, labels) = of.split_once(' ').unwrap_or_default();
            buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
            assert!(buckets.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1), "{of}: {buckets:?}");
            let last = buckets.last().copied();
            let count = self.samples[&format!("{name}_count{labels}")];
            assert_eq!(last, Some((f64::INFINITY, count)), "{of}");
            assert!(self.samples.contains_key(&format!("{name}_sum{labels}")), "{of}");
        }
    }

    /// The value of a series, as it stands there.
    pub(crate) fn value(&self, series: &str) -> Option<f64> {
        self.samples.get(series).copied()
    }

    /// The sum over all series of a name.
    pub(crate) fn sum(&self, name: &str) -> f64 {
        let of_it = |series: &&String| series.split('{').next() == Some(name);
        self.samples.iter().filter(|(series, _)| of_it(series)).map(|(_, value)| value).sum()
    }

    /// Every name of a metric, and its type.
    pub(crate) fn kinds(&self) -> &BTreeMap<String, String> {
        &self.kinds
    }

    /// Every series.
    pub(crate) fn series(&self) -> impl Iterator<Item = &str> {
        self.samples.keys().map(String::as_str)
    }
}

fn is_name(text: &str) -> bool {
    let first = |c: char| c.is_ascii_alphabetic() || c == '_' || c == ':';
    text.starts_with(first) && text.chars().all(|c| first(c) || c.is_ascii_digit())
}

/// The labels of a series, with the escapes of their values undone.
pub(crate) fn labels(series: &str) -> Vec<(String, String)> {
    let Some((_, rest)) = series.split_once('{') else { return Vec::new() };
    let inside = rest.strip_suffix('}').unwrap_or_else(|| panic!("no end of labels: {series}"));
    let (mut labels, mut rest) = (Vec::new(), inside);
    while !rest.is_empty() {
        let (name, after) = rest.split_once("=\"").unwrap_or_else(|| panic!("no value: {series}"));
        let (mut value, mut characters) = (String::new(), after.char_indices());
        let end = loop {
            match characters.next().unwrap_or_else(|| panic!("no end of a value: {series}")) {
                (end, '"') => break end,
                (_, '\\') => match characters.next() {
                    Some((_, 'n')) => value.push('\n'),
                    Some((_, c @ ('\\' | '"'))) => value.push(c),
                    other => panic!("{other:?} in {series}"),
                },
                (_, c) => value.push(c),
            }
        };
        labels.push((name.to_owned(), value));
        rest = &after[end + 1..];
        if let Some(next) = rest.strip_prefix(',') {
            assert!(!next.is_empty(), "a comma at the end: {series}");
            rest = next;
        } else {
            assert!(rest.is_empty(), "{series}");
        }
    }
    labels
}
