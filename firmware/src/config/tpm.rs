//! The section of the TPM: how it is reached, and what a master key that it seals is bound to.

use serde::Deserialize;

use crate::store::{PCRS, Tpm};

/// The TPM that seals the master key, once it is told to.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct TpmSection {
    /// Where it is, as the TPM software stack names it; the variable `TCTI` otherwise, or the kernel's own.
    pub tcti: Option<String>,
    /// Registers of its SHA-256 bank that must be what they were when the key was sealed.
    pub pcrs: Vec<u8>,
}

impl TpmSection {
    /// Whether the registers can be ones.
    pub(super) fn check(&self) -> Result<(), &'static str> {
        let sane =
            |(index, pcr): (usize, &u8)| *pcr < PCRS && !self.pcrs.iter().take(index).any(|p| p == pcr);
        let all = self.pcrs.iter().enumerate().all(sane);
        all.then_some(()).ok_or("pcrs are numbers from 0 to 23, each once")
    }

    /// The TPM; `variable` is what `TCTI` says.
    #[must_use]
    pub fn tpm(&self, variable: Option<String>) -> Tpm {
        let tcti = self.tcti.clone().or(variable).unwrap_or_else(|| Tpm::default().tcti);
        Tpm { tcti, pcrs: self.pcrs.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(text: &str) -> TpmSection {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn the_tpm_is_the_one_of_the_file_then_of_the_variable_then_the_kernel_s() {
        let variable = || Some("swtpm:port=1".to_owned());
        assert_eq!(section("tcti = \"device:/dev/tpm9\"").tpm(variable()).tcti, "device:/dev/tpm9");
        assert_eq!(
            section("pcrs = [7, 11]").tpm(variable()),
            Tpm { tcti: "swtpm:port=1".to_owned(), pcrs: vec![7, 11] }
        );
        assert_eq!(section("").tpm(None).tcti, "device:/dev/tpmrm0");
    }

    #[test]
    fn pcrs_that_no_tpm_has_or_that_come_twice_are_refused() {
        assert!(section("pcrs = [0, 23]").check().is_ok());
        assert!(section("pcrs = [24]").check().is_err());
        assert!(section("pcrs = [7, 3, 7]").check().is_err());
        assert!(toml::from_str::<TpmSection>("pcr = [7]").is_err());
    }
}
