//! Some models answer to nobody who cannot encrypt a challenge with the key of the family.

use aes::Aes128;
use aes::cipher::{BlockCipherEncrypt, KeyInit};

/// Length of challenge and response.
pub(super) const LENGTH: usize = 16;
const KEY: [u8; LENGTH] =
    [0x79, 0xAC, 0x91, 0x79, 0x5C, 0xA1, 0x47, 0x8E, 0x98, 0xE0, 0x0F, 0x3C, 0x59, 0x8F, 0x5F, 0x4B];

/// The response to a challenge.
pub(super) fn respond(challenge: [u8; LENGTH]) -> [u8; LENGTH] {
    let mut block = challenge.into();
    Aes128::new(&KEY.into()).encrypt_block(&mut block);
    block.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_response_is_that_of_the_recorded_reader() {
        let challenge = 0x4dae_5a0b_1247_a86c_9fbf_29fd_cc17_8a74_u128.to_be_bytes();
        let response = 0x3293_5137_1e4a_dfb1_f35f_09f3_29c6_ab46_u128.to_be_bytes();
        assert_eq!(respond(challenge), response);
    }
}
