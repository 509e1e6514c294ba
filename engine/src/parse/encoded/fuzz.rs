//! Compressed bodies, mutated: whatever comes, it ends, within the bounds, and twice alike.

use super::tests::{gzip, inflate, zstd};
use super::*;
use crate::testing::fuzz;

#[test]
fn a_compressed_body_is_refused_or_within_the_bounds() {
    let json = br#"{"node_id":"a","metrics":[{"node_id":"a","country":"GH"},{"node_id":"a"}]}"#;
    let long = json.repeat(40);
    for (encoding, seeds) in [
        (
            Encoding::Gzip,
            [gzip(json), gzip(&long), gzip(b"").repeat(3)],
        ),
        (
            Encoding::Zstd,
            [zstd(json), zstd(&long), zstd(b"").repeat(3)],
        ),
    ] {
        let tokens: [&[u8]; 6] = [
            b"\x1f\x8b\x08",
            b"\x28\xb5\x2f\xfd",
            b"\x50\x2a\x4d\x18",
            b"\0\0\0",
            b"\xff\xff",
            b"\x01\0\0",
        ];
        let mut accepted = 0_u64;
        fuzz::run(4, &seeds, &tokens, |input, _| {
            let found = inflate(encoding, input);
            assert_eq!(found, inflate(encoding, input));
            let Ok(plain) = found else { return };
            accepted += 1;
            assert!(plain.len() <= BODY_BYTES_MAX && plain.len() <= RATIO_MAX * input.len());
        });
        assert!(accepted > 0);
    }
}
