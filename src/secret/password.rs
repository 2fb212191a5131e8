//! A password that cannot be printed: how it is generated, stored by the server, and checked.

use std::fmt;

use postgres_protocol::password::md5;
use rand::SeedableRng;
use rand::rngs::{StdRng, SysError, SysRng};
use rand::seq::IndexedRandom;
use secrecy::{ExposeSecret, SecretString};

pub(crate) use super::verifier::DEFAULT_ITERATIONS;
use super::verifier::{is_verifier, scram_sha_256};
use crate::error::Problem;

const LOWERCASE: &str = "abcdefghijklmnopqrstuvwxyz";
const UPPERCASE: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const NUMBERS: &str = "0123456789";
/// ASCII punctuation, as Secrets Manager's `GetRandomPassword` defines it.
const PUNCTUATION: &str = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~";
/// The least entropy of a password, in bits. Eight random printable characters have 52.
const MINIMUM_ENTROPY: f64 = 50.0;
/// The lengths that Amazon RDS accepts, in characters.
pub(crate) const LENGTHS: std::ops::RangeInclusive<usize> = 8..=128;

/// The length if no other is asked for.
pub(crate) const USUAL_LENGTH: usize = 32;

/// A cleartext password. It has no `Display` and no `Serialize`: only `expose_secret` reveals it.
#[derive(Clone)]
pub(crate) struct Password(SecretString);

/// The form of passwords that a policy asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StorageForm {
    ScramSha256,
    Md5,
    /// Sent in clear and hashed by the server, for extensions that have to see it.
    Cleartext,
}

/// How a password is stored, like PostgreSQL's `password_encryption`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hash {
    ScramSha256 { iterations: u32 },
    Md5,
}

/// How a password is stored, and whether the server hashes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Storage {
    pub(crate) hash: Hash,
    pub(crate) cleartext: bool,
}

/// Which passwords are generated: a set of characters for each included type, the length, and
/// whether each type must occur.
#[derive(Debug)]
pub(crate) struct PasswordPolicy {
    length: usize,
    types: Vec<Vec<char>>,
    require_each_included_type: bool,
}

impl Password {
    /// Wraps a cleartext password.
    pub(crate) fn new(cleartext: String) -> Self {
        Self(SecretString::from(cleartext))
    }

    /// The cleartext, for a login and for the document.
    pub(crate) fn expose_secret(&self) -> &str {
        self.0.expose_secret()
    }

    /// The form that is sent to the server: a hash like that of `psql`'s `\password`, or cleartext.
    pub(crate) fn stored_form(&self, role: &str, storage: Storage) -> SecretString {
        let cleartext = self.expose_secret();
        SecretString::from(match storage {
            Storage { cleartext: true, .. } => cleartext.to_owned(),
            Storage { hash: Hash::ScramSha256 { iterations }, .. } => {
                scram_sha_256(cleartext, iterations)
            }
            Storage { hash: Hash::Md5, .. } => md5(cleartext.as_bytes(), role),
        })
    }

    /// Why this cannot be set as a password: it would lock the role out or store something else.
    pub(crate) fn defect(&self) -> Option<&'static str> {
        let cleartext = self.expose_secret();
        if cleartext.is_empty() {
            Some("is empty, which PostgreSQL treats as no password")
        } else if cleartext.contains('\0') {
            Some("contains a NUL character, which PostgreSQL cannot receive")
        } else if is_verifier(cleartext) {
            Some(
                "has the form of a stored hash (SCRAM-SHA-256$... or md5...), which PostgreSQL \
                 would store unchanged",
            )
        } else {
            None
        }
    }
}

impl PartialEq for Password {
    fn eq(&self, other: &Self) -> bool {
        self.expose_secret() == other.expose_secret()
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(redacted)")
    }
}

