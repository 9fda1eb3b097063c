//! The graph in CycloneDX's words (ECMA-424, version 1.6, JSON).

use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{
    SbomError,
    graph::{Crate, Graph, Key},
};

const APPLIANCE: &str = "authenteon-appliance";

/// A crate, or a program of ours.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Component<'a> {
    r#type: &'static str,
    #[serde(rename = "bom-ref")]
    bom_ref: String,
    name: &'a str,
    version: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    scope: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    hashes: Vec<Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    licenses: Vec<Value>,
    purl: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    external_references: Vec<Value>,
}

/// The document as text.
pub(super) fn write(graph: &Graph, moment: Option<i64>) -> Result<String, SbomError> {
    let version = graph.roots.first().map_or("0", |(_, version)| version.as_str());
    let appliance = format!("{APPLIANCE}@{version}");
    let components: Vec<Component<'_>> =
        graph.crates.iter().map(|(key, found)| component(key, found, graph.roots.contains(key))).collect();
    let mut dependencies =
        vec![json!({"ref": appliance, "dependsOn": graph.roots.iter().map(reference).collect::<Vec<_>>()})];
    dependencies.extend(graph.crates.iter().map(|(key, found)| {
        json!({"ref": reference(key), "dependsOn": found.needs.iter().map(reference).collect::<Vec<_>>()})
    }));
    let mut metadata = json!({
        "tools": {"components": [{
            "type": "application",
            "name": env!("CARGO_PKG_NAME"),
            "version": env!("CARGO_PKG_VERSION"),
        }]},
        "component": {
            "type": "firmware",
            "bom-ref": appliance,
            "name": APPLIANCE,
            "version": version,
        },
    });
    if let Some(moment) = moment {
        let at = OffsetDateTime::from_unix_timestamp(moment).map_err(|_| SbomError::Moment)?;
        let at = at.format(&Rfc3339).map_err(|_| SbomError::Moment)?;
        if let Some(fields) = metadata.as_object_mut() {
            fields.insert("timestamp".to_owned(), at.into());
        }
    }
    let mut document = json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": metadata,
        "components": components,
        "dependencies": dependencies,
    });
    let serial = serial_number(document.to_string().as_bytes());
    if let Some(fields) = document.as_object_mut() {
        fields.insert("serialNumber".to_owned(), serial.into());
    }
    let mut text =
        serde_json::to_string_pretty(&document).map_err(|why| SbomError::Answer(why.to_string()))?;
    text.push('\n');
    Ok(text)
}

fn reference((name, version): &Key) -> String {
    format!("pkg:cargo/{name}@{}", version.replace('+', "%2B"))
}

fn component<'a>(key: &'a Key, found: &'a Crate, ships: bool) -> Component<'a> {
    let purl = reference(key);
    Component {
        r#type: if ships { "application" } else { "library" },
        bom_ref: purl.clone(),
        name: &key.0,
        version: &key.1,
        description: found.description.as_deref(),
        scope: "required",
        hashes: found.checksum.iter().map(|sum| json!({"alg": "SHA-256", "content": sum})).collect(),
        licenses: found.licence.iter().map(|text| json!({"expression": expression(text)})).collect(),
        purl,
        external_references: found.repository.iter().map(|url| json!({"type": "vcs", "url": url})).collect(),
    }
}

/// As SPDX writes it. Some crates still have the form before, with a stroke between alternatives.
fn expression(text: &str) -> String {
    text.replace('/', " OR ").split_ascii_whitespace().collect::<Vec<_>>().join(" ")
}

/// A number that is another one when anything else is, as a UUID of version 8.
fn serial_number(content: &[u8]) -> String {
    let digest = Sha256::digest(content);
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    bytes[6] = bytes[6] & 0x0F | 0x80;
    bytes[8] = bytes[8] & 0x3F | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("urn:uuid:{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    fn graph() -> Graph {
        let key = |name: &str, version: &str| (name.to_owned(), version.to_owned());
        let library = Crate {
            licence: Some("MIT / Apache-2.0".to_owned()),
            description: Some("a library".to_owned()),
            repository: Some("https://example.org/a".to_owned()),
            checksum: Some("ab".repeat(32)),
            needs: BTreeSet::new(),
        };
        let program = Crate { needs: BTreeSet::from([key("a", "2.0.0+3")]), ..Crate::default() };
        Graph {
            roots: vec![key("box", "1.0.0")],
            crates: BTreeMap::from([(key("a", "2.0.0+3"), library), (key("box", "1.0.0"), program)]),
        }
    }

    fn parsed(moment: Option<i64>) -> Value {
        serde_json::from_str(&write(&graph(), moment).unwrap()).unwrap()
    }

    #[test]
    fn a_crate_says_name_version_licence_checksum_and_where_it_is_from() {
        let document = parsed(None);
        assert_eq!(
            document["components"][0],
            json!({
                "type": "library",
                "bom-ref": "pkg:cargo/a@2.0.0%2B3",
                "name": "a",
                "version": "2.0.0+3",
                "description": "a library",
                "scope": "required",
                "hashes": [{"alg": "SHA-256", "content": "ab".repeat(32)}],
                "licenses": [{"expression": "MIT OR Apache-2.0"}],
                "purl": "pkg:cargo/a@2.0.0%2B3",
                "externalReferences": [{"type": "vcs", "url": "https://example.org/a"}],
            })
        );
        assert_eq!(document["components"][1]["type"], "application");
        assert_eq!(
            document["dependencies"],
            json!([
                {"ref": "authenteon-appliance@1.0.0", "dependsOn": ["pkg:cargo/box@1.0.0"]},
                {"ref": "pkg:cargo/a@2.0.0%2B3", "dependsOn": []},
                {"ref": "pkg:cargo/box@1.0.0", "dependsOn": ["pkg:cargo/a@2.0.0%2B3"]},
            ])
        );
    }

    #[test]
    fn the_serial_number_is_of_the_content_and_a_time_is_told_only_if_given() {
        assert_eq!(parsed(None), parsed(None));
        assert!(parsed(None)["metadata"].get("timestamp").is_none());
        let later = parsed(Some(1_767_225_600));
        assert_eq!(later["metadata"]["timestamp"], "2026-01-01T00:00:00Z");
        assert_ne!(later["serialNumber"], parsed(None)["serialNumber"]);
        assert!(matches!(write(&graph(), Some(i64::MAX)), Err(SbomError::Moment)));
    }
}
