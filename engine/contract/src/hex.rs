//! Bytes as lower-case hexadecimal.

pub fn encode(bytes: &[u8]) -> String {
    const DIGITS: [char; 16] = [
        '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f',
    ];
    let digits = |byte: &u8| [byte >> 4, byte & 15].map(|digit| DIGITS[usize::from(digit)]);
    bytes.iter().flat_map(digits).collect()
}

/// Exactly 32 bytes; capitals are refused, so that there is one text for one value.
pub fn decode_32(text: &[u8]) -> Option<[u8; 32]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let text: &[u8; 64] = text.try_into().ok()?;
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_decoded_and_nothing_else_is() {
        let bytes: [u8; 32] = std::array::from_fn(|at| u8::try_from(at * 8).unwrap());
        let text = encode(&bytes);
        assert!(
            text.starts_with("0008101820") && text.ends_with("f0f8"),
            "{text}"
        );
        assert_eq!(decode_32(text.as_bytes()), Some(bytes));
        let bad = [
            text.to_uppercase(),
            text[1..].to_owned(),
            format!("{text}0"),
            text.replace('f', "g"),
        ];
        for bad in bad {
            assert_eq!(decode_32(bad.as_bytes()), None, "{bad}");
        }
    }
}