impl PasswordPolicy {
    /// Builds the policy from Secrets Manager's options.
    ///
    /// # Errors
    /// The wrong option and a [`Problem`], if no password can meet the policy, or only one that can
    /// be guessed.
    pub(crate) fn new(
        length: usize,
        exclude_characters: &str,
        exclude: ExcludedTypes,
        require_each_included_type: bool,
    ) -> Result<Self, (PasswordOption, Problem)> {
        if !LENGTHS.contains(&length) {
            let (least, most) = (LENGTHS.start(), LENGTHS.end());
            let problem = format!("{length} is not a length from {least} to {most}.");
            return Err((PasswordOption::Length, problem.into()));
        }
        let types: Vec<Vec<char>> = [
            (LOWERCASE, exclude.lowercase),
            (UPPERCASE, exclude.uppercase),
            (NUMBERS, exclude.numbers),
            (PUNCTUATION, exclude.punctuation),
        ]
        .into_iter()
        .filter(|(_, excluded)| !excluded)
        .map(|(characters, _)| {
            characters.chars().filter(|c| !exclude_characters.contains(*c)).collect()
        })
        .collect();

        if types.iter().all(Vec::is_empty) {
            let (option, problem) = if types.is_empty() {
                (PasswordOption::Types, "with the other types excluded too, ")
            } else {
                (PasswordOption::Characters, "with the excluded types, ")
            };
            return Err((option, format!("{problem}no character is left for a password.").into()));
        }
        if require_each_included_type && types.iter().any(Vec::is_empty) {
            let problem = "it leaves no character of a type that REQUIRE_EACH_INCLUDED_TYPE \
                demands. Exclude that type, or set REQUIRE_EACH_INCLUDED_TYPE to false.";
            return Err((PasswordOption::Characters, problem.into()));
        }
        let policy = Self { length, types, require_each_included_type };
        let entropy = policy.entropy();
        if entropy < MINIMUM_ENTROPY {
            let kinds = policy.alphabet().len();
            // The usual length is enough for any usual set of characters.
            let longer = Self { length: USUAL_LENGTH, ..policy };
            let option = if length < USUAL_LENGTH && longer.entropy() >= MINIMUM_ENTROPY {
                PasswordOption::Length
            } else {
                PasswordOption::Characters
            };
            let problem = format!(
                "{length} characters out of {kinds} have {entropy:.0} bits, which can be guessed. \
                 At least {MINIMUM_ENTROPY:.0} are needed: make the password longer or exclude \
                 less."
            );
            return Err((option, problem.into()));
        }
        Ok(policy)
    }

    /// Generates a password of uniform characters. The operating system seeds the generator.
    ///
    /// # Errors
    /// The operating system has no randomness.
    pub(crate) fn generate(&self) -> Result<Password, SysError> {
        let mut rng = StdRng::try_from_rng(&mut SysRng)?;
        let alphabet = self.alphabet();
        // A whole password is drawn until one fits. Placing one of each type would make some
        // passwords likelier.
        loop {
            let candidate: String =
                (0..self.length).filter_map(|_| alphabet.choose(&mut rng)).collect();
            let complete =
                self.types.iter().all(|characters| candidate.contains(characters.as_slice()));
            if (complete || !self.require_each_included_type) && !is_verifier(&candidate) {
                return Ok(Password::new(candidate));
            }
        }
    }

    fn alphabet(&self) -> Vec<char> {
        self.types.concat()
    }

    #[expect(clippy::cast_precision_loss, reason = "both are at most 128")]
    fn entropy(&self) -> f64 {
        self.length as f64 * (self.alphabet().len() as f64).log2()
    }
}

/// An option of a policy that can be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PasswordOption {
    Length,
    Characters,
    /// The switches that exclude a type.
    Types,
}

/// The types of characters that are excluded.
#[derive(Debug, Clone, Copy, Default)]
#[expect(clippy::struct_excessive_bools, reason = "four switches of GetRandomPassword")]
pub(crate) struct ExcludedTypes {
    pub(crate) lowercase: bool,
    pub(crate) uppercase: bool,
    pub(crate) numbers: bool,
    pub(crate) punctuation: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(length: usize, exclude_characters: &str) -> PasswordPolicy {
        PasswordPolicy::new(length, exclude_characters, ExcludedTypes::default(), true).unwrap()
    }

    #[test]
    fn debug_never_shows_a_password() {
        let password = Password::new("canary".to_owned());
        assert_eq!(
            format!("{password:?} {:?}", Some(&password)),
            "Password(redacted) Some(Password(redacted))"
        );
    }

