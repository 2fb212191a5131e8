//! Text from the server whose bytes need not be UTF-8. In a `SQL_ASCII` database any name may be
//! such a text. So may names of the whole cluster, which a session of another encoding may have
//! made.

use std::error::Error;

use tokio_postgres::types::{FromSql, Type};

use crate::error::clean::byte_as_char;

/// A text in which each byte that is not UTF-8 is one character of a private range. So no two names
/// become the same. [`clean`](crate::error::clean) shows such a byte as `\xNN`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ServerText(pub(super) String);

/// The subquery that sends a text as UTF-8 if it is valid, and its bytes otherwise. The server
/// would refuse invalid bytes: when it sends text from a `SQL_ASCII` database, and in `convert_to`
/// elsewhere.
pub(super) fn as_bytes(expression: &str) -> String {
    format!(
        "(SELECT CASE WHEN pg_catalog.getdatabaseencoding() OPERATOR(pg_catalog.=) 'SQL_ASCII' \
         THEN pg_catalog.convert_to(t, 'SQL_ASCII') ELSE pg_catalog.textsend(t) END FROM (SELECT \
         {expression} AS t OFFSET 0) AS text)"
    )
}

impl<'a> FromSql<'a> for ServerText {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        let mut text = String::with_capacity(raw.len());
        for chunk in raw.utf8_chunks() {
            text.push_str(chunk.valid());
            text.extend(chunk.invalid().iter().map(|byte| byte_as_char(*byte)));
        }
        Ok(Self(text))
    }

    fn accepts(of: &Type) -> bool {
        *of == Type::BYTEA
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::clean;

    #[test]
    fn no_byte_is_lost_and_no_two_names_become_the_same() {
        let read = |raw: &[u8]| ServerText::from_sql(&Type::TEXT, raw).unwrap().0;
        assert_eq!(read("größe 🍕".as_bytes()), "größe 🍕");
        for (raw, shown) in [
            (&b"gr\xf6\xdfe"[..], r"gr\xf6\xdfe"),
            (b"\xff", r"\xff"),
            (b"a\xe2\x82", r"a\xe2\x82"),
            (b"\x80\x80", r"\x80\x80"),
        ] {
            let text = read(raw);
            assert!(clean::name(&text).contains(shown), "{}", clean::name(&text));
            assert!(clean::name(&format!("{text:?}")).contains(shown));
            assert!(!clean::is_utf8(&text));
            assert_ne!(text, shown, "a name of these very characters is another one");
        }
        assert_ne!(read(b"\xf6"), read(b"\xdf"));
        assert!(clean::is_utf8("größe"));
    }
}
