//! SCRAM-SHA-256 verifiers: the form in which PostgreSQL stores a password. The client computes it,
//! like `psql`'s `\password`.
//!
//! The driver's own function computes twice as many hashes, and their number is fixed.

use base64::Engine;
use base64::alphabet;
use base64::display::Base64Display;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use hmac::digest::FixedOutput;
use hmac::{Hmac, KeyInit, Mac};
use pbkdf2::pbkdf2_hmac_array;
use rand::Rng;
use sha2::{Digest, Sha256};

/// PostgreSQL's own default of `scram_iterations`.
pub(crate) const DEFAULT_ITERATIONS: u32 = 4096;

/// The verifier of a password with a new salt:
/// `SCRAM-SHA-256$<iterations>:<salt>$<stored key>:<server key>`.
pub(super) fn scram_sha_256(password: &str, iterations: u32) -> String {
    let mut salt = [0; 16];
    rand::rng().fill_bytes(&mut salt);
    salted(password, salt, iterations)
}

/// Whether a server takes this string for a hash, and would store it unchanged.
pub(super) fn is_verifier(text: &str) -> bool {
    is_md5(text) || is_scram(text).unwrap_or(false)
}

/// PostgreSQL's own rule: lowercase digits only.
fn is_md5(text: &str) -> bool {
    text.strip_prefix("md5").is_some_and(|digits| {
        digits.len() == 32 && digits.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'))
    })
}

/// As PostgreSQL reads it: blanks never count, and before 18 repeated separators count once.
fn is_scram(text: &str) -> Option<bool> {
    fn next<'a>(rest: &mut &'a str, separator: char) -> Option<&'a str> {
        let (part, left) = rest.trim_start_matches(separator).split_once(separator)?;
        *rest = left;
        Some(part)
    }
    const LENIENT: GeneralPurpose = GeneralPurpose::new(
        &alphabet::STANDARD,
        GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true),
    );
    let mut rest = text;
    let scheme = next(&mut rest, '$')?;
    let iterations = next(&mut rest, ':')?.trim_start().parse::<i64>().is_ok();
    let [salt, stored_key] = [next(&mut rest, '$')?, next(&mut rest, ':')?];
    let decoded = |text: &str| LENIENT.decode(text.replace([' ', '\t', '\n', '\r'], "")).ok();
    let is_key = |text: &str| decoded(text).is_some_and(|key| key.len() == 32);
    let keys = is_key(stored_key) && is_key(rest);
    Some(scheme == "SCRAM-SHA-256" && iterations && decoded(salt).is_some() && keys)
}

fn salted(password: &str, salt: [u8; 16], iterations: u32) -> String {
    // The server uses a password unchanged if SASLprep forbids one of its characters.
    let prepared = stringprep::saslprep(password).unwrap_or(password.into());
    let key: [u8; 32] = pbkdf2_hmac_array::<Sha256, 32>(prepared.as_bytes(), &salt, iterations);
    let stored_key = Sha256::digest(keyed(&key, "Client Key"));
    let server_key = keyed(&key, "Server Key");
    let [salt, stored_key, server_key] = [salt.as_slice(), &stored_key, &server_key]
        .map(|bytes| Base64Display::new(bytes, &STANDARD));
    format!("SCRAM-SHA-256${iterations}:{salt}${stored_key}:{server_key}")
}

fn keyed(key: &[u8; 32], text: &str) -> [u8; 32] {
    // HMAC pads a shorter key with zeros to the block size of its hash.
    let mut block = [0; 64];
    block[..key.len()].copy_from_slice(key);
    let mut hmac = Hmac::<Sha256>::new(&block.into());
    hmac.update(text.as_bytes());
    hmac.finalize_fixed().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verifier_equals_the_drivers() {
        for password in
            ["secret", "", "pässwörd", "Ⅸ \u{a0}x", "prohibited \u{7}", &"x".repeat(200)]
        {
            let known = postgres_protocol::password::scram_sha_256(password.as_bytes());
            let salt = known.split(['$', ':']).nth(2).unwrap();
            let salt = STANDARD.decode(salt).unwrap().try_into().unwrap();
            assert_eq!(salted(password, salt, DEFAULT_ITERATIONS), known, "{password:?}");
        }
    }

    #[test]
    fn a_verifier_has_a_salt_of_its_own_and_the_iterations_asked_for() {
        let [one, other] = [scram_sha_256("secret", 5), scram_sha_256("secret", 5)];
        assert!(one.starts_with("SCRAM-SHA-256$5:") && one != other, "{one} {other}");
    }
}