    #[test]
    fn generated_passwords_follow_the_policy() {
        let policy = policy(32, "/@\"'\\");
        for _ in 0..1000 {
            let password = policy.generate().unwrap();
            let text = password.expose_secret();
            assert_eq!(text.len(), 32);
            assert!(!text.contains(['/', '@', '"', '\'', '\\']), "an excluded character");
            for characters in [LOWERCASE, UPPERCASE, NUMBERS, PUNCTUATION] {
                assert!(text.contains(|c| characters.contains(c)), "a type is missing");
            }
        }
    }

    #[test]
    fn every_character_is_equally_likely() {
        let policy = PasswordPolicy::new(100, "", ExcludedTypes::default(), false).unwrap();
        let mut counts = std::collections::HashMap::new();
        let draws = 2000;
        for _ in 0..draws {
            for c in policy.generate().unwrap().expose_secret().chars() {
                *counts.entry(c).or_insert(0_i32) += 1;
            }
        }
        assert_eq!(counts.len(), 94, "the printable ASCII characters but the space");
        // 200,000 characters over 94: 2128 each, standard deviation 46; eight of them never happen
        // by chance.
        for (c, count) in counts {
            assert!((count - 2128).abs() < 370, "{c:?} came {count} times");
        }
    }

    #[test]
    fn policies_that_cannot_be_met_say_why() {
        let all =
            ExcludedTypes { lowercase: true, uppercase: true, numbers: true, punctuation: true };
        let digits = ExcludedTypes { numbers: false, ..all };
        let none = ExcludedTypes::default();
        let only_one = format!("{LOWERCASE}{UPPERCASE}{PUNCTUATION}123456789");
        for (length, characters, types, option, expected) in [
            (7, "", none, PasswordOption::Length, "7 is not a length from 8 to 128"),
            (129, "", none, PasswordOption::Length, "129 is not a length"),
            (32, "", all, PasswordOption::Types, "no character is left"),
            (32, NUMBERS, digits, PasswordOption::Characters, "no character is left"),
            (32, NUMBERS, none, PasswordOption::Characters, "REQUIRE_EACH_INCLUDED_TYPE"),
            (8, "", digits, PasswordOption::Length, "8 characters out of 10 have 27 bits"),
            (128, &only_one[..], digits, PasswordOption::Characters, "out of 1 have 0 bits"),
        ] {
            let (wrong, problem) =
                PasswordPolicy::new(length, characters, types, true).unwrap_err();
            assert_eq!(wrong, option, "{problem}");
            assert!(problem.to_string().contains(expected), "{problem}");
        }
    }

    #[test]
    fn the_shortest_and_the_longest_policy_can_be_met() {
        assert_eq!(policy(8, "").generate().unwrap().expose_secret().len(), 8);
        assert_eq!(policy(128, "").generate().unwrap().expose_secret().len(), 128);
    }

    #[test]
    fn what_the_server_would_not_keep_as_a_password_is_refused() {
        let md5 = md5(b"x", "app");
        let scram = scram_sha_256("x", DEFAULT_ITERATIONS);
        for (text, refused) in [
            ("", true),
            ("a\0b", true),
            (md5.as_str(), true),
            (&md5.to_uppercase().replace("MD5", "md5"), false),
            (scram.as_str(), true),
            ("SCRAM-SHA-256$", false),
            ("SCRAM-SHA-256$4096:mine", false),
            ("md5", false),
            ("md5 is a hash", false),
            (" ", false),
            ("pässwörd", false),
        ] {
            assert_eq!(Password::new(text.to_owned()).defect().is_some(), refused, "{text:?}");
        }
    }

    #[test]
    fn the_stored_form_is_what_the_storage_names() {
        let password = Password::new("secret".to_owned());
        let stored = |hash| Storage { hash, cleartext: false };
        let scram = stored(Hash::ScramSha256 { iterations: DEFAULT_ITERATIONS });
        let form = |storage| password.stored_form("app", storage).expose_secret().to_owned();
        assert!(form(scram).starts_with("SCRAM-SHA-256$4096:"));
        assert_ne!(form(scram), form(scram), "the salt is new each time");
        assert_eq!(form(stored(Hash::Md5)), "md56a422f785c9e20873908ce25d1736ae2");
        assert_eq!(form(Storage { cleartext: true, ..scram }), "secret");
    }
}
