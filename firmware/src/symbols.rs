//! Crockford's base 32: symbols that people read off a screen and type, and that the alphanumeric mode of a QR code has.
//!
//! Invariant: what is written is read back as it was, in either case, with dashes and blanks anywhere, with O for 0 and
//! I or L for 1; nothing else is read.

/// No I, L, O or U.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// The symbol of a value below 32.
pub(crate) fn symbol(value: u8) -> u8 {
    ALPHABET.get(usize::from(value)).copied().unwrap_or(b'0')
}

/// The value of a symbol.
pub(crate) fn value(symbol: u8) -> Option<u8> {
    let symbol = match symbol.to_ascii_uppercase() {
        b'O' => b'0',
        b'I' | b'L' => b'1',
        other => other,
    };
    ALPHABET.iter().position(|known| *known == symbol).and_then(|at| u8::try_from(at).ok())
}

/// Bytes as symbols; what is missing to the last five bits are zeros.
pub(crate) fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(5) * 8);
    let (mut bits, mut held) = (0_u32, 0_u32);
    for byte in bytes {
        bits = (bits << 8 | u32::from(*byte)) & 0xFFFF;
        held += 8;
        while held >= 5 {
            held -= 5;
            text.push(char::from(symbol((bits >> held & 31) as u8)));
        }
    }
    if held > 0 {
        text.push(char::from(symbol((bits << (5 - held) & 31) as u8)));
    }
    text
}

/// So many bytes, as [`encode`] wrote them.
pub(crate) fn decode<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    let mut places = bytes.iter_mut();
    let (mut bits, mut held) = (0_u32, 0_u32);
    for typed in text.bytes().filter(|b| !matches!(b, b'-' | b' ')) {
        bits = (bits << 5 | u32::from(value(typed)?)) & 0xFFFF;
        held += 5;
        if held >= 8 {
            held -= 8;
            *places.next()? = (bits >> held & 0xFF) as u8;
        }
    }
    let nothing_else = held < 5 && bits & ((1 << held) - 1) == 0;
    (places.len() == 0 && nothing_else).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_confuse_is_the_same() {
        let bytes = [0x00, 0x44, 0x32, 0x14, 0xC7];
        let shown = encode(&bytes);
        assert_eq!(shown, "0123456 7".replace(' ', ""));
        for typed in ["01234567", "ol23-4567", "O I 2 3 4 5 6 7"] {
            assert_eq!(decode::<5>(typed), Some(bytes), "{typed}");
        }
        for bad in ["", "0123456", "012345678", "0123456U", "0123456\u{e9}"] {
            assert_eq!(decode::<5>(bad), None, "{bad}");
        }
        // Bits that say nothing are zeros.
        assert_eq!((decode::<1>("04"), decode::<1>("05")), (Some([1]), None));
    }

    proptest::proptest! {
        #[test]
        fn bytes_survive_their_symbols(bytes in proptest::array::uniform20(proptest::num::u8::ANY)) {
            proptest::prop_assert_eq!(decode::<20>(&encode(&bytes)), Some(bytes));
            proptest::prop_assert_eq!(decode::<7>(&encode(&bytes[..7])).map(|b| b.to_vec()), Some(bytes[..7].to_vec()));
        }

        #[test]
        fn any_text_is_read_without_a_panic(text in "\\PC*") {
            let _ = decode::<20>(&text);
        }
    }
}
